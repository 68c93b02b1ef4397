"""What comes over a wire: gaps, strangers, damage, and what an archive makes good."""

import pickle
from collections.abc import Callable
from pathlib import Path

import msgpack
import numpy as np
import pytest
from bluesky import RunEngine
from experiment import Emitted, configuration, make_beamline
from steered_run import assert_same_to_the_bit

from phasepilot.agent.archive.document_codec import encode_value
from phasepilot.agent.archive.document_log import DocumentLog
from phasepilot.agent.errors import DocumentError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.sockets.document_feed import DocumentFeed
from phasepilot.agent.sockets.run_archives import LogArchive
from phasepilot.agent.sockets.wire import NumberingSerializer, read_message
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.suggestion import Advice
from phasepilot.plans.compression_scan import compression_scan

WATCHING = configuration(steering=None)


@pytest.fixture
def emitted(run_engine: RunEngine) -> Emitted:
    """A plain scan of six frames."""
    beamline, emitted = make_beamline(), Emitted()
    run_engine.subscribe(emitted)
    run_engine(compression_scan([beamline.detector], beamline.cell, 1.4, 2.4, step=0.2))
    return emitted


def messages(emitted: Emitted) -> list[bytes]:
    """The documents as a publisher sends them."""
    serializer = NumberingSerializer()
    return [
        b" ".join([b"", name.encode(), serializer(dict(doc))]) for name, doc in emitted.documents
    ]


@pytest.fixture
def make_agent(model: PhaseModel) -> Callable[[], PhaseAgent]:
    return lambda: PhaseAgent(WATCHING, model=model)


def judged(agent: PhaseAgent, emitted: Emitted) -> tuple[Advice, ...]:
    assert agent.wait(60.0)
    (start,) = emitted.of("start")
    return agent.report(start["uid"]).advice


@pytest.fixture
def whole(make_agent: Callable[[], PhaseAgent], emitted: Emitted) -> tuple[Advice, ...]:
    """What an agent says that missed nothing."""
    agent = make_agent()
    for name, doc in emitted.documents:
        agent(name, doc)
    return judged(agent, emitted)


def test_documents_that_were_lost_are_told_and_read_from_the_archive(
    make_agent: Callable[[], PhaseAgent],
    emitted: Emitted,
    whole: tuple[Advice, ...],
    tmp_path: Path,
) -> None:
    log, agent = DocumentLog(tmp_path), make_agent()
    feed = DocumentFeed(agent, LogArchive(tmp_path))
    for index, ((name, doc), message) in enumerate(
        zip(emitted.documents, messages(emitted), strict=True)
    ):
        log(name, dict(doc))
        if index not in (0, 1, 4, 5):
            feed.take(message)
    assert_same_to_the_bit(judged(agent, emitted), whole)
    assert feed.n_lost == 4
    assert list(feed.problems) == [
        # The log holds the document that showed the gap, too.
        "2 documents did not come over the wire; 3 of runs in progress were read from the archive",
        "2 documents did not come over the wire; 3 of runs in progress were read from the archive",
    ]


def test_documents_that_were_lost_for_good_are_told(
    make_agent: Callable[[], PhaseAgent], emitted: Emitted
) -> None:
    agent = make_agent()
    feed = DocumentFeed(agent)
    sent = messages(emitted)
    for message in (*sent[:3], *sent[5:]):
        feed.take(message)
    assert [advice.frame_seq_num for advice in judged(agent, emitted)] == [1, 4, 5, 6]
    (problem,) = feed.problems
    assert problem.startswith("2 documents did not come over the wire; there is no archive")


def test_a_document_that_comes_twice_counts_once(
    make_agent: Callable[[], PhaseAgent], emitted: Emitted, whole: tuple[Advice, ...]
) -> None:
    agent = make_agent()
    feed, found = DocumentFeed(agent), Emitted()
    agent.subscribe(found)
    for message in messages(emitted):
        feed.take(message)
        feed.take(message)
    assert_same_to_the_bit(judged(agent, emitted), whole)
    assert len(found.of("event")) == len(whole)


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("code-from-the-wire-ran"),)


def array_of_objects(code: int) -> bytes:
    memory = pickle.dumps(Hostile())
    array = msgpack.ExtType(code, msgpack.packb(["|O", [1], memory]))
    return msgpack.packb(["sender", 0, {"data": {"x": array}}])


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b"", "expected prefix, name of a Bluesky document and payload"),
        (b"garbage", "expected prefix, name"),
        (b" nosuchname " + encode_value({}), "expected prefix, name"),
        (b" event " + b"\xc1", "could not be decoded"),
        (b" event " + encode_value({"a": np.zeros(9)})[:-9], "could not be decoded"),
        (b" event " + pickle.dumps({"uid": "x"}), r"decoded|NumberingSerializer"),
        (b" event " + pickle.dumps(Hostile()), r"decoded|NumberingSerializer"),
        (b" event " + array_of_objects(1), "arrays of objects are refused"),
        (b" event " + array_of_objects(7), "expected extension types"),
        (b" event " + encode_value(["s", 1]), "does the publisher use NumberingSerializer"),
        (b" event " + b"\x91" * 100_000, "could not be decoded"),
    ],
)
def test_what_is_no_document_is_refused_with_a_sentence(message: bytes, told: str) -> None:
    with pytest.raises(DocumentError, match=told):
        read_message(message)
    assert not Path("code-from-the-wire-ran").exists()


@pytest.mark.parametrize(
    "doc",
    [
        {},
        {"descriptor": ["a", "list"], "seq_num": 1, "time": 0.0},
        {"descriptor": "unknown", "seq_num": 1, "time": 0.0, "data": {}},
        {"descriptor": "unknown", "seq_num": {}, "time": None},
    ],
)
@pytest.mark.parametrize("name", ["start", "event", "descriptor", "event_page", "datum", "stop"])
def test_a_document_of_the_wrong_form_leaves_the_agent_working(
    name: str,
    doc: dict[str, object],
    make_agent: Callable[[], PhaseAgent],
    emitted: Emitted,
    whole: tuple[Advice, ...],
) -> None:
    agent = make_agent()
    feed, sent = DocumentFeed(agent), messages(emitted)
    strange = b" ".join([b"", name.encode(), NumberingSerializer()(doc)])
    for message in (sent[0], strange, *sent[1:]):
        feed.take(message)
    assert_same_to_the_bit(judged(agent, emitted), whole)


def test_a_publisher_that_does_not_number_is_understood(emitted: Emitted) -> None:
    (start,) = emitted.of("start")
    document = read_message(b"prefix start " + encode_value(dict(start)))
    assert (document.name, document.doc["uid"], document.number) == ("start", start["uid"], -1)
