"""Spot patterns as they are measured and found, made from ideal ones for training."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.diffraction.images.spot_lattice import COMPUTED_SPOT_ERROR
from phasepilot.models.diffraction.images.zone_spots import SpotLists

# Shares of patterns, and ranges that are drawn from, wider than any one instrument.
_IDEAL_SHARE = 0.4
_INTEGRATED_SHARE = 0.3
_STRAINED_SHARE = 0.3
_STRAIN = 0.06
_LEAST_REACH = 0.6
_RADIAL_POWER = (-0.3, 2.5)
_RADIAL_B = (-0.4, 1.5)
_THRESHOLD_DECADES = (-4.5, -2.0)
_LOG_POSITION_ERROR = (float(np.log(2e-4)), float(np.log(3e-3)))
_INTENSITY_ERROR = 0.3
_STOP_RADIUS = 0.09
_LOST_SHARE = 0.15
_GAP_HALF_WIDTH = 0.04
_REACH = 1.25
_MOST_STRAYS = 4
# Of spots integrated at the points of their lattice: photons of the strongest, of the background
# under a spot at the beam, the length after which 1/e of that is left, and what counts as seen.
_LOG_PHOTONS = (float(np.log(1e3)), float(np.log(1e5)))
_LOG_BACKGROUND = (float(np.log(5.0)), float(np.log(1000.0)))
_BACKGROUND_DECAY = (0.3, 1.2)
_LEAST_SIGNIFICANCE = 3.0
_LOG_METRIC_ERROR = (float(np.log(1e-4)), float(np.log(3e-3)))


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
    """Return patterns of strained crystals, most of them worn.

    Some reach less far and have an unknown radial factor, as strain too changes both. Of the worn
    ones half are as `zone_frame` integrates them: exactly on a lattice that is a little off,
    Friedel mates alike, with the noise of few photons. The others have errors of positions and
    intensities, a threshold of visibility, spots missing behind a beam stop, in gaps and at random,
    and some stray spots; each happens to half of them.
    """
    n = ideal.n_patterns
    owner = np.repeat(np.arange(n), np.diff(ideal.offsets))
    kind = rng.random(n)
    is_integrated = kind < _INTEGRATED_SHARE
    is_worn = ~is_integrated & (kind < 1 - _IDEAL_SHARE)

    def some(share: float) -> BoolArray:
        return rng.random(n) < share

    def half(chosen: BoolArray) -> BoolArray:
        return chosen & some(0.5)

    x, y = _stretched(ideal, owner, is_integrated, rng)
    length = np.hypot(x, y)
    intensity = ideal.intensity * _radial_factor(length, some(_STRAINED_SHARE)[owner], owner, rng)
    intensity = intensity / np.maximum(_largest(intensity, owner, n), 1e-30)[owner]
    spread = np.where(half(is_worn), rng.uniform(0, _INTENSITY_ERROR, n), 0.0)
    intensity = intensity * np.exp(spread[owner] * rng.standard_normal(owner.size))
    error = np.where(half(is_worn), np.exp(rng.uniform(*_LOG_POSITION_ERROR, n)), 0.0)
    x, y = (part + error[owner] * rng.standard_normal(owner.size) for part in (x, y))
    reach = np.where(some(_STRAINED_SHARE), rng.uniform(_LEAST_REACH, 1, n), 2.0) * _REACH
    is_seen = length <= reach[owner]
    is_seen &= _is_above(
        intensity, owner, np.where(is_worn, rng.uniform(*_THRESHOLD_DECADES, n), -9)
    )
    is_stopped = half(is_worn | is_integrated)
    is_seen &= length >= np.where(is_stopped, rng.uniform(0, _STOP_RADIUS, n), 0.0)[owner]
    lost_share = np.where(half(is_worn), rng.uniform(0, _LOST_SHARE, n), 0.0)
    is_lost = rng.random(owner.size) < lost_share[owner]
    is_seen &= ~is_lost & ~_is_in_gap(x, y, owner, half(is_worn), rng)
    measured, is_significant = _integrated(intensity, length, owner, n, rng)
    intensity = np.where(is_integrated[owner], measured, intensity)
    is_seen &= is_significant | ~is_integrated[owner]
    stray_owner, strays = _strays(half(is_worn), rng)
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


def _stretched(
    ideal: SpotLists, owner: IntArray, is_off: BoolArray, rng: Generator
) -> tuple[FloatArray, FloatArray]:
    """Return x and y of lattices of another size, some of them of a slightly other shape too."""
    n = ideal.n_patterns
    size = np.exp(rng.normal(0, _STRAIN, n))
    error = np.where(is_off, np.exp(rng.uniform(*_LOG_METRIC_ERROR, n)), 0.0)
    tensor = size[:, None, None] * (
        np.eye(2) + error[:, None, None] * rng.standard_normal((n, 2, 2))
    )
    of_spot = tensor[owner]
    x, y = ideal.x_per_angstrom, ideal.y_per_angstrom
    return of_spot[:, 0, 0] * x + of_spot[:, 0, 1] * y, of_spot[:, 1, 0] * x + of_spot[:, 1, 1] * y


def _integrated(
    intensity: FloatArray, length: FloatArray, owner: IntArray, n: int, rng: Generator
) -> tuple[FloatArray, BoolArray]:
    """Return intensities with photon noise, alike for Friedel mates, and which stand out."""
    photons = np.exp(rng.uniform(*_LOG_PHOTONS, n))[owner]
    background = np.exp(rng.uniform(*_LOG_BACKGROUND, n))[owner]
    background = background * np.exp(-length / rng.uniform(*_BACKGROUND_DECAY, n)[owner])
    # Mates follow each other in ideal lists, and are measured twice.
    noise = rng.standard_normal(owner.size // 2).repeat(2)
    expected = intensity * photons
    error = np.sqrt((expected + background + 1) / 2)
    counted = expected + error * noise
    return np.maximum(counted / photons, 1e-9), np.asarray(counted > _LEAST_SIGNIFICANCE * error)


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
