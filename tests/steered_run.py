"""A run that the agent steered on the simulated beamline, kept in a served Tiled."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bluesky.utils import RunEngineInterrupted
from experiment import Emitted, PausesOnce, configuration, fresh_run_engine, make_beamline

from phasepilot.agent.archive.tiled_columns import archived_documents, find_run
from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import Document
from phasepilot.agent.run_history import RunReport
from phasepilot.models.suggestion import Advice
from phasepilot.plans.compression_scan import compression_scan


@dataclass(frozen=True, slots=True)
class SteeredRun:
    """What is known of the run.

    Attributes
    ----------
    container : Container
        Where it stands in Tiled.
    live : RunReport
        What the agent said while it was measured.
    emitted : Emitted
        What the RunEngine emitted.
    archived : Emitted
        The documents as read back from Tiled; shared by tests, which copy them before a change.
    """

    uid: str
    container: Any
    live: RunReport
    emitted: Emitted
    archived: Emitted


def record_steered_run(
    container: Any, directory: Path, *, pause_at: int | None = None
) -> SteeredRun:
    """Steer a scan through the transition of KCl and write it to Tiled on the way."""
    beamline = make_beamline()
    agent = PhaseAgent(configuration())
    emitted = Emitted()
    writer = ArchiveWriter(directory, container, batch_size=100)
    plan = compression_scan([beamline.detector], beamline.cell, 1.4, 3.0, step=0.2, advisor=agent)
    with fresh_run_engine() as run_engine:
        for callback in (agent, emitted, writer):
            run_engine.subscribe(callback)
        if pause_at is None:
            run_engine(plan)
        else:
            pause = PausesOnce(run_engine, pause_at)
            run_engine.subscribe(pause)
            try:
                run_engine(plan)
            except RunEngineInterrupted:
                run_engine.resume()
    summary = writer.close(timeout_s=60)
    (uid,) = summary.uploaded
    archived = Emitted(list(archived_documents(find_run(container, uid))))
    return SteeredRun(uid, container, agent.report(uid), emitted, archived)


def bits(value: Any) -> Any:
    """A value in a form that is equal only to the very same one, NaN included."""
    if isinstance(value, str):
        return value
    numbers = np.asarray(value)
    return numbers.dtype.kind, numbers.astype(np.float64).tobytes()


def assert_same_to_the_bit(one: Iterable[Advice], other: Iterable[Advice]) -> None:
    """Assert that no column of any advice differs."""
    for advice, expected in zip(one, other, strict=True):
        for column, value in expected.values().items():
            assert bits(advice.values()[column]) == bits(value), (expected.frame_seq_num, column)


def agent_descriptor(documents: Emitted) -> Any:
    """The descriptor of the stream with the advice."""
    (descriptor,) = [doc for doc in documents.of("descriptor") if doc["name"] == "agent"]
    return descriptor


def without_advice(documents: Emitted) -> list[Document]:
    """The documents of a run as if nobody had steered it."""
    descriptor = agent_descriptor(documents)
    return [
        (name, doc)
        for name, doc in documents.documents
        if doc is not descriptor and doc.get("descriptor") != descriptor["uid"]
    ]
