"""A virtual diffractometer, rules that drive it, and how long each takes to be right.

A rule is run once with a threshold that it hardly reaches, and every state on its way is kept: at
any looser threshold it would have done the same and stopped sooner. So one run gives time and error
for all thresholds, and rules are compared where they err equally often.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import FloatArray
from phasepilot.models.pattern import MIN_POINTS, Pattern
from phasepilot.models.steering.hypotheses import (
    CellCounts,
    Hypotheses,
    HypothesisSource,
    ModelError,
    ScanAxis,
)
from phasepilot.models.steering.policy import Policy, Sight
from phasepilot.models.steering.scan import (
    ScanCost,
    ScanSettings,
    ScanState,
    believed,
    is_explained,
)
from phasepilot.models.suggestion import Action, Suggestion

# Of probabilities of error, from loose to strict.
THRESHOLDS = np.array([1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003])
_MOST_STEPS = 40


class Sample(Protocol):
    """What is on the diffractometer."""

    def count(self, two_theta_deg: FloatArray, dwell_s: float, step_deg: float) -> "Points":
        """Return the points that a window gives."""
        ...


@dataclass(frozen=True, slots=True)
class Points:
    """Counted points."""

    two_theta_deg: FloatArray
    counts: FloatArray
    exposure_s: FloatArray


@dataclass(frozen=True, slots=True)
class SimulatedSample:
    """A sample whose true rates are known, counted by a point detector.

    Attributes
    ----------
    rate_per_s : ndarray, shape (n_points,)
        On the points of the axis.
    """

    axis: ScanAxis
    rate_per_s: FloatArray
    rng: Generator

    def count(self, two_theta_deg: FloatArray, dwell_s: float, step_deg: float) -> Points:
        """Return Poisson counts."""
        del step_deg
        rate = self.rate_per_s[self.axis.point_of(two_theta_deg)]
        counts = self.rng.poisson(rate * dwell_s).astype(np.float64)
        return Points(two_theta_deg, counts, np.full(two_theta_deg.size, dwell_s))


@dataclass(frozen=True, slots=True)
class RecordedSample:
    """A sample that was measured fast and slowly: windows are cut out of the two scans.

    Points at least as far apart as those of the fast scan come from there, every n-th of them;
    finer ones from the slow scan. The counting time of a point is the recorded one of either.

    Attributes
    ----------
    fast, slow : Points
    """

    fast: Points
    slow: Points

    def count(self, two_theta_deg: FloatArray, dwell_s: float, step_deg: float) -> Points:
        """Return recorded points."""
        del dwell_s
        fast_step = float(np.median(np.diff(self.fast.two_theta_deg)))
        source = self.fast if step_deg > 0.9 * fast_step else self.slow
        step = float(np.median(np.diff(source.two_theta_deg)))
        every = max(1, round(step_deg / step))
        numbers = np.arange(source.two_theta_deg.size)
        low, high = two_theta_deg[0] - step_deg / 2, two_theta_deg[-1] + step_deg / 2
        inside = (source.two_theta_deg >= low) & (source.two_theta_deg < high)
        chosen = inside & (numbers % every == 0)
        return Points(
            source.two_theta_deg[chosen], source.counts[chosen], source.exposure_s[chosen]
        )


@dataclass(slots=True)
class VirtualDiffractometer:
    """An arm, a detector and a clock; what was measured so far, as one growing pattern."""

    sample: Sample
    cost: ScanCost
    wavelength_angstrom: float
    elapsed_s: float = 0.0
    position_deg: float = float("nan")
    points: list[Points] = field(default_factory=list)

    def measure(self, window: Suggestion) -> None:
        """Do what a suggestion says."""
        start, stop, step = window.region_start, window.region_stop, window.step
        # Always the same angles of a step, so that windows that meet do not overlap.
        first, last = np.ceil(start / step - 1e-6), np.ceil(stop / step - 1e-6)
        angles = np.arange(first, last, dtype=np.float64) * step
        counted = self.sample.count(angles, window.dwell_s, step)
        self.elapsed_s += float(
            self.cost.seconds(start, stop - start, step, window.dwell_s, self.position_deg)
        )
        self.position_deg = stop
        self.points.append(counted)

    def sight(self, seq_num: int) -> Sight:
        """Return what an advisor is shown."""
        angles = np.concatenate([[], *(one.two_theta_deg for one in self.points)])
        if angles.size < MIN_POINTS:
            return Sight(seq_num=seq_num, axis_value=self.position_deg, elapsed_s=self.elapsed_s)
        counts = np.concatenate([one.counts for one in self.points])
        exposure = np.concatenate([one.exposure_s for one in self.points])
        places, which = np.unique(np.round(angles, 6), return_inverse=True)
        counts = np.bincount(which, counts).astype(np.float64)
        # A pattern cannot be dark altogether.
        counts[0] += 1e-9
        return Sight(
            seq_num=seq_num,
            axis_value=self.position_deg,
            elapsed_s=self.elapsed_s,
            pattern=Pattern.from_two_theta(
                places, counts, wavelength_angstrom=self.wavelength_angstrom
            ),
            exposure_s=np.bincount(which, exposure).astype(np.float64),
        )


@dataclass(frozen=True, slots=True)
class RememberedSource:
    """A source that answers the last sight twice without working twice."""

    source: HypothesisSource
    last: dict[int, Hypotheses] = field(default_factory=dict)

    @property
    def axis(self) -> ScanAxis:
        """As the source's."""
        return self.source.axis

    @property
    def error(self) -> ModelError:
        """As the source's."""
        return self.source.error

    def hypotheses(self, counted: CellCounts, sight: Sight) -> Hypotheses:
        """As the source's."""
        if sight.seq_num not in self.last:
            self.last.clear()
            self.last[sight.seq_num] = self.source.hypotheses(counted, sight)
        return self.last[sight.seq_num]


@dataclass(frozen=True, slots=True)
class Step:
    """A state on the way of a scan.

    Attributes
    ----------
    doubt : float
        What the rule's threshold is held against: 1 less the probability of the best answer;
        infinite while the rule does not look at it.
    stated_error : float
        1 less the probability of the best answer.
    """

    elapsed_s: float
    doubt: float
    stated_error: float
    is_right: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """The way of one scan."""

    steps: tuple[Step, ...]

    def stopped_at(self, threshold: float) -> Step:
        """Return where the scan stops with this threshold."""
        return next((step for step in self.steps if step.doubt <= threshold), self.steps[-1])


def traced(
    policy: Policy[ScanState],
    source: RememberedSource,
    settings: ScanSettings,
    device: VirtualDiffractometer,
    *,
    truth: str,
) -> Trace:
    """Return the way of a scan that a rule steers.

    Parameters
    ----------
    truth : str
        The right answer, as hypotheses are called.
    """
    state, steps = policy.first_state(), list[Step]()
    for seq_num in range(_MOST_STEPS):
        sight = device.sight(seq_num)
        suggestion, state = policy.advise(state, sight)
        if sight.pattern is not None:
            belief = believed(source, sight)
            stated = belief.probability_of_error
            steps.append(
                Step(
                    elapsed_s=sight.elapsed_s,
                    doubt=stated if is_explained(belief, settings) else np.inf,
                    stated_error=stated,
                    is_right=belief.judgement.best_name == truth,
                )
            )
        if suggestion.action is Action.STOP:
            break
        device.measure(suggestion)
    return Trace(tuple(steps))


@dataclass(frozen=True, slots=True)
class Sweep:
    """Time and error of a rule at every setting of its threshold, seed by seed.

    Attributes
    ----------
    time_s, error, stated_error : ndarray, shape (n_settings, n_seeds)
        Means over the scans of a seed.
    """

    time_s: FloatArray
    error: FloatArray
    stated_error: FloatArray

    @property
    def least_error(self) -> float:
        """The fewest errors that any setting makes."""
        return float(self.error.mean(axis=1).min())

    def fastest(self, largest_error: float) -> int:
        """Return the fastest setting of those that err at most so often."""
        is_good = self.error.mean(axis=1) <= largest_error + 1e-12
        return int(np.where(is_good, self.time_s.mean(axis=1), np.inf).argmin())


def swept(scans_of_seeds: Sequence[Sequence[Trace]]) -> Sweep:
    """Return what the same scans would have taken with every threshold."""
    ends = [
        [[scan.stopped_at(float(one)) for scan in scans] for scans in scans_of_seeds]
        for one in THRESHOLDS
    ]
    return sweep_of_ends(ends)


def sweep_of_ends(ends: Sequence[Sequence[Sequence[Step]]]) -> Sweep:
    """Return the means over the ends of scans, by setting and seed."""

    def means(quantity: str) -> FloatArray:
        return np.array(
            [[np.mean([getattr(end, quantity) for end in seed]) for seed in row] for row in ends],
            dtype=np.float64,
        )

    return Sweep(means("elapsed_s"), 1 - means("is_right"), means("stated_error"))
