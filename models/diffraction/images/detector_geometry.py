"""Where a detector stands in the scattered beam, as pyFAI's .poni files describe it.

pyFAI comes with the extra `images`: ``pip install 'phasepilot[images]'``.
"""

import difflib
import json
from copy import copy
from dataclasses import dataclass, fields
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phasepilot.models.arrays import BoolArray
from phasepilot.models.errors import GeometryError

if TYPE_CHECKING:
    from pyFAI.detectors import Detector
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

Shape = tuple[int, int]

# What pyFAI calls a rectangle of pixels that is no particular product.
PLAIN_DETECTOR = "Detector"


@dataclass(frozen=True)
class DetectorGeometry:
    """A detector and where it stands, in the conventions of pyFAI.

    Attributes
    ----------
    detector : str
        Name in pyFAI's list, e.g. ``"Pilatus2M"``, or the path of a NeXus detector file, or
        ``"Detector"`` for a plain rectangle.
    detector_config : str
        What the name leaves open, as the JSON of a .poni file; see `plain_detector_config`.
    distance_m : float
        From the sample to the nearest point of the detector's plane, the PONI.
    poni1_m, poni2_m : float
        Where that point is, along the rows (slow axis) and the columns (fast axis).
    rot1_rad, rot2_rad, rot3_rad : float
    wavelength_angstrom : float

    References
    ----------
    Kieffer & Karkoulis, J. Phys. Conf. Ser. 425, 202012 (2013),
    doi:10.1088/1742-6596/425/20/202012.
    """

    detector: str
    detector_config: str
    distance_m: float
    poni1_m: float
    poni2_m: float
    rot1_rad: float
    rot2_rad: float
    rot3_rad: float
    wavelength_angstrom: float

    def __post_init__(self) -> None:
        numbers = {field.name: getattr(self, field.name) for field in fields(self)[2:]}
        for name, value in numbers.items():
            if not isfinite(value):
                raise GeometryError(
                    f"{name} must be a finite number, but is {value!r}; check the calibration."
                )
        for name in ("distance_m", "wavelength_angstrom"):
            if not numbers[name] > 0:
                raise GeometryError(
                    f"{name} must be above 0, but is {numbers[name]:g}; check the calibration."
                )

    @property
    def shape(self) -> Shape:
        """Rows and columns of the image."""
        rows, columns = pyfai_detector(self).shape
        return int(rows), int(columns)

    @property
    def pixel_size_m(self) -> tuple[float, float]:
        """Height and width of a pixel."""
        detector = pyfai_detector(self)
        return float(detector.pixel1), float(detector.pixel2)


def plain_detector_config(shape: Shape, pixel_size_m: tuple[float, float]) -> str:
    """Return the `detector_config` of a plain rectangle of pixels.

    Examples
    --------
    >>> plain_detector_config((100, 200), (1e-4, 1e-4))
    '{"pixel1": 0.0001, "pixel2": 0.0001, "max_shape": [100, 200]}'
    """
    height, width = pixel_size_m
    return json.dumps({"pixel1": height, "pixel2": width, "max_shape": list(shape)})


def centred_geometry(
    detector: str,
    *,
    distance_m: float,
    wavelength_angstrom: float,
    detector_config: str = "{}",
) -> DetectorGeometry:
    """Return the geometry of a detector across the beam that hits its middle.

    Raises
    ------
    GeometryError
        If pyFAI knows no such detector, or a number is impossible.

    Examples
    --------
    >>> centred_geometry("Pilatus2M", distance_m=0.3, wavelength_angstrom=0.4).shape
    (1679, 1475)
    """
    product = _shared_detector(detector, detector_config)
    rows, columns = product.shape
    return DetectorGeometry(
        detector=detector,
        detector_config=detector_config,
        distance_m=distance_m,
        poni1_m=rows * product.pixel1 / 2,
        poni2_m=columns * product.pixel2 / 2,
        rot1_rad=0.0,
        rot2_rad=0.0,
        rot3_rad=0.0,
        wavelength_angstrom=wavelength_angstrom,
    )


def check_image_shape(shape: tuple[int, ...], geometry: DetectorGeometry, what: str) -> None:
    """Raise GeometryError unless that shape is the detector's; `what` names the array."""
    if shape != geometry.shape:
        raise GeometryError(
            f"{what} must have the {_pixels(geometry.shape)} pixels of the detector"
            f" {geometry.detector}, but has {_pixels(shape)}; give the .poni of the detector that"
            " took it, or undo binning and cropping."
        )


def pyfai_detector(geometry: DetectorGeometry) -> "Detector":
    """Return pyFAI's detector; it is shared, so copy it before you change it.

    Raises
    ------
    GeometryError
        If pyFAI knows no such detector, or its configuration does not fit.
    """
    return _shared_detector(geometry.detector, geometry.detector_config)


def pyfai_integrator(geometry: DetectorGeometry) -> "AzimuthalIntegrator":
    """Return a new pyFAI integrator with a detector of its own."""
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

    return AzimuthalIntegrator(
        dist=geometry.distance_m,
        poni1=geometry.poni1_m,
        poni2=geometry.poni2_m,
        rot1=geometry.rot1_rad,
        rot2=geometry.rot2_rad,
        rot3=geometry.rot3_rad,
        wavelength=geometry.wavelength_angstrom * 1e-10,
        detector=copy(pyfai_detector(geometry)),
    )


def measured_pixels(geometry: DetectorGeometry) -> BoolArray:
    """Return which pixels exist, shape (rows, columns): False in the gaps between modules."""
    masked = pyfai_detector(geometry).mask
    return np.ones(geometry.shape, dtype=bool) if masked is None else np.asarray(masked == 0)


@lru_cache(maxsize=16)
def _shared_detector(name: str, config: str) -> "Detector":
    from pyFAI.detectors import detector_factory

    _check_name(name)
    settings = {key.lower(): value for key, value in json.loads(config).items()}
    try:
        detector = detector_factory(name, settings or None)
        # Fails here where binning does not divide the detector.
        detector.mask  # noqa: B018
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise GeometryError(
            f"the detector {name} must be one that pyFAI can set up, but its configuration"
            f" {config} fails ({error}); copy it from a .poni file that pyFAI wrote."
        ) from error
    if detector.shape is None or not (detector.pixel1 and detector.pixel2):
        raise GeometryError(
            f"the detector {name} must come with its pixel size and its shape, but has only"
            f" {config}; add pixel1, pixel2 (in metre) and max_shape (rows, columns)."
        )
    if detector.force_pixel and not settings.get("max_shape"):
        _check_size(detector, name)
    return detector


def _check_name(name: str) -> None:
    import pyFAI.detectors

    names = pyFAI.detectors.Detector.registry
    is_known = {name.lower(), name.lower().replace(" ", "_")} & set(names)
    if is_known or hasattr(pyFAI.detectors, name) or Path(name).is_file():
        return
    near = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise GeometryError(
        f"detector must be a name in pyFAI.detectors.Detector.registry, a NeXus detector file or"
        f" {PLAIN_DETECTOR!r}, but is {name!r}; correct the name or describe a plain detector."
        f"{hint}"
    )


def _check_size(detector: "Detector", name: str) -> None:
    """Raise GeometryError unless the detector is as large as the product of that name."""
    from pyFAI.detectors import detector_factory

    product = detector_factory(name)
    given, own = (
        1e3 * np.array([d.shape[0] * d.pixel1, d.shape[1] * d.pixel2]) for d in (detector, product)
    )
    # Binning leaves the size as it is, to within a pixel.
    if not np.allclose(given, own, rtol=0.02):
        raise GeometryError(
            f"the detector {name} must measure {own[0]:.4g} x {own[1]:.4g} mm, but pixels of"
            f" {detector.pixel1 * 1e6:g} x {detector.pixel2 * 1e6:g} um make it {given[0]:.4g} x"
            f" {given[1]:.4g} mm; correct the name of the detector or the pixel size."
        )


def _pixels(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)
