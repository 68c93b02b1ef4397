"""From finished samples to the next ones: results in, plans in a queue out, within limits."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from phasepilot.agent.errors import QueueError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.worker import Worker
from phasepilot.models.steering.sample_belief import SampleEvidence, SampleSite
from phasepilot.models.steering.sample_order import SampleOrder, ScreeningState
from phasepilot.models.suggestion import Action, Advice, Suggestion

logger = logging.getLogger(__name__)

_PATIENCE_S = 60.0
_MAX_PROBLEMS = 1000


class Queue(Protocol):
    """Where plans wait: `phasepilot.agent.queueserver.plan_queue.PlanQueue`."""

    def waiting(self) -> Sequence[Any]:
        """Return the plans for samples that wait, in order."""
        ...

    def put_first(self, sample: str, dwell_s: float) -> None:
        """Add a plan that is the next to run."""
        ...

    def bring_forward(self, waiting: Any) -> None:
        """Make a plan that waits the next to run."""
        ...


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What the agent may do to the queue, whatever it thinks.

    Attributes
    ----------
    max_plans : int
        That it adds altogether.
    max_visits : int
        Of one sample.
    min_dwell_s, max_dwell_s : float
        Exposure of a plan that it adds.
    max_exposure_s : float
        Sum of the exposures of one sample: its dose.
    """

    max_plans: int
    max_visits: int = 2
    min_dwell_s: float = 0.1
    max_dwell_s: float = 60.0
    max_exposure_s: float = math.inf


@dataclass(slots=True)
class _SampleRun:
    """The run of one sample, as its documents tell."""

    sample: str
    exposure_s: float = 0.0
    advice: "Future[Advice] | None" = None
    seen: dict[int, float] = field(default_factory=dict)


class QueueScreening:
    """Decides after each sample which is measured next, and puts that into the queue.

    Take the documents of the RE Manager's RunEngine to it, after the agent::

        screening = QueueScreening(agent, SampleOrder(settings), sites, PlanQueue(address), limits)
        screening.begin()
        AgentServer(agent, addresses, also=(screening,)).serve()

    A sample that is not settled is measured again, longer; else the most telling one comes next:
    it is brought forward if it waits in the queue already, and added if not. The order of the rest,
    and plans of other kinds, stay as people put them. Runs are known by ``sample_name`` in their
    start document. Nothing is raised: what went wrong stands in `problems`.

    Parameters
    ----------
    agent : PhaseAgent
        Its rule must name an answer with its probability, such as `ThresholdSettings`.
    order : SampleOrder
    samples : sequence of SampleSite
    queue : Queue
    limits : QueueLimits
    clock : callable
        Seconds, for the budget of the order.
    """

    def __init__(
        self,
        agent: PhaseAgent,
        order: SampleOrder,
        samples: Sequence[SampleSite],
        queue: Queue,
        limits: QueueLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agent = agent
        self._order = order
        self._queue = queue
        self._limits = limits
        self._clock = clock
        self._began_s = clock()
        self._runs: dict[str, _SampleRun] = {}
        self._run_of: dict[str, str] = {}
        self._visits: dict[str, int] = {}
        # Documents come in one thread; the manager, which may be slow, is talked to in another.
        self._worker = Worker("phasepilot-queue")
        self.state = ScreeningState(tuple(samples))
        self.n_added = 0
        self.problems: deque[str] = deque(maxlen=_MAX_PROBLEMS)
        self.decisions: list[Suggestion] = []

    def begin(self) -> None:
        """Put the first sample into the queue."""
        self._worker.submit(lambda: self._carry_out(self._order.advise(self.state)))

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take one document; never raises."""
        try:
            self._take(name, doc)
        except Exception as error:  # the one place where nothing may pass to the sender
            self._note(f"a {name} document was passed over: {type(error).__name__}: {error}")

    def wait(self, timeout_s: float = 10.0) -> bool:
        """Wait until every decision so far is in the queue; False when that took too long."""
        return self._worker.drain(timeout_s)

    def _take(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "start" and "sample_name" in doc:
            self._runs[doc["uid"]] = _SampleRun(str(doc["sample_name"]))
        elif name == "descriptor" and doc["run_start"] in self._runs:
            if doc.get("name") == self._agent.configuration.stream:
                self._run_of[doc["uid"]] = doc["run_start"]
        elif name == "event" and doc["descriptor"] in self._run_of:
            self._expose(self._run_of[doc["descriptor"]], doc)
        elif name == "stop" and doc["run_start"] in self._runs:
            run = self._runs.pop(doc["run_start"])
            uid, is_failed = doc["run_start"], doc.get("exit_status", "success") != "success"
            self._run_of = {key: owner for key, owner in self._run_of.items() if owner != uid}
            self._worker.submit(lambda: self._conclude(run, is_failed=is_failed))

    def _expose(self, run_uid: str, event: Mapping[str, Any]) -> None:
        run, seq_num = self._runs[run_uid], int(event["seq_num"])
        key = self._agent.configuration.exposure_field
        run.seen[seq_num] = float(event["data"].get(key, 1.0))
        run.exposure_s = sum(run.seen.values())
        run.advice = self._agent.advice(run_uid, self._agent.configuration.stream, seq_num)

    def _conclude(self, run: _SampleRun, *, is_failed: bool) -> None:
        advice = run.advice.result(_PATIENCE_S) if run.advice else None
        before = self.state.evidence.get(run.sample, SampleEvidence())
        probabilities = dict(before.probabilities)
        if advice is not None and advice.answer and math.isfinite(advice.answer_probability):
            # Of several runs the last one counts: it was exposed longest.
            probabilities = {advice.answer: advice.answer_probability}
        elif not is_failed:
            told = advice.problem if advice else "it has no frames"
            self._note(f"sample {run.sample} was measured, but not named: {told}")
        self._visits[run.sample] = self._visits.get(run.sample, 0) + 1
        found = SampleEvidence(
            probabilities=probabilities,
            exposure_s=before.exposure_s + run.exposure_s,
            is_left=not self._may_return(run.sample, before.exposure_s + run.exposure_s),
            is_failed=is_failed,
        )
        self._know(run.sample, found)
        self.state = replace(self.state, here=run.sample, elapsed_s=self._clock() - self._began_s)
        self._carry_out(self._order.advise(self.state))

    def _may_return(self, sample: str, exposure_s: float) -> bool:
        limits = self._limits
        is_known = bool(self.state.evidence.get(sample, SampleEvidence()).is_open)
        has_visits = self._visits[sample] < limits.max_visits
        return is_known and has_visits and exposure_s + limits.min_dwell_s <= limits.max_exposure_s

    def _know(self, sample: str, found: SampleEvidence) -> None:
        evidence = {**self.state.evidence, sample: found}
        self.state = replace(self.state, evidence=evidence)

    def _carry_out(self, suggestion: Suggestion) -> None:
        self.decisions.append(suggestion)
        logger.info("%s: %s", suggestion.action.value, suggestion.reason)
        if suggestion.action is Action.EXPOSE:
            self._put_first(self.state.here, suggestion.dwell_s)
        elif suggestion.action is Action.MOVE:
            self._leave_for(suggestion)

    def _leave_for(self, suggestion: Suggestion) -> None:
        here = self.state.here
        if here:
            self._know(here, replace(self.state.evidence[here], is_left=True))
        try:
            waiting = [plan for plan in self._queue.waiting() if plan.sample == suggestion.target]
            if waiting:
                self._queue.bring_forward(waiting[0])
                return
        except QueueError as error:
            self._note(str(error))
            return
        self._put_first(suggestion.target, suggestion.dwell_s)

    def _put_first(self, sample: str, dwell_s: float) -> None:
        limits = self._limits
        if self.n_added >= limits.max_plans:
            self._note(f"{sample} is not measured: all {limits.max_plans} plans were added")
            return
        wanted_s = dwell_s if math.isfinite(dwell_s) else self._order.settings.first_dwell_s
        spent_s = self.state.evidence.get(sample, SampleEvidence()).exposure_s
        left_s = min(limits.max_dwell_s, limits.max_exposure_s - spent_s)
        try:
            self._queue.put_first(sample, min(max(wanted_s, limits.min_dwell_s), left_s))
            self.n_added += 1
        except QueueError as error:
            self._note(str(error))

    def _note(self, sentence: str) -> None:
        logger.warning("%s", sentence)
        self.problems.append(sentence)
