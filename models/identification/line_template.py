"""Phases drawn on the grid: their lines where the lattice puts them, of widths that change slowly.

Lines are put on the grid as sticks, on several layers that stand for widths at different q, and
each layer is convolved with its pseudo-Voigt in Fourier space. A stick between two layers is shared
by them. Drawing other widths then costs one transform back.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.log_q import LogQGrid

_N_LAYERS = 6
# exp(-40) adds nothing in single precision; smaller numbers still would make products denormal,
# which take a processor a hundred times as long.
_FARTHEST = np.float32(40.0)
# Beyond the grid, so that tails do not come in at the other end.
_PADDING = 1 / 8


@dataclass(frozen=True, slots=True)
class LineShape:
    """Pseudo-Voigt lines whose width changes with q.

    Their FWHM in ln q is the hypotenuse of a / q (instrument, crystallite size) and of a constant
    (microstrain).

    Attributes
    ----------
    at_unit_q : float
        a, in 1/angstrom.
    strain : float
    lorentzian : float
        Share of the Lorentzian, 0 to 1.
    """

    at_unit_q: float
    strain: float
    lorentzian: float = 0.5

    def fwhm_log_q(self, q_per_angstrom: FloatArray) -> FloatArray:
        """Return the width at each q."""
        return np.hypot(self.at_unit_q / q_per_angstrom, self.strain)

    def scaled(self, ratio: float) -> "LineShape":
        """Return the shape with instrument and crystallites `ratio` times as broad."""
        return replace(self, at_unit_q=self.at_unit_q * ratio)


@dataclass(frozen=True, slots=True)
class StickLayers:
    """The sticks of several phases, ready to be drawn with any shape.

    Attributes
    ----------
    transforms : ndarray, shape (n_phases, n_layers, n_frequencies)
    """

    grid: LogQGrid
    transforms: NDArray[np.complex64]

    def of(self, phases: slice) -> "StickLayers":
        """Return the sticks of these phases."""
        return StickLayers(self.grid, self.transforms[phases])

    def drawn(self, shape: LineShape) -> FloatArray:
        """Return the phases with lines of this shape, shape (n_phases, n_bins)."""
        n_padded = _n_padded(self.grid)
        shapes = _line_transforms(self.grid, shape, n_padded)
        total = self.transforms[:, 0] * shapes[0]
        for layer, of_layer in zip(range(1, _N_LAYERS), shapes[1:], strict=True):
            total += self.transforms[:, layer] * of_layer
        drawn = fft.irfft(total, n=n_padded, axis=1)[:, : self.grid.n_bins].astype(np.float64)
        return np.asarray(np.maximum(drawn, 0.0, out=drawn))


def stick_layers(grid: LogQGrid, places: FloatArray, areas: FloatArray) -> StickLayers:
    """Return lines ready to be drawn.

    Parameters
    ----------
    places : ndarray, shape (n_phases, n_lines)
        In bins, 0 the middle of the first. Lines outside the grid are left out.
    areas : ndarray, shape (n_phases, n_lines)
        In bins times intensity.
    """
    n_phases = places.shape[0]
    n_padded = _n_padded(grid)
    is_inside = (places >= 0) & (places < grid.n_bins - 1)
    position = np.where(is_inside, places, 0.0)
    area = np.where(is_inside, areas, 0.0)
    left, layer = (
        np.floor(position).astype(np.int64),
        position / (grid.n_bins - 1) * (_N_LAYERS - 1),
    )
    lower = np.minimum(layer.astype(np.int64), _N_LAYERS - 2)
    right_part, upper_part = position - left, layer - lower
    row = np.arange(n_phases)[:, None] * _N_LAYERS
    first = (row + lower) * n_padded + left
    index = np.stack([first, first + 1, first + n_padded, first + n_padded + 1])
    parts = np.stack([1 - right_part, right_part])
    shares = np.concatenate([area * (1 - upper_part) * parts, area * upper_part * parts])
    sticks = np.bincount(index.ravel(), shares.ravel(), n_phases * _N_LAYERS * n_padded)
    layers = sticks.reshape(n_phases, _N_LAYERS, n_padded).astype(np.float32)
    return StickLayers(grid, fft.rfft(layers, axis=2))


def _n_padded(grid: LogQGrid) -> int:
    return int(fft.next_fast_len(round(grid.n_bins * (1 + _PADDING)), real=True))


def _line_transforms(grid: LogQGrid, shape: LineShape, n_padded: int) -> Float32Array:
    """Return the transform of a pseudo-Voigt of area 1 on each layer, (n_layers, n_frequencies)."""
    gaussian, difference = _parts(grid, shape.at_unit_q, shape.strain, n_padded)
    return gaussian + np.float32(shape.lorentzian) * difference


@lru_cache(maxsize=64)
def _parts(
    grid: LogQGrid, at_unit_q: float, strain: float, n_padded: int
) -> tuple[Float32Array, Float32Array]:
    """Return the transform of a Gaussian, and that of a Lorentzian less it."""
    shape = LineShape(at_unit_q, strain)
    centres = np.linspace(0, grid.n_bins - 1, _N_LAYERS)
    q = np.exp(grid.log_edges[0] + (centres + 0.5) * grid.bin_width)
    fwhm = (shape.fwhm_log_q(q) / grid.bin_width)[:, None]
    exponent = (np.pi * fwhm * fft.rfftfreq(n_padded)[None, :]).astype(np.float32)
    curved = exponent**2 * np.float32(1 / (4 * np.log(2)))
    gaussian, lorentzian = (
        np.exp(-np.minimum(part, _FARTHEST, out=part)) for part in (curved, exponent)
    )
    return gaussian, lorentzian - gaussian
