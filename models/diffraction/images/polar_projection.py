"""Which part of each pixel falls into which cell of 2-theta and azimuth, as one sparse matrix.

pyFAI splits the pixels, once for a geometry. Multiplying its matrix ourselves takes a quarter of
the time of its integrators, which correct and check every pixel anew in each image.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import scipy.sparse

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.detector_geometry import (
    DetectorGeometry,
    pyfai_integrator,
)

# Each pixel is shared among the cells that its square covers, as in `azimuthal_integration`.
_SPLIT = "full"
# Blocks of pixels that are multiplied at the same time, in threads: as many on every machine, since
# the order of the sums decides their last bits.
_N_BLOCKS = 4
# Angles do not depend on the wavelength, so a drifting energy must not build the matrix anew.
_ANY_WAVELENGTH_ANGSTROM = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class PolarProjection:
    """Cells of 2-theta and azimuth, and the part of each pixel that each of them holds.

    Attributes
    ----------
    two_theta_deg : ndarray, shape (n_bins,)
        Centres of the cells, uniform over all angles that the detector sees.
    chi_deg : ndarray, shape (n_chi,)
        Centres in azimuth, from -180 to 180, as in `azimuthal_integration.Cake`.
    blocks : tuple of csc_matrix of float32, shape (n_bins * n_chi, pixels of the block)
        Parts of the pixels, which follow each other; the cells of one angle are neighbours.
    """

    two_theta_deg: FloatArray
    chi_deg: FloatArray
    blocks: tuple[scipy.sparse.csc_matrix, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along 2-theta and along the azimuth."""
        return self.two_theta_deg.size, self.chi_deg.size

    def summed(self, pixels: Float32Array) -> Float32Array:
        """Return what each cell holds of an image given as one row, shape (n_bins, n_chi)."""
        edges = zip(self.blocks, pairwise(self._edges), strict=True)
        jobs = [_threads().submit(block.dot, pixels[low:high]) for block, (low, high) in edges]
        total = jobs[0].result()
        for job in jobs[1:]:
            total += job.result()
        return np.asarray(total.reshape(self.shape))

    def summed_over(self, chosen: IntArray, pixels: Float32Array) -> Float32Array:
        """Return the same for some pixels only, given with their places in the row."""
        total = np.zeros(int(np.prod(self.shape)), dtype=np.float32)
        for block, (low, high) in zip(self.blocks, pairwise(self._edges), strict=True):
            inside = (chosen >= low) & (chosen < high)
            total += block[:, chosen[inside] - low] @ pixels[inside]
        return np.asarray(total.reshape(self.shape))

    @property
    def _edges(self) -> IntArray:
        return np.cumsum([0, *(block.shape[1] for block in self.blocks)])


def polar_projection(geometry: DetectorGeometry, n_bins: int, n_chi: int) -> PolarProjection:
    """Return the projection; the last two are kept, 0.07 GB for 2 megapixels.

    Parameters
    ----------
    n_bins, n_chi : int
        Cells along 2-theta, over all angles that the detector sees, and along the azimuth.
    """
    return _projection(
        replace(geometry, wavelength_angstrom=_ANY_WAVELENGTH_ANGSTROM), n_bins, n_chi
    )


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(_N_BLOCKS, os.cpu_count() or 1), "polar-projection")


@lru_cache(maxsize=2)
def _projection(geometry: DetectorGeometry, n_bins: int, n_chi: int) -> PolarProjection:
    engine = pyfai_integrator(geometry).setup_sparse_integrator(
        geometry.shape,
        (n_bins, n_chi),
        pos1_range=(-np.pi, np.pi),
        unit="2th_rad",
        split=_SPLIT,
        algo="CSR",
        scale=False,
    )
    by_cell = scipy.sparse.csr_matrix(
        (np.asarray(engine.data), np.asarray(engine.indices), np.asarray(engine.indptr)),
        shape=(n_bins * n_chi, int(np.prod(geometry.shape))),
    )
    # By pixel: the cells fit in the cache, and single pixels can be taken out.
    by_pixel = by_cell.tocsc()
    # pyFAI 2026.9 shares the very first pixel by memory that it has not set, differently in each
    # process; without it, the same image gives the same bits everywhere.
    by_pixel.data[: by_pixel.indptr[1]] = 0.0
    edges = np.linspace(0, by_pixel.shape[1], _N_BLOCKS + 1).astype(np.intp)
    return PolarProjection(
        two_theta_deg=np.degrees(np.asarray(engine.bin_centers0, dtype=np.float64)),
        chi_deg=np.asarray(-180 + (np.arange(n_chi) + 0.5) * (360 / n_chi)),
        blocks=tuple(by_pixel[:, low:high] for low, high in pairwise(edges)),
    )
