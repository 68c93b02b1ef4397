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
from itertools import pairwise
from math import log, log1p, pi
from typing import Any

import numpy as np
from scipy.special import softmax

from phasepilot.models.arrays import Array, BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.estimation.pattern_lines import PatternLines, find_lines
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.preparation import PreparedPattern

A_MIN_ANGSTROM, A_MAX_ANGSTROM = 2.4, 25.0
MAX_LOG_ODDS = 6.0
# Index of the first cubic space group, 195.
_FIRST_CUBIC = 194
_LEAST_PROBABLE = 0.02
# Two lines fit some cubic lattice whatever they are.
MIN_LINES = 3
# Rows of `CubicIndexing.features`; printed by benchmarks/cubic_indexing.py.
INTERCEPT = 1.97
COEFFICIENTS = (1.37, 0.58, -2.89, -1.67, -2.31)

# What an uncorrected zero shift or sample displacement does to q: 0.03 degree with Cu K-alpha.
_ZERO_ERROR_PER_ANGSTROM = 0.002
_MAX_ZERO_PER_ANGSTROM = 0.008
# Share of lines that belong to something else.
_STRAY = 0.05
_N_REFINED = 8
_CENTRINGS = "PIFD"
_DOUBLE = np.dtype(np.float64)
# The largest N of lines, and of those that edges are proposed with.
_MAX_NUMBER, _MAX_PROPOSED = 700, 40


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
class _Lattices:
    """Edges as ln (2 pi / a), and the place in `_CENTRINGS` of each one's centring, rising."""

    log_scale: FloatArray
    centring: IntArray


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
    lines = find_lines(prepared)
    n_lines = lines.q_per_angstrom.size
    if n_lines < MIN_LINES:
        return _nothing(n_lines)
    lattices = _proposals(lines)
    if not lattices.log_scale.size:
        return _nothing(n_lines)
    return _indexing(lines, _best_fit(lines, lattices))


def _nothing(n_lines: int) -> CubicIndexing:
    """Return that no lattice was found."""
    return CubicIndexing(float("nan"), "", 0.0, 0.0, 0.0, n_lines, 0, 0)


@cache
def _allowed(centring: str) -> IntArray:
    """Return h^2 + k^2 + l^2 of all lines up to `_MAX_NUMBER`, rising."""
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
    return np.asarray(numbers[(numbers > 0) & (numbers <= _MAX_NUMBER)])


@dataclass(frozen=True, slots=True)
class _Allowed:
    """Lines of all four centrings, one behind the other, and which is nearest to what.

    Attributes
    ----------
    number : ndarray of int, shape (n_allowed,)
        N, rising within each centring.
    root, log_root : ndarray, shape (n_allowed,)
        Of N.
    gap : ndarray, shape (n_allowed,)
        Half the distance in ln q between the neighbours of each line.
    upper : ndarray, shape (n_allowed,)
        Below this N, whole or not, the line is nearer in ln q than the next; infinite for the last.
    nearest : ndarray of int, shape (n_centrings, _MAX_NUMBER + 2)
        The line nearest to each whole N. From there to the next whole number it can change once.
    proposed_log_root : ndarray, shape (n_proposed,)
        Half the ln of those small N that edges are proposed with, and
    proposed_centring : ndarray of int, shape (n_proposed,)
        the place in `_CENTRINGS` of the centring that has it.
    """

    number: IntArray
    root: FloatArray
    log_root: FloatArray
    gap: FloatArray
    upper: FloatArray
    nearest: IntArray
    proposed_log_root: FloatArray
    proposed_centring: IntArray


@cache
def _all_allowed(precision: np.dtype[Any] = _DOUBLE) -> _Allowed:
    numbers = [_allowed(centring) for centring in _CENTRINGS]
    gaps, uppers, nearest = [], [], []
    start = 0
    for some in numbers:
        steps = np.diff(np.log(some) / 2)
        # Nothing lies below the first line: as far as the next one above.
        steps = np.concatenate((steps[:1], steps, steps[-1:]))
        gaps.append((steps[1:] + steps[:-1]) / 2)
        uppers.append(np.append(np.sqrt(some[1:] * some[:-1]), np.inf))
        nearest.append(start + np.searchsorted(uppers[-1], np.arange(_MAX_NUMBER + 2)))
        start += some.size
    number = np.concatenate(numbers)
    small = [some[some <= _MAX_PROPOSED] for some in numbers]
    return _Allowed(
        number=number,
        root=np.sqrt(number),
        log_root=(np.log(number) / 2).astype(precision),
        gap=np.concatenate(gaps).astype(precision),
        upper=np.concatenate(uppers).astype(precision),
        nearest=np.array(nearest),
        proposed_log_root=np.log(np.concatenate(small)) / 2,
        proposed_centring=np.repeat(np.arange(len(small)), [one.size for one in small]),
    )


def _proposals(lines: PatternLines) -> _Lattices:
    """Return lattices whose edges put one of some lines on an allowed q, centring by centring."""
    strongest = np.argsort(-lines.height, kind="stable")[:3]
    some = np.unique(np.concatenate((np.arange(min(4, lines.height.size)), strongest)))
    allowed = _all_allowed()
    log_q = np.log(lines.q_per_angstrom[some])
    log_scale = (log_q - allowed.proposed_log_root[:, None]).ravel()
    centring = np.repeat(allowed.proposed_centring, some.size)
    edge = 2 * pi / np.exp(log_scale)
    is_possible = (edge >= A_MIN_ANGSTROM) & (edge <= A_MAX_ANGSTROM)
    return _Lattices(log_scale[is_possible], centring[is_possible])


def _best_fit(lines: PatternLines, proposed: _Lattices) -> _Fit:
    """Return the best lattice of all centrings, with a small zero shift."""
    q, error = lines.q_per_angstrom, lines.log_q_error
    loose = np.hypot(error, _ZERO_ERROR_PER_ANGSTROM / q)
    # Single precision is enough to choose, among hundreds, in half the time.
    rough_log_ratio = (np.log(q) - proposed.log_scale[:, None]).astype(np.float32)
    evidence = _compared(lines, rough_log_ratio, loose, proposed.centring)[2]
    best = _best_of_each(proposed.centring, evidence)
    log_ratio = np.log(q) - proposed.log_scale[best, None]
    nearest, miss, _ = _compared(lines, log_ratio, loose, proposed.centring[best])
    is_used = np.abs(miss) < 3 * loose
    scale, zero = _straight_lines(_all_allowed().root[nearest], lines, is_used)
    log_ratio = np.log(np.maximum(q - zero[:, None], 1e-3) / scale[:, None])
    centring = proposed.centring[best]
    nearest, miss, evidence = _compared(lines, log_ratio, error, centring)
    k = int(evidence.argmax())
    number = _all_allowed().number[nearest[k]]
    name = _CENTRINGS[int(centring[k])]
    return _Fit(name, 2 * pi / float(scale[k]), float(evidence[k]), number, miss[k])


def _best_of_each(centring: IntArray, evidence: FloatArray) -> IntArray:
    """Return the `_N_REFINED` lattices of each centring that explain most."""
    starts = np.searchsorted(centring, np.arange(len(_CENTRINGS) + 1)).tolist()
    return np.concatenate(
        [
            start + np.argsort(-evidence[start:stop], kind="stable")[:_N_REFINED]
            for start, stop in pairwise(starts)
        ]
    )


def _compared(
    lines: PatternLines, log_ratio: Array, error: FloatArray, centring: IntArray
) -> tuple[IntArray, Array, Array]:
    """Return what lattices make of the lines, from ln (q a / 2 pi), shape (n_lattices, n_lines).

    All is computed in the precision that these come in.

    Returns
    -------
    ndarray of int, shape (n_lattices, n_lines)
        Position in `_Allowed.number` of the nearest line.
    ndarray, shape (n_lattices, n_lines)
        How far off it is in ln q.
    ndarray, shape (n_lattices,)
        The evidence: ln (probability by the lattice : by chance).
    """
    precision = log_ratio.dtype
    allowed = _all_allowed(precision)
    number = np.exp(2 * log_ratio)
    whole = np.minimum(number, _MAX_NUMBER + 1).astype(np.intp)
    whole += centring[:, None] * allowed.nearest.shape[1]
    nearest = allowed.nearest.take(whole)
    nearest += number > allowed.upper.take(nearest)
    miss = log_ratio - allowed.log_root.take(nearest)
    density = miss * (1 / error).astype(precision)
    density *= density
    density *= -0.5
    np.exp(density, out=density)
    density *= allowed.gap.take(nearest)
    density *= ((1 - _STRAY) / (error * (2 * pi) ** 0.5)).astype(precision)
    density += _STRAY
    weight = ((lines.height / lines.height.max()) ** 0.25).astype(precision)
    return nearest, miss, np.log(density, out=density) @ weight


def _straight_lines(
    root: FloatArray, lines: PatternLines, is_used: BoolArray
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


def _indexing(lines: PatternLines, fit: _Fit) -> CubicIndexing:
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
