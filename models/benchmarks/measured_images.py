"""Measured frames of area detectors, with the geometry that each was taken in.

Of a folder that holds what the projects Dioptas and HEXRD publish as examples; the names of the
files are theirs.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    DetectorGeometry,
    plain_detector_config,
)
from phasepilot.models.errors import ModelsError

_KEV_ANGSTROM = 12.398419843320026
_PILATUS_PIXEL_M = 0.172e-3


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredImage:
    """One frame.

    Attributes
    ----------
    name : str
    image : ndarray, shape (rows, columns)
    geometry : DetectorGeometry
        Without the distortion that some of these detectors have.
    shown : tuple of str
        Kinds that are right, by what its source says and by what one sees in it.
    space_group_number : int
        Of what is in the beam, as its source names it.
    """

    name: str
    image: NDArray[Any]
    geometry: DetectorGeometry
    shown: tuple[str, ...]
    space_group_number: int


_CERIA, _MAGNETITE, _ZIRCONIUM, _CORUNDUM = 225, 227, 194, 167


def measured_images(folder: Path) -> Iterator[MeasuredImage]:
    """Yield the frames of a folder, those that it has.

    Raises
    ------
    ModelsError
        If it has none.
    """
    n_found = 0
    for path, frames in _SOURCES.items():
        if (folder / path).exists():
            for frame in frames(folder / path):
                n_found += 1
                yield frame
    if not n_found:
        raise ModelsError(
            f"{folder} must hold measured images, {', '.join(_SOURCES)}, but has none of them;"
            " name the folder images2d with --data."
        )


def _ceria_pilatus1m(path: Path) -> Iterator[MeasuredImage]:
    with np.load(path) as file:
        poni = json.loads(str(file["poni_json"]))
        geometry = _plain(
            file["image"].shape,
            poni["PixelSize1"],
            distance_m=poni["Distance"],
            poni_m=(poni["Poni1"], poni["Poni2"]),
            rotations_rad=(poni["Rot1"], poni["Rot2"], poni["Rot3"]),
            wavelength_angstrom=poni["Wavelength"] * 1e10,
        )
        # A calibrant, but of large grains: sectors of its rings differ up to tenfold.
        yield MeasuredImage("CeO2 Pilatus 1M", file["image"], geometry, ("spotty rings",), _CERIA)


def _magnetite_in_a_cell(path: Path) -> Iterator[MeasuredImage]:
    with np.load(path) as file:
        header = str(file["geometry_header"])
        (distance,), poni, rotations, (wavelength,) = (
            _numbers_after(name, header) for name in ("Detector", "PONI", "Rotations", "Wavelength")
        )
        for number, image in zip(file["map_index"], file["images"], strict=True):
            geometry = _plain(
                image.shape,
                _PILATUS_PIXEL_M,
                distance_m=distance,
                poni_m=poni,
                rotations_rad=rotations,
                wavelength_angstrom=wavelength * 1e10,
            )
            shown = ("diamond spots on rings",)
            yield MeasuredImage(f"Fe3O4 in a cell, {number}", image, geometry, shown, _MAGNETITE)


def _numbers_after(name: str, header: str) -> tuple[float, ...]:
    """Return the numbers that follow a name and a colon."""
    found = re.search(rf"{name}: (.*)", header)
    return tuple(map(float, re.findall(r"-?\d[\d.]*(?:e-?\d+)?", found[1] if found else "")))


def _ceria_pilatus2m(path: Path) -> Iterator[MeasuredImage]:
    import h5py

    with h5py.File(path) as file:
        image = np.asarray(file["imageseries/images"][0])
    # A Pilatus 2M, moved off the beam, its tilt left out.
    geometry = DetectorGeometry(
        "Pilatus2M",
        "{}",
        0.73977871569,
        (1679 * 0.172 / 2 - 5.49095513) * 1e-3,
        (1475 * 0.172 / 2 + 6.506475) * 1e-3,
        0.0,
        0.0,
        0.0,
        _KEV_ANGSTROM / 61.3323,
    )
    yield MeasuredImage("CeO2 Pilatus 2M", image, geometry, ("powder rings",), _CERIA)


def _zirconium_in_a_cell(path: Path) -> Iterator[MeasuredImage]:
    geometry = _plain(
        (2048, 2048),
        0.2e-3,
        distance_m=0.879858834,
        poni_m=(1024 * 0.2e-3 - 2.10587e-3, 1024 * 0.2e-3 + 0.52355e-3),
        rotations_rad=(0.0, 0.0, 0.0),
        wavelength_angstrom=_KEV_ANGSTROM / 90.5259,
    )
    yield from _sparse(path, "Zr in a cell", geometry, ("spotty rings",), _ZIRCONIUM)


def _ruby(path: Path) -> Iterator[MeasuredImage]:
    # Quarter panels of two detectors beside the beam: rows down, columns to the right, and where
    # the middle of each detector is, in mm.
    detector, row, column = re.search(r"(ff\d)_(\d)_(\d)", path.name).groups()  # type: ignore[union-attr]
    right_mm, up_mm, distance_mm = {
        "ff1": (123.3706, 3.32596, 670.75087),
        "ff2": (-123.56039, 3.1869, 671.04759),
    }[detector]
    pixel_mm, (n_rows, n_columns) = 0.0748, (1944, 1536)
    left_edge_mm = right_mm + (int(column) - 1) * n_columns * pixel_mm
    upper_edge_mm = up_mm + (1 - int(row)) * n_rows * pixel_mm
    geometry = _plain(
        (n_rows, n_columns),
        pixel_mm * 1e-3,
        distance_m=distance_mm * 1e-3,
        poni_m=(upper_edge_mm * 1e-3, -left_edge_mm * 1e-3),
        rotations_rad=(0.0, 0.0, 0.0),
        wavelength_angstrom=_KEV_ANGSTROM / 41.9906,
    )
    name = f"rubies on {path.stem[-7:]}"
    yield from _sparse(path, name, geometry, ("single crystal",), _CORUNDUM)


def _sparse(
    path: Path,
    name: str,
    geometry: DetectorGeometry,
    shown: tuple[str, ...],
    space_group_number: int,
) -> Iterator[MeasuredImage]:
    """Yield four frames of a rotation that keeps what is above a threshold, and their sum."""
    with np.load(path, allow_pickle=False) as file:
        n_frames = int(file["nframes"])
        total = np.zeros(geometry.shape, dtype=np.int64)
        singles = set(range(n_frames // 8, n_frames, n_frames // 4))
        for number in range(n_frames):
            image = np.zeros(geometry.shape, dtype=np.int32)
            rows, columns = file[f"{number}_row"], file[f"{number}_col"]
            image[rows, columns] = file[f"{number}_data"]
            total[rows, columns] += file[f"{number}_data"]
            if number in singles:
                yield MeasuredImage(f"{name}, {number}", image, geometry, shown, space_group_number)
    summed = np.minimum(total, np.iinfo(np.int32).max).astype(np.int32)
    yield MeasuredImage(
        f"{name}, all {n_frames}", summed, geometry, ("spotty rings",), space_group_number
    )


def _plain(
    shape: tuple[int, ...],
    pixel_m: float,
    *,
    distance_m: float,
    poni_m: tuple[float, ...],
    rotations_rad: tuple[float, ...],
    wavelength_angstrom: float,
) -> DetectorGeometry:
    return DetectorGeometry(
        PLAIN_DETECTOR,
        plain_detector_config((shape[0], shape[1]), (pixel_m, pixel_m)),
        distance_m,
        poni_m[0],
        poni_m[1],
        rotations_rad[0],
        rotations_rad[1],
        rotations_rad[2],
        wavelength_angstrom,
    )


_SOURCES: dict[str, Callable[[Path], Iterator[MeasuredImage]]] = {
    "ceo2_pilatus1m.npz": _ceria_pilatus1m,
    "fe3o4_c_dac_map9_pilatus1m.npz": _magnetite_in_a_cell,
    "hexrd_pilatus2m_ceria/ceria_50x30_740mm_000005_Pilatus2M.hdf5": _ceria_pilatus2m,
    "hexrd_dac_alpha_zr/LT1_Ne_zr001_00000-fc_GE2.npz": _zirconium_in_a_cell,
    "hexrd_ruby_spots/mruby-0129_0004-ff1_1_0.npz": _ruby,
    "hexrd_ruby_spots/mruby-0129_0004-ff2_0_0.npz": _ruby,
}
