"""From documents to frames: one exposure each, with all that is needed to make a pattern of it."""

import logging
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import event_model
import numpy as np

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import DocumentError
from phasepilot.agent.growing_scan import GrowingScan

logger = logging.getLogger(__name__)

# Runs that never stop must not pile up; nobody interleaves this many.
MAX_OPEN_RUNS = 64


@dataclass(frozen=True, slots=True)
class Frame:
    """One exposure as the documents describe it.

    Attributes
    ----------
    run_uid, stream, seq_num
        Its identity: a repeated one replaces the former.
    time : float
        When the event was made, in seconds since 1970.
    intensity : Any
        What stood in the event, copied; `frame_pattern` says whether it is usable.
    axis_value : float
        Reading of the scanned axis; the sequence number where none is configured.
    geometry : Geometry
    elapsed_s : float
        Seconds since the run began.
    exposure_s : Any
        Counting time as found, of the frame or of each of its points; None where nothing was.
    """

    run_uid: str
    stream: str
    seq_num: int
    time: float
    intensity: Any
    axis_value: float
    geometry: "Geometry"
    elapsed_s: float = math.nan
    exposure_s: Any = None


@dataclass(frozen=True, slots=True)
class Geometry:
    """The axis of a pattern and its wavelength, as found; None where nothing was."""

    two_theta_deg: Any = None
    q_per_angstrom: Any = None
    wavelength_angstrom: Any = None


@dataclass(slots=True)
class _OpenRun:
    """What is known of a run between its start and its stop."""

    start_time: float = math.nan
    scan: GrowingScan = field(default_factory=GrowingScan)
    last_event: Mapping[str, Any] = field(default_factory=dict)
    streams: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class FrameReader:
    """Turns documents into frames; `frames` takes them one by one, in the order they come."""

    def __init__(self, configuration: AgentConfiguration) -> None:
        self._configuration = configuration
        self._runs: OrderedDict[str, _OpenRun] = OrderedDict()
        self._run_of_descriptor: dict[str, str] = {}

    def frames(self, name: str, doc: Any) -> Iterator[Frame]:
        """Yield the frames that a document brings, copied: documents are shared and mutable.

        Raises
        ------
        DocumentError
            If the document does not belong to anything seen before.
        """
        if name == "start":
            self._open(doc["uid"], float(doc.get("time", math.nan)))
        elif name == "descriptor":
            self._describe(doc)
        elif name == "event":
            yield from self._frame(doc)
        elif name == "event_page":
            for event in event_model.unpack_event_page(doc):
                yield from self._frame(event)
        elif name == "bulk_events":
            for page in event_model.bulk_events_to_event_pages(doc):
                for event in event_model.unpack_event_page(page):
                    yield from self._frame(event)
        elif name == "stop":
            self._close(doc["run_start"])

    def _open(self, run_uid: str, start_time: float) -> None:
        self._runs[run_uid] = _OpenRun(start_time)
        while len(self._runs) > MAX_OPEN_RUNS:
            oldest = next(iter(self._runs))
            logger.warning("run %s never stopped and is no longer followed", oldest)
            self._close(oldest)

    def _close(self, run_uid: str) -> None:
        run = self._runs.pop(run_uid, None)
        for descriptor in run.settings if run else ():
            self._run_of_descriptor.pop(descriptor, None)

    def _describe(self, doc: Mapping[str, Any]) -> None:
        run = self._runs.get(doc["run_start"])
        if run is None:
            raise DocumentError(
                f"a descriptor must follow its start document, but run {doc['run_start']} was not"
                " seen to start; subscribe the agent before the run."
            )
        self._run_of_descriptor[doc["uid"]] = doc["run_start"]
        settings: dict[str, Any] = {}
        for device in doc.get("configuration", {}).values():
            settings.update(device.get("data", {}))
        run.settings[doc["uid"]] = settings
        stream = doc.get("name", "primary")
        if (
            stream == self._configuration.stream
            and self._configuration.intensity_field in doc["data_keys"]
        ):
            run.streams[doc["uid"]] = stream

    def _frame(self, event: Mapping[str, Any]) -> Iterator[Frame]:
        descriptor = event["descriptor"]
        run_uid = self._run_of_descriptor.get(descriptor)
        if run_uid is None:
            raise DocumentError(
                f"an event must follow its descriptor, but descriptor {descriptor} was not seen;"
                " documents may be out of order or the agent was subscribed in the middle."
            )
        run = self._runs[run_uid]
        stream = run.streams.get(descriptor)
        if stream is None:
            return
        if self._configuration.frame == "points":
            yield from self._grow(run, event)
        else:
            intensity = event["data"].get(self._configuration.intensity_field)
            copied = None if intensity is None else np.array(intensity)
            yield self._frame_of(run_uid, run, event, copied)

    def _frame_of(
        self, run_uid: str, run: _OpenRun, event: Mapping[str, Any], intensity: Any
    ) -> Frame:
        data, settings = event["data"], run.settings[event["descriptor"]]
        wanted, seq_num = self._configuration, int(event["seq_num"])
        return Frame(
            run_uid=run_uid,
            stream=run.streams[event["descriptor"]],
            seq_num=seq_num,
            time=float(event["time"]),
            intensity=intensity,
            axis_value=_axis_value(data, wanted.axis_field, seq_num),
            geometry=Geometry(
                _found(wanted.two_theta_field, data, settings),
                _found(wanted.q_field, data, settings),
                wanted.wavelength_angstrom or _found(wanted.wavelength_field, data, settings),
            ),
            elapsed_s=float(event["time"]) - run.start_time,
            exposure_s=_found(wanted.exposure_field, data, settings),
        )

    def _grow(self, run: _OpenRun, event: Mapping[str, Any]) -> Iterator[Frame]:
        """Add a point to the pattern of a run, and yield that every so many points."""
        wanted, data = self._configuration, event["data"]
        settings, seq_num = run.settings[event["descriptor"]], int(event["seq_num"])
        run.scan.add(
            seq_num,
            _found(wanted.two_theta_field or wanted.q_field, data, settings),
            data.get(wanted.intensity_field),
            _found(wanted.exposure_field, data, settings),
        )
        run.last_event = event
        if seq_num % wanted.judge_every == 0:
            yield self._grown_frame(self._run_of_descriptor[event["descriptor"]], run)

    def grown(self, run_uid: str, stream: str, seq_num: int) -> Frame | None:
        """Return the growing pattern as it stands after the event of that number; None if not."""
        run = self._runs.get(run_uid)
        if run is None or run.scan.last_seq_num != seq_num or stream != self._configuration.stream:
            return None
        return self._grown_frame(run_uid, run)

    def _grown_frame(self, run_uid: str, run: _OpenRun) -> Frame:
        places, counts, exposure_s = run.scan.columns()
        frame = self._frame_of(run_uid, run, run.last_event, counts)
        if self._configuration.q_field:
            geometry = replace(frame.geometry, q_per_angstrom=places)
        else:
            geometry = replace(frame.geometry, two_theta_deg=places)
        return replace(frame, geometry=geometry, exposure_s=exposure_s)


def _found(key: str | None, *places: Mapping[str, Any]) -> Any:
    return next((place[key] for place in places if key and key in place), None)


def _axis_value(data: Mapping[str, Any], key: str | None, seq_num: int) -> float:
    if key is None:
        return float(seq_num)
    try:
        return float(np.asarray(data[key]).item())
    except (KeyError, TypeError, ValueError):
        return math.nan
