"""Measure what lowers a bound on the probability of error most for each second that it takes.

Hypotheses a and b with probabilities p that further counts tell apart by the Bhattacharyya
coefficient BC leave at most sqrt(p_a p_b) BC of error between them (Kailath, IEEE Trans. Commun.
Technol. 15, 52 (1967)), so that

    B = sum over pairs of sqrt(p_a p_b)
    E[B after an action] = sum over pairs of sqrt(p_a p_b) BC_ab(action)

and an action that costs c seconds is worth (B - E[B after]) / c. BC has a closed form for counts
(`phasepilot.models.steering.counting`), and saturates where models are as wrong as hypotheses
differ: dwelling stops to pay there, and angles that were not seen yet begin to.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.steering.hypotheses import (
    CellCounts,
    Hypotheses,
    HypothesisSource,
    ModelError,
    rate_variance,
)
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.scan import (
    Belief,
    ScanSettings,
    ScanState,
    believed,
    first_pass,
    is_explained,
    over_budget,
    stop,
)
from phasepilot.models.suggestion import Action, Suggestion

_LEAST_EXPECTED = 1e-9


class InformationRateSettings(ScanSettings):
    """Which actions are weighed, and when none pays.

    Attributes
    ----------
    windows_deg : tuple of float
        Widths, each a multiple of the first, which is a whole number of cells.
    steps_deg, dwells_s : tuple of float
    value_per_s : float
        Drop of the error bound that a second of beam time is worth: if nothing gives as much, the
        scan ends.
    settles_with_set : float
        If the network's conformal set holds one space group, this bound is enough; 0 to ignore it.
    settled_by : {"probability", "bound"}
        What `largest_error` is held against: the probability of error, or the bound on it, which
        many improbable hypotheses keep high.
    repeats : {"counts", "nothing"}
        What measuring the same points again gives; nothing in a replay of recorded data.
    """

    policy: Literal["information_rate"] = "information_rate"
    windows_deg: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0)
    steps_deg: tuple[float, ...] = (0.02, 0.04, 0.1)
    dwells_s: tuple[float, ...] = (0.01, 0.04, 0.2)
    value_per_s: float = 1e-5
    settles_with_set: float = 0.0
    settled_by: Literal["probability", "bound"] = "probability"
    repeats: Literal["counts", "nothing"] = "counts"


@dataclass(frozen=True, slots=True)
class ActionTable:
    """Every window, step and dwell with what it is expected to bring, one row an action.

    Attributes
    ----------
    start_deg, width_deg, step_deg, dwell_s : ndarray, shape (n_actions,)
    cost_s : ndarray, shape (n_actions,)
    bound : float
        On the probability of error now.
    expected_bound : ndarray, shape (n_actions,)
        After the action.
    """

    start_deg: FloatArray
    width_deg: FloatArray
    step_deg: FloatArray
    dwell_s: FloatArray
    cost_s: FloatArray
    bound: float
    expected_bound: FloatArray

    @property
    def gain_per_s(self) -> FloatArray:
        """Expected drop of the bound for each second."""
        return (self.bound - self.expected_bound) / self.cost_s


def action_table(
    belief: Belief, error: ModelError, settings: InformationRateSettings, position_deg: float
) -> ActionTable:
    """Return all actions that may be taken, with what they are worth."""
    judgement = belief.judgement
    table = _Pairs.of(belief.counted, judgement.hypotheses, judgement.probability, error)
    axis = judgement.hypotheses.axis
    n_cells = max(1, round(settings.windows_deg[0] / axis.cell_deg))
    base = _Windows(axis.start_deg, n_cells * axis.cell_deg, axis.n_cells // n_cells, n_cells)
    before = table.apart(base)
    parts = []
    for step in settings.steps_deg:
        sampled = _sampled(judgement.hypotheses, step)
        is_new = _is_new(sampled, belief.counted, settings)
        for dwell in settings.dwells_s:
            gained = table.gained(sampled.scaled(dwell * is_new), base, before)
            for width in settings.windows_deg:
                measured = (width, step, dwell)
                parts.append(_rows(table, gained, base, settings, measured, position_deg))
    start, widths, steps, dwells, cost, expected = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return ActionTable(start, widths, steps, dwells, cost, table.bound, expected)


def _is_new(
    sampled: "_Sampled", counted: CellCounts, settings: InformationRateSettings
) -> FloatArray:
    if settings.repeats == "counts":
        return np.ones(sampled.n_points.size)
    n_counted = counted.summed(np.ones(counted.counts.size))
    return np.asarray(sampled.n_points > n_counted, dtype=np.float64)


def _rows(
    table: "_Pairs",
    gained: FloatArray,
    base: "_Windows",
    settings: InformationRateSettings,
    measured: tuple[float, float, float],
    position_deg: float,
) -> tuple[FloatArray, ...]:
    width, step, dwell = measured
    n_joined = max(1, round(width / base.width_deg))
    n_windows = base.n_windows // n_joined
    members = np.repeat(np.eye(n_windows, dtype=np.float32), n_joined, axis=1)
    joined = members @ gained[: n_windows * n_joined]
    places = base.start_deg + np.arange(n_windows) * n_joined * base.width_deg
    start = np.asarray(places, dtype=np.float64)
    true_width = n_joined * base.width_deg
    full = np.ones(n_windows)
    cost = full * settings.cost.seconds(start, true_width, step, dwell, position_deg)
    expected = table.expected_bound(joined)
    return start, full * true_width, full * step, full * dwell, cost, expected


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows of equal width side by side."""

    start_deg: float
    width_deg: float
    n_windows: int
    n_cells: int

    def of(self, cells: FloatArray) -> FloatArray:
        """Return cells by window: shape (..., n_windows, n_cells)."""
        used = cells[..., : self.n_windows * self.n_cells]
        return used.reshape(*cells.shape[:-1], self.n_windows, self.n_cells)


@dataclass(frozen=True, slots=True)
class _Sampled:
    """What points a step apart add to each cell.

    Attributes
    ----------
    signal : ndarray, shape (n_hypotheses, n_cells)
    background, n_points : ndarray, shape (n_cells,)
    """

    signal: FloatArray
    background: FloatArray
    n_points: FloatArray

    def scaled(self, dwell_s: FloatArray) -> "_Sampled":
        """Return the same counted for so long, by cell."""
        return _Sampled(self.signal * dwell_s, self.background * dwell_s, self.n_points * dwell_s)


def _sampled(hypotheses: Hypotheses, step_deg: float) -> _Sampled:
    axis = hypotheses.axis
    places = np.arange(axis.start_deg, axis.start_deg + axis.n_cells * axis.cell_deg, step_deg)
    points = axis.point_of(places)
    cell = points // axis.points_per_cell
    sums = CellCounts(axis, places, places, places, cell)
    return _Sampled(
        sums.summed(hypotheses.signal_per_s[:, points]),
        sums.summed(hypotheses.background_per_s[points]),
        sums.summed(np.ones(points.size)),
    )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of hypotheses and what was counted for them.

    The separation of a pair in a window is a squared distance of roots of expected counts, scaled
    by the same model error for all pairs: one matrix product a window gives all of them.

    Attributes
    ----------
    weight : ndarray, shape (n_pairs,)
        sqrt(p_a p_b).
    share : ndarray, shape (n_hypotheses,)
        How much each hypothesis has to say about the common model error: p would let the most
        probable decide alone, so it is the root of p.
    rate_variance : ndarray, shape (n_cells,)
        Common model error of the rates.
    signal, background, exposure_s : ndarray
        Expected of what was counted, by cell.
    """

    first: IntArray
    second: IntArray
    weight: FloatArray
    share: FloatArray
    signal: FloatArray
    background: FloatArray
    exposure_s: FloatArray
    rate_variance: FloatArray
    temperature: float

    @classmethod
    def of(
        cls,
        counted: CellCounts,
        hypotheses: Hypotheses,
        probability: FloatArray,
        error: ModelError,
    ) -> "_Pairs":
        points = hypotheses.axis.point_of(counted.two_theta_deg)
        first, second = np.triu_indices(probability.size, k=1)
        roots = np.sqrt(probability)
        share = roots / roots.sum()
        return cls(
            first=first,
            second=second,
            weight=(roots[first] * roots[second]).astype(np.float32),
            share=share,
            signal=counted.summed(hypotheses.signal_per_s[:, points] * counted.exposure_s),
            background=counted.summed(hypotheses.background_per_s[points] * counted.exposure_s),
            exposure_s=counted.exposure_of_cells_s,
            rate_variance=share @ rate_variance(hypotheses, error),
            temperature=error.temperature,
        )

    @property
    def bound(self) -> float:
        return float(self.weight.sum())

    def apart(self, windows: _Windows) -> FloatArray:
        """Return how far what was counted sets each pair apart, shape (n_windows, n_pairs)."""
        return self._apart(self.signal, self.background, self.exposure_s, windows)

    def gained(self, added: _Sampled, windows: _Windows, before: FloatArray) -> FloatArray:
        """Return how much further apart each pair will be, shape (n_windows, n_pairs)."""
        after = self._apart(
            self.signal + added.signal,
            self.background + added.background,
            self.exposure_s + added.n_points,
            windows,
        )
        return np.maximum(after - before, 0.0)

    def _apart(
        self,
        signal: FloatArray,
        background: FloatArray,
        exposure_s: FloatArray,
        windows: _Windows,
    ) -> FloatArray:
        expected = signal + background
        mean = np.maximum(self.share @ expected, _LEAST_EXPECTED)
        damping = 1 + self.rate_variance * exposure_s**2 / mean
        scale = np.sqrt(1 / (2 * damping * self.temperature))
        roots = windows.of((np.sqrt(expected) * scale).astype(np.float32)).transpose(1, 0, 2)
        products = roots @ roots.transpose(0, 2, 1)
        squares = np.einsum("wii->wi", products)
        n_hypotheses = squares.shape[1]
        flat = products.reshape(windows.n_windows, -1)
        cross = flat.take(self.first * n_hypotheses + self.second, axis=1)
        both = squares.take(self.first, axis=1) + squares.take(self.second, axis=1)
        return np.asarray(both - 2 * cross)

    def expected_bound(self, gained: FloatArray) -> FloatArray:
        """Return the expected bound of each row of separations."""
        return np.asarray(np.exp(-gained) @ self.weight, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class InformationRate:
    """The rule."""

    settings: InformationRateSettings
    source: HypothesisSource

    def first_state(self) -> ScanState:
        """Return the state before anything was measured."""
        return ScanState()

    def advise(self, state: ScanState, sight: Sight) -> tuple[Suggestion, ScanState]:
        """Return the window that lowers the bound fastest, or to stop and why."""
        after = ScanState(n_passes=state.n_passes + 1)
        if sight.pattern is None:
            return first_pass(self.settings), after
        belief = believed(self.source, sight)
        ended = self._settled(belief, sight) or over_budget(belief, sight, self.settings)
        if ended is not None:
            return ended, after
        table = action_table(belief, self.source.error, self.settings, sight.axis_value)
        best = int(table.gain_per_s.argmax())
        return self._suggestion(table, best, belief), after

    def _settled(self, belief: Belief, sight: Sight) -> Suggestion | None:
        settings, judgement = self.settings, belief.judgement
        if not is_explained(belief, settings):
            return None
        wrong = belief.probability_of_error
        if (wrong if settings.settled_by == "probability" else belief.error_bound) <= (
            settings.largest_error
        ):
            told = (
                f"settled: {belief.said}; the probability of error is {wrong:.2g}, its bound"
                f" {belief.error_bound:.2g}, {judgement.unexplained:.0%} of the intensity is off"
            )
            return stop(told, belief)
        estimate = sight.estimate
        if (
            estimate is not None
            and len(estimate.space_group_set) == 1
            and estimate.verdict.is_known
            and belief.error_bound <= settings.settles_with_set
        ):
            told = (
                f"settled: {belief.said}, and only space group {estimate.space_group_set[0]} is in"
                f" the set that holds the true one with {estimate.set_level:.0%}"
            )
            return stop(told, belief)
        return None

    def _suggestion(self, table: ActionTable, best: int, belief: Belief) -> Suggestion:
        gain = float(table.gain_per_s[best])
        expected = float(table.expected_bound[best])
        if gain < self.settings.value_per_s:
            told = (
                f"irreducible, flag it: {belief.said} with an error bound of {table.bound:.2g}, and"
                f" no window lowers it by more than {gain:.1e} a second; more beam is wasted"
            )
            return stop(told, belief)
        start, width, step, dwell = (
            float(column[best])
            for column in (table.start_deg, table.width_deg, table.step_deg, table.dwell_s)
        )
        here = belief.counted.exposure_of_cells_s[
            belief.counted.axis.cell_of(np.array([start + width / 2]))
        ]
        action = _action(belief.counted, start, here=float(here[0]), step=step)
        told = (
            f"{belief.said}; {start:g} to {start + width:g} degree in steps of {step:g} for"
            f" {dwell:g} s each should lower the error bound from {table.bound:.2g} to"
            f" {expected:.2g} in {table.cost_s[best]:.3g} s, the fastest of"
            f" {table.cost_s.size} choices"
        )
        return Suggestion(
            action,
            told,
            step=step,
            region_start=start,
            region_stop=start + width,
            dwell_s=dwell,
            gain_per_s=gain,
            error_bound=table.bound,
            expected_error_bound=expected,
            cost_s=float(table.cost_s[best]),
            answer=belief.judgement.best_name,
            answer_probability=1 - belief.probability_of_error,
        )


def _action(counted: CellCounts, start_deg: float, *, here: float, step: float) -> Action:
    if here == 0:
        return Action.EXTEND
    steps = np.diff(counted.two_theta_deg)
    near = np.abs(counted.two_theta_deg[1:] - start_deg) < 1
    usual = float(np.median(steps[near])) if near.any() else math.inf
    return Action.REFINE if step < 0.9 * usual else Action.EXPOSE
