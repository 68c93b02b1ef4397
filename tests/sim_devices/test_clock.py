import time
from queue import Queue

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from patience import PATIENCE_S

from phasepilot.sim_devices.beamline_time import BeamlineTime
from phasepilot.sim_devices.clock import SimulatedClock, ThreadedClock
from phasepilot.sim_devices.two_theta_arm import TwoThetaArm


def make_arm(clock, name="arm", **options):
    return TwoThetaArm(
        name=name,
        rng=np.random.default_rng(0),
        clock=clock,
        velocity_deg_per_s=1.0,
        settle_time_s=0.0,
        **options,
    )


def test_outside_a_plan_an_action_happens_at_once_and_its_time_has_passed():
    clock = SimulatedClock()
    happened = []
    clock.call_after(10.0, lambda: happened.append(clock()))
    assert happened == [10.0]


def test_sleeping_lets_things_happen_in_the_order_of_their_time(run_engine, virtual_clock):
    happened = []

    def plan():
        virtual_clock.call_after(3.0, lambda: happened.append("third"))
        virtual_clock.call_after(1.0, lambda: happened.append("first"))
        virtual_clock.call_after(1.0, lambda: happened.append("second"))
        yield from bps.sleep(2.0)
        assert happened == ["first", "second"]
        yield from bps.sleep(2.0)

    run_engine(plan())
    assert happened == ["first", "second", "third"]
    assert virtual_clock() == 4.0


def test_an_hour_of_a_plan_takes_no_time(run_engine, virtual_clock):
    run_engine(bps.sleep(3600.0))  # or the test takes longer than any may
    assert virtual_clock() == 3600.0


def test_what_is_moved_together_moves_at_the_same_time(run_engine, virtual_clock):
    first, second = make_arm(virtual_clock, "first"), make_arm(virtual_clock, "second")
    run_engine(bps.mv(first, 12.0, second, 15.0))
    assert virtual_clock() == 5.0


def test_what_is_moved_in_turn_takes_the_sum(run_engine, virtual_clock):
    first, second = make_arm(virtual_clock, "first"), make_arm(virtual_clock, "second")

    def plan():
        yield from bps.mv(first, 12.0)
        yield from bps.mv(second, 15.0)

    run_engine(plan())
    assert virtual_clock() == 7.0


def test_what_is_not_waited_for_goes_on_meanwhile(run_engine, virtual_clock):
    slow, fast = make_arm(virtual_clock, "slow"), make_arm(virtual_clock, "fast")
    seen = []

    def plan():
        yield from bps.abs_set(slow, 20.0, group="slow")
        yield from bps.mv(fast, 13.0)
        seen.append((virtual_clock(), slow.position))
        yield from bps.wait("slow")

    run_engine(plan())
    assert seen == [(3.0, 13.0)]
    assert (virtual_clock(), slow.position) == (10.0, 20.0)


def test_a_progress_bar_that_was_there_is_still_told(run_engine):
    waits = []
    run_engine.waiting_hook = waits.append
    clock = SimulatedClock()
    clock.follow(run_engine)
    run_engine(bps.mv(make_arm(clock), 11.0))
    assert len(waits) == 2
    assert waits[1] is None


def test_waiting_for_a_device_of_another_clock_does_not_hang(run_engine, virtual_clock):
    real = make_arm(ThreadedClock(), start_deg=10.0)
    run_engine(bps.mv(real, 10.01))
    assert real.position == 10.01


def test_the_real_clock_calls_back_after_the_time_and_not_before():
    clock, called_s = ThreadedClock(), Queue()
    started_s = time.monotonic()
    clock.call_after(0.05, lambda: called_s.put(time.monotonic()))
    assert called_s.get(timeout=PATIENCE_S) - started_s >= 0.05
    assert clock() == pytest.approx(time.time(), abs=60)


def test_the_time_at_the_beamline_counts_from_when_its_reading_was_made():
    clock = SimulatedClock(start_s=500.0)
    beamline_time = BeamlineTime(name="beamline", clock=clock)
    clock.sleep(12.5)
    assert beamline_time.read()["beamline_time_s"]["value"] == 12.5
