"""Uploads into a served Tiled: while the run goes on, after Tiled died, and from what was left."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from bluesky import plans as bp
from event_model import compose_run
from ophyd.sim import SynSignal
from patience import PATIENCE_S, wait_until

from phasepilot.agent.archive.derived_runs import store_documents
from phasepilot.agent.archive.document_log import DocumentLog, read_documents
from phasepilot.agent.archive.pending_runs import pending_logs, upload_pending
from phasepilot.agent.archive.run_upload import RunUpload
from phasepilot.agent.archive.tiled_client import connect, find_node
from phasepilot.agent.archive.tiled_columns import archived_documents, find_analysis, find_run
from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.errors import ArchiveError, DocumentError


def make_run(frames, **metadata):
    """Return the documents of a run with these frames beside a motor."""
    run = compose_run(metadata=metadata)
    stream = run.compose_descriptor(
        name="primary",
        data_keys={
            "frame": {"source": "test", "dtype": "array", "shape": [40]},
            "motor": {"source": "test", "dtype": "integer", "shape": []},
        },
    )
    documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    for row, frame in enumerate(frames):
        data = {"frame": frame, "motor": row if row % 5 else row / 2}
        stamps = {"frame": 0.0, "motor": 0.0}
        event = stream.compose_event(data=data, timestamps=stamps, validate=False)
        documents.append(("event", event))
    return [*documents, ("stop", run.compose_stop())]


def send(documents, *callbacks):
    for name, doc in documents:
        for callback in callbacks:
            callback(name, doc)
    return documents[0][1]["uid"]


SERVER_PROGRAM = """
import sys
from tiled.server import SimpleTiledServer
server = SimpleTiledServer(api_key="secret")
print(server.uri.partition("?")[0], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server_process():
    """A Tiled server that can be killed, and where it is."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER_PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield process, process.stdout.readline().strip()
        process.kill()


@pytest.mark.slow
@pytest.mark.usefixtures("patient_for_a_second")
def test_a_server_that_dies_costs_nothing_but_time(
    server_process, run_engine, motor, tmp_path, container
):
    process, uri = server_process
    detector = SynSignal(func=lambda: np.full(2000, motor.position), name="detector")
    client = connect(uri, api_key="secret", timeout_s=PATIENCE_S)
    writer = ArchiveWriter(tmp_path, client, batch_size=1)
    live = []

    def kill(name, doc):
        live.append((name, doc))
        if name == "event" and doc["seq_num"] == 10:
            wait_until(lambda: len(client) and "primary" in client.values().first())
            process.kill()
            process.wait()

    run_engine.subscribe(writer)
    run_engine.subscribe(kill)
    (uid,) = run_engine(bp.scan([detector], motor, 0, 19, 20))
    (next_uid,) = run_engine(bp.count([detector], 2))
    summary = writer.close(timeout_s=60)

    assert summary.uploaded == ()
    assert summary.pending == (uid, next_uid)
    assert "did not get into Tiled" in summary.problems[0]
    logged = [name for name, _ in read_documents(tmp_path / f"{uid}.documents")]
    assert logged == ["start", "descriptor", *["event"] * 20, "stop"]

    results = upload_pending(tmp_path, container)

    assert [(result.uid, result.is_uploaded) for result in results] == [
        (uid, True),
        (next_uid, True),
    ]
    events = [doc for name, doc in archived_documents(find_run(container, uid)) if name == "event"]
    live_events = [doc for name, doc in live if name == "event"][:20]
    assert [event["data"]["motor"] for event in events] == list(range(20))
    for event, live_event in zip(events, live_events, strict=True):
        np.testing.assert_array_equal(event["data"]["detector"], live_event["data"]["detector"])
    assert pending_logs(tmp_path) == []


def test_odd_frames_are_nan_in_tiled_and_whole_in_the_log(tmp_path, container):
    odd = {1: np.arange(3.0), 3: np.arange(40) * 1j, 5: np.array(["x"] * 40), 7: None}
    frames = [odd.get(row, np.full(40, row)) for row in range(12)]
    writer = ArchiveWriter(tmp_path, container, batch_size=2)
    uid = send(make_run(frames), writer)
    summary = writer.close(timeout_s=60)
    assert summary.uploaded == (uid,)

    run = find_run(container, uid)
    events = [doc for name, doc in archived_documents(run) if name == "event"]

    for row, event in enumerate(events):
        expected = np.nan if row in odd else row
        np.testing.assert_array_equal(event["data"]["frame"], np.full(40, expected))
    assert [event["data"]["motor"] for event in events] == [
        row if row % 5 else row / 2 for row in range(12)
    ]
    assert any("seq_num 2, 4, 6, 8" in note for note in run.metadata["notes"])
    log = read_documents(tmp_path / f"{uid}.documents")
    kept = [doc["data"]["frame"] for name, doc in log if name == "event"]
    for row, frame in enumerate(frames):
        np.testing.assert_array_equal(kept[row], frame)


def test_a_tiled_that_never_answers_stops_neither_the_run_nor_the_end(run_engine, motor, tmp_path):
    answered = threading.Event()

    def never_connect():
        answered.wait()
        raise ConnectionError("too late")

    writer = ArchiveWriter(tmp_path, never_connect)
    run_engine.subscribe(writer)
    (uid,) = run_engine(bp.scan([], motor, 0, 1, 5))
    summary = writer.close(timeout_s=0.2)

    assert not answered.is_set()
    assert summary.pending == (uid,)
    assert len(list(read_documents(tmp_path / f"{uid}.documents"))) == 8
    answered.set()


def test_after_a_failure_the_same_run_is_tried_again_before_the_next(tmp_path, container):
    places = [ConnectionError("no route to Tiled"), container]

    def connect_at_the_second_try():
        place = places.pop(0)
        if isinstance(place, Exception):
            raise place
        return place

    writer = ArchiveWriter(tmp_path, connect_at_the_second_try)
    first = send(make_run([np.zeros(40)]), writer)
    wait_until(lambda: writer.problems)
    assert "no route to Tiled" in writer.problems[0]
    second = send(make_run([np.zeros(40)]), writer)
    wait_until(lambda: not writer.problems)
    summary = writer.close(timeout_s=60)

    assert (summary.uploaded, summary.pending) == ((first, second), ())
    assert list(container) == [first, second]
    assert pending_logs(tmp_path) == []


def test_a_run_that_tiled_refuses_again_and_again_does_not_keep_the_next_one_out(
    tmp_path, container
):
    taken = make_run([np.zeros(40)])
    container.create_container(taken[0][1]["uid"])
    writer = ArchiveWriter(tmp_path, container)
    first = send(taken, writer)
    second = send(make_run([np.zeros(40)]), writer)
    wait_until(lambda: second in container)
    summary = writer.close(timeout_s=60)

    assert (summary.uploaded, summary.pending) == ((second,), (first,))
    assert "is in Tiled already" in summary.problems[0]


def test_a_run_broken_off_is_closed_as_aborted_in_tiled_only(tmp_path, container):
    log = DocumentLog(tmp_path)
    documents = make_run([np.full(40, row) for row in range(3)])
    uid = send(documents[:-1], log)
    assert not upload_pending(tmp_path, container)[0].is_uploaded  # it is being measured
    log.close()
    path = tmp_path / f"{uid}.documents"
    before = path.read_bytes()
    path.write_bytes(before[:-10])
    reported = []

    upload_pending(tmp_path, container, reported.append)

    run = find_run(container, uid)
    assert reported[0].is_uploaded
    assert "closed as aborted" in reported[0].sentence
    assert (run.stop["exit_status"], run.stop["num_events"]) == ("abort", {"primary": 2})
    assert path.read_bytes() == before[:-10]


def test_a_partial_run_in_tiled_is_replaced_and_a_finished_one_is_not(tmp_path, container):
    log = DocumentLog(tmp_path)
    documents = make_run([np.full(40, row) for row in range(4)])
    uid = send(documents[:5], log)
    assert not RunUpload(tmp_path / f"{uid}.documents", container, batch_size=1).advance()
    assert len(find_run(container, uid)["primary"]["frame"].read()) == 3
    send(documents[5:], log)

    assert upload_pending(tmp_path, container)[0].is_uploaded
    assert len(find_run(container, uid)["primary"]["frame"].read()) == 4

    (tmp_path / f"{uid}.uploaded").unlink()
    stop_before = find_run(container, uid).stop
    assert "was in Tiled already" in upload_pending(tmp_path, container)[0].sentence
    assert find_run(container, uid).stop == stop_before
    assert upload_pending(tmp_path, container) == []


def test_a_finished_run_with_other_rows_is_left_alone_and_reported(tmp_path, container):
    documents = make_run([np.full(40, row) for row in range(3)])
    writer = ArchiveWriter(tmp_path / "one", container)
    uid = send(documents, writer)
    assert writer.close(timeout_s=60).uploaded == (uid,)
    send([*documents[:3], documents[-1]], DocumentLog(tmp_path / "other"))

    (result,) = upload_pending(tmp_path / "other", container)

    assert not result.is_uploaded
    assert "has 3 rows, not 1" in result.sentence
    assert len(find_run(container, uid)["primary"]["frame"].read()) == 3


def test_a_derived_run_stands_in_a_container_beside_and_names_its_origin(container):
    documents = make_run([np.full(40, row) for row in range(6)], analysis_of="raw-run")

    uid = store_documents(container, documents)

    run = find_node(find_node(container, "agent"), uid)
    assert run.start["analysis_of"] == "raw-run"
    assert len([1 for name, _ in archived_documents(run) if name == "event"]) == 6
    with pytest.raises(ArchiveError, match="is in 'agent' already"):
        store_documents(container, documents)


def test_the_analysis_of_a_run_is_found_beside_containers_and_other_runs(tmp_path, container):
    store_documents(container, make_run([np.zeros(40)], analysis_of="raw-run"))
    writer = ArchiveWriter(tmp_path, container)
    send(make_run([np.zeros(40)]), writer)
    uid = send(make_run([np.zeros(40)], analysis_of="raw-run"), writer)
    writer.close(timeout_s=60)

    assert find_analysis(container, "raw-run").start["uid"] == uid
    with pytest.raises(ArchiveError, match="analysis_of='another' must stand in this archive"):
        find_analysis(container, "another")


def test_a_run_that_was_not_derived_is_not_stored_as_one(container):
    with pytest.raises(DocumentError, match="lacks `analysis_of`"):
        store_documents(container, make_run([np.zeros(40)]))
    with pytest.raises(DocumentError, match="from its start to its stop"):
        store_documents(container, make_run([np.zeros(40)])[:-1])
