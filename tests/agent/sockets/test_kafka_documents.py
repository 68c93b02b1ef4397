"""Documents through Kafka: librdkafka's own mock cluster, real sockets, Bluesky's own client."""

import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import confluent_kafka
import msgpack
import pytest
from bluesky import RunEngine
from experiment import Emitted, configuration, make_beamline
from patience import PATIENCE_S

from phasepilot.agent.archive.document_log import DocumentLog
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.sockets.document_feed import DocumentFeed
from phasepilot.agent.sockets.kafka_documents import KafkaPublisher, follow_topics
from phasepilot.agent.sockets.run_archives import LogArchive
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.plans.compression_scan import compression_scan

pytestmark = pytest.mark.slow

# Tests read the topic from its beginning; live agents do not.
FROM_THE_START = {"auto.offset.reset": "earliest", "log_level": 0}
QUIETLY = {"enable.idempotence": True, "log_level": 0}


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    """Addresses of a cluster of two brokers."""
    cluster = confluent_kafka.Producer({"test.mock.num.brokers": 2, "log_level": 0})
    brokers = cluster.list_topics(timeout=PATIENCE_S).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    cluster.flush()


def scan(run_engine: RunEngine) -> Emitted:
    beamline, emitted = make_beamline(), Emitted()
    run_engine.subscribe(emitted)
    run_engine(compression_scan([beamline.detector], beamline.cell, 1.4, 2.4, step=0.2))
    return emitted


def follow(feed: DocumentFeed, topic: str, servers: str, is_done: Callable[[], bool]) -> None:
    """Follow a topic until something is so."""
    until = time.monotonic() + PATIENCE_S
    follow_topics(
        feed,
        [topic],
        servers,
        group=f"{topic}-agent",
        go_on=lambda: not is_done() and time.monotonic() < until,
        settings=FROM_THE_START,
    )


@pytest.fixture
def publisher(servers: str) -> Iterator[Callable[[str], KafkaPublisher]]:
    """Makes publishers, which are closed while the brokers are still there."""
    made: list[KafkaPublisher] = []

    def make(topic: str) -> KafkaPublisher:
        made.append(KafkaPublisher(topic, servers, settings=QUIETLY))
        return made[-1]

    yield make
    assert all(one.close(PATIENCE_S) for one in made)


@pytest.fixture
def agent(model: PhaseModel) -> PhaseAgent:
    return PhaseAgent(configuration(steering=None), model=model)


def n_judged(agent: PhaseAgent, emitted: Emitted) -> int:
    return len(agent.report(emitted.of("start")[0]["uid"]).advice)


def test_an_agent_judges_what_comes_through_kafka_and_sends_its_findings_back(
    agent: PhaseAgent, run_engine: RunEngine, servers: str, publisher
) -> None:
    run_engine.subscribe(publisher("raw"))
    emitted, findings = scan(run_engine), Emitted()
    agent.subscribe(publisher("findings"))
    feed = DocumentFeed(agent)
    follow(feed, "raw", servers, lambda: n_judged(agent, emitted) == 6)
    assert n_judged(agent, emitted) == 6
    assert list(feed.problems) == []
    assert agent.wait(PATIENCE_S)
    follow(Recorder(findings), "findings", servers, lambda: bool(findings.of("stop")))
    assert findings.of("start")[0]["analysis_of"] == emitted.of("start")[0]["uid"]
    assert len(findings.of("event")) == 6


class Recorder(DocumentFeed):
    """A feed that only keeps what comes."""

    def __init__(self, emitted: Emitted) -> None:
        self.take_document = emitted  # type: ignore[method-assign]

    def catch_up(self) -> int:
        return 0


def test_an_agent_that_comes_late_reads_the_run_from_the_log(
    agent: PhaseAgent, run_engine: RunEngine, servers: str, publisher, tmp_path: Path
) -> None:
    log, emitted = DocumentLog(tmp_path), scan(run_engine)
    publish = publisher("late")
    for name, doc in emitted.documents[:-1]:  # without the stop: it is still in progress
        log(name, dict(doc))
        if name == "event" and doc["seq_num"] > 4:
            publish(name, doc)
    feed = DocumentFeed(agent, LogArchive(tmp_path))
    follow(feed, "late", servers, lambda: n_judged(agent, emitted) == 6)
    assert n_judged(agent, emitted) == 6
    log.close()


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("code-from-kafka-ran"),)


def test_what_is_no_document_is_passed_over(
    agent: PhaseAgent,
    run_engine: RunEngine,
    servers: str,
    publisher,
    caplog: pytest.LogCaptureFixture,
) -> None:
    evil = {
        b"nd": True,
        b"type": b"O",
        b"kind": b"O",
        b"shape": [1],
        b"data": pickle.dumps(Hostile()),
    }
    producer = confluent_kafka.Producer({"bootstrap.servers": servers, "log_level": 0})
    for value in (
        b"garbage",
        pickle.dumps(("event", Hostile())),
        msgpack.packb(["nosuchname", {}]),
        msgpack.packb(["event", {"data": evil}]),
    ):
        producer.produce("strange", key="phasepilot", value=value)
    producer.flush()
    run_engine.subscribe(publisher("strange"))
    emitted = scan(run_engine)
    follow(DocumentFeed(agent), "strange", servers, lambda: n_judged(agent, emitted) == 6)
    assert n_judged(agent, emitted) == 6
    assert "unknown document name 'nosuchname'" in caplog.text
    assert not Path("code-from-kafka-ran").exists()


def test_msgpack_is_left_as_it_was() -> None:
    assert msgpack.unpackb.__module__.startswith("msgpack.")


def test_a_scan_neither_fails_nor_waits_without_a_broker(run_engine: RunEngine) -> None:
    publisher = KafkaPublisher("nowhere", "127.0.0.1:1", settings=QUIETLY)
    run_engine.subscribe(publisher)
    # Kafka gives a message up after minutes: who waited for that would take longer than a test may.
    assert scan(run_engine).stop["exit_status"] == "success"
    assert not publisher.close(0.1)
