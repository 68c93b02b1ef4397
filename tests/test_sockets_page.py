"""The commands and the code of docs/sockets.md run, word for word."""

import contextlib
import fcntl
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
import yaml
from bluesky import RunEngine
from experiment import Emitted, configuration, make_beamline
from patience import PATIENCE_S, wait_until
from queue_library import small_library, truth
from queue_server import queue_server
from served_agent import COMMAND

from phasepilot.agent import AgentConfiguration
from phasepilot.agent.cli.demo_scan import write_library
from phasepilot.agent.cli.demo_screening import screening_configuration
from phasepilot.agent.sockets.remote_agent import RemoteAgent
from phasepilot.models.steering.sample_belief import SampleSite
from phasepilot.models.suggestion import Advice
from phasepilot.plans.compression_scan import compression_scan
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[1] / "docs" / "sockets.md").read_text()
SESSION, SECURE, PUBLISHER, KAFKA_SESSION, KAFKA_AGENT, STARTUP, QUEUE = re.findall(
    r"```python\n(.*?)```", PAGE, flags=re.S
)
(CONFIGURATION,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.S)
SERVE, WATCH, KEYS, PROXY = map(str.splitlines, re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S))


@pytest.fixture(autouse=True)
def ports_of_the_page() -> Iterator[None]:
    """Other runs of the tests on this host wait until these are done: ports are as on the page."""
    with (Path(tempfile.gettempdir()) / "phasepilot-ports-of-the-page.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.yaml").write_text(CONFIGURATION)
    return tmp_path


@contextlib.contextmanager
def running(command: str, begins_with: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a command of the page until the end of the block, once it says that it is there."""
    name, *options = shlex.split(command)
    assert name == "phasepilot"
    process = subprocess.Popen([COMMAND, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith(begins_with)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def names_of_session(run_engine: RunEngine) -> dict[str, Any]:
    beamline = make_beamline()
    return {"RE": run_engine, "detector": beamline.detector, "cell": beamline.cell}


def test_the_page_serves_steers_and_shows(place: Path, run_engine: RunEngine) -> None:
    emitted = Emitted()
    run_engine.subscribe(emitted)
    names = names_of_session(run_engine)
    with running(SERVE[0], "serving"), running(WATCH[0], "watching"):
        exec(SESSION, names)
        names["agent"].close()
    assert len(emitted.events("primary")) > 9  # refined: the plain scan has 9
    assert list((place / "documents").glob("*.documents"))


def test_the_page_makes_keys_and_serves_with_them(place: Path, run_engine: RunEngine) -> None:
    make, serve, watch = KEYS
    with running(make, "plan: move"):
        pass
    names: dict[str, Any] = {"RemoteAgent": RemoteAgent, "Path": Path}
    with running(serve, "serving"), running(watch, "watching"):
        exec(SECURE, names)
        assert names["secure"].wait_until_connected()
        names["secure"].close()


def test_the_page_publishes_with_blueskys_own_publisher(place: Path, run_engine: RunEngine) -> None:
    names = names_of_session(run_engine)
    with running(SERVE[0], "serving"), RemoteAgent() as asking:
        exec(PUBLISHER, names)
        assert asking.wait_until_connected()
        found: list[Advice] = []

        def is_heard() -> bool:
            plan = compression_scan([names["detector"]], names["cell"], 1.4, 1.8, step=0.2)
            (uid,) = run_engine(plan)
            found.append(asking.advice(uid, "primary", 3).result(PATIENCE_S))
            return bool(found[-1].crystal_system)

        # The publisher cannot tell when somebody listens.
        wait_until(is_heard, look_every_s=0.1)
        names["publisher"].close()
    assert found[-1].crystal_system == "cubic"


def test_the_page_serves_behind_blueskys_own_proxy(place: Path, run_engine: RunEngine) -> None:
    proxy, serve = PROXY
    name, *options = shlex.split(proxy)
    assert name == "bluesky-0MQ-proxy"
    # The script is one line, and may stand in another folder than ours.
    program = "from bluesky.commandline.zmq_proxy import main; main()"
    process = subprocess.Popen([sys.executable, "-c", program, *options])
    names = names_of_session(run_engine)
    try:
        with running(serve, "serving"):
            exec(SESSION, names)
            assert names["agent"].wait_until_connected()
            names["agent"].close()
    finally:
        process.kill()
        process.wait()


def test_the_configuration_of_the_page_is_that_of_the_simulated_beamline() -> None:
    assert AgentConfiguration(**yaml.safe_load(CONFIGURATION)) == configuration()


def test_the_page_sends_and_judges_through_kafka(place: Path, run_engine: RunEngine) -> None:
    cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = cluster.list_topics(timeout=PATIENCE_S).brokers.values()
    names: dict[str, Any] = {
        "servers": ",".join(f"{broker.host}:{broker.port}" for broker in brokers),
        "configuration": configuration(),
        **names_of_session(run_engine),
    }
    exec(KAFKA_SESSION, names)
    names["RE"](compression_scan([names["detector"]], names["cell"], 1.4, 1.6, step=0.2))
    thread = threading.Thread(target=exec, args=(KAFKA_AGENT, names))
    thread.start()
    try:

        def is_judged() -> bool:
            plan = compression_scan([names["detector"]], names["cell"], 1.6, 1.8, step=0.2)
            uids.extend(names["RE"](plan))
            reports = [names["watcher"].report(uid) for uid in uids if "watcher" in names]
            return any(len(report.advice) == 2 for report in reports)

        # Only what is sent after it has joined reaches it: measure until something did.
        uids: list[str] = []
        wait_until(is_judged, look_every_s=0.5)
    finally:
        names["stopped"].set()
        thread.join(PATIENCE_S)
        assert names["to_kafka"].close(PATIENCE_S)
    cluster.close()


def has_ended(screening: Any) -> bool:
    return bool(screening and screening.decisions) and screening.decisions[-1].action == "end"


def test_the_page_fills_the_queue_of_a_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "def measure_sample" in STARTUP  # what the manager of the tests runs
    library = write_library(LIBRARY_CRYSTALS, tmp_path / "library")
    names: dict[str, Any] = {
        "configuration": screening_configuration(library),
        "labels": (*LIBRARY_CRYSTALS, "unknown"),
        "samples": [SampleSite(one.name, (one.x_mm, one.y_mm)) for one in small_library().samples],
    }
    with queue_server(tmp_path, "127.0.0.1:5567", "127.0.0.1:5570") as manager:
        manager.manager.queue_autostart(True)
        # The port of the page is one that the system hands to clients.
        code = QUEUE.replace("tcp://127.0.0.1:60615", manager.address)
        thread = threading.Thread(target=exec, args=(code, names))
        thread.start()
        try:
            wait_until(lambda: has_ended(names.get("screening")), look_every_s=0.2)
            manager.wait_until_idle()
            finished = manager.finished_samples()
        finally:
            names["server"].stop()
            thread.join(PATIENCE_S)
            names["screening"]._queue.close()
    assert sorted(set(finished)) == sorted(truth())
    assert list(names["screening"].problems) == []
