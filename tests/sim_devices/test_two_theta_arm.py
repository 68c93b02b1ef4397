import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.protocols import Movable, Readable, Stageable, Stoppable
from bluesky.utils import FailedStatus
from event_model import DocumentNames, schema_validators
from ophyd.utils.errors import LimitError

from phasepilot.sim_devices.faults import MoveFault
from phasepilot.sim_devices.two_theta_arm import TwoThetaArm


def make_arm(clock, **options):
    return TwoThetaArm(name="arm", rng=np.random.default_rng(2), clock=clock, **options)


def readings(documents, key="arm_two_theta_deg"):
    return [doc["data"][key] for name, doc in documents if name == "event"]


def test_the_arm_satisfies_the_protocols_of_bluesky(virtual_clock):
    arm = make_arm(virtual_clock)
    for protocol in (Movable, Readable, Stageable, Stoppable):
        assert isinstance(arm, protocol)


def test_a_scan_emits_valid_documents_at_the_set_points(virtual_clock, run_engine, documents):
    run_engine(bp.scan([], make_arm(virtual_clock), 20.0, 30.0, 5))
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)
    assert readings(documents) == readings(documents, "arm_setpoint_deg")
    assert readings(documents) == pytest.approx(np.linspace(20, 30, 5))


def test_a_move_takes_its_time(virtual_clock, run_engine):
    arm = make_arm(virtual_clock, start_deg=10.0, velocity_deg_per_s=2.0, settle_time_s=0.25)
    run_engine(bps.mv(arm, 20.0))
    assert virtual_clock() == 5.25


@pytest.mark.parametrize("target_deg", [4.9, 150.1, np.nan])
def test_a_set_point_outside_the_limits_is_refused(virtual_clock, run_engine, target_deg):
    arm = make_arm(virtual_clock)
    with pytest.raises(LimitError, match="arm may be set from 5 to 150 deg, but was asked for"):
        run_engine(bps.mv(arm, target_deg))
    assert arm.position == 10.0


def test_a_stuck_move_fails_its_plan_after_the_time_out(virtual_clock, run_engine):
    arm = make_arm(virtual_clock, timeout_s=30.0, fault_at={2: MoveFault.STUCK})

    def plan():
        yield from bps.mv(arm, 12.0)
        yield from bps.mv(arm, 25.0)

    with pytest.raises(FailedStatus) as failure:
        run_engine(plan())
    with pytest.raises(TimeoutError, match="have arrived at 25 deg within 30 s, but stands at 12"):
        failure.value.args[0].wait(timeout=60)
    assert virtual_clock() == pytest.approx(1.1 + 30.0)


def test_an_arm_that_was_stuck_moves_again(virtual_clock, run_engine):
    arm = make_arm(virtual_clock, fault_at={1: MoveFault.STUCK})
    with pytest.raises(FailedStatus):
        run_engine(bps.mv(arm, 25.0))
    run_engine(bps.mv(arm, 25.0))
    assert arm.position == 25.0


def test_moves_are_counted_from_the_start_of_each_run(virtual_clock, run_engine):
    arm = make_arm(virtual_clock)
    run_engine(bp.scan([], arm, 20.0, 30.0, 3))
    arm.fault_at = {2: MoveFault.STUCK}
    with pytest.raises(FailedStatus):
        run_engine(bp.scan([], arm, 20.0, 30.0, 3))
    assert arm.position == 20.0


def test_a_noisy_readback_scatters_for_one_move_while_the_arm_stands_still(virtual_clock):
    arm = make_arm(virtual_clock, fault_at={1: MoveFault.NOISY_READBACK})
    arm.set(30.0).wait(timeout=60)
    noisy = [arm.read()["arm_two_theta_deg"]["value"] for _ in range(500)]
    assert np.std(noisy) == pytest.approx(0.05, rel=0.15)
    assert arm.position == 30.0
    arm.set(31.0).wait(timeout=60)
    assert arm.read()["arm_two_theta_deg"]["value"] == 31.0


def test_stopping_holds_the_arm_on_its_way_and_fails_the_move(virtual_clock, run_engine):
    arm = make_arm(virtual_clock, start_deg=10.0, velocity_deg_per_s=1.0)

    def plan():
        yield from bps.abs_set(arm, 20.0, group="move")
        yield from bps.sleep(4.0)
        arm.stop()
        yield from bps.wait("move")

    with pytest.raises(FailedStatus):
        run_engine(plan())
    assert arm.position == 14.0
    virtual_clock.sleep(60.0)
    assert arm.position == 14.0


def test_a_new_set_point_fails_the_move_under_way(virtual_clock, run_engine):
    arm = make_arm(virtual_clock)
    statuses = []

    def plan():
        statuses.append((yield from bps.abs_set(arm, 20.0, group="move")))
        arm.set(30.0)
        yield from bps.wait("move")

    with pytest.raises(FailedStatus):
        run_engine(plan())
    with pytest.raises(RuntimeError, match="was set to 30 deg before it had arrived"):
        statuses[0].wait(timeout=60)
