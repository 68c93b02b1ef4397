"""A run that the agent steered, as documents only: no Tiled."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import msgpack_numpy
import numpy as np
from experiment import Emitted, configuration, fresh_run_engine, make_beamline

from phasepilot.agent.archive.document_log import DocumentLog, log_path
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.suggestion import Advice
from phasepilot.plans.compression_scan import compression_scan
from phasepilot.sim_devices.beamline import SimulatedBeamline


@dataclass(frozen=True, slots=True)
class RecordedRun:
    uid: str
    emitted: Emitted
    advice: tuple[Advice, ...]
    log: Path


def short_scan(beamline: SimulatedBeamline, agent: PhaseAgent, **metadata: Any) -> Any:
    """A steered scan through the transition of KCl."""
    return compression_scan(
        [beamline.detector], beamline.cell, 1.8, 3.0, step=0.2, advisor=agent, md=metadata
    )


def record_run(directory: Path, *, seed: int = 0, **metadata: Any) -> RecordedRun:
    """Steer a short scan and keep what was emitted, in memory and as our own log."""
    beamline, agent = make_beamline(seed), PhaseAgent(configuration())
    emitted, log = Emitted(), DocumentLog(directory)
    with fresh_run_engine() as run_engine:
        for callback in (agent, emitted, log):
            run_engine.subscribe(callback)
        (uid,) = run_engine(short_scan(beamline, agent, **metadata))
    log.close()
    agent.wait()
    return RecordedRun(uid, emitted, agent.report(uid).advice, log_path(directory, uid))


def write_json_lines(path: Path, documents: Any) -> Path:
    """As suitcase-jsonl does: a pair a line, arrays as lists."""
    path.write_text("".join(f"{json.dumps(pair, default=_plain)}\n" for pair in documents))
    return path


def write_json_array(path: Path, documents: Any) -> Path:
    """As Bluesky's JSONWriter does: one array of objects, one a line."""
    lines = [json.dumps({"name": name, "doc": doc}, default=_plain) for name, doc in documents]
    path.write_text("[\n" + ",\n".join(lines) + "\n]")
    return path


def write_msgpack(path: Path, documents: Any) -> Path:
    """As suitcase-msgpack does, with the stock encoder of msgpack-numpy."""
    packer = msgpack.Packer(default=msgpack_numpy.encode)
    path.write_bytes(b"".join(packer.pack([name, doc]) for name, doc in documents))
    return path


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
