"""Which of very many known structures a pattern resembles, at the resolution of a glance.

What stands out of the root intensities is compared by its cosine, over measured bins only and at
every shift in ln q that a few percent of strain make. Two looks suffice: all structures on a
quarter of the bins, then the best of them on all bins.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.errors import PatternError
from phasepilot.models.identification.coarse_templates import (
    COARSE_GRID,
    FIRST_LOOK_BINS,
    local_contrast,
)
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.identification.structure_labels import consists_of
from phasepilot.models.preprocessing.preparation import PreparedPattern

# How many survive the first look, for each candidate asked for and at least.
_KEPT_PER_CANDIDATE, _LEAST_KEPT = 10, 4000
# Structures compared at a time: their templates stay in a processor's cache.
_BLOCK = 512
# Shifts of the first look are this many bins of the grid apart, less than one of its own bins.
_FIRST_LOOK_STEP = 3


@dataclass(frozen=True, slots=True)
class Candidates:
    """Structures that resemble a pattern, the most similar first.

    Attributes
    ----------
    structure : ndarray of int, shape (n,)
        Numbers in the index.
    score : ndarray, shape (n,)
        Cosine of what stands out of the root intensities, at most 1.
    shift : ndarray, shape (n,)
        How much higher in ln q the pattern's lines lie than the structure's; the mean strain of the
        lattice is the negative of it.
    """

    structure: IntArray
    score: FloatArray
    shift: FloatArray


@dataclass(frozen=True, slots=True)
class _Views:
    """The pattern as it would look unshifted, once for each shift.

    Attributes
    ----------
    shift_bins : ndarray of int, shape (n_shifts,)
    root : ndarray, shape (n_bins, n_shifts)
        Root intensity; the norm of each column is 1.
    is_measured : ndarray, shape (n_bins, n_shifts)
        Share of each bin that was measured.
    """

    shift_bins: IntArray
    root: Float32Array
    is_measured: Float32Array


def search(
    index: SearchIndex,
    prepared: PreparedPattern,
    *,
    n_candidates: int = 300,
    max_shift: float = 0.04,
    elements: Iterable[int] | None = None,
    excluded: BoolArray | None = None,
) -> Candidates:
    """Return the structures whose patterns resemble this one most.

    Parameters
    ----------
    n_candidates : int
        At most so many are returned.
    max_shift : float
        Largest shift in ln q that is tried, either way.
    elements : iterable of int, optional
        Atomic numbers; structures that hold any other element are passed over.
    excluded : ndarray of bool, shape (n_structures,), optional
        Structures that are passed over as well.

    Raises
    ------
    PatternError
        If the pattern has nothing above its background on the coarse grid.
    """
    rows = _allowed(index, elements, excluded)
    root, is_measured = _coarse(prepared)
    n_shift = round(max_shift / COARSE_GRID.bin_width)
    n_kept = max(_KEPT_PER_CANDIDATE * n_candidates, _LEAST_KEPT)
    if rows.size > n_kept:
        views = _views(root, is_measured, np.arange(-n_shift, n_shift + 1, _FIRST_LOOK_STEP))
        score = _cosines(index.first_look, rows, _narrowed(views)).max(axis=1)
        rows = rows[np.sort(np.argpartition(-score, n_kept)[:n_kept])]
    views = _views(root, is_measured, np.arange(-n_shift, n_shift + 1))
    cosines = _cosines(index.templates, rows, views)
    best = cosines.max(axis=1)
    chosen = np.argsort(-best, kind="stable")[:n_candidates]
    return Candidates(
        structure=rows[chosen],
        score=best[chosen].astype(np.float64),
        shift=_best_shifts(cosines[chosen], views.shift_bins) * COARSE_GRID.bin_width,
    )


def _allowed(
    index: SearchIndex, elements: Iterable[int] | None, excluded: BoolArray | None
) -> IntArray:
    is_allowed = np.ones(index.n_structures, dtype=bool)
    if elements is not None:
        is_allowed &= consists_of(index.labels.elements, elements)
    if excluded is not None:
        is_allowed &= ~excluded
    return np.flatnonzero(is_allowed)


def _coarse(prepared: PreparedPattern) -> tuple[FloatArray, FloatArray]:
    """Return what stands out, and which bins were measured, on the coarse grid."""
    edges, coarse_edges = prepared.grid.log_edges, COARSE_GRID.log_edges
    widths = np.diff(edges) * prepared.is_measured
    share = _binned(widths, edges, coarse_edges)
    # Half of the noise lies above 0 and would look like a smooth pattern under the root.
    signal = np.maximum(prepared.signal - _noise(prepared), 0.0)
    area = _binned(signal * widths, edges, coarse_edges)
    is_covered = share > 0.5 * COARSE_GRID.bin_width
    mean = np.divide(area, share, out=np.zeros_like(area), where=is_covered)
    if not mean.any():
        raise PatternError(
            f"a pattern that is searched for must show lines from q ="
            f" {COARSE_GRID.q_min_per_angstrom:g} to {COARSE_GRID.q_max_per_angstrom:g} 1/angstrom,"
            " but nothing there stands above its background; check wavelength, range and exposure."
        )
    return local_contrast(np.sqrt(mean), is_covered), is_covered.astype(np.float64)


def _noise(prepared: PreparedPattern) -> float:
    """Return the standard deviation of the noise, from what three neighbouring bins say of it.

    Second differences leave out all that is smooth, and their median most of what lines add.
    """
    measured = prepared.intensity[prepared.is_measured]
    if measured.size < 3:
        return 0.0
    # 0.6745: the median of the absolute value of a normal deviate; 6 = 1 + 4 + 1.
    return float(np.median(np.abs(np.diff(measured, 2))) / (0.6745 * np.sqrt(6.0)))


def _binned(content: FloatArray, edges: FloatArray, new_edges: FloatArray) -> FloatArray:
    """Return the content of new bins, that of the old ones being spread evenly over each."""
    cumulative = np.concatenate(([0.0], np.cumsum(content)))
    return np.diff(np.interp(new_edges, edges, cumulative))


def _views(root: FloatArray, is_measured: FloatArray, shift_bins: IntArray) -> _Views:
    n_bins, reach = root.size, int(np.abs(shift_bins).max())
    place = np.arange(n_bins)[:, None] + shift_bins[None, :] + reach
    shifted = np.pad(root, reach)[place]
    norm = np.sqrt((shifted**2).sum(axis=0))
    return _Views(
        shift_bins,
        (shifted / np.where(norm > 0, norm, 1.0)).astype(np.float32),
        np.pad(is_measured, reach)[place].astype(np.float32),
    )


def _narrowed(views: _Views) -> _Views:
    """Return the same views on the bins of the first look."""
    shape = (FIRST_LOOK_BINS, -1, views.shift_bins.size)
    root = views.root.reshape(shape).mean(axis=1)
    norm = np.sqrt((root**2).sum(axis=0))
    root /= np.where(norm > 0, norm, 1.0)
    return _Views(views.shift_bins, root, views.is_measured.reshape(shape).mean(axis=1))


def _cosines(templates: NDArray[np.int8], rows: IntArray, views: _Views) -> Float32Array:
    """Return the cosine of each template with each view, shape (n_rows, n_shifts)."""
    cosines = np.empty((rows.size, views.shift_bins.size), dtype=np.float32)
    for start in range(0, rows.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        values = templates[rows[block]].astype(np.float32)
        product = np.matmul(values, views.root, out=cosines[block])
        square = np.square(values, out=values) @ views.is_measured
        # A template without lines in the measured range resembles nothing.
        product /= np.sqrt(np.where(square > 0, square, np.inf), out=square)
    return cosines


def _best_shifts(cosines: Float32Array, shift_bins: IntArray) -> FloatArray:
    """Return the shifts of the maxima, in bins, between bins by a parabola through three."""
    n_shifts = shift_bins.size
    best = cosines.argmax(axis=1)
    inner = np.clip(best, 1, n_shifts - 2)
    rows = np.arange(best.size)
    left, middle, right = (cosines[rows, inner + step].astype(np.float64) for step in (-1, 0, 1))
    curvature = left - 2 * middle + right
    is_peak = (inner == best) & (curvature < 0)
    offset = np.divide(left - right, 2 * curvature, out=np.zeros_like(curvature), where=is_peak)
    return np.asarray(shift_bins[best] + offset)
