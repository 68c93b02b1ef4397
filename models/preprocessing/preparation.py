"""The one way from counts to a network's input, for measured and simulated patterns alike.

A network learns any difference between the patterns that it is trained on and those that it is
shown later. So both take the same steps: batches of simulated patterns in `prepared`, a measured
one in `prepare_pattern` and `network_input`, between which the tracker takes what it needs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.log_q import LogQGrid, to_log_q
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.background import background_below
from phasepilot.models.preprocessing.configuration import Preprocessing, odd_n_bins_of
from phasepilot.models.preprocessing.smoothing import savitzky_golay

# A block of patterns and its temporaries stay in a core's second-level cache.
_BLOCK_VALUES = 2**17


@dataclass(frozen=True, slots=True)
class PreparedPattern:
    """A measured pattern on the grid, its background found.

    Attributes
    ----------
    intensity : ndarray, shape (n_bins,)
        Mean intensity in each bin, in the counts of the measured points; 0 where unmeasured.
    signal : ndarray, shape (n_bins,)
        What of it stands above the background; 0 where unmeasured.
    is_measured : ndarray of bool, shape (n_bins,)
    source : Pattern or None
        The pattern on its own axis; None for one that was made on the grid.
    """

    grid: LogQGrid
    intensity: FloatArray
    signal: FloatArray
    is_measured: BoolArray
    source: Pattern | None = None

    @property
    def wavelength_angstrom(self) -> float | None:
        """Wavelength of the beam; None where the pattern came on a q axis."""
        return None if self.source is None else self.source.wavelength_angstrom


def prepare_pattern(pattern: Pattern, preprocessing: Preprocessing) -> PreparedPattern:
    """Return the pattern on the grid, with what stands above its background.

    Raises
    ------
    PatternError
        If the pattern misses the grid, or covers no whole bin of it.
    """
    return prepare_patterns([pattern], preprocessing)[0]


def prepare_patterns(
    patterns: Sequence[Pattern], preprocessing: Preprocessing
) -> list[PreparedPattern]:
    """Return what `prepare_pattern` does of each of some patterns, in less time.

    Raises
    ------
    PatternError
        As `prepare_pattern`, if any of them does.
    """
    if not patterns:
        return []
    grid = preprocessing.grid.grid()
    binned = [to_log_q(pattern, grid) for pattern in patterns]
    intensity = np.array([one.intensity for one in binned])
    is_measured = np.array([one.is_measured for one in binned])
    signal = above_background(intensity, is_measured, preprocessing)
    return [
        PreparedPattern(grid, one.intensity, above, one.is_measured, pattern)
        for pattern, one, above in zip(patterns, binned, signal, strict=True)
    ]


def network_input(pattern: PreparedPattern, preprocessing: Preprocessing) -> Float32Array:
    """Return what a network sees of a prepared pattern, shape (2, n_bins), as `prepared`."""
    channels = np.empty((2, pattern.signal.size), dtype=np.float32)
    channels[0] = _scaled(pattern.signal, preprocessing)
    channels[1] = pattern.is_measured
    return channels


def prepared(
    intensity: FloatArray, is_measured: BoolArray, preprocessing: Preprocessing
) -> Float32Array:
    """Return the two channels that a network sees, shape (..., 2, n_bins).

    The first is the intensity above background on the scale that the configuration names, the
    second 1 where something was measured. A batch gives the same numbers as its patterns one by
    one.

    Parameters
    ----------
    intensity : ndarray, shape (..., n_bins)
        Counts on the grid of the configuration; ignored where unmeasured.
    is_measured : ndarray of bool, shape (..., n_bins)

    Raises
    ------
    PatternError
        If the shapes or types do not fit, a measured bin is not finite, or a pattern has no
        measured bin.
    """
    rows, measured = _checked_rows(intensity, is_measured, preprocessing.grid.n_bins)
    channels = np.empty((rows.shape[0], 2, rows.shape[1]), dtype=np.float32)
    for block in _blocks(rows):
        signal = _above_background(rows[block], measured[block], preprocessing)
        channels[block, 0] = _scaled(signal, preprocessing)
        channels[block, 1] = measured[block]
    return channels.reshape(*np.shape(intensity)[:-1], 2, rows.shape[1])


def above_background(
    intensity: FloatArray, is_measured: BoolArray, preprocessing: Preprocessing
) -> FloatArray:
    """Return the smoothed intensity above background, in counts; 0 where unmeasured.

    Shapes and errors as `prepared`: this is what it scales and normalises.
    """
    rows, measured = _checked_rows(intensity, is_measured, preprocessing.grid.n_bins)
    signal = np.empty_like(rows)
    for block in _blocks(rows):
        signal[block] = _above_background(rows[block], measured[block], preprocessing)
    return signal.reshape(np.shape(intensity))


def _blocks(rows: FloatArray) -> Iterator[slice]:
    n_block = max(1, _BLOCK_VALUES // rows.shape[1])
    return (slice(start, start + n_block) for start in range(0, rows.shape[0], n_block))


def _above_background(
    intensity: FloatArray, is_measured: BoolArray, preprocessing: Preprocessing
) -> FloatArray:
    # Zero of the same type: float32 stays float32.
    intensity = np.where(is_measured, intensity, intensity.dtype.type(0))
    grid = preprocessing.grid.grid()
    smoothing = preprocessing.smoothing
    if smoothing is not None:
        intensity = savitzky_golay(
            intensity,
            is_measured,
            n_window=odd_n_bins_of(smoothing.window_log_q, grid),
            polynomial_order=smoothing.polynomial_order,
        )
    background = background_below(intensity, is_measured, preprocessing.background, grid)
    signal = np.subtract(intensity, background, out=background)
    np.maximum(signal, 0, out=signal)
    signal *= is_measured
    return signal


def _scaled(signal: FloatArray, preprocessing: Preprocessing) -> FloatArray:
    if preprocessing.intensity_scale == "square_root":
        signal = np.sqrt(signal)
    if preprocessing.normalisation == "none":
        return signal
    if preprocessing.normalisation == "max":
        size = signal.max(axis=-1, keepdims=True)
    else:
        size = signal.sum(axis=-1, keepdims=True) * preprocessing.grid.grid().bin_width
    # A pattern without any signal stays 0.
    return np.asarray(signal / np.where(size > 0, size, 1))


def _checked_rows(
    intensity: FloatArray, is_measured: BoolArray, n_bins: int
) -> tuple[FloatArray, BoolArray]:
    """Return both as (n_patterns, n_bins); whole numbers become float64."""
    intensity, is_measured = np.asarray(intensity), np.asarray(is_measured)
    if intensity.dtype.kind not in "fiu" or is_measured.dtype != np.bool_:
        raise PatternError(
            f"intensity must be real numbers and is_measured bool, but they are {intensity.dtype}"
            f" and {is_measured.dtype}; convert them first."
        )
    if intensity.shape != is_measured.shape or intensity.shape[-1:] != (n_bins,):
        raise PatternError(
            f"intensity and is_measured must both have shape (..., {n_bins}), but have"
            f" {intensity.shape} and {is_measured.shape}; put the pattern on the grid of the"
            " preprocessing first."
        )
    if intensity.dtype not in (np.float32, np.float64):
        intensity = intensity.astype(np.float64)
    rows, measured = intensity.reshape(-1, n_bins), is_measured.reshape(-1, n_bins)
    is_bad = measured & ~np.isfinite(rows)
    if is_bad.any():
        row = int(is_bad.any(axis=1).argmax())
        raise PatternError(
            f"intensity must be finite in every measured bin, but pattern {row} has"
            f" {int(is_bad[row].sum())} that are not; mark those bins as unmeasured."
        )
    if not measured.any(axis=1).all():
        row = int((~measured.any(axis=1)).argmax())
        raise PatternError(
            f"a pattern must have at least one measured bin, but pattern {row} has none;"
            " does it cover less than a bin of the grid?"
        )
    return rows, measured
