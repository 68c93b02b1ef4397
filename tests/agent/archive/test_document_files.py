"""Runs in files of documents, written by ourselves and by others."""

import pickle
from pathlib import Path

import msgpack
import msgpack_numpy
import numpy as np
import pytest
from recorded_documents import (
    RecordedRun,
    record_run,
    write_json_array,
    write_json_lines,
    write_msgpack,
)
from steered_run import assert_same_to_the_bit

from phasepilot.agent.archive.document_files import DocumentFiles, read_records
from phasepilot.agent.archive.run_query import RunQuery, condition
from phasepilot.agent.errors import ArchiveError, DocumentError
from phasepilot.agent.replay import replay

ALL = RunQuery()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RecordedRun:
    return record_run(tmp_path_factory.mktemp("log"), sample="KCl")


def no_notes(sentence: str) -> None:
    raise AssertionError(sentence)


@pytest.mark.parametrize("write", [write_json_lines, write_json_array, write_msgpack])
def test_a_file_of_another_program_gives_the_same_advice_to_the_bit(
    run: RecordedRun, tmp_path: Path, write
) -> None:
    source = DocumentFiles(write(tmp_path / "run.any", run.emitted.documents))
    (found,) = source.find(ALL)
    result = replay(source.documents(found.uid, no_notes))
    assert found.uid == run.uid
    assert found.n_events == 2 * len(run.advice)
    assert result.differences == ()
    assert_same_to_the_bit(result.advice, run.advice)


def test_our_own_log_gives_the_same_advice_to_the_bit(run: RecordedRun) -> None:
    result = replay(DocumentFiles(run.log).documents(run.uid, no_notes))
    assert result.differences == ()
    assert_same_to_the_bit(result.advice, run.advice)


def test_runs_that_were_interleaved_in_one_file_come_apart(
    run: RecordedRun, tmp_path: Path
) -> None:
    other = record_run(tmp_path / "other", seed=1)
    one, two = run.emitted.documents, other.emitted.documents
    mixed = [document for pair in zip(one, two, strict=False) for document in pair]
    n_paired = min(len(one), len(two))
    mixed += [*one[n_paired:], *two[n_paired:]]
    source = DocumentFiles(write_msgpack(tmp_path / "both", mixed))
    assert {found.uid for found in source.find(ALL)} == {run.uid, other.uid}
    for recorded in (run, other):
        names = [name for name, _ in source.documents(recorded.uid, no_notes)]
        assert names == [name for name, _ in recorded.emitted.documents]


def test_runs_are_found_by_uid_by_condition_and_by_time(run: RecordedRun) -> None:
    source, started = DocumentFiles(run.log), run.emitted.of("start")[0]["time"]
    assert source.find(RunQuery(uids=(run.uid[:6],)))[0].uid == run.uid
    assert source.find(RunQuery(conditions=(condition("start.sample=KCl"),)))[0].uid == run.uid
    assert source.find(RunQuery(conditions=(condition("start.sample=NaCl"),))) == []
    assert source.find(RunQuery(since_s=started))[0].uid == run.uid
    assert source.find(RunQuery(since_s=started + 1)) == []
    with pytest.raises(ArchiveError, match=f"no run 'zzz' in .*; there are \\['{run.uid}'\\]"):
        source.find(RunQuery(uids=("zzz",)))


class RanError(Exception):
    pass


def explode() -> None:
    raise RanError


class Bomb:
    def __reduce__(self):
        return explode, ()


def test_an_array_of_objects_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    array = np.empty(1, dtype=object)
    array[0] = Bomb()
    packed = msgpack.packb(["event", {"data": {"x": array}}], default=msgpack_numpy.encode)
    with pytest.raises(RanError):
        pickle.loads(msgpack.unpackb(packed)[1]["data"]["x"][b"data"])
    path = tmp_path / "bomb.msgpack"
    path.write_bytes(packed)
    with pytest.raises(DocumentError, match="refused because decoding them can run code"):
        list(read_records(path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\x93\x01\x02\x03", "expected a pair of name and document"),
        (b'["beginning", {}]\n', "unknown document name 'beginning'"),
        (b'["start", {"uid": "a"}]\nnonsense\n["stop", {}]\n', "line 2 is none"),
        (b"{nonsense", "first line is none"),
        (b"\xc1\xc1\xc1", "is damaged"),
        (pickle.dumps({"uid": 1}), "damaged|expected a pair"),
    ],
)
def test_a_file_of_something_else_is_told_in_one_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(DocumentError, match=sentence) as raised:
        list(read_records(path))
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_file_that_is_still_written_gives_what_it_holds(run: RecordedRun, tmp_path: Path) -> None:
    for write in (write_json_lines, write_msgpack):
        path = write(tmp_path / "run", run.emitted.documents)
        path.write_bytes(path.read_bytes()[:-20])
        assert len(list(read_records(path))) == len(run.emitted.documents) - 1
