"""The cells of the cakes that a network sees, and how a measured cake is brought onto them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray
from phasepilot.models.diffraction.images.azimuthal_integration import Cake
from phasepilot.models.log_q import LogQGrid

# A cell of which less than this share was measured counts as not measured.
_LEAST_SHARE = 0.4
_LARGEST_EXPONENT = 14.0


@dataclass(frozen=True, slots=True)
class CakeGrid:
    """Cells of a cake.

    Attributes
    ----------
    radial : LogQGrid
    n_chi : int
        Cells in azimuth, over the whole turn from -180 degree.
    blur_bins : float
        Standard deviation of the Gaussian that every cake is seen through, in cells both ways: it
        leaves nothing finer than the cells can hold, so that a turn by part of a cell is a shift
        by part of a cell.
    """

    radial: LogQGrid
    n_chi: int = 72
    blur_bins: float = 0.85

    @property
    def shape(self) -> tuple[int, int]:
        """Cells in azimuth and along ln q."""
        return self.n_chi, self.radial.n_bins


def cake_on_grid(cake: Cake, grid: CakeGrid) -> tuple[Float32Array, BoolArray]:
    """Return what the pixels of each cell count together, and which cells were measured.

    A mean over pixels times q^2 is in proportion to their sum. Cells that were not measured are
    left out of the blur.

    Returns
    -------
    ndarray of float32, shape (n_chi, n_bins)
        0 where not measured.
    ndarray of bool, shape (n_chi, n_bins)
    """
    around = _around(tuple(cake.chi_deg.tolist()), grid)
    along = _along(tuple(np.log(cake.q_per_angstrom).tolist()), grid)
    measured = cake.is_measured.astype(np.float32)
    summed = np.where(cake.is_measured, cake.intensity * cake.q_per_angstrom**2, 0.0)
    weight = (along @ (around @ measured).T).T
    signal = (along @ (around @ summed.astype(np.float32)).T).T
    is_measured = np.asarray(weight > _LEAST_SHARE)
    mean = np.where(is_measured, signal / np.maximum(weight, _LEAST_SHARE), 0.0)
    return np.asarray(mean, dtype=np.float32), is_measured


@lru_cache(maxsize=16)
def _around(chi_deg: tuple[float, ...], grid: CakeGrid) -> scipy.sparse.csr_matrix:
    """Return the weights from azimuths to cells, shape (n_chi, n_azimuths); rows add up to 1."""
    centres = -180 + (np.arange(grid.n_chi) + 0.5) * (360 / grid.n_chi)
    off = (centres[:, None] - np.array(chi_deg) + 180) % 360 - 180
    cell = 360 / grid.n_chi
    weights = _gaussian(off / cell, 360 / len(chi_deg) / cell, grid.blur_bins)
    return _sparse(weights / weights.sum(axis=1, keepdims=True))


@lru_cache(maxsize=4)
def _along(log_q: tuple[float, ...], grid: CakeGrid) -> scipy.sparse.csr_matrix:
    """Return the weights from points of ln q to bins, shape (n_bins, n_points).

    Rows add up to 1 where the points surround the bin, and to less at their ends.
    """
    points = np.array(log_q)
    width = (points[-1] - points[0]) / (points.size - 1) / grid.radial.bin_width
    edges = grid.radial.log_edges
    off = ((edges[:-1] + edges[1:])[:, None] / 2 - points) / grid.radial.bin_width
    return _sparse(_gaussian(off, width, grid.blur_bins) * width)


def _gaussian(off_bins: FloatArray, width_bins: float, blur_bins: float) -> FloatArray:
    # The cells of the cake have blurred it already.
    variance = max(blur_bins**2 - width_bins**2 / 12, width_bins**2 / 4)
    exponent = off_bins**2 / (2 * variance)
    density = np.where(exponent < _LARGEST_EXPONENT, np.exp(-exponent), 0.0)
    return np.asarray(density / np.sqrt(2 * np.pi * variance))


def _sparse(weights: FloatArray) -> scipy.sparse.csr_matrix:
    # Threads of dense products take a hundred times as long as these, on a busy machine.
    return scipy.sparse.csr_matrix(weights.astype(np.float32))
