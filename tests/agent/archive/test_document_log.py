import os

import numpy as np
import pytest
from bluesky import plans as bp
from event_model import compose_run

from phasepilot.agent.archive.document_log import DocumentLog, lock, read_documents
from phasepilot.agent.errors import DocumentError


def make_run(n_events=3, uid=None):
    """Return the documents of a run with one frame an event."""
    run = compose_run(uid=uid)
    stream = run.compose_descriptor(
        name="primary",
        data_keys={"frame": {"source": "test", "dtype": "array", "shape": [4]}},
    )
    events = [
        stream.compose_event(
            data={"frame": np.full(4, float(i))}, timestamps={"frame": float(i)}, validate=False
        )
        for i in range(n_events)
    ]
    return [
        ("start", run.start_doc),
        ("descriptor", stream.descriptor_doc),
        *(("event", event) for event in events),
        ("stop", run.compose_stop()),
    ]


def names_in(path):
    return [name for name, _ in read_documents(path)]


@pytest.fixture
def log(tmp_path):
    log = DocumentLog(tmp_path / "logs")
    yield log
    log.close()


def test_interleaved_runs_go_to_their_own_logs(log):
    one, other = make_run(2, uid="one"), make_run(2, uid="other")

    for pair in zip(one, other, strict=True):
        for name, doc in pair:
            log(name, doc)

    assert names_in(log.directory / "one.documents") == [name for name, _ in one]
    assert names_in(log.directory / "other.documents") == [name for name, _ in other]
    assert log.problems == {}


def test_every_kind_of_document_finds_its_run(log):
    documents = [
        ("start", {"uid": "one", "time": 0.0}),
        ("descriptor", {"uid": "d", "run_start": "one", "name": "primary", "data_keys": {}}),
        ("resource", {"uid": "r", "run_start": "one"}),
        ("resource", {"uid": "r2"}),
        ("datum", {"datum_id": "r/1", "resource": "r", "datum_kwargs": {}}),
        ("datum_page", {"datum_id": ["r2/1"], "resource": "r2", "datum_kwargs": {}}),
        ("stream_resource", {"uid": "sr"}),
        ("stream_datum", {"uid": "sd", "stream_resource": "sr", "descriptor": "d"}),
        ("event", {"uid": "e", "descriptor": "d"}),
        ("event_page", {"uid": ["e2"], "descriptor": "d"}),
        ("bulk_events", {"d": [{"uid": "e3", "descriptor": "d"}]}),
        ("stop", {"uid": "s", "run_start": "one"}),
    ]

    for name, doc in documents:
        log(name, doc)

    assert list(read_documents(log.directory / "one.documents")) == documents
    assert log.problems == {}


def test_each_document_is_on_disk_when_the_callback_returns(log):
    for n_written, (name, doc) in enumerate(make_run(uid="one"), start=1):
        log(name, doc)
        assert len(names_in(log.directory / "one.documents")) == n_written


def test_later_changes_of_a_document_do_not_reach_the_log(log):
    documents = make_run(1, uid="one")
    for name, doc in documents:
        log(name, doc)
        if name == "event":
            doc["data"]["frame"][:] = -1

    (event,) = [
        doc for name, doc in read_documents(log.directory / "one.documents") if name == "event"
    ]

    np.testing.assert_array_equal(event["data"]["frame"], np.zeros(4))


def test_a_log_cut_off_in_its_last_record_gives_all_documents_before(log, caplog):
    for name, doc in make_run(3, uid="one"):
        log(name, doc)
    path = log.directory / "one.documents"
    os.truncate(path, path.stat().st_size - 5)

    assert names_in(path) == ["start", "descriptor", "event", "event", "event"]
    assert "read 5 documents" in caplog.text


def test_a_damaged_log_gives_what_stands_before_the_damage(log):
    for name, doc in make_run(1, uid="one"):
        log(name, doc)
    path = log.directory / "one.documents"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\xc1\xc1" + whole)
    read = []

    with pytest.raises(DocumentError, match="damaged after byte"):
        read.extend(name for name, _ in iter_until_error(path, read))

    assert read == ["start", "descriptor", "event", "stop"]


def iter_until_error(path, read):
    for name, _ in read_documents(path):
        read.append(name)
    yield from ()


def test_an_existing_log_is_never_written_to_again(log):
    documents = make_run(1, uid="one")
    for name, doc in documents * 2:
        log(name, doc)

    assert len(names_in(log.directory / "one.documents")) == len(documents)
    assert "File exists" in log.problems["one"]


def test_a_run_in_progress_is_locked_and_a_finished_one_is_not(log):
    documents = make_run(1, uid="one")
    for name, doc in documents[:-1]:
        log(name, doc)
    with (log.directory / "one.documents").open("rb") as file:
        with pytest.raises(BlockingIOError):
            lock(file)
        log(*documents[-1])
        lock(file)


@pytest.mark.parametrize("uid", ["../escape", "a/b", "", ".hidden", "x" * 200, 7])
def test_a_uid_that_cannot_name_a_file_is_reported(log, uid):
    log("start", {"uid": uid, "time": 0.0})

    assert len(log.problems) == 1
    assert not log.directory.exists()


@pytest.mark.parametrize(
    ("name", "doc"),
    [("event", {"descriptor": "never came"}), ("stop", {}), ("what", {}), ("event", None)],
)
def test_a_document_without_a_run_is_reported_and_not_raised(log, name, doc):
    log(name, doc)
    log(name, doc)

    assert len(log.problems) <= 1


def test_a_removed_directory_is_reported_once_and_the_run_engine_goes_on(
    log, run_engine, motor, caplog
):
    run_engine.subscribe(log)

    def remove(name, doc):
        if name == "event" and doc["seq_num"] == 2:
            for path in log.directory.iterdir():
                path.unlink()
            log.directory.rmdir()

    run_engine.subscribe(remove)
    (uid,) = run_engine(bp.scan([], motor, 0, 1, 5))

    assert "was removed" in log.problems[uid]
    assert caplog.text.count("is not complete") == 1


def test_a_full_disk_costs_the_documents_it_has_no_room_for_and_no_others(log):
    resource = pytest.importorskip("resource")
    documents = make_run(3, uid="one")
    for name, doc in documents[:2]:
        log(name, doc)
    path = log.directory / "one.documents"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for half a record: the same short write, then error, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, before[1]))
    try:
        log(*documents[2])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    for name, doc in documents[3:]:
        log(name, doc)

    assert [doc.get("seq_num") for _, doc in read_documents(path)] == [None, None, 2, 3, None]
    assert "'event' could not be written" in log.problems["one"]
