"""Replays of archived runs: what was said live is said again, to the last bit."""

import copy
import math

import numpy as np
import pytest
from experiment import Emitted, configuration
from steered_run import (
    SteeredRun,
    agent_descriptor,
    assert_same_to_the_bit,
    bits,
    without_advice,
)

from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.replay import ReplayResult, replay
from phasepilot.models.suggestion import Action


@pytest.fixture(scope="module", params=["steered_run", "paused_run"])
def run(request: pytest.FixtureRequest) -> SteeredRun:
    recorded: SteeredRun = request.getfixturevalue(request.param)
    return recorded


@pytest.fixture(scope="module")
def replayed(run: SteeredRun) -> ReplayResult:
    return replay(run.archived.documents)


def test_every_column_of_every_advice_is_on_record_to_the_bit(
    run: SteeredRun, replayed: ReplayResult
) -> None:
    recorded = [doc["data"] for doc in run.archived.events("agent")]
    assert len(recorded) == len(replayed.advice) == replayed.n_recorded > 10
    for advice, row in zip(replayed.advice, recorded, strict=True):
        for column, value in advice.values().items():
            assert bits(row[f"agent_{column}"]) == bits(value), (advice.frame_seq_num, column)
    assert replayed.differences == ()
    assert replayed.problems == ()


def test_the_replay_says_what_the_agent_said_live(run: SteeredRun, replayed: ReplayResult) -> None:
    assert_same_to_the_bit(replayed.advice, run.live.advice)
    assert {Action.REFINE, Action.STOP} <= {advice.action for advice in replayed.advice}


def test_frames_taken_twice_around_a_pause_are_judged_once(paused_run: SteeredRun) -> None:
    numbers = [doc["seq_num"] for doc in paused_run.emitted.events("primary")]
    assert len(numbers) > len(set(numbers))
    # With the repeated frames in it, which the archive leaves out.
    result = replay(paused_run.emitted.documents)
    assert result.differences == ()
    assert_same_to_the_bit(result.advice, paused_run.live.advice)


def test_the_analysis_is_a_whole_run_that_names_the_raw_one(
    run: SteeredRun, replayed: ReplayResult
) -> None:
    published = Emitted(list(replayed.documents))
    (start,) = published.of("start")
    assert replayed.is_complete
    assert start["analysis_of"] == run.uid
    assert len(published.events("primary")) == len(replayed.advice)
    assert published.stop["exit_status"] == "success"


def test_every_value_changed_on_record_is_told(steered_run: SteeredRun) -> None:
    changes = {
        2: ("strain", lambda value: math.nextafter(value, 1.0)),
        3: ("entropy_bits", lambda value: value + 1e-12),
        4: ("p_cubic", lambda _: math.nan),
        5: ("space_group_number", lambda number: number % 230 + 1),
        6: ("action", lambda _: "expose"),
        7: ("space_group_probabilities", lambda row: [math.nextafter(row[0], 1.0), *row[1:]]),
    }
    documents = copy.deepcopy(steered_run.archived)
    rows = {doc["data"]["agent_frame_seq_num"]: doc["data"] for doc in documents.events("agent")}
    for number, (column, change) in changes.items():
        rows[number][f"agent_{column}"] = change(rows[number][f"agent_{column}"])
    told = replay(documents.documents).differences
    assert len(told) == len(changes)
    for sentence, (number, (column, _)) in zip(told, changes.items(), strict=True):
        assert sentence.startswith(f"frame {number}: {column} was ")


def test_a_changed_pattern_is_told_by_what_follows_from_it(steered_run: SteeredRun) -> None:
    documents = copy.deepcopy(steered_run.archived)
    frame = next(doc for doc in documents.events("primary") if doc["seq_num"] == 4)
    pattern = np.array(frame["data"]["detector_intensity"])
    pattern[pattern.argmax()] *= 1.5
    frame["data"]["detector_intensity"] = pattern
    told = replay(documents.documents).differences
    assert any(sentence.startswith("frame 4: strain was") for sentence in told)
    assert not any(sentence.startswith("frame 3:") for sentence in told)


def test_a_column_that_an_older_record_lacks_is_no_difference(steered_run: SteeredRun) -> None:
    documents = copy.deepcopy(steered_run.archived.documents)
    for name, doc in documents:
        if name == "event":
            # As if images had been named nothing when this was recorded.
            doc["data"].pop("agent_image_kind", None)
            doc["data"].pop("agent_entropy_bits", None)
    assert replay(documents).differences == ()


def test_a_frame_of_the_record_that_is_missing_is_told(steered_run: SteeredRun) -> None:
    documents = steered_run.archived
    last = documents.events("primary")[-1]
    result = replay([(name, doc) for name, doc in documents.documents if doc is not last])
    assert result.differences == (
        f"frame {last['seq_num']} is on record, but the replay has not seen it",
    )


def test_advice_of_another_network_is_told_by_its_checksum(steered_run: SteeredRun) -> None:
    documents = copy.deepcopy(steered_run.archived)
    settings = agent_descriptor(documents)["configuration"]["agent"]["data"]
    settings["agent_model_sha256"] = "f" * 64
    (problem,) = replay(documents.documents).problems
    assert problem.startswith("the run was judged by another network (sha256 ffffffffffff, now ")


def test_a_run_without_advice_asks_for_a_configuration(steered_run: SteeredRun) -> None:
    with pytest.raises(ConfigurationError, match=r"give the configuration with --config"):
        replay(without_advice(steered_run.archived))


def test_a_run_without_advice_is_judged_by_the_configuration_given(
    steered_run: SteeredRun,
) -> None:
    result = replay(without_advice(steered_run.archived), configuration())
    assert (result.n_recorded, result.differences) == (0, ())
    assert_same_to_the_bit(result.advice, steered_run.live.advice)


def test_a_run_that_never_stopped_gives_no_whole_analysis(steered_run: SteeredRun) -> None:
    result = replay(steered_run.archived.documents[:-1])
    assert len(result.advice) == result.n_recorded
    assert not result.is_complete
