"""How well one cubic lattice explains the lines of a pattern, whatever the length of its edge.

Lines of a cubic crystal lie at q = (2 pi / a) sqrt(N) only, with N = h^2 + k^2 + l^2: one number to
find. Edges are proposed by giving each of some lines each small N. An edge is judged by what it
explains beyond chance: a line that falls on an allowed q counts by how much closer it is than a
line put down at random would be, so that large cells, whose many lines can explain anything, gain
nothing. A logistic model turns that and de Wolff's figure of merit into a log likelihood ratio.

The fit: `python benchmarks/cubic_indexing.py --structures STORE` prints the coefficients below. It
takes simulated patterns only, of the recipes `ideal`, `laboratory`, `careful-laboratory`: as many
cubic crystals as others, lattices stretched by -20 to 25 %, a quarter of the others pseudo-cubic.
"""

from dataclasses import dataclass
from functools import cache
from math import log, log1p, pi

import numpy as np
from scipy.special import softmax

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.preparation import PreparedPattern

A_MIN_ANGSTROM, A_MAX_ANGSTROM = 2.4, 25.0
MAX_LOG_ODDS = 6.0
# Index of the first cubic space group, 195.
_FIRST_CUBIC = 194
_LEAST_PROBABLE = 0.02
# Two lines fit some cubic lattice whatever they are.
MIN_LINES = 3
MAX_LINES = 20
# Rows of `CubicIndexing.features`; printed by benchmarks/cubic_indexing.py.
INTERCEPT = 1.97
COEFFICIENTS = (1.37, 0.58, -2.89, -1.67, -2.31)

# A line's height: against the highest, and against the scatter of bins around it.
_MIN_HEIGHT, _MIN_NOISE_HEIGHTS = 0.006, 6.0
# K-alpha2 of Cr to Cu lies this much above K-alpha1 in ln q, at about half its height.
_ALPHA_2_FROM, _ALPHA_2_TO, _ALPHA_2_HEIGHT = 0.0014, 0.0031, 0.75
# How well a line's position is known, in bins and in parts of its width.
_BIN_ERROR, _WIDTH_ERROR = 0.35, 0.10
# What an uncorrected zero shift or sample displacement does to q: 0.03 degree with Cu K-alpha.
_ZERO_ERROR_PER_ANGSTROM = 0.002
_MAX_ZERO_PER_ANGSTROM = 0.008
# Share of lines that belong to something else.
_STRAY = 0.05
_N_REFINED = 8


@dataclass(frozen=True, slots=True)
class CubicIndexing:
    """The cubic lattice that explains most lines beyond chance.

    Attributes
    ----------
    a_angstrom : float
        Edge of the cell; NaN where fewer than `MIN_LINES` lines were found or no edge is possible.
    centring : str
        "P", "I", "F", or "D" for F with the diamond glide; "" without an edge.
    figure_of_merit : float
        De Wolff's M = Q_last / (2 <|dQ|> N_possible) of the lines that the lattice explains,
        Q = 1 / d^2, N_possible the number of its lines up to the last one; 0 where it explains
        fewer than `MIN_LINES`.
    evidence : float
        Sum over lines of ln (probability at its place by this lattice : by chance), natural, lines
        weighted by the fourth root of their height.
    intensity_share : float
        Share of the heights of lines that the lattice explains.
    n_lines, n_indexed, n_distinct : int
        Lines found (the `MAX_LINES` of lowest q), those explained, and different N among these.

    References
    ----------
    P. M. de Wolff, J. Appl. Cryst. 1, 108 (1968), doi:10.1107/S002188986800508X.
    """

    a_angstrom: float
    centring: str
    figure_of_merit: float
    evidence: float
    intensity_share: float
    n_lines: int
    n_indexed: int
    n_distinct: int

    @property
    def features(self) -> FloatArray:
        """What the logistic model sees, shape (5,)."""
        n_lines = max(self.n_lines, 1)
        return np.array(
            [
                max(self.evidence, 0.0) ** 0.5,
                # M of a few lines out of many means nothing.
                self.intensity_share * log1p(self.figure_of_merit),
                self.intensity_share,
                self.n_distinct / n_lines,
                log(n_lines),
            ]
        )


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines by rising q, their height, and how well ln q is known, each of shape (n_lines,)."""

    q_per_angstrom: FloatArray
    height: FloatArray
    log_q_error: FloatArray


@dataclass(frozen=True, slots=True)
class _Fit:
    """A lattice, the N of the line nearest to each found one, and how far off that is in ln q."""

    centring: str
    a_angstrom: float
    evidence: float
    number: IntArray
    miss: FloatArray


def cubic_log_odds(prepared: PreparedPattern) -> float:
    """Return ln (likelihood if cubic : if not), from -6 to 6; 0 where fewer than 3 lines stand out.

    It is meant to be added to the log probabilities of space groups 195 to 230.

    Notes
    -----
    On 480 simulated patterns of held-out families, lattices stretched by -20 to 25 %, half of them
    cubic: area under the ROC curve 0.97 for the recipe `ideal`, 0.95 for `careful-laboratory`, 0.88
    for `laboratory` (0.94 together). Above 2 are 98, 51 and 20 % of cubic patterns and 5, 3 and 1 %
    of the others, these mostly pseudo-cubic. These patterns also served to choose between two sets
    of features, so the figures flatter a little; with 80 cubic patterns a recipe, shares are known
    to 2 to 6 %.
    """
    return log_odds(index_as_cubic(prepared))


def log_odds(indexing: CubicIndexing) -> float:
    """Return what `cubic_log_odds` does, of a pattern that has been indexed."""
    if not indexing.centring:
        return 0.0
    total = INTERCEPT + float(indexing.features @ np.array(COEFFICIENTS))
    return float(np.clip(total, -MAX_LOG_ODDS, MAX_LOG_ODDS))


def index_as_cubic(prepared: PreparedPattern) -> CubicIndexing:
    """Return the cubic lattice that best explains the lines of a pattern, and how well it does."""
    lines = _find_lines(prepared)
    n_lines = lines.q_per_angstrom.size
    if n_lines < MIN_LINES:
        return _nothing(n_lines)
    fits = [
        _best_fit(lines, proposals, centring)
        for centring in "PIFD"
        if (proposals := _proposals(lines, centring)).size
    ]
    if not fits:
        return _nothing(n_lines)
    return _indexing(lines, max(fits, key=lambda fit: fit.evidence))


def _nothing(n_lines: int) -> CubicIndexing:
    """Return that no lattice was found."""
    return CubicIndexing(float("nan"), "", 0.0, 0.0, 0.0, n_lines, 0, 0)


def _find_lines(prepared: PreparedPattern) -> _Lines:
    """Return the lines that stand out, at most `MAX_LINES` of lowest q."""
    from scipy.signal import find_peaks, peak_widths

    signal = prepared.signal
    floor = np.maximum(_MIN_HEIGHT * signal.max(), _MIN_NOISE_HEIGHTS * _noise(prepared))
    # A line on the edge of the measured range has no position.
    inside = prepared.is_measured[:-2] & prepared.is_measured[1:-1] & prepared.is_measured[2:]
    bins, found = find_peaks(signal, height=floor, prominence=1e-12)
    keep = inside[bins - 1] & (found["prominences"] > np.maximum(floor[bins], 0.1 * signal[bins]))
    bins = bins[keep]
    below, top, above = signal[bins - 1], signal[bins], signal[bins + 1]
    # The vertex of a parabola through ln height is exact for a Gaussian line.
    logs = [np.log(np.maximum(part, 0.01 * top)) for part in (below, top, above)]
    curvature = np.minimum(logs[0] - 2 * logs[1] + logs[2], -1e-9)
    places = bins + np.clip((logs[0] - logs[2]) / (2 * curvature), -0.5, 0.5)
    widths = peak_widths(signal, bins, rel_height=0.5)[0] if bins.size else np.zeros(0)
    step = prepared.grid.bin_width
    log_q = prepared.grid.log_edges[0] + (places + 0.5) * step
    error = step * np.hypot(_BIN_ERROR, _WIDTH_ERROR * widths)
    chosen = ~_is_alpha_2(log_q, top)
    chosen[np.flatnonzero(chosen)[MAX_LINES:]] = False
    return _Lines(np.exp(log_q[chosen]), top[chosen], error[chosen])


def _noise(prepared: PreparedPattern) -> FloatArray:
    """Return the standard deviation of each bin, as counting noise."""
    grid, measured = prepared.grid, prepared.is_measured
    if prepared.source is None:
        counts, bins_per_point = prepared.intensity[measured], np.ones(measured.size)
    else:
        # Bins between two points are interpolated and scatter less than they err: go by points.
        source = prepared.source
        counts, log_q = source.intensity[source.is_measured], np.log(source.q_per_angstrom)
        centres = np.log(grid.q_per_angstrom)
        steps = np.interp(centres, (log_q[1:] + log_q[:-1]) / 2, np.diff(log_q))
        bins_per_point = np.minimum(steps / grid.bin_width, 1.0)
    if counts.size < 3:
        return np.full(measured.size, np.inf)
    mean = np.convolve(np.maximum(counts, 0.0), np.full(9, 1 / 9), mode="same")[1:-1]
    second = np.abs(np.diff(counts, 2)) / np.sqrt(np.maximum(mean, 1e-9 * counts.max() + 1e-30))
    # 1.150: upper quartile of |x| of a unit normal; sqrt 6: scatter of second differences. Of
    # sparse counts the median is 0.
    per_root_count = float(np.quantile(second, 0.75)) / (1.150 * 6**0.5)
    level = np.maximum(prepared.intensity, float(np.median(counts)))
    return np.asarray(per_root_count * np.sqrt(np.maximum(level, 0.0) * bins_per_point))


def _is_alpha_2(log_q: FloatArray, height: FloatArray) -> BoolArray:
    """Say which lines look like the K-alpha2 shadow of a higher line just below them."""
    distance = log_q[:, None] - log_q
    is_near = (distance > _ALPHA_2_FROM) & (distance < _ALPHA_2_TO)
    return np.asarray((is_near & (height[:, None] < _ALPHA_2_HEIGHT * height)).any(axis=1))


@cache
def _allowed(centring: str) -> IntArray:
    """Return h^2 + k^2 + l^2 of all lines up to N = 700, rising."""
    h, k, l = np.meshgrid(*[np.arange(27)] * 3, indexing="ij")  # noqa: E741
    total = h + k + l
    is_unmixed = (h % 2 == k % 2) & (k % 2 == l % 2)
    allowed = {
        "P": total >= 0,
        "I": total % 2 == 0,
        "F": is_unmixed,
        "D": is_unmixed & ((total % 2 == 1) | (total % 4 == 0)),
    }[centring]
    numbers = np.unique((h**2 + k**2 + l**2)[allowed])
    return np.asarray(numbers[(numbers > 0) & (numbers <= 700)])


@cache
def _gaps(centring: str) -> FloatArray:
    """Return half the distance in ln q between the neighbours of each allowed line."""
    log_root = np.log(_allowed(centring)) / 2
    steps = np.diff(log_root)
    # Nothing lies below the first line: as far as the next one above.
    steps = np.concatenate((steps[:1], steps, steps[-1:]))
    return np.asarray((steps[1:] + steps[:-1]) / 2)


def _proposals(lines: _Lines, centring: str) -> FloatArray:
    """Return ln (2 pi / a) of edges that put one of some lines on an allowed q."""
    strongest = np.argsort(-lines.height, kind="stable")[:3]
    some = np.unique(np.concatenate((np.arange(min(4, lines.height.size)), strongest)))
    numbers = _allowed(centring)
    roots = np.log(numbers[numbers <= 40]) / 2
    proposals = (np.log(lines.q_per_angstrom[some])[:, None] - roots).ravel()
    edge = 2 * pi / np.exp(proposals)
    return np.asarray(proposals[(edge >= A_MIN_ANGSTROM) & (edge <= A_MAX_ANGSTROM)])


def _best_fit(lines: _Lines, proposals: FloatArray, centring: str) -> _Fit:
    """Return the best lattice of that centring, with a small zero shift."""
    q, error = lines.q_per_angstrom, lines.log_q_error
    loose = np.hypot(error, _ZERO_ERROR_PER_ANGSTROM / q)
    nearest, miss, evidence = _compared(lines, np.log(q) - proposals[:, None], loose, centring)
    best = np.argsort(-evidence, kind="stable")[:_N_REFINED]
    is_used = np.abs(miss[best]) < 3 * loose
    scale, zero = _straight_lines(np.sqrt(_allowed(centring)[nearest[best]]), lines, is_used)
    log_ratio = np.log(np.maximum(q - zero[:, None], 1e-3) / scale[:, None])
    nearest, miss, evidence = _compared(lines, log_ratio, error, centring)
    k = int(evidence.argmax())
    number = _allowed(centring)[nearest[k]]
    return _Fit(centring, 2 * pi / float(scale[k]), float(evidence[k]), number, miss[k])


def _compared(
    lines: _Lines, log_ratio: FloatArray, error: FloatArray, centring: str
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return what edges make of the lines, from ln (q a / 2 pi), shape (n_edges, n_lines).

    Returns
    -------
    ndarray of int, shape (n_edges, n_lines)
        Position in `_allowed` of the nearest line.
    ndarray, shape (n_edges, n_lines)
        How far off it is in ln q.
    ndarray, shape (n_edges,)
        The evidence: ln (probability by the lattice : by chance).
    """
    log_root = np.log(_allowed(centring)) / 2
    nearest = np.searchsorted((log_root[1:] + log_root[:-1]) / 2, log_ratio)
    miss = log_ratio - log_root[nearest]
    density = np.exp(-0.5 * (miss / error) ** 2) / (error * (2 * pi) ** 0.5)
    weight = (lines.height / lines.height.max()) ** 0.25
    ratio = np.log(_STRAY + (1 - _STRAY) * _gaps(centring)[nearest] * density)
    return nearest, miss, ratio @ weight


def _straight_lines(
    root: FloatArray, lines: _Lines, is_used: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return slopes 2 pi / a and zero shifts in q of several edges, from lines in use.

    The shift is held near 0 by what is known of instruments: few lines could not tell it.
    """
    q = lines.q_per_angstrom
    weight = is_used * (q * lines.log_q_error) ** -2.0
    weighted_root = weight * root
    rr, r1, rq = (weighted_root * root).sum(axis=1), weighted_root.sum(axis=1), weighted_root @ q
    q1, ones = weight @ q, weight.sum(axis=1) + _ZERO_ERROR_PER_ANGSTROM**-2
    zero = (rr * q1 - r1 * rq) / (rr * ones - r1**2)
    zero = np.clip(zero, -_MAX_ZERO_PER_ANGSTROM, _MAX_ZERO_PER_ANGSTROM)
    return (rq - zero * r1) / rr, zero


def _indexing(lines: _Lines, fit: _Fit) -> CubicIndexing:
    """Return the figures of a lattice."""
    is_indexed = np.abs(fit.miss) < 3 * lines.log_q_error
    numbers, miss = fit.number[is_indexed], fit.miss[is_indexed]
    return CubicIndexing(
        a_angstrom=fit.a_angstrom,
        centring=fit.centring,
        figure_of_merit=_figure_of_merit(numbers, miss, fit.centring),
        evidence=fit.evidence,
        intensity_share=float(lines.height[is_indexed].sum() / lines.height.sum()),
        n_lines=is_indexed.size,
        n_indexed=numbers.size,
        n_distinct=np.unique(numbers).size,
    )


def _figure_of_merit(numbers: IntArray, miss: FloatArray, centring: str) -> float:
    """Return de Wolff's M of indexed lines; Q in units of 1 / a^2 is N itself."""
    if numbers.size < MIN_LINES:
        return 0.0
    difference = np.abs(numbers * np.expm1(2 * miss)).mean()
    last = int(numbers.max())
    n_possible = int(np.searchsorted(_allowed(centring), last, side="right"))
    # Lines drawn without any error would give an infinite M.
    return float(last / (2 * max(difference, 1e-4) * n_possible))


def checked_logits(
    inputs: Float32Array, logits: FloatArray | Float32Array, grid: LogQGrid
) -> FloatArray:
    """Return space-group logits with what indexing says of the cubic ones, shape (n, 230).

    Patterns that the network holds for cubic with less than `_LEAST_PROBABLE` are left alone: the
    check takes longer than the network.

    Parameters
    ----------
    inputs : ndarray, shape (n, 2, n_bins)
        What the network sees: root intensity above background and mask.
    logits : ndarray, shape (n, 230)
        What it says.
    """
    probabilities = softmax(logits, axis=1)[:, _FIRST_CUBIC:].sum(axis=1)
    checked = np.array(logits, dtype=np.float64)
    for row in np.flatnonzero(probabilities >= _LEAST_PROBABLE):
        signal = inputs[row, 0].astype(np.float64) ** 2
        prepared = PreparedPattern(grid, signal, signal, inputs[row, 1] > 0)
        checked[row, _FIRST_CUBIC:] += cubic_log_odds(prepared)
    return checked
