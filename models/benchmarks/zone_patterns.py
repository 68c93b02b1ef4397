"""What the zone-axis benchmark shows, and what is asked of whoever answers.

The same spots come in two ways: as an ideal list, and as counts of a detector with background,
noise, gaps between modules, a beam stop and dead pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray
from phasepilot.models.diffraction.images.detector_effects import (
    air_scatter,
    beam_stop,
    counted,
    dead_pixels,
    module_gaps,
    radius_px,
)
from phasepilot.models.diffraction.images.flat_frame import FlatFrame
from phasepilot.models.diffraction.images.zone_spots import SpotLists, draw_gaussians, pixel_for
from phasepilot.models.networks.symmetry_levels import crystal_system_probabilities

# The detector: three by two modules, as a small Pilatus has, and what a laboratory sees on it.
FRAME_SHAPE = (256, 256)
_MODULE, _GAP = (80, 124), (8, 4)
_SIGMA_PX = (1.0, 2.0)
_PHOTONS_OF_STRONGEST = (1e3, 1e5)
_AIR_PHOTONS = (0.3, 20.0)
_AIR_DECAY_PX = (30.0, 120.0)
_STOP_RADIUS_PX = (4.0, 9.0)
_DEAD = 2e-4


@dataclass(frozen=True, slots=True)
class SpotFrames:
    """Patterns as a detector across the beam counts them.

    Attributes
    ----------
    image : ndarray, shape (n_patterns, rows, columns)
        Photons; what is not measured is 0.
    is_measured : ndarray of bool, shape (n_patterns, rows, columns)
    inverse_angstrom_per_pixel : float
        1/d that a pixel covers everywhere.
    centre_px : tuple of float
        Row and column of the direct beam; pixel centres are whole numbers, rows count downwards.
    """

    image: Float32Array
    is_measured: BoolArray
    inverse_angstrom_per_pixel: float
    centre_px: tuple[float, float]

    def each(self) -> Iterator[FlatFrame]:
        """Yield the frames one by one."""
        for image, is_measured in zip(self.image, self.is_measured, strict=True):
            yield FlatFrame(image, is_measured, self.inverse_angstrom_per_pixel, self.centre_px)


@dataclass(frozen=True, slots=True)
class Answers:
    """What is said of patterns: probabilities, shapes (n_patterns, 230) and (n_patterns, 7)."""

    space_group: FloatArray
    crystal_system: FloatArray

    @classmethod
    def of_space_groups(cls, probabilities: FloatArray) -> "Answers":
        """Return the answers of whom gives probabilities of space groups only: systems are sums."""
        return cls(probabilities, crystal_system_probabilities(probabilities))


class ZoneEstimator(Protocol):
    """Whoever says which space group a spot pattern shows."""

    def answer_spots(self, patterns: SpotLists) -> Answers:
        """Return the answers to ideal patterns; some may hold no spot."""
        ...

    def answer_frames(self, patterns: SpotFrames) -> Answers:
        """Return the answers to frames of a detector."""
        ...


@runtime_checkable
class FusingEstimator(Protocol):
    """Whoever also answers for several directions of one crystal together."""

    def fused(self, space_group: FloatArray) -> Answers:
        """Return the answer for each crystal, from probabilities (n, n_directions, 230)."""
        ...


def detector_frames(spots: SpotLists, rng: Generator) -> SpotFrames:
    """Return what the detector counts of ideal patterns."""
    shape, n = FRAME_SHAPE, spots.n_patterns
    centre = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    photons = _log_uniform(_PHOTONS_OF_STRONGEST, n, rng)
    per_pattern = np.diff(spots.offsets)
    expected = draw_gaussians(
        spots, shape, rng.uniform(*_SIGMA_PX, n), spots.intensity * np.repeat(photons, per_pattern)
    )
    radius = radius_px(shape, centre)
    gaps = module_gaps(shape, module=_MODULE, gap=_GAP)
    is_measured = np.empty((n, *shape), dtype=bool)
    for number in range(n):
        expected[number] += air_scatter(
            radius,
            amplitude=float(_log_uniform(_AIR_PHOTONS, 1, rng)[0]),
            decay=float(rng.uniform(*_AIR_DECAY_PX)),
        )
        stop = beam_stop(
            shape,
            centre,
            radius=float(rng.uniform(*_STOP_RADIUS_PX)),
            arm_width=4.0,
            arm_angle_deg=float(rng.uniform(0, 360)),
        )
        is_measured[number] = gaps & stop & dead_pixels(shape, _DEAD, rng)
    image = np.where(is_measured, counted(expected, rng), np.float32(0))
    return SpotFrames(image, is_measured, pixel_for(shape[1]), centre)


def _log_uniform(ends: tuple[float, float], n: int, rng: Generator) -> NDArray[np.float64]:
    low, high = (float(np.log(end)) for end in ends)
    return np.asarray(np.exp(rng.uniform(low, high, n)))
