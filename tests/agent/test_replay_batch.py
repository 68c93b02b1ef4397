"""Many runs judged again: pace, results in Parquet, and what a second time leaves alone."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from experiment import ManualClock, configuration
from recorded_documents import RecordedRun, record_run
from steered_run import assert_same_to_the_bit

from phasepilot.agent.archive.document_files import DocumentFiles
from phasepilot.agent.archive.parquet_results import read_header, read_results
from phasepilot.agent.archive.run_query import Condition, RunQuery, condition, since
from phasepilot.agent.errors import ArchiveError
from phasepilot.agent.replay_batch import ResultsFolder, at_recorded_speed, judge_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RecordedRun:
    return record_run(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="module")
def outcome(run: RecordedRun):
    return judge_run(DocumentFiles(run.log), run.uid, None)


class Store:
    """Keeps runs of analysis in memory, and breaks off where it is told to."""

    def __init__(self) -> None:
        self.uids: list[str] = []
        self.is_broken = False

    def store(self, documents) -> str:
        if self.is_broken:
            raise KeyboardInterrupt
        self.uids.append(documents[0][1]["uid"])
        return self.uids[-1]

    def is_stored(self, uid: str) -> bool:
        return uid in self.uids


def test_every_column_comes_back_from_parquet_to_the_bit_with_its_unit(
    run: RecordedRun, outcome, tmp_path: Path
) -> None:
    folder = ResultsFolder(tmp_path)
    folder.keep(run.uid, outcome.result)
    path = folder.file(run.uid)
    assert_same_to_the_bit(read_results(path), run.advice)
    schema = pq.read_schema(path)
    assert schema.field("pressure_gpa").metadata == {b"units": b"GPa"}
    assert schema.field("volume_angstrom3").metadata == {b"units": b"angstrom^3"}
    header = read_header(path)
    assert (header.run_uid, header.is_complete) == (run.uid, True)
    assert header.settings["agent_model_sha256"] == outcome.result.settings["agent_model_sha256"]


def test_a_run_is_done_only_when_it_was_judged_in_the_same_way(
    run: RecordedRun, outcome, tmp_path: Path
) -> None:
    folder = ResultsFolder(tmp_path)
    assert not folder.is_done(run.uid, None)
    folder.keep(run.uid, outcome.result)
    assert folder.is_done(run.uid, None)
    assert folder.is_done(run.uid, configuration())
    assert not folder.is_done(run.uid, configuration(set_level=0.8))


def test_a_kill_between_the_file_and_the_store_loses_and_repeats_nothing(
    run: RecordedRun, outcome, tmp_path: Path
) -> None:
    folder, store = ResultsFolder(tmp_path), Store()
    store.is_broken = True
    with pytest.raises(KeyboardInterrupt):
        folder.keep(run.uid, outcome.result, store)
    assert not folder.is_done(run.uid, None, store)
    store.is_broken = False
    folder.keep(run.uid, outcome.result, store)
    # As if the kill had come after the store, before the file got its name.
    folder.file(run.uid).rename(folder.file(run.uid).with_suffix(".part"))
    assert folder.is_done(run.uid, None, store)
    assert len(store.uids) == 1


def test_half_a_file_counts_for_nothing(run: RecordedRun, outcome, tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.keep(run.uid, outcome.result)
    whole = folder.file(run.uid).read_bytes()
    folder.file(run.uid).unlink()
    folder.file(run.uid).with_suffix(".part").write_bytes(whole[: len(whole) // 2])
    assert not folder.is_done(run.uid, None)
    folder.file(run.uid).write_bytes(b"not Parquet")
    with pytest.raises(ArchiveError, match="remove it, and its run is judged again"):
        folder.is_done(run.uid, None)


def test_a_uid_that_would_leave_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot name a file of results"):
        ResultsFolder(tmp_path).file("../../etc/passwd")


def test_a_file_that_is_cut_off_is_judged_and_told(
    run: RecordedRun, outcome, tmp_path: Path
) -> None:
    cut = tmp_path / run.log.name
    cut.write_bytes(run.log.read_bytes()[:-2000])
    broken_off = judge_run(DocumentFiles(cut), run.uid, None).result
    assert broken_off.advice
    assert "has no stop document: it is under way, or its file is cut off" in broken_off.problems[0]
    assert outcome.result.problems == ()


def test_recorded_speed_is_the_speed_of_the_documents() -> None:
    clock, waits = ManualClock(), []

    def sleep(seconds: float) -> None:
        waits.append(round(seconds, 6))
        clock.sleep(seconds)

    times = [("start", 100.0), ("descriptor", 100.0), ("event", 101.5), ("event", 101.0)]
    times += [("event", 102.0), ("stop", 102.25)]
    documents = [(name, {"time": time}) for name, time in times]
    paced = list(at_recorded_speed(documents, sleep=sleep, clock=clock))
    assert paced == documents
    assert waits == [1.5, 0.5, 0.25]


def test_a_network_is_loaded_once_for_many_runs(run: RecordedRun) -> None:
    outcomes = [judge_run(DocumentFiles(run.log), run.uid, None) for _ in range(3)]
    assert {outcome.n_models_loaded for outcome in outcomes} == {outcomes[0].n_models_loaded}


def test_documents_that_make_no_sense_cost_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('["start", {"uid": "a", "time": 0}]\n["descriptor", {"run_start": "a"}]\n')
    outcome = judge_run(DocumentFiles(path), "a", configuration())
    assert outcome.result is None or outcome.result.problems
    assert len(outcome.failure.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("start.sample=KCl", Condition("sample", "KCl")),
        ("sample.name=KCl B2", Condition("sample.name", "KCl B2")),
        ("scan_id=7", Condition("scan_id", 7)),
        ('scan_id="7"', Condition("scan_id", "7")),
    ],
)
def test_conditions_are_read(text: str, expected: Condition) -> None:
    assert condition(text) == expected


def test_true_is_not_one_and_a_missing_key_is_nothing() -> None:
    assert not Condition("n", 1).holds_for({"n": True})
    assert not Condition("a.b", 1).holds_for({"a": 3})
    assert Condition("a.b", 1).holds_for({"a": {"b": 1}})
    assert not RunQuery().holds_for({"uid": "x", "analysis_of": "y"})


@pytest.mark.parametrize("text", ["yesterday", "3 parsecs", "2026-13-01", ""])
def test_a_time_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ArchiveError, match="a time must be a date"):
        since(text)


@pytest.mark.parametrize("text", ["sample", "=KCl", "sample="])
def test_a_condition_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ArchiveError, match="KEY=VALUE"):
        condition(text)
