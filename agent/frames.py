"""From documents to frames: one exposure each, with all that is needed to make a pattern of it."""

import logging
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import event_model
import numpy as np

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import DocumentError
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern

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
        What stood in the event, copied; `pattern_of` says whether it is usable.
    axis_value : float
        Reading of the scanned axis; the sequence number where none is configured.
    geometry : Geometry
    """

    run_uid: str
    stream: str
    seq_num: int
    time: float
    intensity: Any
    axis_value: float
    geometry: "Geometry"


@dataclass(frozen=True, slots=True)
class Geometry:
    """The axis of a pattern and its wavelength, as found; None where nothing was."""

    two_theta_deg: Any = None
    q_per_angstrom: Any = None
    wavelength_angstrom: Any = None


def pattern_of(frame: Frame) -> Pattern:
    """Return the pattern of a frame.

    Raises
    ------
    PatternError
        If the frame cannot be one; the text says what was expected, what came and what to do.
    """
    intensity, geometry = frame.intensity, frame.geometry
    if intensity is None:
        raise PatternError(
            "the event must hold the detector's pattern, but has no such field;"
            " check intensity_field and that the detector was read."
        )
    if geometry.q_per_angstrom is not None:
        return Pattern.from_q(np.asarray(geometry.q_per_angstrom), np.asarray(intensity))
    if geometry.two_theta_deg is None:
        raise PatternError(
            "the axis of the pattern must stand in the event or in the descriptor's configuration,"
            " but is in neither; check two_theta_field or q_field."
        )
    return Pattern.from_two_theta(
        np.asarray(geometry.two_theta_deg),
        np.asarray(intensity),
        wavelength_angstrom=_wavelength(geometry.wavelength_angstrom),
    )


def _wavelength(found: Any) -> float:
    if found is None:
        raise PatternError(
            "the wavelength must stand in the agent's configuration, the event or the descriptor's"
            " configuration, but is in none; set wavelength_angstrom or wavelength_field."
        )
    try:
        return float(np.asarray(found).item())
    except (TypeError, ValueError) as error:
        raise PatternError(
            f"the wavelength must be one number in angstrom, but is {found!r};"
            " check wavelength_field."
        ) from error


@dataclass(slots=True)
class _OpenRun:
    """What is known of a run between its start and its stop."""

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
            self._open(doc["uid"])
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

    def _open(self, run_uid: str) -> None:
        self._runs[run_uid] = _OpenRun()
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
        data, settings = event["data"], run.settings[descriptor]
        wanted = self._configuration
        intensity = data.get(wanted.intensity_field)
        yield Frame(
            run_uid=run_uid,
            stream=stream,
            seq_num=int(event["seq_num"]),
            time=float(event["time"]),
            intensity=None if intensity is None else np.array(intensity),
            axis_value=_axis_value(data, wanted.axis_field, int(event["seq_num"])),
            geometry=Geometry(
                _found(wanted.two_theta_field, data, settings),
                _found(wanted.q_field, data, settings),
                wanted.wavelength_angstrom or _found(wanted.wavelength_field, data, settings),
            ),
        )


def _found(key: str | None, *places: Mapping[str, Any]) -> Any:
    return next((place[key] for place in places if key and key in place), None)


def _axis_value(data: Mapping[str, Any], key: str | None, seq_num: int) -> float:
    if key is None:
        return float(seq_num)
    try:
        return float(np.asarray(data[key]).item())
    except (KeyError, TypeError, ValueError):
        return math.nan
