"""An advised scan along one axis, as bluesky-adaptive 1.x drives its optimizers.

It satisfies the protocols `Optimizer`, `SupportsStoppingCriteria`, `TrialFaultAware` and
`EvaluationFunction` of that package by its methods alone, and does not import it::

    scan = AdvisedOptimizer("cell", ScanLimits(...))
    problem = OptimizationProblem(scan, [cell], [detector], evaluation_function=scan.evaluate)
    steering = Steering(agent)
    RE(scan.advised(optimize(problem, iterations=None), steering, [detector]))
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from bluesky.utils import Msg

from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.advised_wrapper import advised_wrapper
from phasepilot.plans.decision import Decision
from phasepilot.plans.scan_limits import Progress, ScanLimits
from phasepilot.plans.steering import Steering

Point = Mapping[str, Any]


class AdvisedOptimizer:
    """Suggests where to measure next as the advisor does, within limits, one point at a time.

    Parameters
    ----------
    axis_name : str
        Name of the actuator.
    limits : ScanLimits
        Range, steps and number of points.
    """

    def __init__(self, axis_name: str, limits: ScanLimits) -> None:
        self._axis_name = axis_name
        self._limits = limits
        self._progress = Progress(limits.start, limits.start)
        self._decision: Decision | None = None
        self._stop_reason = ""
        self._measured: list[tuple[str, Point, Point]] = []
        self.failed: list[Point] = []

    def advised(
        self, plan: Generator[Msg, Any, Any], steering: Steering, detectors: Sequence[Any]
    ) -> Generator[Msg, Any, Any]:
        """Wrap a plan of bluesky-adaptive, so that each of its frames is asked about.

        Yields
        ------
        Msg
        """
        return advised_wrapper(plan, steering, detectors, obey=self._keep, limit=self._limited)

    def suggest(self, num_points: int | None = None) -> Sequence[Point]:
        """Return the next point; there is never more than one, as each waits for its advice."""
        if num_points not in (None, 1):
            raise ValueError(
                f"one point can be suggested at a time, but {num_points} were asked for; call"
                " the plan with n_points=1."
            )
        return [{"_id": self._id, self._axis_name: self._progress.position}]

    def evaluate(self, uid: Any, suggestions: Sequence[Point]) -> Sequence[Point]:
        """Return what was decided on the frame that was just taken, as its outcome."""
        if self._decision is None:
            raise ValueError(
                "a frame must have been asked about before its outcome, but none was; wrap the"
                " plan by `advised`, and give it the detectors that are read."
            )
        done, advice = self._decision.suggestion, self._decision.advice
        outcome = {
            "change_probability": advice.change_probability,
            "error_bound": advice.error_bound,
            "next_position": done.region_stop,
            "action": done.action.value,
            "reason": done.reason,
        }
        return [{"_id": suggestion["_id"], **outcome} for suggestion in suggestions]

    def ingest(self, points: Sequence[Point]) -> None:
        """Take the outcome of the last point and go on from it; others have no say."""
        for point in points:
            if point.get("_id") != self._id:
                continue
            place = {self._axis_name: self._progress.position}
            self._measured.append((self._id, place, point))
            if point["action"] == Action.STOP:
                self._stop_reason = str(point["reason"])
            else:
                self._progress = self._limits.moved(self._progress, point["next_position"])
            self._decision = None

    def should_stop(self) -> tuple[bool, str | None]:
        """Return whether the scan is over, and why."""
        return bool(self._stop_reason), self._stop_reason or None

    def get_best_points(self) -> Sequence[tuple[str, Point, Point]]:
        """Return the point where a change of phase was most probable, once one was measured."""
        return sorted(self._measured, key=_change_probability)[-1:]

    def register_failures(self, suggestions: Sequence[Point]) -> None:
        """Keep points that could not be measured in `failed`; the same place is suggested again."""
        self.failed.extend(suggestions)
        self._decision = None

    @property
    def _id(self) -> str:
        return f"point {self._progress.n_points}"

    def _limited(self, asked: Suggestion) -> Suggestion:
        return self._limits.limited(asked, self._progress)

    def _keep(self, decision: Decision) -> Generator[Msg, Any, None]:
        # The plan ends itself when `should_stop` says so.
        self._decision = decision
        yield from ()


def _change_probability(measured: tuple[str, Point, Point]) -> float:
    probability = float(measured[2]["change_probability"])
    return probability if probability == probability else -1.0
