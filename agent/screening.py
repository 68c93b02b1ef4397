"""An advisor for a loop over many samples: the agent names each, an order of samples decides."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import SAMPLE_ORDER_KEY
from phasepilot.models.steering.sample_belief import SampleEvidence, SampleMap, SampleSite
from phasepilot.models.steering.sample_order import SampleOrder, ScreeningState
from phasepilot.models.suggestion import Advice

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _SampleRun:
    """The run of one sample, as its documents tell."""

    sample: str
    exposure_s: dict[int, float] = field(default_factory=dict)

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
    agent : PhaseAgent
    order : SampleOrder
    samples : sequence of SampleSite
        In the order of the plan, by the names that its runs carry as ``sample_name``.
    clock : callable
        Seconds, for the budget of the order.
    """

    def __init__(
        self,
        agent: PhaseAgent,
        order: SampleOrder,
        samples: Sequence[SampleSite],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agent = agent
        self._order = order
        self._clock = clock
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
        """Return those of the agent, and that an order of samples was used."""
        return {
            **self._agent.settings(),
            SAMPLE_ORDER_KEY: self._order.settings.model_dump_json(),
        }

    def _take(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "start" and "sample_name" in doc:
            self._go_to(str(doc["uid"]), str(doc["sample_name"]))
        elif name == "descriptor" and doc["run_start"] in self._runs:
            if doc.get("name") == self._agent.configuration.stream:
                self._run_of_descriptor[doc["uid"]] = doc["run_start"]
        elif name == "event" and doc["descriptor"] in self._run_of_descriptor:
            run = self._runs[self._run_of_descriptor[doc["descriptor"]]]
            key = self._agent.configuration.exposure_field
            run.exposure_s[int(doc["seq_num"])] = float(doc["data"].get(key, 1.0))
        elif name == "stop" and doc["run_start"] in self._runs:
            is_failed = doc.get("exit_status", "success") != "success"
            self._change(self._runs.pop(doc["run_start"]).sample, is_left=True, is_failed=is_failed)

    def _go_to(self, run_uid: str, sample: str) -> None:
        if math.isnan(self._began_s):
            self._began_s = self._clock()
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
        elapsed_s = self._clock() - self._began_s
        suggestion = self._order.advise(replace(self._state, elapsed_s=elapsed_s))
        return replace(advice, **suggestion.columns())  # type: ignore[arg-type]
