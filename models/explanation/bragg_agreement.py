"""Whether what speaks for a phase lies on its Bragg lines, more than by chance."""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.log_q import LogQGrid


@dataclass(frozen=True, slots=True)
class BraggAgreement:
    """How much of the positive attribution lies near Bragg lines.

    Attributes
    ----------
    share : float
        Part of the positive attribution in bins near a line.
    chance : float
        The same part, averaged over all ways to shift the lines together around the measured range:
        the part of the range that is near a line.
    p_value : float
        Part of the shifts, the one by nothing included, that do at least as well.
    """

    share: float
    chance: float
    p_value: float


def bragg_agreement(
    of_bins: FloatArray,
    line_positions_log_q: FloatArray,
    *,
    grid: LogQGrid,
    is_measured: BoolArray,
    half_width_log_q: float,
) -> BraggAgreement:
    """Return the share of positive attribution near lines and what chance would give.

    Shifting the lines together keeps their number, spacing and overlap. All shifts by whole bins
    are tried, so nothing is random.

    What is not there adds nothing: any attribution of intensities lies on lines more than by
    chance. Whether a network has learned to look there shows against the agreement of the
    intensities themselves.

    Parameters
    ----------
    of_bins : ndarray, shape (n_bins,)
        Attribution of each bin.
    line_positions_log_q : ndarray, shape (n_lines,)
        ln q of the lines; those outside the grid are ignored.
    is_measured : ndarray of bool, shape (n_bins,)
        Bins that count; the shifts go around in these.
    half_width_log_q : float
        A bin is near a line when its centre is no further than this in ln q.

    Raises
    ------
    PatternError
        If no measured bin has positive attribution, or none is near a line.

    Examples
    --------
    Two lines, all of the attribution on them, and they cover a tenth of 100 bins:

    >>> grid = LogQGrid(1.0, np.e, 100)
    >>> of_bins = np.zeros(100)
    >>> of_bins[[22, 62]] = 1.0
    >>> agreement = bragg_agreement(
    ...     of_bins, np.array([0.225, 0.625]), grid=grid, is_measured=np.ones(100, dtype=bool),
    ...     half_width_log_q=0.021,
    ... )
    >>> agreement.share, round(agreement.chance, 3), agreement.p_value
    (1.0, 0.1, 0.05)
    """
    positive = np.maximum(of_bins, 0.0)[is_measured]
    is_near = _is_near(line_positions_log_q, grid, half_width_log_q)[is_measured]
    if positive.sum() <= 0 or not is_near.any():
        raise PatternError(
            "agreement with Bragg lines needs positive attribution and lines in the measured range,"
            f" but the attribution there sums to {positive.sum():g} and {int(is_near.sum())} of"
            f" {is_near.size} bins are near a line; check the lines and what is explained."
        )
    shares = _shares_of_shifts(positive / positive.sum(), is_near)
    # Sums that differ in their last digit only are the same.
    n_as_good = int((shares >= shares[0] - 1e-9).sum())
    return BraggAgreement(
        share=float(positive[is_near].sum() / positive.sum()),
        chance=float(is_near.mean()),
        p_value=n_as_good / shares.size,
    )


def _is_near(
    line_positions_log_q: FloatArray, grid: LogQGrid, half_width_log_q: float
) -> BoolArray:
    centres = (grid.log_edges[:-1] + grid.log_edges[1:]) / 2
    first = np.searchsorted(centres, line_positions_log_q - half_width_log_q, side="left")
    last = np.searchsorted(centres, line_positions_log_q + half_width_log_q, side="right")
    change = np.zeros(grid.n_bins + 1)
    np.add.at(change, first, 1)
    np.add.at(change, last, -1)
    return np.asarray(np.cumsum(change[:-1]) > 0)


def _shares_of_shifts(share_of_bin: FloatArray, is_near: BoolArray) -> FloatArray:
    """Return the share near the lines when they are shifted by 0, 1, 2, ... bins."""
    n_bins = is_near.size
    spectrum = np.fft.rfft(share_of_bin) * np.conj(np.fft.rfft(is_near.astype(np.float64)))
    return np.fft.irfft(spectrum, n_bins)
