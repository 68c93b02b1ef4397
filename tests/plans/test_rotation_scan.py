"""A plan that turns a sample as advised."""

import math
from typing import Any

import pytest
from advised_plans import ScriptedAdvisor, advise
from bluesky import RunEngine
from experiment import Emitted

from phasepilot.models.suggestion import Action
from phasepilot.plans.rotation_scan import rotation_scan
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.crystal_beamline import simulated_crystal
from phasepilot.sim_devices.library_crystals import PERICLASE


def turned(run_engine: RunEngine, advisor: Any, **options: Any) -> Emitted:
    clock = SimulatedClock()
    clock.follow(run_engine)
    beamline = simulated_crystal(PERICLASE, seed=0, clock=clock)
    emitted = Emitted()
    run_engine.subscribe(emitted)
    arguments = {"step": 10.0, "advice_timeout_s": 0.05, "clock": clock, **options}
    plan = rotation_scan(
        [beamline.detector], beamline.omega, 0.0, 30.0, advisor=advisor, **arguments
    )
    run_engine(plan)
    return emitted


def angles(emitted: Emitted) -> list[float]:
    return [doc["data"]["omega_setpoint_deg"] for doc in emitted.events("primary")]


def at(angle_deg: float) -> Any:
    return advise(Action.MOVE, region_start=angle_deg, region_stop=angle_deg)


def test_without_an_advisor_it_goes_in_equal_steps(run_engine: RunEngine) -> None:
    emitted = turned(run_engine, None)
    assert angles(emitted) == pytest.approx([0.0, 10.0, 20.0, 30.0])
    assert {doc["name"] for doc in emitted.of("descriptor")} == {"primary"}


def test_goes_where_it_is_told_but_not_out_of_its_range(run_engine: RunEngine) -> None:
    advisor = ScriptedAdvisor({1: at(17.5), 2: at(90.0), 3: at(5.0), 4: advise(Action.STOP)})
    emitted = turned(run_engine, advisor)
    assert angles(emitted) == pytest.approx([0.0, 17.5, 30.0, 5.0])
    assert emitted.stop["reason"].endswith("as scripted")
    limited = [doc["data"]["agent_limited"] for doc in emitted.events("agent")]
    assert limited == [False, True, False, False]


def test_a_silent_advisor_leaves_the_plain_scan(run_engine: RunEngine) -> None:
    emitted = turned(run_engine, ScriptedAdvisor(dict.fromkeys(range(1, 9))))
    assert angles(emitted) == pytest.approx([0.0, 10.0, 20.0, 30.0])


@pytest.mark.parametrize(
    ("limit", "reason"),
    [({"max_points": 2}, "all 2 images are taken"), ({"max_time_s": 2.0}, "time of 2 s is spent")],
)
def test_ends_at_its_own_limits_whatever_the_advice(
    run_engine: RunEngine, limit: dict[str, Any], reason: str
) -> None:
    emitted = turned(
        run_engine, ScriptedAdvisor(lambda uid, number: at(math.fmod(number, 2))), **limit
    )
    assert len(angles(emitted)) == 2
    assert reason in emitted.stop["reason"]
