"""Which lines move with the sample and which do not, learned while the sample begins to move.

Lines of a gasket or of the diamonds stay where they are, those of a soft pressure medium move
further than the sample's. A shift on ln q multiplies every Fourier component by a phase; so for each
frequency the parts that moved by different multiples of the sample's shift follow from a linear
least-squares problem with as many unknowns as there are parts, also where their lines overlap.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, rfft
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from phasepilot.models.arrays import BoolArray, ComplexArray, FloatArray
from phasepilot.models.tracking.components import Component, Frame

# Multiples of the sample's shift, in quarters: the sample's own, none, and what a companion may do.
_QUARTER = 0.25
_SAMPLE, _FIXED = 4, 0
_COMPANIONS = (6, 7, 8, 9, 10, 11, 12)
_N_QUARTERS = 13
# Frames' worth of belief that a line is not a fixed one, nor a companion's: it decides what has
# hardly moved yet.
_PRIOR_FRAMES = (0.0, 0.2, 0.6)
_LINE_BINS = 7
_GHOST_SHARE = 0.03
_SIGNIFICANT = 3.0
_SHIFT_ENOUGH_BINS = 14.0
_MOST_FRAMES = 60


@dataclass(frozen=True, slots=True)
class MotionSums:
    """Sums over frames, one column a frequency.

    Attributes
    ----------
    moved_back : ndarray, shape (13, n_frequencies)
        Frames moved back by 0, 1/4, ... 3 times the sample's shift.
    phases : ndarray, shape (13, n_frequencies)
        The phases of those moves.
    background : ndarray, shape (n_bins,)
        Mean background.
    n_frames : int
    is_known : ndarray of bool, shape (n_bins,)
    companion : int
        Quarters by which the companion moves.
    """

    moved_back: ComplexArray
    phases: ComplexArray
    background: FloatArray
    n_frames: int
    is_known: BoolArray
    companion: int


def first_sums(frame: Frame) -> MotionSums:
    """Return the sums of the first frame."""
    spectrum = rfft(frame.lines)
    return MotionSums(
        np.repeat(spectrum[None], _N_QUARTERS, axis=0),
        np.ones((_N_QUARTERS, spectrum.size), dtype=np.complex128),
        frame.background,
        1,
        frame.is_measured,
        _COMPANIONS[2],
    )


def summed(sums: MotionSums, frame: Frame, shift_bins: float, amplitude: float) -> MotionSums:
    """Return the sums with one more frame, scaled to the strength of the first."""
    spectrum = rfft(frame.lines) / amplitude
    n_bins = frame.lines.size
    step = np.exp(2j * np.pi / n_bins * _QUARTER * shift_bins * np.arange(spectrum.size))
    phases = np.empty_like(sums.phases)
    phases[0] = 1.0
    for quarter in range(1, _N_QUARTERS):
        np.multiply(phases[quarter - 1], step, out=phases[quarter])
    n_frames = sums.n_frames + 1
    following = MotionSums(
        sums.moved_back + spectrum * phases,
        sums.phases + phases,
        sums.background + (frame.background / amplitude - sums.background) / n_frames,
        n_frames,
        sums.is_known,
        sums.companion,
    )
    if n_frames in (8, 16, 32) or is_learned(following, shift_bins):
        return _with_best_companion(following)
    return following


def is_learned(sums: MotionSums, shift_bins: float) -> bool:
    """Return whether the sample has moved far enough to tell all lines apart."""
    return abs(shift_bins) >= _SHIFT_ENOUGH_BINS or sums.n_frames >= _MOST_FRAMES


def components_of(sums: MotionSums, shift_bins: float, dispersion: float) -> tuple[Component, ...]:
    """Return the sample's lines, those that stay, and those of a companion; the latter may be none.

    Parameters
    ----------
    dispersion : float
        Variance of a line's sum over its counts.
    """
    quarters = (_SAMPLE, _FIXED, sums.companion)
    n_bins = sums.is_known.size
    solved = _solved(sums, quarters)
    parts = [irfft(spectrum, n_bins) for spectrum in solved]
    others = [
        np.minimum(_lines_only(part, parts[0], sums, dispersion), _stack(sums, quarter))
        for quarter, part in zip(quarters[1:], parts[1:], strict=True)
    ]
    sample = sums.moved_back[_SAMPLE].copy()
    for quarter, other in zip(quarters[1:], others, strict=True):
        if other.any():
            sample -= _phase(sums, _SAMPLE - quarter) * rfft(other)
    lines = [irfft(sample / sums.n_frames, n_bins), *others]
    return tuple(
        Component(one, sums.is_known, _QUARTER * quarter * shift_bins, _QUARTER * quarter)
        for quarter, one in zip(quarters, lines, strict=True)
    )


def least_left(
    left: FloatArray, frame: Frame, sums: MotionSums, shift_bins: float, amplitude: float
) -> FloatArray:
    """Return what no multiple of the sample's shift explains, however little is known yet.

    A line counts as explained where the mean of the earlier frames, moved as a fixed line or as a
    companion's, shows it already.
    """
    n_bins = left.size
    turn = np.exp(-2j * np.pi / n_bins * _QUARTER * shift_bins * np.arange(n_bins // 2 + 1))
    least = left
    for quarter in (_FIXED, sums.companion):
        seen = irfft(sums.moved_back[quarter] * turn**quarter, n_bins) / sums.n_frames
        least = np.minimum(least, np.maximum(frame.lines - amplitude * seen, -np.abs(left)))
    return np.where(left != 0, least, 0.0)


def _stack(sums: MotionSums, quarter: int) -> FloatArray:
    """Return the mean of the frames moved back: no part of that motion can be more, never below 0."""
    mean = irfft(sums.moved_back[quarter], sums.is_known.size) / sums.n_frames
    return np.asarray(np.maximum(mean, 0.0))


def _phase(sums: MotionSums, quarters: int) -> ComplexArray:
    """Return the sum of phases of a move by so many quarters of the shift, back or forth."""
    phases = sums.phases[abs(quarters)]
    return phases if quarters >= 0 else phases.conj()


def _solved(sums: MotionSums, quarters: tuple[int, ...]) -> ComplexArray:
    """Return the spectra of the parts that move by these quarters, shape (n_parts, n_frequencies).

    Of E = sum_k |y_k - sum_r m_r exp(-i w r s_k)|^2 the normal equations are
    sum_r' m_r' sum_k exp(i w (r - r') s_k) = sum_k y_k exp(i w r s_k).
    """
    matrix = np.array([[_phase(sums, row - column) for column in quarters] for row in quarters])
    matrix = np.moveaxis(matrix, 2, 0).copy()
    for k, prior in enumerate(_PRIOR_FRAMES):
        matrix[:, k, k] += prior
    target = sums.moved_back[list(quarters)].T[:, :, None]
    return np.linalg.solve(matrix, target)[:, :, 0].T


def _with_best_companion(sums: MotionSums) -> MotionSums:
    """Return the sums with the companion that explains most."""

    def explained(companion: int) -> float:
        quarters = (_SAMPLE, _FIXED, companion)
        solved = _solved(sums, quarters)
        return float(np.real(np.sum(solved.conj() * sums.moved_back[list(quarters)])))

    best = max(_COMPANIONS, key=explained)
    return MotionSums(
        sums.moved_back, sums.phases, sums.background, sums.n_frames, sums.is_known, best
    )


def _lines_only(
    part: FloatArray, sample: FloatArray, sums: MotionSums, dispersion: float
) -> FloatArray:
    """Return a part where it stands out from noise and from ghosts of the sample's strong lines."""
    level = np.maximum(sample, 0.0)
    noise = uniform_filter1d(level + sums.background + np.maximum(part, 0.0), _LINE_BINS)
    deviation = 1.5 * np.sqrt(np.maximum(dispersion * noise / _LINE_BINS / sums.n_frames, 0.0))
    ghost = _GHOST_SHARE * maximum_filter1d(level, 6 * _LINE_BINS + 1)
    mean = uniform_filter1d(part, _LINE_BINS)
    is_line = maximum_filter1d(mean > _SIGNIFICANT * deviation + ghost, 2 * _LINE_BINS + 1)
    return np.where(is_line, np.maximum(part, 0.0), 0.0)
