"""The screening loop through a real RE Manager: results of samples decide what comes next."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from bluesky_queueserver_api import BPlan
from patience import PATIENCE_S, wait_until
from queue_library import truth
from queue_server import QueueServer, queue_server
from served_agent import addresses

from phasepilot.agent.cli.demo_scan import write_library
from phasepilot.agent.cli.demo_screening import screening_configuration
from phasepilot.agent.errors import QueueError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.queueserver.plan_queue import PlanQueue
from phasepilot.agent.queueserver.queue_screening import QueueLimits, QueueScreening
from phasepilot.agent.sockets.agent_server import AgentServer, ServerAddresses
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.steering.sample_belief import SampleSite
from phasepilot.models.steering.sample_order import SampleOrder, SampleOrderSettings
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

pytestmark = pytest.mark.slow

NAMES = ("A01", "A02", "A03", "B01", "B02", "B03")
SITES = [SampleSite(name, (5.0 * (k % 3), 5.0 * (k // 3))) for k, name in enumerate(NAMES)]
LABELS = (*LIBRARY_CRYSTALS, "unknown")


@dataclass
class Served:
    """An agent and a manager; `screening` is what decides at the moment."""

    agent: PhaseAgent
    server: QueueServer
    screening: QueueScreening | None = None
    queue: PlanQueue | None = None

    def screen(self, limits: QueueLimits, **settings: object) -> QueueScreening:
        order = SampleOrder(SampleOrderSettings(labels=LABELS, **settings))  # type: ignore[arg-type]
        queue = self.queue = PlanQueue(self.server.address)
        self.screening = QueueScreening(self.agent, order, SITES, queue, limits)
        return self.screening


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, model: PhaseModel) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("queue")
    library = write_library(LIBRARY_CRYSTALS, directory / "library")
    agent = PhaseAgent(screening_configuration(library), model=model)
    places = ServerAddresses(*addresses())
    parts: list[Served] = []
    decided = directory / "decided"
    decided.mkdir()

    def pass_on(name: str, doc: Any) -> None:
        screening = parts[0].screening if parts else None
        if screening is not None:
            screening(name, doc)
        if name == "stop":
            # The manager of the tests waits for this file.
            assert screening is None or screening.wait(PATIENCE_S)
            (decided / doc["run_start"]).touch()

    sockets = AgentServer(agent, places, also=(pass_on,))
    thread = threading.Thread(target=sockets.serve)
    thread.start()
    try:
        environment = {"PHASEPILOT_DECIDED": str(decided)}
        with queue_server(directory, places.documents, places.advice, **environment) as server:
            parts.append(Served(agent, server))
            yield parts[0]
    finally:
        sockets.stop()
        thread.join(PATIENCE_S)


@pytest.fixture
def empty(served: Served) -> Iterator[Served]:
    served.server.manager.queue_autostart(False)
    served.server.wait_until_idle()
    served.server.manager.history_clear()
    yield served
    if served.queue is not None:
        served.queue.close()


def test_results_decide_which_sample_is_next_and_for_how_long(empty: Served) -> None:
    screening = empty.screen(QueueLimits(max_plans=12), order="random", seed=3, first_dwell_s=1.0)
    empty.server.manager.queue_autostart(True)
    screening.begin()
    wait_until(lambda: screening.decisions and screening.decisions[-1].action == "end")
    empty.server.wait_until_idle()
    finished = empty.server.finished_samples()
    assert sorted(set(finished)) == sorted(NAMES)
    assert finished != sorted(finished)
    assert list(screening.problems) == []
    assert screening.decisions[-1].action == "end"
    found = {name: screening.state.evidence[name].probabilities for name in NAMES}
    assert {name: max(p, key=lambda label: p[label]) for name, p in found.items()} == truth()


def test_samples_that_wait_are_brought_forward_and_other_plans_stay(empty: Served) -> None:
    manager = empty.server.manager
    for name in NAMES:
        manager.item_add(BPlan("measure_sample", sample=name, dwell_s=8.0))
    manager.item_add(BPlan("calibrate"), pos=1)
    screening = empty.screen(QueueLimits(max_plans=0), order="random", seed=3)
    manager.queue_start()
    empty.server.wait_until_idle()
    finished = empty.server.finished_samples()
    assert sorted(finished) == sorted([*NAMES, "calibrate"])
    assert finished != ["A01", "calibrate", *NAMES[1:]]
    targets = [one.target for one in screening.decisions if one.action == "move"]
    assert targets
    assert screening.n_added == 0


def test_no_more_plans_are_added_than_allowed(empty: Served) -> None:
    screening = empty.screen(QueueLimits(max_plans=2, max_dwell_s=0.5))
    empty.server.manager.queue_autostart(True)
    screening.begin()
    wait_until(lambda: screening.problems)
    empty.server.wait_until_idle()
    assert len(empty.server.finished_samples()) == 2
    assert screening.problems[-1].endswith("all 2 plans were added")
    items = empty.server.manager.history_get(reload=True)["items"]
    assert {item["user"] for item in items} == {"phasepilot"}
    assert max(item["kwargs"]["dwell_s"] for item in items) <= 0.5


def test_a_manager_that_is_not_there_is_told(served: Served) -> None:
    order = SampleOrder(SampleOrderSettings(labels=LABELS))
    queue = PlanQueue("tcp://127.0.0.1:1", timeout_s=0.2)
    screening = QueueScreening(served.agent, order, SITES, queue, QueueLimits(max_plans=2))
    screening.begin()
    assert screening.wait(PATIENCE_S)
    assert "the RE Manager at tcp://127.0.0.1:1 must take queue_get" in screening.problems[-1]
    with pytest.raises(QueueError, match="is it running"):
        queue.waiting()
    queue.close()


def test_a_plan_that_is_not_allowed_is_told(served: Served) -> None:
    queue = PlanQueue(served.server.address, "open_all_shutters")
    with pytest.raises(QueueError, match="is the plan allowed"):
        queue.put_first("A01", 1.0)
    queue.close()
