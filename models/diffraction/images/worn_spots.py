"""Spot patterns as they are measured and found, made from ideal ones for training."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.diffraction.images.spot_lattice import COMPUTED_SPOT_ERROR
from phasepilot.models.diffraction.images.zone_spots import SpotLists

# Ranges that are drawn from, wider than any one instrument.
_IDEAL_SHARE = 0.35
_STRAIN = 0.06
_THRESHOLD_DECADES = (-4.5, -2.0)
_LOG_POSITION_ERROR = (float(np.log(2e-4)), float(np.log(3e-3)))
_INTENSITY_ERROR = 0.3
_RADIAL_POWER = (-0.3, 2.5)
_RADIAL_B = (-0.4, 1.5)
_STOP_RADIUS = 0.09
_LOST_SHARE = 0.15
_GAP_HALF_WIDTH = 0.04
_REACH = 1.25
_MOST_STRAYS = 4


@dataclass(frozen=True, slots=True)
class WornSpots:
    """Patterns with the errors of measurement.

    Attributes
    ----------
    spots : SpotLists
    position_error_per_angstrom : ndarray, shape (n_patterns,)
        Standard error of coordinates.
    """

    spots: SpotLists
    position_error_per_angstrom: FloatArray


def worn_spots(ideal: SpotLists, rng: Generator) -> WornSpots:
    """Return patterns with strain, and two thirds of them worn.

    These have errors of positions and intensities, an unknown radial factor, a threshold of
    visibility, spots missing behind a beam stop, in gaps and at random, and some stray spots. Each
    happens to half of them.
    """
    n = ideal.n_patterns
    owner = np.repeat(np.arange(n), np.diff(ideal.offsets))
    is_worn = rng.random(n) >= _IDEAL_SHARE
    scale = np.exp(rng.normal(0, _STRAIN, n))[owner]
    x, y = ideal.x_per_angstrom * scale, ideal.y_per_angstrom * scale

    def half() -> BoolArray:
        return is_worn & (rng.random(n) < 0.5)

    intensity = ideal.intensity * _radial_factor(np.hypot(x, y), half()[owner], owner, rng)
    spread = np.where(half(), rng.uniform(0, _INTENSITY_ERROR, n), 0.0)
    intensity = intensity * np.exp(spread[owner] * rng.standard_normal(owner.size))
    error = np.where(half(), np.exp(rng.uniform(*_LOG_POSITION_ERROR, n)), 0.0)
    x, y = (part + error[owner] * rng.standard_normal(owner.size) for part in (x, y))
    is_seen = _is_above(
        intensity, owner, np.where(is_worn, rng.uniform(*_THRESHOLD_DECADES, n), -9)
    )
    is_seen &= np.hypot(x, y) >= np.where(half(), rng.uniform(0, _STOP_RADIUS, n), 0.0)[owner]
    is_seen &= rng.random(owner.size) >= np.where(half(), rng.uniform(0, _LOST_SHARE, n), 0)[owner]
    is_seen &= ~_is_in_gap(x, y, owner, half(), rng)
    stray_owner, strays = _strays(half(), rng)
    owner = np.concatenate([owner[is_seen], stray_owner])
    order = np.argsort(owner, kind="stable")
    columns = [
        np.concatenate([own[is_seen], stray])[order]
        for own, stray in zip((x, y, intensity), strays, strict=True)
    ]
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=n))))
    largest = np.maximum(_largest(columns[2], owner[order], n), 1e-30)
    columns[2] = columns[2] / largest[owner[order]]
    return WornSpots(SpotLists(offsets, *columns), np.maximum(error, COMPUTED_SPOT_ERROR))


def _radial_factor(
    length: FloatArray, is_changed: BoolArray, owner: IntArray, rng: Generator
) -> FloatArray:
    """Return |H|^p exp(-B H^2 / 2) with p and B of each pattern where it is to change."""
    n = int(owner[-1]) + 1 if owner.size else 0
    power, b = rng.uniform(*_RADIAL_POWER, n), rng.uniform(*_RADIAL_B, n)
    factor = length ** power[owner] * np.exp(-b[owner] * length**2 / 2)
    return np.where(is_changed, factor, 1.0)


def _is_above(intensity: FloatArray, owner: IntArray, decades: FloatArray) -> BoolArray:
    """Return which are above 10^decades of the strongest of their pattern."""
    largest = _largest(intensity, owner, decades.size)
    return np.asarray(intensity >= (largest * 10**decades)[owner])


def _largest(values: FloatArray, owner: IntArray, n: int) -> FloatArray:
    result = np.zeros(n)
    np.maximum.at(result, owner, values)
    return result


def _is_in_gap(
    x: FloatArray, y: FloatArray, owner: IntArray, has_gap: BoolArray, rng: Generator
) -> BoolArray:
    """Return which spots lie in a stripe in some direction, which need not pass the beam."""
    n = has_gap.size
    angle, place = rng.uniform(0, 2 * np.pi, n), rng.uniform(-_REACH / 2, _REACH / 2, n)
    half_width = np.where(has_gap, rng.uniform(0, _GAP_HALF_WIDTH, n), -1.0)
    across = x * np.cos(angle)[owner] + y * np.sin(angle)[owner] - place[owner]
    return np.asarray(np.abs(across) < half_width[owner])


def _strays(has_strays: BoolArray, rng: Generator) -> tuple[IntArray, FloatArray]:
    """Return the patterns of stray spots, and their x, y and intensity."""
    number = np.where(has_strays, rng.integers(0, _MOST_STRAYS + 1, has_strays.size), 0)
    owner = np.repeat(np.arange(has_strays.size), number)
    angle = rng.uniform(0, 2 * np.pi, owner.size)
    length = _REACH * np.sqrt(rng.uniform(0.005, 1, owner.size))
    intensity = 10 ** rng.uniform(-3, 0, owner.size)
    return owner, np.stack([length * np.cos(angle), length * np.sin(angle), intensity])
