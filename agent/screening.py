"""An advisor for a loop over many samples: the agent names each, an order of samples decides."""

import json
import logging
import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.replay import SAMPLE_ORDER_KEY
from phasepilot.models.steering.sample_belief import (
    ANY_OTHER,
    SampleEvidence,
    SampleMap,
    SampleSite,
)
from phasepilot.models.steering.sample_order import SampleOrder, ScreeningState
from phasepilot.models.suggestion import Action, Advice

logger = logging.getLogger(__name__)

# Under these keys a record says of which samples, and where the time was read.
SAMPLES_KEY, TIME_FIELD_KEY = "agent_samples", "agent_time_field"


class NamingAgent(Protocol):
    """Names what a sample is: a `PhaseAgent`, here or behind a `RemoteAgent`."""

    @property
    def configuration(self) -> AgentConfiguration:
        """Where it finds the frames."""
        ...

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        """Return the future advice on a frame."""
        ...

    def settings(self) -> dict[str, str | float | int]:
        """Return what goes on record with the advice."""
        ...


@dataclass(slots=True)
class _SampleRun:
    """The run of one sample, as its documents tell."""

    sample: str
    exposure_s: dict[int, float] = field(default_factory=dict)
    time_s: dict[int, float] = field(default_factory=dict)

    def exposure_up_to(self, seq_num: int) -> float:
        """Return the exposure of all frames up to one; after a pause, later ones are void."""
        return sum(seconds for number, seconds in self.exposure_s.items() if number <= seq_num)


class ScreeningAdvisor:
    """Advises `phasepilot.plans.screening_loop`: expose longer, go to which sample, or stop.

    Subscribe both, the agent first, and hand this to the plan::

        advisor = ScreeningAdvisor(agent, SampleOrder(settings), sites)
        RE.subscribe(agent)
        RE.subscribe(advisor)
        RE(screening_loop([strip], [x, y], samples, ..., advisor=advisor))

    The agent's rule must name an answer with its probability, and let repeated exposures add up:
    `ThresholdSettings` and ``frame="points"``. Where the agent has no answer its advice is passed
    on as it is. The RunEngine never sees an exception of ours.

    Parameters
    ----------
    agent : NamingAgent
    order : SampleOrder
    samples : sequence of SampleSite
        In the order of the plan, by the names that its runs carry as ``sample_name``.
    time_field : str
        Field of the events that tells the time, in seconds, for the budget of the order; unless
        given, the time of the documents themselves, as in a record.
    """

    def __init__(
        self,
        agent: NamingAgent,
        order: SampleOrder,
        samples: Sequence[SampleSite],
        *,
        time_field: str = "",
    ) -> None:
        self._agent = agent
        self._order = order
        self._time_field = time_field
        self._began_s = math.nan
        self._state = ScreeningState(tuple(samples))
        self._runs: dict[str, _SampleRun] = {}
        self._run_of_descriptor: dict[str, str] = {}
        self._given: dict[tuple[str, str, int], tuple[Future[Advice], Future[Advice]]] = {}
        # Documents come in the thread of the RunEngine, answers in that of the agent.
        self._lock = threading.Lock()

    @property
    def state(self) -> ScreeningState:
        """What is known of all samples so far."""
        with self._lock:
            return self._state

    def known(self) -> SampleMap:
        """Return what is known of all samples so far, by themselves and by their neighbours."""
        return self._order.known(self.state)

    def inferred(self, sample: str) -> Advice:
        """Return what neighbours make of a sample that was not measured; none where they do not."""
        state = self.state
        rows = [row for row, site in enumerate(state.sites) if site.name == sample]
        answer, probability = self._order.known(state).answer(rows[0]) if rows else ("", 0.0)
        if self._order.settings.neighbours is None or answer in ("", ANY_OTHER):
            return Advice.none(0, f"nothing is known of {sample}, which was not measured")
        return Advice(
            action=Action.CONTINUE.value,
            reason=f"not measured: its neighbours make it {answer} at {probability:.1%}",
            answer=answer,
            answer_probability=probability,
        )

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take one document; never raises."""
        try:
            with self._lock:
                self._take(name, doc)
        except Exception:  # the one place where nothing may pass to the RunEngine
            logger.exception("a %s document was passed over", name)

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        """Return the future advice on an exposure of a sample."""
        asked = self._agent.advice(run_uid, stream, seq_num)
        key = (run_uid, stream, seq_num)
        known = self._given.get(key)
        # After a pause the agent judges a repeated exposure anew, and so does the order.
        if known is not None and known[0] is asked:
            return known[1]
        future: Future[Advice] = Future()
        self._given = {key: (asked, future)}
        asked.add_done_callback(lambda done: future.set_result(self._decided(key, done)))
        return future

    def settings(self) -> dict[str, str | float | int]:
        """Return those of the agent, the order and its samples: enough to repeat it."""
        return {
            **self._agent.settings(),
            SAMPLE_ORDER_KEY: self._order.settings.model_dump_json(),
            SAMPLES_KEY: json.dumps([asdict(site) for site in self.state.sites]),
            TIME_FIELD_KEY: self._time_field,
        }

    def _take(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "start" and "sample_name" in doc:
            self._go_to(str(doc["uid"]), str(doc["sample_name"]))
        elif name == "descriptor" and doc["run_start"] in self._runs:
            if doc.get("name") == self._agent.configuration.stream:
                self._run_of_descriptor[doc["uid"]] = doc["run_start"]
        elif name == "event" and doc["descriptor"] in self._run_of_descriptor:
            run = self._runs[self._run_of_descriptor[doc["descriptor"]]]
            self._add_event(run, doc)
        elif name == "stop" and doc["run_start"] in self._runs:
            is_failed = doc.get("exit_status", "success") != "success"
            self._change(self._runs.pop(doc["run_start"]).sample, is_left=True, is_failed=is_failed)

    def _add_event(self, run: _SampleRun, doc: Mapping[str, Any]) -> None:
        number, data = int(doc["seq_num"]), doc["data"]
        exposure_s = float(data.get(self._agent.configuration.exposure_field, 1.0))
        time_s = float(data[self._time_field] if self._time_field else doc["time"])
        run.exposure_s[number], run.time_s[number] = exposure_s, time_s
        if math.isnan(self._began_s):
            self._began_s = time_s - exposure_s

    def _go_to(self, run_uid: str, sample: str) -> None:
        self._runs[run_uid] = _SampleRun(sample)
        self._state = replace(self._state, here=sample)

    def _change(self, sample: str, **changes: Any) -> None:
        before = self._state.evidence.get(sample, SampleEvidence())
        evidence = {**self._state.evidence, sample: replace(before, **changes)}
        self._state = replace(self._state, evidence=evidence)

    def _decided(self, key: tuple[str, str, int], answered: "Future[Advice]") -> Advice:
        run_uid, _, seq_num = key
        try:
            advice = answered.result()
            with self._lock:
                return self._ordered(run_uid, advice)
        except Exception as error:  # a plan is waiting for this: it gets a sentence instead
            logger.exception("run %s: the order of samples failed", run_uid)
            told = f"the order of samples failed ({type(error).__name__}: {error})"
            return Advice.none(seq_num, told)

    def _ordered(self, run_uid: str, advice: Advice) -> Advice:
        run = self._runs.get(run_uid)
        if run is None or not advice.answer or math.isnan(advice.answer_probability):
            return advice
        self._change(
            run.sample,
            probabilities={advice.answer: advice.answer_probability},
            exposure_s=run.exposure_up_to(advice.frame_seq_num),
        )
        elapsed_s = run.time_s[advice.frame_seq_num] - self._began_s
        suggestion = self._order.advise(replace(self._state, elapsed_s=elapsed_s))
        return replace(advice, **suggestion.columns())  # type: ignore[arg-type]
