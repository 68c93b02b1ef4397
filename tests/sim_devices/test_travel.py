import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.sim_devices.travel import Approach, LaggedRamp, Rest, Travel

TEMPERATURES = st.floats(80.0, 1900.0)


def make_ramp(start=300.0, target=400.0, **options):
    values = {"rate_per_s": 2.0, "time_constant_s": 20.0, "tolerance": 0.1, **options}
    return LaggedRamp(start, target, 1000.0, **values)


def test_travel_takes_the_distance_over_the_velocity_and_the_time_to_settle():
    assert Travel(20.0, 10.0, 0.0, velocity_per_s=4.0, settle_time_s=1.0).duration_s == 3.5


def test_no_distance_takes_no_time():
    assert Travel(20.0, 20.0, 0.0, velocity_per_s=4.0, settle_time_s=1.0).duration_s == 0.0
    assert make_ramp(300.0, 300.05).duration_s == 0.0


def test_travel_runs_backwards_too():
    travel = Travel(20.0, 10.0, 5.0, velocity_per_s=4.0, settle_time_s=1.0)
    assert [travel.position(time_s) for time_s in (0.0, 5.0, 6.0, 8.0)] == [20.0, 20.0, 16.0, 10.0]


def test_rest_stays():
    assert Rest(3.0).position(1e9) == 3.0
    assert Rest(3.0).duration_s == 0.0


def test_the_lag_solves_its_differential_equation():
    ramp, step = make_ramp(), 0.01
    times = 1000.0 + np.arange(0.0, ramp.duration_s - 0.1, step)
    temperatures = np.array([ramp.position(time_s) for time_s in times])
    set_points = np.minimum(400.0, 300.0 + 2.0 * (times - 1000.0))
    middle = (temperatures[1:] + temperatures[:-1]) / 2
    expected = ((set_points[1:] + set_points[:-1]) / 2 - middle) / 20.0
    # Second-order differences: good to step^2.
    assert np.diff(temperatures) / step == pytest.approx(expected, abs=1e-3)


@given(start=TEMPERATURES, target=TEMPERATURES)
def test_a_lagged_ramp_never_overshoots_or_turns_back(start, target):
    ramp = make_ramp(start, target)
    way = [ramp.position(1000.0 + t) for t in np.linspace(0, ramp.duration_s + 10, 200)]
    steps = np.diff(way) * np.sign(target - start)
    assert (steps >= -1e-9).all()
    assert way[-1] == target


def test_a_ramp_is_done_when_it_is_within_the_tolerance():
    ramp = make_ramp()
    assert 400.0 - ramp.position(1000.0 + ramp.duration_s - 1e-6) == pytest.approx(0.1, rel=1e-3)


def test_an_approach_covers_all_but_a_third_in_one_time_constant():
    approach = Approach(0.0, 10.0, start_time_s=5.0, time_constant_s=2.0, tolerance=0.01)
    assert approach.position(7.0) == pytest.approx(10 * (1 - np.exp(-1)))
    assert approach.duration_s == pytest.approx(2.0 * np.log(1000))


def test_an_approach_within_the_tolerance_is_over_at_once():
    assert Approach(1.0, 1.001, 0.0, 2.0, 0.01).duration_s == 0
