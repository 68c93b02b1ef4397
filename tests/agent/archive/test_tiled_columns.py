"""Round trips through a served Tiled, held against what the RunEngine emitted live."""

import asyncio
import json
import threading

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import plans as bp
from event_model import DocumentNames, compose_run, schema_validators
from event_model.documents.stream_datum import StreamRange
from ophyd.sim import SynAxis, SynSignal

from phasepilot.agent.archive.tiled_columns import archived_documents, find_run
from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.errors import ArchiveError

N_POINTS = 2000


def make_detector(motor, dtype=np.float64, name="detector"):
    """Return a detector whose frames start with the position they were taken at."""
    rng = np.random.default_rng(7)

    def frame():
        counts = rng.normal(100.0, 30.0, N_POINTS).astype(dtype)
        counts[0] = motor.position
        return counts

    return SynSignal(func=frame, name=name)


def upload(run_engine, plan, directory, container):
    """Run a plan and return the live documents and the archived run."""
    writer = ArchiveWriter(directory, container)
    live = []
    tokens = [run_engine.subscribe(writer), run_engine.subscribe(lambda *pair: live.append(pair))]
    (uid,) = run_engine(plan)
    for token in tokens:
        run_engine.unsubscribe(token)
    summary = writer.close(timeout_s=60)
    assert (summary.uploaded, summary.pending, summary.problems) == ((uid,), (), ())
    return live, find_run(container, uid)


def events_by_stream(documents):
    """Return the last event of each seq_num, in order of measurement, by stream."""
    names, events = {}, {}
    for name, doc in documents:
        if name == "descriptor":
            names[doc["uid"]] = doc["name"]
        elif name == "event":
            stream = events.setdefault(names[doc["descriptor"]], {})
            stream.pop(doc["seq_num"], None)
            stream[doc["seq_num"]] = doc
    return {stream: list(rows.values()) for stream, rows in events.items()}


def assert_same_data(archived, live):
    for key in ("seq_num", "time", "timestamps"):
        assert [event[key] for event in archived] == [event[key] for event in live]
    for ours, theirs in zip(archived, live, strict=True):
        assert set(ours["data"]) == set(theirs["data"])
        for key, value in theirs["data"].items():
            back = ours["data"][key]
            if isinstance(value, np.ndarray):
                assert (back.dtype, back.shape) == (value.dtype, value.shape)
                assert back.tobytes() == value.tobytes()
            else:
                assert back == value


def test_data_come_back_bit_for_bit(run_engine, motor, tmp_path, container):
    dtypes = (np.float64, np.float32, np.int32, np.uint16)
    detectors = [make_detector(motor, dtype, np.dtype(dtype).name) for dtype in dtypes]
    live, run = upload(run_engine, bp.scan(detectors, motor, -1, 3, 12), tmp_path, container)

    archived = list(archived_documents(run))

    assert_same_data(events_by_stream(archived)["primary"], events_by_stream(live)["primary"])


def test_documents_are_valid_and_tell_the_same_story(run_engine, motor, tmp_path, container):
    detector = make_detector(motor)
    plan = bp.scan([detector], motor, 0, 1, 3, md={"sample": {"name": "NaCl", "sizes": (1, 2)}})
    live, run = upload(run_engine, plan, tmp_path, container)

    archived = list(archived_documents(run))

    for name, doc in archived:
        schema_validators[DocumentNames[name]].validate(doc)
    assert [name for name, _ in archived] == [name for name, _ in live]
    (start, descriptor), (live_start, live_descriptor) = (
        [doc for name, doc in documents if name in ("start", "descriptor")]
        for documents in (archived, live)
    )
    assert start == json.loads(json.dumps(live_start))  # tuples become lists
    assert archived[-1] == live[-1]
    assert descriptor["uid"] == live_descriptor["uid"]
    assert descriptor["data_keys"]["detector"]["dtype_numpy"] == "<f8"
    np.testing.assert_array_equal(
        descriptor["configuration"]["detector"]["data"]["detector"],
        live_descriptor["configuration"]["detector"]["data"]["detector"],
    )


def test_a_suspended_and_resumed_run_comes_back_aligned(run_engine, motor, tmp_path, container):
    detector = make_detector(motor)

    @bpp.run_decorator()
    def plan():
        for position in range(6):
            yield from bps.checkpoint()
            yield from bps.mv(motor, position)
            yield from bps.trigger_and_read([detector, motor])
            if position == 2:
                # Until the suspension has come, and been lifted: then it is the second time.
                yield from bps.wait_for([resumed.wait])

    resumed = asyncio.Event()

    async def lift():
        resumed.set()

    def suspend_once(name, doc):
        if name == "event" and doc["seq_num"] == 3 and not suspensions:
            suspensions.append(1)
            threading.Thread(target=run_engine.request_suspend, args=(lift,)).start()

    suspensions = []
    run_engine.subscribe(suspend_once)
    live, run = upload(run_engine, plan(), tmp_path, container)
    assert [doc["seq_num"] for name, doc in live if name == "event"] == [1, 2, 3, 3, 4, 5, 6]

    events = events_by_stream(archived_documents(run))["primary"]

    assert_same_data(events, events_by_stream(live)["primary"])
    assert [event["data"]["detector"][0] for event in events] == [0, 1, 2, 3, 4, 5]
    assert [event["data"]["motor"] for event in events] == [0, 1, 2, 3, 4, 5]


def test_streams_are_interleaved_by_time(run_engine, motor, tmp_path, container):
    other = SynAxis(name="other")
    detector = make_detector(motor)

    @bpp.baseline_decorator([other])
    @bpp.run_decorator()
    def plan():
        for position in range(4):
            yield from bps.mv(motor, position)
            yield from bps.trigger_and_read([detector, motor])
            yield from bps.trigger_and_read([other], name="agent")

    live, run = upload(run_engine, plan(), tmp_path, container)

    archived = list(archived_documents(run))

    for stream in ("baseline", "primary", "agent"):
        assert_same_data(events_by_stream(archived)[stream], events_by_stream(live)[stream])
    assert [doc["time"] for _, doc in archived] == [doc["time"] for _, doc in live]


def test_small_arrays_text_and_flags_come_back_as_what_they_were(
    run_engine, motor, tmp_path, container
):
    values = {
        "small": lambda: np.array([0.25, 0.75]) + motor.position,
        "label": lambda: f"at {motor.position}",
        "is_open": lambda: bool(motor.position % 2),
        "count": lambda: int(motor.position),
        "image": lambda: np.full((3, 5), motor.position),
    }
    detectors = [SynSignal(func=func, name=name) for name, func in values.items()]
    live, run = upload(run_engine, bp.scan(detectors, motor, 0, 3, 4), tmp_path, container)

    archived = list(archived_documents(run))

    assert_same_data(events_by_stream(archived)["primary"], events_by_stream(live)["primary"])
    first = events_by_stream(archived)["primary"][0]["data"]
    # ophyd announces a boolean as an integer.
    assert [type(first[key]) for key in ("label", "is_open", "count")] == [str, int, int]


def test_small_arrays_of_another_writer_are_not_read_as_text(run_engine, motor, container):
    from bluesky_tiled_plugins import TiledWriter

    small = SynSignal(func=lambda: np.array([0.25, 0.75]) + motor.position, name="small")
    run_engine.subscribe(TiledWriter(container))
    (uid,) = run_engine(bp.scan([small], motor, 0, 1, 3))

    events = events_by_stream(archived_documents(find_run(container, uid)))["primary"]

    frames = [event["data"]["small"] for event in events]
    np.testing.assert_array_equal(frames, [[0.25, 0.75], [0.75, 1.25], [1.25, 1.75]])


@pytest.mark.parametrize("has_motor", [True, False])
def test_frames_in_a_detectors_file_are_filled_in(tiled_server, tmp_path, container, has_motor):
    frames = np.random.default_rng(3).integers(0, 2**16, (4, 20, 30), dtype=np.uint16)
    directory = tiled_server.directory / "files"
    directory.mkdir(exist_ok=True)
    file = directory / f"{has_motor}.h5"
    with h5py.File(file, "w") as h5:
        h5["frames"] = frames
    writer = ArchiveWriter(tmp_path, container)
    for name, doc in documents_of_file(file, frames, has_motor=has_motor):
        writer(name, doc)
    summary = writer.close(timeout_s=60)
    assert summary.problems == ()

    archived = list(archived_documents(find_run(container, summary.uploaded[0])))

    events = events_by_stream(archived)["primary"]
    for row, event in enumerate(events):
        np.testing.assert_array_equal(event["data"]["image"].reshape(20, 30), frames[row])
        assert event["data"]["image"].dtype == np.uint16
        assert event["filled"] == {"image": True}
        assert event["data"].get("motor", row) == row


def documents_of_file(file, frames, *, has_motor):
    """Return a run whose frames stand in an HDF5 file, each announced before its event."""
    image = {
        "source": "test",
        "dtype": "array",
        "shape": [1, 20, 30],
        "dtype_numpy": "<u2",
        "external": "STREAM:",
    }
    motor = {"source": "test", "dtype": "number", "shape": []}
    run = compose_run()
    stream = run.compose_descriptor(
        name="primary", data_keys={"image": image} | ({"motor": motor} if has_motor else {})
    )
    resource, datum = run.compose_stream_resource(
        mimetype="application/x-hdf5",
        uri=f"file://localhost{file}",
        data_key="image",
        parameters={"dataset": "frames", "chunk_shape": (1, 20, 30)},
    )
    yield "start", run.start_doc
    yield "descriptor", stream.descriptor_doc
    yield "stream_resource", resource
    for row in range(len(frames)):
        yield (
            "stream_datum",
            datum(StreamRange(start=row, stop=row + 1), StreamRange(start=row + 1, stop=row + 2))
            | {"descriptor": stream.descriptor_doc["uid"]},
        )
        if has_motor:
            yield (
                "event",
                stream.compose_event(data={"motor": float(row)}, timestamps={"motor": 0.0}),
            )
    yield "stop", run.compose_stop()


def test_a_run_is_found_by_the_beginning_of_its_uid_and_below_raw(
    run_engine, motor, tmp_path, container
):
    from phasepilot.agent.archive.tiled_client import runs_container

    raw = runs_container(container, "raw")
    _, run = upload(run_engine, bp.count([motor], 1), tmp_path, raw)
    uid = run.start["uid"]

    assert find_run(container, uid).start["uid"] == uid
    assert find_run(container, uid[:6]).start["uid"] == uid


def test_a_run_that_is_not_there_is_an_error_that_lists_what_is(
    run_engine, motor, tmp_path, container
):
    with pytest.raises(ArchiveError, match="no run at all"):
        find_run(container, "abcdef")
    _, run = upload(run_engine, bp.count([motor], 1), tmp_path, container)
    uid = run.start["uid"]

    with pytest.raises(
        ArchiveError, match=f"no run '{uid}0'; the latest are.*Did you mean '{uid}'"
    ):
        find_run(container, uid + "0")
    with pytest.raises(ArchiveError, match="uid of a run"):
        find_run(container, "%")


def test_a_beginning_that_several_runs_share_is_an_error(container):
    from bluesky_tiled_plugins import TiledWriter

    for uid in ("same-beginning-1", "same-beginning-2"):
        run = compose_run(uid=uid)
        writer = TiledWriter(container)
        writer("start", run.start_doc)
        writer("stop", run.compose_stop())

    with pytest.raises(ArchiveError, match="2 runs begin with 'same-b'"):
        find_run(container, "same-b")
    assert find_run(container, "same-beginning-2").start["uid"] == "same-beginning-2"
