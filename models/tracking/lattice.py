"""The cell of a known crystal from the lines of a frame, within its symmetry.

1/d^2 is linear in the reciprocal metric, so that the cell follows from the positions of lines by
linear least squares, as many unknowns as symmetry leaves free.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.special import stdtrit

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.strain import (
    LENGTHS,
    free_cell_parameters,
    strained,
)
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.identification.known_phase import KnownPhase
from phasepilot.models.identification.lattice_modes import lattice_modes
from phasepilot.models.log_q import LogQGrid

_N_LINES = 24
# A line this much of the strongest is looked for; and none has another line this near, in bins,
# with more than a fifth of its strength.
_FAINTEST = 0.03
_APART_BINS = 8
_REACH_BINS = 6
_N_ROUNDS = 3
# No line is placed better than this, whatever its counts.
_BEST_PLACED_BINS = 0.04


@dataclass(frozen=True, slots=True)
class KnownLines:
    """The lines of a crystal that stand alone, for `refined_cell`.

    Attributes
    ----------
    hkl : ndarray of int, shape (n_lines, 3)
    strength : ndarray, shape (n_lines,)
    basis : ndarray, shape (n_free, 3, 3)
        How the reciprocal metric changes with each parameter that symmetry leaves free.
    metric : ndarray, shape (3, 3)
        The reciprocal metric of the crystal, in 1/angstrom^2.
    """

    hkl: IntArray
    strength: FloatArray
    basis: FloatArray
    metric: FloatArray


@dataclass(frozen=True, slots=True)
class Lattice:
    """A cell with the standard deviations of its numbers; NaN where it could not be refined.

    Attributes
    ----------
    cell : tuple of float
        a, b, c in angstrom, alpha, beta, gamma in degree.
    uncertainties : tuple of float
        In the same units.
    volume_angstrom3, volume_uncertainty_angstrom3 : float
    n_lines : int
        How many lines it rests on.
    share_found : float
        How much of the lines that should be in view was found, by the roots of their strengths.
    metric : ndarray, shape (3, 3)
        Reciprocal metric, to start the next frame from.
    strength_scatter : float
        Of the logarithms of the lines' strengths about those of the crystal, by the roots of these:
        some tenths for a powder, 1 or more for lines of something else that lie where they should.
    """

    cell: tuple[float, ...]
    uncertainties: tuple[float, ...]
    volume_angstrom3: float
    volume_uncertainty_angstrom3: float
    n_lines: int
    metric: FloatArray
    share_found: float = 0.0
    strength_scatter: float = math.inf

    @property
    def is_refined(self) -> bool:
        """Whether there were enough lines."""
        return bool(np.isfinite(self.volume_angstrom3))


def known_lines(crystal: Crystal, grid: LogQGrid) -> KnownLines:
    """Return the lines of the crystal that can be told from their neighbours."""
    sticks = powder_sticks(crystal, grid.q_max_per_angstrom)
    chosen, strength = _alone(sticks.q_per_angstrom, sticks.structure_factor_squared, grid)
    reciprocal = crystal.reciprocal
    return KnownLines(sticks.hkl[chosen], strength, _basis(crystal), reciprocal @ reciprocal.T)


def lines_of_phase(phase: KnownPhase, grid: LogQGrid) -> KnownLines:
    """Return the same of a phase of a library, which is in its standard setting."""
    chosen, strength = _alone(phase.q_per_angstrom, phase.strength, grid)
    modes = lattice_modes()[phase.space_group_number]
    free = modes[np.abs(modes).sum(axis=(1, 2)) > 0]
    reciprocal = phase.reciprocal
    # A strain E takes a reciprocal vector b to b - E b.
    basis = -2 * np.einsum("ix,mxy,jy->mij", reciprocal, free, reciprocal)
    return KnownLines(phase.hkl[chosen], strength, basis, reciprocal @ reciprocal.T)


def _alone(
    q_per_angstrom: FloatArray, structure_factor_squared: FloatArray, grid: LogQGrid
) -> tuple[IntArray, FloatArray]:
    """Return which lines stand alone, the strongest first, and how strong those are."""
    # Lorentz factor of small angles; only the order of strengths matters.
    strength = structure_factor_squared / q_per_angstrom**2
    log_q = np.log(q_per_angstrom)
    near = np.abs(log_q[:, None] - log_q) < _APART_BINS * grid.bin_width
    # Families that share a q (333 and 511 of a cube) are one line.
    is_other = near & (np.abs(log_q[:, None] - log_q) > 1e-6)
    disturbance = (is_other * strength).sum(axis=1)
    is_alone = (strength > _FAINTEST * strength.max()) & (disturbance < 0.2 * strength)
    is_alone &= q_per_angstrom > grid.q_min_per_angstrom
    is_alone &= q_per_angstrom < grid.q_max_per_angstrom
    chosen = np.flatnonzero(is_alone)
    chosen = chosen[np.argsort(-strength[chosen])][:_N_LINES]
    return chosen, strength[chosen]


def _basis(crystal: Crystal) -> FloatArray:
    """Return the changes of the reciprocal metric that symmetry allows, by small strains."""
    metric = crystal.reciprocal @ crystal.reciprocal.T
    step = 1e-4
    rows = []
    for name in free_cell_parameters(crystal.setting):
        changed = (
            strained(crystal, {name: step})
            if name in LENGTHS
            else strained(crystal, {}, {name: np.degrees(step)})
        )
        rows.append((changed.reciprocal @ changed.reciprocal.T - metric) / step)
    return np.stack(rows)


def starting_strains(
    lines: KnownLines,
    signal: FloatArray,
    grid: LogQGrid,
    *,
    lowest: float = -0.2,
    highest: float = 0.05,
    n_best: int = 1,
) -> list[float]:
    """Return the linear strains at which the lines meet a frame's best, the best first.

    To start `refined_cell` from, when the sample may be far from where its crystal was measured.
    They lie further apart than `refined_cell` looks. Where lines of something stronger are there,
    the best need not be the true one.
    """
    root = np.sqrt(np.maximum(uniform_filter1d(signal, 5), 0.0))
    squared = np.einsum("li,ij,lj->l", lines.hkl, lines.metric, lines.hkl)
    log_q0 = np.log(grid.q_per_angstrom[0])
    place = (np.log(2 * np.pi * np.sqrt(squared)) - log_q0) / grid.bin_width
    shifts = np.arange(-np.log1p(highest), -np.log1p(lowest), grid.bin_width) / grid.bin_width
    bins = np.rint(place + shifts[:, None]).astype(int)
    is_inside = (bins >= 0) & (bins < root.size)
    seen = np.where(is_inside, root[np.clip(bins, 0, root.size - 1)], 0.0)
    weight = np.sqrt(lines.strength)
    # Lines beyond the range say nothing; a strain that leaves most of them there is no match.
    known = (is_inside * weight).sum(axis=1)
    score = (np.minimum(seen, np.quantile(root, 0.995)) * weight).sum(axis=1)
    score = np.where(known > 0.5 * weight.sum(), score / np.maximum(known, 1e-12), 0.0)
    found = []
    for _ in range(n_best):
        best = int(score.argmax())
        found.append(float(np.expm1(-shifts[best] * grid.bin_width)))
        score[max(0, best - _REACH_BINS) : best + _REACH_BINS + 1] = -1.0
    return found


def refined_cell(
    lines: KnownLines,
    signal: FloatArray,
    grid: LogQGrid,
    *,
    start: FloatArray | None = None,
    strain: float = 0.0,
) -> Lattice:
    """Return the cell whose lines lie where the frame shows them.

    Parameters
    ----------
    signal : ndarray, shape (n_bins,)
        Intensity above background.
    start : ndarray, shape (3, 3), optional
        Reciprocal metric to look around; that of the crystal, strained, unless given.
    strain : float
        Linear strain to start from.
    """
    metric = lines.metric / (1 + strain) ** 2 if start is None else start
    covariance = np.full((len(lines.basis),) * 2, np.nan)
    n_used = 0
    for _ in range(_N_ROUNDS):
        squared = np.einsum("li,ij,lj->l", lines.hkl, metric, lines.hkl)
        found, weight = _centres(signal, grid, np.log(2 * np.pi * np.sqrt(squared)))
        measured = np.exp(2 * found) / (4 * np.pi**2)
        design = np.einsum("li,pij,lj->lp", lines.hkl, lines.basis, lines.hkl)
        # A bin is the same relative error of 1/d^2 everywhere.
        relative, residual = design / squared[:, None], (measured - squared) / squared
        is_used = weight > 0
        weight = _robust(weight, relative, residual, is_used)
        n_used = int((weight > 0).sum())
        if n_used <= len(lines.basis):
            return _none(n_used, metric)
        normal = (relative * weight[:, None]).T @ relative
        ridge = 1e-9 * np.trace(normal) * np.eye(len(normal))
        change = np.linalg.solve(normal + ridge, (relative * weight[:, None]).T @ residual)
        metric = metric + np.tensordot(np.clip(change, -0.01, 0.01), lines.basis, axes=1)
        left = residual - relative @ change
        n_free = n_used - len(change)
        scatter = max(float(weight @ left**2) / n_free, _least_scatter(weight, grid))
        # Few lines know their scatter badly: two deviations shall hold 95 % (Student).
        scatter *= (float(stdtrit(n_free, 0.975)) / 1.96) ** 2
        covariance = scatter * np.linalg.inv(normal + ridge)
    return replace(
        _lattice(metric, lines, covariance, n_used),
        share_found=_share(lines, signal, grid, metric, weight > 0),
        strength_scatter=_strength_scatter(lines, squared, weight),
    )


def _least_scatter(weight: FloatArray, grid: LogQGrid) -> float:
    """Return the scatter of lines that are placed as well as the bins allow."""
    return float((2 * _BEST_PLACED_BINS * grid.bin_width) ** 2 * weight[weight > 0].mean())


def _strength_scatter(lines: KnownLines, squared: FloatArray, weight: FloatArray) -> float:
    """Return how far the strengths that were found are from the crystal's, in logarithms."""
    is_used = weight > 0
    # Bins of ln q hold the mean intensity of what they cover: another 1/q beside Lorentz's factor.
    expected = lines.strength[is_used] / np.sqrt(squared[is_used])
    ratio = np.log(weight[is_used] ** 2 / expected)
    root = np.sqrt(expected)
    centred = ratio - np.average(ratio, weights=root)
    return float(np.sqrt(np.average(centred**2, weights=root)))


def _share(
    lines: KnownLines, signal: FloatArray, grid: LogQGrid, metric: FloatArray, is_used: BoolArray
) -> float:
    """Return how much of the lines within the measured range is used."""
    q = 2 * np.pi * np.sqrt(np.einsum("li,ij,lj->l", lines.hkl, metric, lines.hkl))
    measured = grid.q_per_angstrom[np.flatnonzero(signal > 0)]
    is_in_view = (q > measured[0]) & (q < measured[-1])
    root = np.sqrt(lines.strength)
    return float(root[is_used].sum() / max(root[is_in_view | is_used].sum(), 1e-12))


def _centres(
    signal: FloatArray, grid: LogQGrid, expected_log_q: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return ln q of each line's centre near where it is expected, and its weight; 0 for no line.

    The centre of gravity of what lies above half the maximum; steps of the window follow it.
    """
    log_q0 = float(np.log(grid.q_per_angstrom[0]))
    place = (expected_log_q - log_q0) / grid.bin_width
    window = np.arange(-_REACH_BINS, _REACH_BINS + 1)
    centre = np.rint(place).astype(int)
    is_inside = (centre > 2 * _REACH_BINS) & (centre < signal.size - 2 * _REACH_BINS)
    centre = np.where(is_inside, centre, 2 * _REACH_BINS)
    rows = signal[centre[:, None] + window]
    centre = centre + rows.argmax(axis=1) - _REACH_BINS
    rows = signal[np.clip(centre[:, None] + window, 0, signal.size - 1)]
    height = rows.max(axis=1, keepdims=True)
    above = np.maximum(rows - 0.4 * height, 0.0)
    mass = above.sum(axis=1)
    found = centre + (above * window).sum(axis=1) / np.maximum(mass, 1e-12)
    floor = np.median(np.abs(signal)) + 1e-12
    is_line = is_inside & (height[:, 0] > 5 * floor) & (np.abs(found - place) < _REACH_BINS)
    weight = np.where(is_line, np.sqrt(np.maximum(mass, 0.0)), 0.0)
    return log_q0 + found * grid.bin_width, weight


def _robust(
    weight: FloatArray, relative: FloatArray, residual: FloatArray, is_used: BoolArray
) -> FloatArray:
    """Return weights without lines that lie far from where most of the others say."""
    if is_used.sum() <= relative.shape[1] + 1:
        return weight
    root = np.sqrt(weight)[:, None]
    fit, *_ = np.linalg.lstsq(root * relative, root[:, 0] * residual, rcond=None)
    left = np.abs(residual - relative @ fit)
    limit = 4 * 1.4826 * float(np.median(left[is_used])) + 1e-6
    return np.where(left < limit, weight, 0.0)


def _lattice(metric: FloatArray, lines: KnownLines, covariance: FloatArray, n_used: int) -> Lattice:
    parameters = _parameters(metric)
    step = 1e-6
    slopes = np.stack(
        [(_parameters(metric + step * one) - parameters) / step for one in lines.basis], axis=1
    )
    spread = np.sqrt(np.maximum(np.einsum("ip,pq,iq->i", slopes, covariance, slopes), 0.0))
    return Lattice(
        tuple(parameters[:6].tolist()),
        tuple(spread[:6].tolist()),
        float(parameters[6]),
        float(spread[6]),
        n_used,
        metric,
    )


def _parameters(metric: FloatArray) -> FloatArray:
    """Return a, b, c, alpha, beta, gamma and the volume of a reciprocal metric."""
    direct = np.linalg.inv(metric)
    lengths = np.sqrt(np.diag(direct))
    a, b, c = lengths
    cosines = np.array([direct[1, 2] / (b * c), direct[0, 2] / (a * c), direct[0, 1] / (a * b)])
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return np.concatenate([lengths, angles, [np.sqrt(max(np.linalg.det(direct), 0.0))]])


def _none(n_used: int, metric: FloatArray) -> Lattice:
    nothing = (float("nan"),) * 6
    return Lattice(nothing, nothing, float("nan"), float("nan"), n_used, metric)
