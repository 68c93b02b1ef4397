"""Pattern and cake of a polar image: both are sums over the same cells."""

from functools import lru_cache

import numpy as np
import scipy.sparse

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.diffraction.images.azimuthal_integration import Cake
from phasepilot.models.diffraction.images.frame_reduction import PolarImage
from phasepilot.models.errors import GeometryError
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.pattern import Pattern, q_from_two_theta

_LEAST_WEIGHT = 1e-3


def pattern_of_polar(
    polar: PolarImage, wavelength_angstrom: float, *, is_left_out: BoolArray | None = None
) -> Pattern:
    """Return the powder pattern: for each angle the corrected mean count of its pixels.

    Parameters
    ----------
    is_left_out : ndarray of bool, shape (n_bins, n_chi), optional
        Cells of spots.

    Raises
    ------
    PatternError
        If the counts cannot be a pattern, as `Pattern.from_q` says.
    """
    signal, weight = polar.signal, polar.weight
    if is_left_out is not None:
        signal = np.where(is_left_out, 0, signal)
        weight = np.where(is_left_out, 0, weight)
    in_ring = weight.sum(axis=1, dtype=np.float64)
    intensity = np.full(in_ring.size, np.nan)
    np.divide(
        signal.sum(axis=1, dtype=np.float64), in_ring, out=intensity, where=in_ring > _LEAST_WEIGHT
    )
    return Pattern.from_two_theta(
        polar.two_theta_deg, intensity, wavelength_angstrom=wavelength_angstrom
    )


def cake_of_polar(polar: PolarImage, wavelength_angstrom: float, grid: LogQGrid) -> Cake:
    """Return azimuth against ln q; what a cell holds is spread evenly over its angles.

    Raises
    ------
    GeometryError
        If the image shows nothing of the grid.
    """
    shares = _shares(tuple(polar.two_theta_deg.tolist()), wavelength_angstrom, grid)
    weight = np.asarray(shares @ polar.weight, dtype=np.float64).T
    is_measured = weight > _LEAST_WEIGHT
    if not is_measured.any():
        raise GeometryError(
            f"the grid must overlap what the detector sees, but covers {grid.q_min_per_angstrom:g}"
            f" to {grid.q_max_per_angstrom:g} 1/angstrom; choose another grid or check the"
            " wavelength and the distance."
        )
    signal = np.asarray(shares @ polar.signal, dtype=np.float64).T
    intensity = np.zeros(weight.shape)
    np.divide(signal, weight, out=intensity, where=is_measured)
    return Cake(intensity, is_measured, polar.chi_deg, grid.q_per_angstrom)


@lru_cache(maxsize=4)
def _shares(
    two_theta_deg: tuple[float, ...], wavelength_angstrom: float, grid: LogQGrid
) -> scipy.sparse.csr_matrix:
    """Return the part of each angle's cell in each bin of ln q, shape (grid.n_bins, n_bins)."""
    log_edges = _log_q_edges(np.array(two_theta_deg), wavelength_angstrom)
    all_edges = np.union1d(log_edges, grid.log_edges)
    middle = (all_edges[1:] + all_edges[:-1]) / 2
    cell = np.searchsorted(log_edges, middle) - 1
    place = np.searchsorted(grid.log_edges, middle) - 1
    inside = (cell >= 0) & (cell < log_edges.size - 1) & (place >= 0) & (place < grid.n_bins)
    cell, place = cell[inside], place[inside]
    part = (np.diff(all_edges)[inside] / np.diff(log_edges)[cell]).astype(np.float32)
    return scipy.sparse.csr_matrix((part, (place, cell)), shape=(grid.n_bins, log_edges.size - 1))


def _log_q_edges(two_theta_deg: FloatArray, wavelength_angstrom: float) -> FloatArray:
    step = two_theta_deg[1] - two_theta_deg[0]
    edges = np.append(two_theta_deg - step / 2, two_theta_deg[-1] + step / 2)
    # The beam itself has no ln q.
    q = q_from_two_theta(np.maximum(edges, step * 1e-3), wavelength_angstrom)
    return np.asarray(np.log(q))
