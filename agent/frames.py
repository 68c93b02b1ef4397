"""From documents to frames: one exposure each, with all that is needed to make a pattern of it."""

import logging
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import event_model
import numpy as np

from phasepilot.agent.assets.array_place import PLACES, ArrayPlace
from phasepilot.agent.assets.datum_assets import DatumAssets
from phasepilot.agent.assets.stream_assets import StreamAssets
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import DocumentError
from phasepilot.agent.event_rows import rows_of_page
from phasepilot.agent.frame_join import FrameJoin, JoinedRow
from phasepilot.agent.growing_scan import GrowingScan

logger = logging.getLogger(__name__)

# Runs that never stop must not pile up; nobody interleaves this many.
MAX_OPEN_RUNS = 64
_BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Frame:
    """One exposure as the documents describe it.

    Attributes
    ----------
    run_uid, stream, seq_num
        Its identity: a repeated one replaces the former.
    time : float
        When the event was made, in seconds since 1970; for a fly scan without events, when the
        stream was described.
    intensity : Any
        What stood in the event, copied; `frame_pattern` says whether it is usable.
    axis_value : float
        Reading of the scanned axis; the sequence number where none is configured.
    geometry : Geometry
    elapsed_s : float
        Seconds since the run began.
    exposure_s : Any
        Counting time as found, of the frame or of each of its points; None where nothing was.
    monitor : Any
        Reading of the normalisation monitor; None where none is configured or found.
    places : mapping of str to ArrayPlace
        Fields of this frame and its geometry that stand in files, by their names here; see
        `frame_loading`.
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
    monitor: Any = None
    places: Mapping[str, ArrayPlace] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The axis of a pattern and its wavelength or energy, as found; None where nothing was."""

    two_theta_deg: Any = None
    q_per_angstrom: Any = None
    wavelength_angstrom: Any = None
    energy: Any = None


@dataclass(slots=True)
class _Stream:
    """A descriptor of the stream that holds the frames."""

    doc: Mapping[str, Any]
    settings: Mapping[str, Any]
    join: FrameJoin | None

    def shape(self, key: str) -> tuple[int, ...]:
        sizes = self.doc["data_keys"].get(key, {}).get("shape", ())
        return tuple(int(size) for size in sizes if size is not None)


@dataclass(slots=True)
class _OpenRun:
    """What is known of a run between its start and its stop."""

    start: Mapping[str, Any]
    scan: GrowingScan = field(default_factory=GrowingScan)
    last: tuple[_Stream, JoinedRow] | None = None
    judged: JoinedRow | None = None
    streams: dict[str, _Stream] = field(default_factory=dict)
    descriptors: dict[str, str] = field(default_factory=dict)
    baseline: dict[str, Any] = field(default_factory=dict)
    is_ignored: bool = False


class FrameReader:
    """Turns documents into frames; `frames` takes them one by one, in the order they come."""

    def __init__(self, configuration: AgentConfiguration) -> None:
        self._configuration = configuration
        self._runs: OrderedDict[str, _OpenRun] = OrderedDict()
        self._run_of_descriptor: dict[str, str] = {}
        root_map = configuration.assets.root_map
        self._stream_assets = StreamAssets(root_map)
        self._datum_assets = DatumAssets(root_map)

    def frames(self, name: str, doc: Any) -> Iterator[Frame]:
        """Yield the frames that a document brings, copied: documents are shared and mutable.

        What stands in a file is not read here; the frame says where it is.

        Raises
        ------
        DocumentError
            If the document does not belong to anything seen before.
        """
        if name == "start":
            self._open(doc)
        elif name == "descriptor":
            self._describe(doc)
        elif name == "event":
            yield from self._event(doc)
        elif name == "event_page":
            for event in rows_of_page(doc):
                yield from self._event(event)
        elif name == "bulk_events":
            for page in event_model.bulk_events_to_event_pages(doc):
                for event in event_model.unpack_event_page(page):
                    yield from self._event(event)
        elif name == "stream_resource":
            self._stream_assets.add(doc)
        elif name == "stream_datum":
            yield from self._rows(doc)
        elif name == "resource":
            self._datum_assets.add_resource(doc)
        elif name == "datum":
            self._datum_assets.add_datum(doc)
        elif name == "datum_page":
            self._datum_assets.add_datum_page(doc)
        elif name == "stop":
            yield from self._finish(doc["run_start"])
            self._close(doc["run_start"])

    def _open(self, doc: Mapping[str, Any]) -> None:
        plan = str(doc.get("plan_name", ""))
        is_ignored = plan in self._configuration.ignore.plans
        self._runs[doc["uid"]] = _OpenRun(doc, is_ignored=is_ignored)
        while len(self._runs) > MAX_OPEN_RUNS:
            oldest = next(iter(self._runs))
            logger.warning("run %s never stopped and is no longer followed", oldest)
            self._close(oldest)

    def _close(self, run_uid: str) -> None:
        run = self._runs.pop(run_uid, None)
        for descriptor in run.descriptors if run else ():
            self._run_of_descriptor.pop(descriptor, None)
        self._stream_assets.forget(run_uid)
        self._datum_assets.forget(run_uid)

    def _finish(self, run_uid: str) -> Iterator[Frame]:
        run = self._runs.get(run_uid)
        for stream in run.streams.values() if run else ():
            for row in stream.join.finish() if stream.join else ():
                yield self._frame_of(run_uid, stream, row)
        # The points since the growing pattern was last looked at: nobody may have asked at all.
        if run is not None and run.last is not None and run.last[1] is not run.judged:
            yield self._grown_frame(run_uid, run, *run.last)

    def _describe(self, doc: Mapping[str, Any]) -> None:
        run = self._runs.get(doc["run_start"])
        if run is None:
            raise DocumentError(
                f"a descriptor must follow its start document, but run {doc['run_start']} was not"
                " seen to start; subscribe the agent before the run."
            )
        self._run_of_descriptor[doc["uid"]] = doc["run_start"]
        name = run.descriptors[doc["uid"]] = str(doc.get("name", "primary"))
        settings: dict[str, Any] = {}
        for device in doc.get("configuration", {}).values():
            settings.update(device.get("data", {}))
        if name == _BASELINE:
            run.baseline.update(settings)
        is_wanted = name == self._configuration.stream and not run.is_ignored
        if is_wanted and self._configuration.intensity_field in doc["data_keys"]:
            run.streams[doc["uid"]] = _Stream(doc, settings, self._join(doc["data_keys"]))

    def _join(self, data_keys: Mapping[str, Any]) -> FrameJoin | None:
        """Return what puts external rows and events together; None where all is in the event."""
        wanted = [key for key in self._configuration.fields() if key in data_keys]
        external = {
            key for key in wanted if str(data_keys[key].get("external", "")).startswith("STREAM:")
        }
        if not external:
            return None
        return FrameJoin(frozenset(external), needs_event=len(external) < len(set(wanted)))

    def image_shape(self, descriptor: Mapping[str, Any]) -> tuple[int, int] | None:
        """Return rows and columns of the images that a descriptor announces; None if of none."""
        run = self._runs.get(descriptor["run_start"])
        stream = None if run is None else run.streams.get(descriptor["uid"])
        shape = () if stream is None else stream.shape(self._configuration.intensity_field)
        if self._configuration.image is None or len(shape) < 2 or 0 in shape:
            return None
        return shape[-2], shape[-1]

    def _run_of(self, doc: Mapping[str, Any], what: str) -> tuple[str, _OpenRun]:
        run_uid = self._run_of_descriptor.get(doc["descriptor"])
        if run_uid is None:
            raise DocumentError(
                f"{what} must follow its descriptor, but descriptor {doc['descriptor']} was not"
                " seen; documents may be out of order or the agent was subscribed in the middle."
            )
        return run_uid, self._runs[run_uid]

    def _event(self, event: Mapping[str, Any]) -> Iterator[Frame]:
        run_uid, run = self._run_of(event, "an event")
        descriptor = event["descriptor"]
        stream = run.streams.get(descriptor)
        if stream is None:
            if run.descriptors[descriptor] == _BASELINE:
                run.baseline.update(event["data"])
            return
        if stream.join is not None and not stream.join.wanted <= event["data"].keys():
            rows = stream.join.add_event(event)
        else:
            rows = iter((JoinedRow(int(event["seq_num"]), event, self._datums(stream, event)),))
        for row in rows:
            yield from self._frames_of(run_uid, run, stream, row)

    def _datums(self, stream: _Stream, event: Mapping[str, Any]) -> dict[str, ArrayPlace]:
        """Return where the fields stand of which the event holds only the uid of a datum."""
        keys, data = stream.doc["data_keys"], event["data"]
        return {
            key: self._datum_assets.place(data[key], stream.shape(key))
            for key in self._configuration.fields()
            if isinstance(data.get(key), str) and keys.get(key, {}).get("external")
        }

    def _rows(self, datum: Mapping[str, Any]) -> Iterator[Frame]:
        run_uid, run = self._run_of(datum, "a stream_datum")
        stream = run.streams.get(datum["descriptor"])
        if stream is None or stream.join is None:
            return
        key = self._stream_assets.field(datum)
        if not key:
            raise DocumentError(
                f"a stream_datum must follow its stream_resource, but {datum['stream_resource']}"
                " was not seen; subscribe the agent before the run."
            )
        # Rows of a second detector are not even made.
        if key not in stream.join.wanted:
            return
        places = self._stream_assets.places(datum, stream.shape(key))
        for row in stream.join.add_rows(key, places):
            yield from self._frames_of(run_uid, run, stream, row)

    def _frames_of(
        self, run_uid: str, run: _OpenRun, stream: _Stream, row: JoinedRow
    ) -> Iterator[Frame]:
        if self._configuration.frame == "points":
            yield from self._grow(run_uid, run, stream, row)
        else:
            yield self._frame_of(run_uid, stream, row)

    def _frame_of(self, run_uid: str, stream: _Stream, row: JoinedRow) -> Frame:
        wanted, run = self._configuration, self._runs[run_uid]
        event: Mapping[str, Any] = row.event or {"data": {}, "time": stream.doc["time"]}
        data = {**event["data"], **row.places}
        where = (data, stream.settings, run.baseline, run.start)
        time = float(event["time"])
        found = {
            "intensity": _copied(data.get(wanted.intensity_field)),
            "axis_value": _axis_value(data, wanted.axis_field, row.seq_num),
            "exposure_s": _found(wanted.exposure_field, *where),
            "monitor": _found(wanted.monitor_field, *where),
        }
        geometry = {
            "two_theta_deg": _found(wanted.two_theta_field, *where),
            "q_per_angstrom": _found(wanted.q_field, *where),
            "wavelength_angstrom": wanted.wavelength_angstrom
            or _found(wanted.wavelength_field, *where),
            "energy": _found(wanted.energy_field, *where),
        }
        places = {k: v for k, v in (found | geometry).items() if isinstance(v, PLACES)}
        found |= {name: None for name in found if name in places}
        geometry |= {name: None for name in geometry if name in places}
        if found["axis_value"] is None:
            found["axis_value"] = math.nan
        return Frame(
            run_uid=run_uid,
            stream=wanted.stream,
            seq_num=row.seq_num,
            time=time,
            geometry=Geometry(**geometry),
            elapsed_s=time - float(run.start.get("time", math.nan)),
            places=places,
            **found,
        )

    def _grow(
        self, run_uid: str, run: _OpenRun, stream: _Stream, row: JoinedRow
    ) -> Iterator[Frame]:
        """Add a point to the pattern of a run, and yield that every so many points."""
        wanted = self._configuration
        if row.event is None or row.places:
            raise DocumentError(
                f"the points of a scan must stand in its events, but {sorted(row.places)} of frame"
                f" {row.seq_num} is in a file; read the detector into the event, or use frame:"
                " pattern."
            )
        data = row.event["data"]
        where = (data, stream.settings, run.baseline, run.start)
        run.scan.add(
            row.seq_num,
            _found(wanted.two_theta_field or wanted.q_field, data, stream.settings),
            data.get(wanted.intensity_field),
            _found(wanted.exposure_field, *where),
            _found(wanted.monitor_field, *where) if wanted.monitor_field else 1.0,
        )
        run.last = (stream, row)
        if row.seq_num % wanted.judge_every == 0:
            yield self._grown_frame(run_uid, run, stream, row)

    def grown(self, run_uid: str, stream: str, seq_num: int) -> Frame | None:
        """Return the growing pattern as it stands after the event of that number; None if not."""
        run = self._runs.get(run_uid)
        if run is None or run.last is None or stream != self._configuration.stream:
            return None
        if run.scan.last_seq_num != seq_num:
            return None
        return self._grown_frame(run_uid, run, *run.last)

    def _grown_frame(self, run_uid: str, run: _OpenRun, stream: _Stream, row: JoinedRow) -> Frame:
        run.judged = row
        places, counts, exposure_s = run.scan.columns()
        frame = self._frame_of(run_uid, stream, row)
        if self._configuration.q_field:
            geometry = replace(frame.geometry, q_per_angstrom=places)
        else:
            geometry = replace(frame.geometry, two_theta_deg=places)
        return replace(
            frame, intensity=counts, geometry=geometry, exposure_s=exposure_s, monitor=None
        )


def _copied(value: Any) -> Any:
    if value is None or isinstance(value, PLACES) or _is_ours(value):
        return value
    return np.array(value)


def _is_ours(value: Any) -> bool:
    """Whether nobody can write to an array: a row of a copied page, or of bytes off the wire."""
    if not isinstance(value, np.ndarray):
        return False
    while isinstance(value, np.ndarray):
        if value.flags.writeable:
            return False
        value = value.base
    return value is None or isinstance(value, bytes)


def _found(key: str | None, *where: Mapping[str, Any]) -> Any:
    return next((place[key] for place in where if key and key in place), None)


def _axis_value(data: Mapping[str, Any], key: str | None, seq_num: int) -> Any:
    if key is None:
        return float(seq_num)
    if isinstance(data.get(key), PLACES):
        return data[key]
    try:
        return float(np.asarray(data[key]).item())
    except (KeyError, TypeError, ValueError):
        return math.nan
