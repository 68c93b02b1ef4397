"""Which lines move with the sample and which do not, learned while the sample begins to move.

Lines of a gasket or of the diamonds stay where they are, those of a soft pressure medium move
further than the sample's. A shift on ln q multiplies every Fourier component by a phase, so that
the frames together give linear least squares for the parts that moved by different multiples of
the sample's shift, also where their lines overlap. It is solved one part after the other, none
below 0 (block coordinate descent), a few sweeps a frame from where the last frame left it. What
might be of either kind counts as the sample's: the others pay for every count (a non-negative
lasso).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft, rfft
from scipy.ndimage import uniform_filter1d

from phasepilot.models.arrays import BoolArray, ComplexArray, FloatArray
from phasepilot.models.tracking.components import Component, Frame

# Multiples of the sample's shift, in halves: the sample's own, none, and what a companion may do.
_HALF = 0.5
_SAMPLE, _FIXED = 2, 0
_COMPANIONS = (3, 4, 5, 6)
_N_HALVES = 7
_N_SWEEPS = 2
_LINE_BINS = 7
# What others than the sample pay, in standard deviations of their mean.
_PRICE = 1.5
_SHIFT_ENOUGH_BINS = 15.0
_MOST_FRAMES = 40


@dataclass(frozen=True, slots=True)
class MotionSums:
    """Sums over frames, one column a frequency, and the parts found so far.

    Attributes
    ----------
    moved_back : ndarray, shape (7, n_frequencies)
        Frames moved back by 0, 1/2, ... 3 times the sample's shift.
    phases : ndarray, shape (7, n_frequencies)
        The phases of those moves.
    parts : ndarray, shape (3, n_bins)
        The sample's lines, those that stay, and those of a companion.
    background : ndarray, shape (n_bins,)
        Mean background.
    n_frames : int
    is_known : ndarray of bool, shape (n_bins,)
    companion : int
        Halves of the sample's shift by which the companion moves.
    """

    moved_back: ComplexArray
    phases: ComplexArray
    parts: FloatArray
    background: FloatArray
    n_frames: int
    is_known: BoolArray
    companion: int


def first_sums(frame: Frame) -> MotionSums:
    """Return the sums of the first frame."""
    spectrum = rfft(frame.lines)
    none = np.zeros_like(frame.lines)
    return MotionSums(
        moved_back=np.repeat(spectrum[None], _N_HALVES, axis=0),
        phases=np.ones((_N_HALVES, spectrum.size), dtype=np.complex128),
        parts=np.stack([frame.lines, none, none]),
        background=frame.background,
        n_frames=1,
        is_known=frame.is_measured,
        companion=_COMPANIONS[1],
    )


def summed(
    sums: MotionSums,
    lines: FloatArray,
    background: FloatArray,
    shift_bins: float,
    dispersion: float,
) -> MotionSums:
    """Return the sums with one more frame.

    Parameters
    ----------
    lines, background : ndarray, shape (n_bins,)
        Scaled to the strength of the first frame.
    dispersion : float
        Variance of a line's sum over its counts.
    """
    spectrum = rfft(lines)
    step = np.exp(2j * np.pi / lines.size * _HALF * shift_bins * np.arange(spectrum.size))
    phases = np.empty_like(sums.phases)
    phases[0] = 1.0
    for half in range(1, _N_HALVES):
        np.multiply(phases[half - 1], step, out=phases[half])
    n_frames = sums.n_frames + 1
    following = replace(
        sums,
        moved_back=sums.moved_back + spectrum * phases,
        phases=sums.phases + phases,
        background=sums.background + (background - sums.background) / n_frames,
        n_frames=n_frames,
    )
    is_last = is_learned(following, shift_bins)
    if n_frames in (8, 16, 32) or is_last:
        following = _with_best_companion(following, dispersion)
    return _solved(following, dispersion, n_sweeps=10 if is_last else _N_SWEEPS)


def is_learned(sums: MotionSums, shift_bins: float) -> bool:
    """Return whether the sample has moved far enough to tell all lines apart."""
    return abs(shift_bins) >= _SHIFT_ENOUGH_BINS or sums.n_frames >= _MOST_FRAMES


def components_of(sums: MotionSums, shift_bins: float) -> tuple[Component, ...]:
    """Return the sample's lines first, then those of the others that have any."""
    halves = (_SAMPLE, _FIXED, sums.companion)
    return tuple(
        Component(part, sums.is_known, _HALF * half * shift_bins, _HALF * half)
        for half, part in zip(halves, sums.parts, strict=True)
        if half == _SAMPLE or part.any()
    )


def least_left(
    left: FloatArray, frame: Frame, sums: MotionSums, shift_bins: float, amplitude: float
) -> FloatArray:
    """Return what no multiple of the sample's shift explains, however little is known yet.

    A line counts as explained where the mean of the earlier frames, moved as a fixed line or as a
    companion's, shows it already.
    """
    turn = np.exp(-2j * np.pi / left.size * _HALF * shift_bins * np.arange(left.size // 2 + 1))
    least = left
    for half in (_FIXED, sums.companion):
        seen = irfft(sums.moved_back[half] * turn**half, left.size) / sums.n_frames
        least = np.minimum(least, np.maximum(frame.lines - amplitude * seen, -np.abs(left)))
    return np.where(left != 0, least, 0.0)


def _solved(sums: MotionSums, dispersion: float, *, n_sweeps: int) -> MotionSums:
    halves = (_SAMPLE, _FIXED, sums.companion)
    parts = sums.parts.copy()
    spectra = [rfft(part) for part in parts]
    price = _PRICE * _deviation(sums, dispersion)
    for _ in range(n_sweeps):
        for k in (1, 2, 0):
            target = _mean_left(sums, halves, spectra, k)
            parts[k] = np.maximum(target, -price) if k == 0 else np.maximum(target - price, 0.0)
            spectra[k] = rfft(parts[k])
    return replace(sums, parts=parts)


def _mean_left(
    sums: MotionSums, halves: tuple[int, ...], spectra: list[ComplexArray], own: int
) -> FloatArray:
    """Return the mean of the frames moved back as a part moves, without the other parts.

    Of E = sum_k |y_k - sum_r m_r exp(-i w r s_k)|^2 the minimum over one m_r alone is the mean of
    y_k exp(i w r s_k) minus what sum_k exp(i w (r - r') s_k) / n makes of every other m_r'.
    """
    left = sums.moved_back[halves[own]].copy()
    for k, spectrum in enumerate(spectra):
        if k != own:
            apart = halves[own] - halves[k]
            phase = sums.phases[abs(apart)]
            left -= spectrum * (phase if apart >= 0 else phase.conj())
    return np.asarray(irfft(left / sums.n_frames, sums.is_known.size))


def _with_best_companion(sums: MotionSums, dispersion: float) -> MotionSums:
    """Return the sums with the companion that takes up most of what the others leave."""
    price = _PRICE * _deviation(sums, dispersion)
    spectra = [rfft(sums.parts[0]), rfft(sums.parts[1])]
    best, most, found = sums.companion, -1.0, sums.parts[2]
    for half in _COMPANIONS:
        halves = (_SAMPLE, _FIXED, half)
        mean = _mean_left(sums, halves, [*spectra, np.zeros_like(spectra[0])], 2)
        lines = np.maximum(mean - 2 * price, 0.0)
        taken = float(np.sum(lines**2))
        if taken > most:
            best, most, found = half, taken, lines
    parts = np.stack([sums.parts[0], sums.parts[1], found])
    return replace(sums, parts=parts, companion=best)


def _deviation(sums: MotionSums, dispersion: float) -> FloatArray:
    """Return one standard deviation of a bin's mean, roughly."""
    level = np.maximum(sums.parts, 0.0).sum(axis=0) + sums.background
    smooth = uniform_filter1d(level, _LINE_BINS)
    return np.asarray(np.sqrt(np.maximum(dispersion * smooth, 0.0) / sums.n_frames))
