"""The sockets of a served agent: proxies, publishers of Bluesky's own, keys and strangers."""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from bluesky import RunEngine
from bluesky.callbacks.zmq import ClientCurve, Publisher
from experiment import Emitted, configuration, make_beamline
from patience import PATIENCE_S, wait_until
from ports import free_ports
from served_agent import addresses

from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.sockets.advice_messages import PING, Question, read_answer
from phasepilot.agent.sockets.agent_server import AgentServer, ServerAddresses
from phasepilot.agent.sockets.curve_keys import client_keys, make_keys
from phasepilot.agent.sockets.remote_agent import RemoteAgent
from phasepilot.agent.sockets.subscriber import followed_documents
from phasepilot.agent.sockets.wire import NumberingSerializer
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.suggestion import Action
from phasepilot.plans.compression_scan import compression_scan


@contextlib.contextmanager
def serving(
    agent: PhaseAgent, places: ServerAddresses, keys: Path | None = None
) -> Iterator[AgentServer]:
    server = AgentServer(agent, places, keys=keys)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE_S)


def scan(run_engine: RunEngine, advisor: Any = None) -> Emitted:
    beamline, emitted = make_beamline(), Emitted()
    run_engine.subscribe(emitted)
    run_engine(
        compression_scan(
            [beamline.detector],
            beamline.cell,
            1.4,
            2.4,
            step=0.2,
            advisor=advisor,
        )
    )
    return emitted


@pytest.fixture
def agent(model: PhaseModel) -> PhaseAgent:
    return PhaseAgent(configuration(), model=model)


def is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True


def send_until_heard(
    send: Callable[[str, Any], None], serializer: NumberingSerializer, server: AgentServer
) -> None:
    """Send what concerns no run until it gets there: a publisher is not told who listens."""
    probe = {"uid": "probe", "run_start": "nobody", "time": 0.0, "exit_status": "success"}

    def is_heard() -> bool:
        send("stop", probe)
        return server.feed.has_reached(serializer.sender, 0)

    wait_until(is_heard, look_every_s=0.1)


@contextlib.contextmanager
def bluesky_proxy() -> Iterator[tuple[str, str]]:
    """Bluesky's own proxy as a process: where to publish and where to subscribe."""
    publish, subscribe = (f"127.0.0.1:{port}" for port in free_ports(2))
    program = "from bluesky.commandline.zmq_proxy import main; main()"
    options = ["--in-address", publish, "--out-address", subscribe]
    process = subprocess.Popen([sys.executable, "-c", program, *options])
    try:
        wait_until(lambda: is_open(publish) and is_open(subscribe), look_every_s=0.1)
        yield publish, subscribe
    finally:
        process.kill()
        process.wait()


def test_a_plan_is_steered_through_a_proxy_of_blueskys(
    agent: PhaseAgent, run_engine: RunEngine
) -> None:
    _, advice, results = addresses()
    with bluesky_proxy() as (publish, subscribe):
        places = ServerAddresses(advice=advice, results=results, proxy=subscribe)
        with serving(agent, places) as server, RemoteAgent(publish, advice) as remote:
            assert remote.wait_until_connected()
            send_until_heard(remote, remote._publisher._serializer, server)
            n_lost = server.feed.n_lost
            run_engine.subscribe(remote)
            emitted = scan(run_engine, remote)
    assert len(emitted.events("primary")) > 6  # refined: the plain scan has 6
    assert server.feed.n_lost == n_lost


def test_blueskys_own_publisher_feeds_the_agent(agent: PhaseAgent, run_engine: RunEngine) -> None:
    places = ServerAddresses(*addresses())
    with serving(agent, places) as server:
        serializer = NumberingSerializer()
        publisher = Publisher(places.documents, serializer=serializer)
        send_until_heard(publisher, serializer, server)
        run_engine.subscribe(publisher)
        emitted = scan(run_engine)
        publisher.close()
        assert seen(agent, emitted) == len(emitted.events("primary"))


def seen(agent: PhaseAgent, emitted: Emitted) -> int:
    """How many frames the agent has judged, once it has all or has had long enough."""
    (start,) = emitted.of("start")
    n_emitted = len(emitted.events("primary"))
    wait_until(lambda: len(agent.report(start["uid"]).advice) >= n_emitted)
    return len(agent.report(start["uid"]).advice)


def test_findings_are_published_as_runs_that_name_the_raw_one(
    agent: PhaseAgent, run_engine: RunEngine
) -> None:
    places, found = ServerAddresses(*addresses()), Emitted()
    with serving(agent, places) as server, RemoteAgent(places.documents, places.advice) as remote:
        assert remote.wait_until_connected()
        followed = followed_documents(places.results)
        assert next(followed) is None
        assert server._results.wait_for_subscriber(PATIENCE_S)
        run_engine.subscribe(remote)
        raw = scan(run_engine, remote)
        for name, doc in filter(None, followed):
            found(name, doc)
            if name == "stop":
                break
        followed.close()
    (start,), (raw_start,) = found.of("start"), raw.of("start")
    assert start["analysis_of"] == raw_start["uid"]
    assert len(found.of("event")) == len(raw.events("primary"))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", "plan", "stranger")
    (tmp_path / "keys" / "clients" / "stranger.key").unlink()
    return tmp_path / "keys"


def test_known_clients_steer_with_keys(
    agent: PhaseAgent, run_engine: RunEngine, keys: Path
) -> None:
    places = ServerAddresses(*addresses())
    with (
        serving(agent, places, keys),
        RemoteAgent(places.documents, places.advice, keys=client_keys(keys, "plan")) as remote,
    ):
        assert remote.wait_until_connected()
        run_engine.subscribe(remote)
        emitted = scan(run_engine, remote)
    assert len(emitted.events("primary")) > 6


@pytest.mark.parametrize("name", ["stranger", None])
def test_strangers_are_not_heard(
    name: str | None, agent: PhaseAgent, run_engine: RunEngine, keys: Path
) -> None:
    places = ServerAddresses(*addresses())
    own = client_keys(keys, name) if name else None
    with (
        serving(agent, places, keys),
        RemoteAgent(places.documents, places.advice, keys=own, silence_s=0.2) as remote,
    ):
        assert not remote.wait_until_connected(1.0)
        run_engine.subscribe(remote)
        scan(run_engine)
    assert agent.suggest() is None


def test_blueskys_own_publisher_takes_the_same_keys(
    agent: PhaseAgent, run_engine: RunEngine, keys: Path
) -> None:
    places = ServerAddresses(*addresses())
    with serving(agent, places, keys) as server:
        curve = ClientCurve(keys / "plan.key_secret", keys / "agent.key")
        serializer = NumberingSerializer()
        publisher = Publisher(places.documents, serializer=serializer, curve_config=curve)
        send_until_heard(publisher, serializer, server)
        run_engine.subscribe(publisher)
        emitted = scan(run_engine)
        publisher.close()
        assert seen(agent, emitted) == len(emitted.events("primary"))


def test_secret_keys_are_for_their_owner_only(keys: Path) -> None:
    assert {path.stat().st_mode & 0o077 for path in keys.glob("*.key_secret")} == {0}


def test_a_client_cannot_be_made_twice(keys: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"a client must have a name of its own"):
        make_keys(keys, "plan")


def test_an_address_open_to_other_hosts_needs_keys(agent: PhaseAgent) -> None:
    with pytest.raises(ConfigurationError, match=r"0\.0\.0\.0:5567 is open to others; make keys"):
        AgentServer(agent, ServerAddresses(documents="0.0.0.0:5567"))


def test_an_address_that_is_taken_is_told(agent: PhaseAgent) -> None:
    places = ServerAddresses(*addresses())
    with serving(agent, places), pytest.raises(ConfigurationError, match="another agent running"):
        AgentServer(agent, places)


@pytest.mark.parametrize(
    ("documents", "advice"), [("nowhere", "127.0.0.1:1"), ("127.0.0.1:1", "127.0.0.1:port")]
)
def test_an_agent_at_no_address_is_told_and_leaves_no_socket_open(
    documents: str, advice: str
) -> None:
    with pytest.raises(ConfigurationError, match="must each be an address") as told:
        RemoteAgent(documents, advice)
    frames = [entry.frame.f_locals for entry in told.traceback]
    (remote,) = (values["self"] for values in frames if isinstance(values.get("self"), RemoteAgent))
    assert remote._context.closed


def test_garbage_on_every_socket_leaves_the_agent_serving(
    agent: PhaseAgent, run_engine: RunEngine
) -> None:
    places = ServerAddresses(*addresses())
    with serving(agent, places) as server, zmq.Context() as context:
        context.linger = 0
        with context.socket(zmq.PUB) as documents:
            documents.connect(f"tcp://{places.documents}")

            def are_refused() -> bool:
                send_garbage(documents)
                return len(server.feed.problems) >= 4

            wait_until(are_refused, look_every_s=0.1)
        with context.socket(zmq.DEALER) as questions:
            questions.connect(f"tcp://{places.advice}")
            send_garbage(questions)
            questions.send(Question(7, PING).encoded())
            # The answer to what was sent last tells that all before was taken.
            assert questions.poll(int(1e3 * PATIENCE_S))
            assert read_answer(questions.recv()) == (7, "here")
        with RemoteAgent(places.documents, places.advice) as remote:
            assert remote.wait_until_connected()
            run_engine.subscribe(remote)
            assert scan(run_engine, remote).stop["exit_status"] == "success"
            assert (
                remote.advice("no run", "primary", 1).result(PATIENCE_S).action == Action.CONTINUE
            )


def send_garbage(to: "zmq.Socket[bytes]") -> None:
    for garbage in (b"", b"garbage", b" nosuchname {}", b"\x93\x01\x02\x03"):
        to.send(garbage)
    to.send_multipart([b"a", b"b", b"c"])
