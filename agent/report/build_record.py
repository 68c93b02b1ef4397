"""A run as the report shows it, from its documents."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AgentError
from phasepilot.agent.frame_pattern import FramePatterns
from phasepilot.agent.frames import Frame, FrameReader
from phasepilot.agent.report.run_record import FrameRecord
from phasepilot.models.errors import ModelsError
from phasepilot.models.suggestion import Advice

AGENT_STREAM = "agent"


def recorded_advice(
    documents: Iterable[tuple[str, Mapping[str, Any]]], *, stream: str, prefix: str
) -> dict[int, Advice]:
    """Return the advice that stands in a stream of a run, by the number of its frame.

    Parameters
    ----------
    prefix : str
        What the columns begin with: ``"agent_"`` in a steered run, ``""`` in a run of analysis.
    """
    streams: dict[str, str] = {}
    found: dict[int, Advice] = {}
    for name, doc in documents:
        if name == "descriptor":
            streams[doc["uid"]] = doc["name"]
        elif name == "event" and streams.get(doc["descriptor"]) == stream:
            columns = {key.removeprefix(prefix): value for key, value in doc["data"].items()}
            advice = Advice.from_values(columns)
            found[advice.frame_seq_num] = advice
    return found


def frame_records(
    documents: Iterable[tuple[str, Mapping[str, Any]]],
    configuration: AgentConfiguration,
    advice: Mapping[int, Advice],
) -> tuple[FrameRecord, ...]:
    """Return the frames of a run with the advice on each; a repeated frame counts once."""
    reader = FrameReader(configuration)
    frames: dict[int, Frame] = {}
    for name, doc in documents:
        for frame in reader.frames(name, doc):
            frames[frame.seq_num] = frame
    patterns = FramePatterns(configuration)
    return tuple(
        _record(frame, patterns, advice.get(number, Advice.none(number, "no advice is on record")))
        for number, frame in sorted(frames.items())
    )


def _record(frame: Frame, patterns: FramePatterns, advice: Advice) -> FrameRecord:
    try:
        pattern = patterns.of(frame).pattern
    except (ModelsError, AgentError):
        nothing = np.zeros(0)
        return FrameRecord(frame.seq_num, frame.axis_value, nothing, nothing, advice)
    intensity = np.where(pattern.is_measured, pattern.intensity, np.nan)
    return FrameRecord(frame.seq_num, frame.axis_value, pattern.q_per_angstrom, intensity, advice)
