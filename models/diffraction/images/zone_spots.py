"""Zone-axis patterns of many crystals at once, from a store of their reflections.

The rule is that of the paper, as in `spot_pattern.ZoneLayer` and `spot_settings.SolidSpots`, but
compiled by numba: thousands of patterns a second, so that training never waits for them.
"""

from dataclasses import dataclass

import numba
import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore
from phasepilot.models.diffraction.images.spot_pattern import zone_axis_frames
from phasepilot.models.diffraction.images.spot_settings import (
    CU_K_ALPHA_ANGSTROM,
    SolidSpots,
    SpotSettings,
    ZoneLayer,
)

FULL_SHAPE = SpotSettings().shape
_LAYER = ZoneLayer()
_FARTHEST = 2 * np.sin(np.radians(_LAYER.two_theta_max_deg / 2)) / CU_K_ALPHA_ANGSTROM
# 1/d of the radius of the strongest spot.
_LARGEST_RADIUS = SolidSpots().largest_radius_px * _LAYER.inverse_angstrom_per_pixel


@dataclass(frozen=True, slots=True)
class SpotLists:
    """Spots of many patterns, one pattern behind the other.

    Attributes
    ----------
    offsets : ndarray of int, shape (n_patterns + 1,)
        Pattern p owns spots ``offsets[p]:offsets[p + 1]``; it may have none.
    x_per_angstrom, y_per_angstrom : ndarray, shape (n_spots_in_all,)
        To the right and upwards of the direct beam, as 1/d.
    intensity : ndarray, shape (n_spots_in_all,)
        Of the strongest spot of each pattern 1.
    """

    offsets: IntArray
    x_per_angstrom: FloatArray
    y_per_angstrom: FloatArray
    intensity: FloatArray

    @property
    def n_patterns(self) -> int:
        """Number of patterns."""
        return self.offsets.size - 1


def innermost_spots(spots: SpotLists, share: float) -> SpotLists:
    """Return the spots of each pattern up to a share of the length of its farthest one.

    Examples
    --------
    >>> x, y = np.array([0.1, -0.1, 0.0, 0.0]), np.array([0.0, 0.0, 0.4, -0.4])
    >>> spots = SpotLists(np.array([0, 4]), x, y, np.array([0.5, 0.5, 1.0, 1.0]))
    >>> innermost_spots(spots, 0.9).intensity
    array([1., 1.])
    """
    n = spots.n_patterns
    owner = np.repeat(np.arange(n), np.diff(spots.offsets))
    length = np.hypot(spots.x_per_angstrom, spots.y_per_angstrom)
    farthest, strongest = np.zeros(n), np.zeros(n)
    np.maximum.at(farthest, owner, length)
    is_near = length <= share * farthest[owner]
    owner = owner[is_near]
    np.maximum.at(strongest, owner, spots.intensity[is_near])
    return SpotLists(
        np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=n)))),
        spots.x_per_angstrom[is_near],
        spots.y_per_angstrom[is_near],
        spots.intensity[is_near] / strongest[owner],
    )


def zone_spots(
    store: ReflectionStore,
    structures: IntArray,
    zone_axes: IntArray,
    angle_deg: FloatArray | None = None,
) -> SpotLists:
    """Return the zero-order zone of each structure along a direction, with the paper's Lp.

    Parameters
    ----------
    structures : ndarray of int, shape (n_patterns,)
        Numbers in the store.
    zone_axes : ndarray of int, shape (n_patterns, 3)
        Lattice directions [u v w] along the beam, none of them 0 0 0.
    angle_deg : ndarray, shape (n_patterns,), optional
        Turns about the beam, counter-clockwise on the image.
    """
    reciprocal = np.asarray(store.reciprocal[structures])
    frames = zone_axis_frames(reciprocal, zone_axes)
    # Components along x and y of a*, b*, c*.
    axes = np.einsum("nij,nkj->nki", reciprocal, frames[:, :2])
    if angle_deg is not None:
        cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        turn = np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], 1)
        axes = turn @ axes
    starts, stops = np.asarray(store.offsets[structures]), np.asarray(store.offsets[structures + 1])
    arguments = (starts, stops, np.asarray(store.hkl), zone_axes.astype(np.int64), axes)
    offsets = np.concatenate(([0], np.cumsum(_counts(*arguments))))
    x, y, intensity = (np.empty(offsets[-1]) for _ in range(3))
    _fill(*arguments, np.asarray(store.intensity), offsets, x, y, intensity)
    return SpotLists(offsets, x, y, intensity)


def pixel_for(n_columns: int) -> float:
    """Return the 1/d of a pixel with which so many columns cover what the paper's 322 do."""
    return _LAYER.inverse_angstrom_per_pixel * FULL_SHAPE[1] / n_columns


def draw_discs(spots: SpotLists, shape: tuple[int, int]) -> Float32Array:
    """Return the patterns as the paper draws them, shape (n_patterns, rows, columns), 0 to 1.

    Filled discs with a radius in proportion to the intensity. On a coarse grid most are smaller
    than a pixel: they keep a pixel's size and fade with their area, as in `spot_drawing`.
    """
    images = np.zeros((spots.n_patterns, *shape), dtype=np.float32)
    pixel = pixel_for(shape[1])
    _draw(
        spots.offsets,
        spots.x_per_angstrom / pixel,
        spots.y_per_angstrom / pixel,
        spots.intensity * (_LARGEST_RADIUS / pixel),
        images,
    )
    return images


def draw_gaussians(
    spots: SpotLists, shape: tuple[int, int], sigma_px: FloatArray, intensity: FloatArray
) -> Float32Array:
    """Return round spots that each hold their intensity, shape (n_patterns, rows, columns).

    Parameters
    ----------
    sigma_px : ndarray, shape (n_patterns,)
        Width of the spots of each pattern.
    intensity : ndarray, shape (n_spots_in_all,)
    """
    images = np.zeros((spots.n_patterns, *shape), dtype=np.float32)
    pixel = pixel_for(shape[1])
    x_px, y_px = spots.x_per_angstrom / pixel, spots.y_per_angstrom / pixel
    _draw_gaussians(spots.offsets, x_px, y_px, intensity, sigma_px, images)
    return images


@numba.njit(cache=True, nogil=True)
def _counts(starts, stops, hkl, zone_axes, axes):  # type: ignore[no-untyped-def]
    result = np.zeros(starts.size, dtype=np.int64)
    for p in range(starts.size):
        u, v, w = zone_axes[p]
        for r in range(starts[p], stops[p]):
            h, k, l = hkl[r]  # noqa: E741
            if h * u + k * v + l * w == 0:
                x = h * axes[p, 0, 0] + k * axes[p, 0, 1] + l * axes[p, 0, 2]
                y = h * axes[p, 1, 0] + k * axes[p, 1, 1] + l * axes[p, 1, 2]
                if x * x + y * y <= _FARTHEST * _FARTHEST:
                    # The reflection and its Friedel mate.
                    result[p] += 2
    return result


@numba.njit(cache=True, nogil=True)
def _fill(  # type: ignore[no-untyped-def]
    starts, stops, hkl, zone_axes, axes, squared, offsets, x_out, y_out, intensity
):
    for p in range(starts.size):
        u, v, w = zone_axes[p]
        place, strongest = offsets[p], 0.0
        for r in range(starts[p], stops[p]):
            h, k, l = hkl[r]  # noqa: E741
            if h * u + k * v + l * w != 0:
                continue
            x = h * axes[p, 0, 0] + k * axes[p, 0, 1] + l * axes[p, 0, 2]
            y = h * axes[p, 1, 0] + k * axes[p, 1, 1] + l * axes[p, 1, 2]
            length_squared = x * x + y * y
            if length_squared > _FARTHEST * _FARTHEST:
                continue
            # Lp = (1 + cos^2 2 theta) / (cos theta sin^2 theta), as in `spot_pattern`.
            sine_squared = CU_K_ALPHA_ANGSTROM * CU_K_ALPHA_ANGSTROM * length_squared / 4
            cosine_of_double = 1 - 2 * sine_squared
            weight = (1 + cosine_of_double**2) / (np.sqrt(1 - sine_squared) * sine_squared)
            value = squared[r] * weight
            strongest = max(strongest, value)
            x_out[place], y_out[place], intensity[place] = x, y, value
            x_out[place + 1], y_out[place + 1], intensity[place + 1] = -x, -y, value
            place += 2
        for s in range(offsets[p], place):
            intensity[s] /= strongest


@numba.njit(cache=True, nogil=True)
def _draw(offsets, x_px, y_px, radius_px, images):  # type: ignore[no-untyped-def]
    n_rows, n_columns = images.shape[1:]
    for p in range(images.shape[0]):
        for s in range(offsets[p], offsets[p + 1]):
            row, column = (n_rows - 1) / 2 - y_px[s], (n_columns - 1) / 2 + x_px[s]
            drawn = max(radius_px[s], 0.5)
            height = min((radius_px[s] / drawn) ** 2, 1.0)
            reach = drawn + 0.5
            for i in range(max(0, int(row - reach)), min(n_rows, int(row + reach) + 2)):
                for j in range(
                    max(0, int(column - reach)), min(n_columns, int(column + reach) + 2)
                ):
                    distance = np.sqrt((i - row) ** 2 + (j - column) ** 2)
                    covered = min(max(reach - distance, 0.0), 1.0)
                    images[p, i, j] = min(images[p, i, j] + height * covered, 1.0)


@numba.njit(cache=True, nogil=True)
def _draw_gaussians(offsets, x_px, y_px, intensity, sigma_px, images):  # type: ignore[no-untyped-def]
    n_rows, n_columns = images.shape[1:]
    for p in range(images.shape[0]):
        sigma = sigma_px[p]
        reach = 4 * sigma
        for s in range(offsets[p], offsets[p + 1]):
            row, column = (n_rows - 1) / 2 - y_px[s], (n_columns - 1) / 2 + x_px[s]
            first, last = max(0, int(column - reach)), min(n_columns, int(column + reach) + 2)
            height = intensity[s] / (2 * np.pi * sigma**2)
            for i in range(max(0, int(row - reach)), min(n_rows, int(row + reach) + 2)):
                for j in range(first, last):
                    squared = (i - row) ** 2 + (j - column) ** 2
                    images[p, i, j] += height * np.exp(-squared / (2 * sigma**2))
