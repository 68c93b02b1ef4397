"""The agent: Bluesky hands it documents; its verbs are ingest, suggest and report."""

import json
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

from phasepilot.agent.analysis_run import AnalysisRun, DocumentSink
from phasepilot.agent.assets.asset_reader import AssetReader
from phasepilot.agent.cell_measurement import CellMeasurement
from phasepilot.agent.compression_report import fitted_phases
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AgentError
from phasepilot.agent.frame_loading import loaded
from phasepilot.agent.frame_pipeline import FramePipeline
from phasepilot.agent.frames import MAX_OPEN_RUNS, Frame, FrameReader
from phasepilot.agent.image_reduction import files_sha256
from phasepilot.agent.run_history import RunHistory, RunReport
from phasepilot.agent.steering import Steerer
from phasepilot.agent.worker import Worker
from phasepilot.models.estimation.image_estimator import ImageEstimator
from phasepilot.models.identification.known_structures import open_known_structures
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.networks.registry import PhaseModel, open_model
from phasepilot.models.suggestion import Advice, Suggestion

logger = logging.getLogger(__name__)

# Futures of frames that nobody asks for any more are dropped from the oldest on.
_MAX_FUTURES = 10_000
_MAX_PROBLEMS = 1000
# A plan that waits for its advice never has more than one frame waiting; others may run ahead by
# this much. Frames that stand in files take no memory and are never skipped.
MAX_WAITING_BYTES = 512 << 20


def known_structures(library: str | None) -> SearchIndex | None:
    """Return the phases of a library as a configuration names it; None where it names none."""
    if library is None:
        return None
    index, problems = open_known_structures(Path(library).expanduser())
    for problem in problems:
        logger.warning("library: %s", problem)
    return index


def _image_network(configuration: AgentConfiguration) -> ImageEstimator | None:
    image = configuration.image
    if image is None or image.network is None:
        return None
    from phasepilot.models.estimation.lattice_model import load_lattice_model

    return load_lattice_model(image.network, set_level=configuration.set_level)


class PhaseAgent:
    """Names the phase in every frame, follows the lattice and suggests what to do next.

    Subscribe it, and hand it to a plan as its advisor::

        agent = PhaseAgent(AgentConfiguration(intensity_field="det_intensity", ...))
        RE.subscribe(agent)
        RE(compression_scan([det], cell, 0.5, 5.0, step=0.2, advisor=agent))

    Frames are judged one after another in one thread of the agent; the RunEngine only waits for
    the copy of a frame. It never sees an exception of ours.

    Parameters
    ----------
    configuration : AgentConfiguration
    model : PhaseModel, optional
        Instead of the one that the configuration names.
    index : SearchIndex, optional
        The known phases, instead of opening the library that the configuration names.
    image_network : ImageEstimator, optional
        Instead of the network of images that the configuration names.
    """

    def __init__(
        self,
        configuration: AgentConfiguration,
        *,
        model: PhaseModel | None = None,
        index: SearchIndex | None = None,
        image_network: ImageEstimator | None = None,
    ) -> None:
        self.configuration = configuration
        index = index or known_structures(configuration.library)
        self._model = model or open_model(
            configuration.model, index=index, set_level=configuration.set_level
        )
        steerer = Steerer(configuration.steering, index)
        cells = CellMeasurement(index, configuration.marker)
        image = configuration.image
        self._image_files = {} if image is None else {"agent_image_sha256": files_sha256(image)}
        network = image_network or _image_network(configuration)
        if network is not None:
            self._image_files["agent_image_model"] = network.card.name
            self._image_files["agent_image_model_sha256"] = network.card.sha256
        self._pipeline = FramePipeline(configuration, self._model, steerer, cells, network)
        self._reader = FrameReader(configuration)
        self._assets = AssetReader(configuration.assets.wait_s)
        self._histories: OrderedDict[str, RunHistory] = OrderedDict()
        self._analyses: dict[str, AnalysisRun] = {}
        self._futures: OrderedDict[tuple[str, str, int], Future[Advice]] = OrderedDict()
        self._judged_at: dict[tuple[str, str, int], float] = {}
        self._sinks: list[DocumentSink] = []
        self._worker = Worker("phasepilot-agent")
        self._waiting_bytes, self._waiting_lock = 0, Lock()
        # The newest only: a stream of broken documents must not fill the memory.
        self.problems: deque[str] = deque(maxlen=_MAX_PROBLEMS)

    # Documents in

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take one document; returns after copying what it brings, and never raises."""
        try:
            for frame in self._reader.frames(name, doc):
                self._enqueue(frame)
            if name == "descriptor" and (shape := self._reader.image_shape(doc)) is not None:
                self._worker.submit(lambda: self._pipeline.prepare(shape))
            if name == "stop":
                status, reason = doc.get("exit_status", "success"), doc.get("reason", "")
                self._worker.submit(lambda: self._finish(doc["run_start"], status, reason))
        except Exception as error:  # the one place where nothing may pass to the RunEngine
            self._note(f"a {name} document was passed over: {type(error).__name__}: {error}")

    def subscribe(self, sink: DocumentSink) -> None:
        """Have what the agent finds sent to a callback, as runs of their own (`analysis_of`).

        The callback runs in the agent's thread and should return soon.
        """
        self._sinks.append(sink)

    # The three verbs

    def ingest(self, frame: Frame) -> Advice:
        """Judge one frame now, in this thread, and return the advice."""
        advice = self._judge(frame)
        self._publish(frame, advice)
        return advice

    def suggest(self, run_uid: str | None = None) -> Suggestion | None:
        """Return the suggestion on the newest frame of a run; None before the first.

        Without a uid, of the run that began last.
        """
        advice = self._history(run_uid).report().advice if self._histories else ()
        return advice[-1].suggestion if advice else None

    def report(self, run_uid: str | None = None) -> RunReport:
        """Return what was found in a run so far; without a uid, in the one that began last."""
        if not self._histories:
            return RunReport(run_uid or "", (), None, tuple(self.problems))
        found = self._history(run_uid).report()
        return replace(found, compression=fitted_phases(found.advice, self.configuration))

    # What plans ask for (the Advisor protocol)

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        """Return the future advice on a frame; one never seen has no advice, and says why.

        A pattern that grows from event to event is judged when it is asked for: ask in the thread
        that brings the documents, as plans do.
        """
        key = (run_uid, stream, seq_num)
        grown = self._reader.grown(run_uid, stream, seq_num)
        # After a pause the same number may stand for a pattern that was measured anew.
        if grown is not None and self._judged_at.get(key) != grown.time:
            self._enqueue(grown)
        future = self._futures.get(key)
        if future is None:
            future = Future()
            future.set_result(Advice.none(seq_num, self._why_unseen()))
        return future

    def settings(self) -> dict[str, str | float | int]:
        """Return what goes on record with the advice: enough to repeat it from the archive."""
        return {
            "agent_version": version("phasepilot"),
            "agent_model": self._model.card.name,
            "agent_model_sha256": self._model.card.sha256,
            "agent_configuration": self.configuration.model_dump_json(),
            **self._image_files,
        }

    def wait(self, timeout_s: float = 10.0) -> bool:
        """Wait until every document taken so far is judged; False when that took too long."""
        return self._worker.drain(timeout_s)

    def close(self) -> None:
        """Let the agent's thread end when everything taken so far is judged; returns at once."""
        self._worker.close()

    # From the RunEngine's thread to the agent's

    def _enqueue(self, frame: Frame) -> None:
        future: Future[Advice] = Future()
        key = (frame.run_uid, frame.stream, frame.seq_num)
        self._futures[key], self._judged_at[key] = future, frame.time
        while len(self._futures) > _MAX_FUTURES:
            forgotten, _ = self._futures.popitem(last=False)
            self._judged_at.pop(forgotten)
        n_bytes = int(getattr(frame.intensity, "nbytes", 0))
        if not n_bytes or self._waiting_bytes + n_bytes <= MAX_WAITING_BYTES:
            self._add_waiting(n_bytes)
            self._worker.submit(lambda: self._answer(frame, future, self._judge_waiting))
        else:
            # The frame itself is not kept: a queue that only grows would fill the memory.
            skipped = replace(frame, intensity=None)
            self._worker.submit(lambda: self._answer(skipped, future, self._skip))

    def _judge(self, frame: Frame) -> Advice:
        history = self._history_for(frame.run_uid)
        try:
            return history.judge(loaded(frame, self._assets))
        except AgentError as error:
            return history.skip(frame.seq_num, str(error))

    def _judge_waiting(self, frame: Frame) -> Advice:
        self._add_waiting(-int(getattr(frame.intensity, "nbytes", 0)))
        return self._judge(frame)

    def _add_waiting(self, n_bytes: int) -> None:
        with self._waiting_lock:
            self._waiting_bytes += n_bytes

    def _answer(
        self, frame: Frame, future: "Future[Advice]", judge: Callable[[Frame], Advice]
    ) -> None:
        try:
            advice = judge(frame)
            # First the plan, which waits; then whoever watches.
            future.set_result(advice)
            self._publish(frame, advice)
        except Exception as error:  # a plan is waiting for this future: it gets a sentence instead
            logger.exception("run %s, frame %d could not be judged", frame.run_uid, frame.seq_num)
            problem = f"the agent failed on this frame ({type(error).__name__}: {error})"
            self._note(f"frame {frame.seq_num}: {problem}")
            if not future.done():
                future.set_result(Advice.none(frame.seq_num, problem))

    def _skip(self, frame: Frame) -> Advice:
        problem = (
            f"skipped: {MAX_WAITING_BYTES >> 20} MiB of frames were waiting already; frames come"
            " faster than they can be judged"
        )
        return self._history_for(frame.run_uid).skip(frame.seq_num, problem)

    def _history_for(self, run_uid: str) -> RunHistory:
        history = self._histories.get(run_uid)
        if history is None:
            history = self._histories[run_uid] = RunHistory(run_uid, self._pipeline)
            while len(self._histories) > MAX_OPEN_RUNS:
                self._histories.popitem(last=False)
        return history

    def _publish(self, frame: Frame, advice: Advice) -> None:
        if not self._sinks:
            return
        analysis = self._analyses.get(frame.run_uid)
        if analysis is None:
            analysis = AnalysisRun(frame.run_uid, self.settings(), self._send)
            self._analyses[frame.run_uid] = analysis
            analysis.start()
        analysis.add(advice, frame.time)

    def _finish(self, run_uid: str, exit_status: Any, reason: str) -> None:
        self._assets.close()
        analysis = self._analyses.pop(run_uid, None)
        if analysis is not None:
            analysis.stop(exit_status, reason)

    def _send(self, name: str, doc: Mapping[str, Any]) -> None:
        for sink in self._sinks:
            try:
                sink(name, doc)
            except Exception as error:  # one subscriber's failure is not another's
                self._note(f"a subscriber of the agent failed on {name}: {error}")

    def _history(self, run_uid: str | None) -> RunHistory:
        if run_uid is None:
            return next(reversed(self._histories.values()))
        history = self._histories.get(run_uid)
        return history or RunHistory(run_uid, self._pipeline)

    def _note(self, sentence: str) -> None:
        logger.warning("%s", sentence)
        self.problems.append(sentence)

    def _why_unseen(self) -> str:
        if self.problems:
            return f"the agent has not seen this frame; its last problem: {self.problems[-1]}"
        wanted = json.dumps(self.configuration.intensity_field)
        return (
            f"the agent has not seen this frame; is it subscribed, and does the stream"
            f" {self.configuration.stream!r} hold {wanted}?"
        )
