"""Reading a detector geometry from the .poni files of pyFAI and Dioptas."""

import json
from pathlib import Path
from typing import Any

from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    DetectorGeometry,
    Shape,
    check_image_shape,
)
from phasepilot.models.errors import GeometryError

_NEWEST_PONI_VERSION = 3
_LENGTHS = ("distance", "poni1", "poni2")
_ROTATIONS = ("rot1", "rot2", "rot3")
# 10 MeV to 10 eV: whoever writes angstrom or nanometre where metre belongs falls outside.
_WAVELENGTHS_M = (1.2e-13, 1.3e-7)


def read_geometry(
    path: Path, *, image_shape: Shape | None = None, wavelength_angstrom: float | None = None
) -> DetectorGeometry:
    """Return the geometry of a .poni file of pyFAI or Dioptas, versions 1 to 3.

    Parameters
    ----------
    image_shape : tuple of int, optional
        Rows and columns of the images that it is for. Needed where the file names no detector,
        checked where it does.
    wavelength_angstrom : float, optional
        Takes the place of the wavelength in the file.

    Raises
    ------
    GeometryError
        If the file cannot be read, lacks a number, names an unknown detector, or is for another
        detector than that of the images.
    """
    content = _poni_content(path)
    name, config = _detector_of(path, content, image_shape)
    if wavelength_angstrom is None:
        wavelength_angstrom = _wavelength_angstrom(path, content)
    distance, poni1, poni2 = (_number(path, content, key) for key in _LENGTHS)
    rot1, rot2, rot3 = (_number(path, content, key) for key in _ROTATIONS)
    geometry = DetectorGeometry(
        name, config, distance, poni1, poni2, rot1, rot2, rot3, wavelength_angstrom
    )
    check_image_shape(image_shape or geometry.shape, geometry, "the image")
    return geometry


def _poni_content(path: Path) -> dict[str, str]:
    """Return the entries of the file with lower-case keys; later ones replace earlier ones."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GeometryError(
            f"geometry must be a .poni text file, but {path} could not be read ({error}); give the"
            " file that pyfai-calib2 or Dioptas saved."
        ) from error
    entries = (line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    content = {key.strip().lower(): value.strip() for key, value in entries}
    if "poni_version" in content and (
        _number(path, content, "poni_version") > _NEWEST_PONI_VERSION
    ):
        raise GeometryError(
            f"{path.name} must be of .poni version {_NEWEST_PONI_VERSION} or older, but is"
            f" {content['poni_version']}; save it with an older pyFAI or update phasepilot."
        )
    if content.get("parallax", "false").lower() == "true":
        raise GeometryError(
            f"{path.name} must not ask for a parallax correction, but says Parallax: True;"
            " calibrate again without it."
        )
    return content


def _detector_of(path: Path, content: dict[str, str], image_shape: Shape | None) -> tuple[str, str]:
    """Return name and configuration of the detector that the file is for."""
    name = content.get("detector", PLAIN_DETECTOR)
    settings = _detector_settings(path, content.get("detector_config", "{}"))
    if content.get("splinefile", "None").lower() != "none":
        raise GeometryError(
            f"{path.name} must describe a detector without distortion, but names the spline file"
            f" {content['splinefile']}; save the detector as a NeXus file in pyFAI."
        )
    # Files of version 1 give the pixel size in lines of their own.
    for old, new in (("pixelsize1", "pixel1"), ("pixelsize2", "pixel2")):
        if old in content:
            settings.setdefault(new, _number(path, content, old))
    if name == PLAIN_DETECTOR and not settings.get("max_shape"):
        if image_shape is None:
            raise GeometryError(
                f"{path.name} must name its detector or the shape of its images, but says neither;"
                " give image_shape as (rows, columns)."
            )
        settings["max_shape"] = list(image_shape)
    return name, json.dumps(settings)


def _detector_settings(path: Path, text: str) -> dict[str, Any]:
    try:
        settings = json.loads(text)
    except json.JSONDecodeError:
        settings = text
    if not isinstance(settings, dict):
        raise GeometryError(
            f"Detector_config of {path.name} must be a JSON object, but is {text!r}; copy the line"
            " from a .poni file that pyFAI wrote."
        )
    return settings


def _number(path: Path, content: dict[str, str], key: str) -> float:
    try:
        return float(content[key])
    except KeyError as error:
        raise GeometryError(
            f"{path.name} must have a line {key.capitalize()!r}, but has only"
            f" {', '.join(sorted(content)) or 'none'}; give a file that pyFAI saved."
        ) from error
    except ValueError as error:
        raise GeometryError(
            f"{key.capitalize()} of {path.name} must be a number, but is {content[key]!r}; correct"
            " the line."
        ) from error


def _wavelength_angstrom(path: Path, content: dict[str, str]) -> float:
    if content.get("wavelength", "None") == "None":
        raise GeometryError(
            f"{path.name} must state the wavelength, but does not; add a line such as"
            " 'Wavelength: 4.066e-11' (in metre)."
        )
    wavelength_m = _number(path, content, "wavelength")
    shortest, longest = _WAVELENGTHS_M
    if not shortest < wavelength_m < longest:
        raise GeometryError(
            f"Wavelength of {path.name} must be in metre, between {shortest:g} and {longest:g}, but"
            f" is {wavelength_m:g}; 0.4066 angstrom would be 4.066e-11."
        )
    return wavelength_m * 1e10


def poni_text(geometry: DetectorGeometry) -> str:
    """Return the text of a .poni file, version 2.1, that `read_geometry` and pyFAI read.

    Examples
    --------
    >>> from phasepilot.models.diffraction.images.detector_geometry import centred_geometry
    >>> print(poni_text(centred_geometry("Pilatus100k", distance_m=0.2, wavelength_angstrom=0.5)))
    poni_version: 2.1
    Detector: Pilatus100k
    Detector_config: {}
    Distance: 0.2
    Poni1: 0.01677
    Poni2: 0.041882
    Rot1: 0.0
    Rot2: 0.0
    Rot3: 0.0
    Wavelength: 5e-11
    """
    values = {
        "poni_version": 2.1,
        "Detector": geometry.detector,
        "Detector_config": geometry.detector_config,
        "Distance": geometry.distance_m,
        "Poni1": geometry.poni1_m,
        "Poni2": geometry.poni2_m,
        "Rot1": geometry.rot1_rad,
        "Rot2": geometry.rot2_rad,
        "Rot3": geometry.rot3_rad,
        "Wavelength": geometry.wavelength_angstrom / 1e10,
    }
    return "\n".join(f"{name}: {value}" for name, value in values.items())
