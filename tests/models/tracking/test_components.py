import numpy as np
import pytest

from phasepilot.models.benchmarks.compression_following import (
    Task,
    benchmark_settings,
    prepared_frames,
    tracked,
)
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import prepare_pattern
from phasepilot.models.tracking.change_statistic import alarm_level, change_probability
from phasepilot.models.tracking.components import beside_declared, declared_bins
from phasepilot.models.tracking.left_over import highest_lines
from phasepilot.models.tracking.phase_state import Stage, TrackerSettings
from phasepilot.models.tracking.phase_tracker import advance

SAMPLE = ((1.0, 2.0), (0.6, 2.83), (0.25, 3.46), (0.2, 4.0))
GASKET = ((0.3, 2.45), (0.2, 3.1), (0.1, 3.9))


def frame(rng, strain, *, spots=()):
    q = np.linspace(0.6, 6.0, 4000)
    total = np.full(q.size, 0.05)
    for lines, own in ((SAMPLE, strain), (GASKET, 0.0), (spots, 0.0)):
        for height, centre in lines:
            total += height * np.exp(-4 * np.log(2) * ((q - centre / (1 + own)) / 0.012) ** 2)
    return prepare_pattern(
        Pattern.from_q(q, rng.poisson(5000 * total).astype(float)), Preprocessing()
    )


def follow(frames, settings=TrackerSettings()):  # noqa: B008
    state, states = None, []
    for number, one in enumerate(frames, start=1):
        state = advance(state, one, seq_num=number, axis_value=0.1 * number, settings=settings)
        states.append(state)
    return states


def test_lines_of_a_gasket_stay_and_raise_no_alarm():
    rng = np.random.default_rng(0)
    strains = -0.0006 * np.arange(40)
    states = follow(frame(rng, strain) for strain in strains)
    assert {state.phase.stage for state in states} == {Stage.STABLE}
    found = np.array([state.phase.strain for state in states])
    # Before they are told apart, lines that stay pull at the strain; 5e-4 is the goal.
    assert np.abs(found - strains).max() < 3e-4
    assert 0.0 in {one.ratio for one in states[-1].components}


def test_reflections_of_diamonds_raise_no_alarm_when_declared():
    rng = np.random.default_rng(0)
    spots = [((2.0, 3.05), (1.5, 4.98)) if 15 <= k < 25 else () for k in range(30)]
    settings = TrackerSettings(declared_d_spacings_angstrom=(2 * np.pi / 3.05, 2 * np.pi / 4.98))
    frames = [frame(rng, -0.0005 * k, spots=one) for k, one in enumerate(spots)]
    assert {state.phase.stage for state in follow(frames, settings)} == {Stage.STABLE}
    # Two strong lines that nobody declared are a change.
    assert Stage.CHANGING in {state.phase.stage for state in follow(frames)}


def test_a_lone_stray_reflection_is_no_phase():
    rng = np.random.default_rng(0)
    frames = [frame(rng, -0.0005 * k, spots=((1.0, 2.2),) if k > 14 else ()) for k in range(30)]
    assert {state.phase.stage for state in follow(frames)} == {Stage.STABLE}


def test_the_tails_of_a_strong_spot_are_no_lines_of_their_own():
    first, second = highest_lines(strong_line(at=500, height=100.0), n_lines=2)
    assert first.bin == 500
    assert second.significance < 1.0
    pair = strong_line(at=500, height=100.0) + strong_line(at=560, height=40.0)
    assert [one.bin for one in highest_lines(pair, n_lines=2)] == [500, 560]


def strong_line(*, at, height):
    """Return the significance of a line with the tails of a Lorentzian."""
    return height / (1 + ((np.arange(1000) - at) / 5.0) ** 2)


def test_what_comes_out_from_behind_declared_lines_is_not_judged_at_once():
    grid = Preprocessing().grid.grid()
    settings = TrackerSettings(declared_d_spacings_angstrom=(2 * np.pi / 3.0,))
    is_declared = np.flatnonzero(declared_bins(grid, settings))
    is_beside = np.flatnonzero(beside_declared(grid, settings))
    assert is_beside.min() < is_declared.min() < is_declared.max() < is_beside.max()
    assert not set(is_beside) & set(is_declared)
    assert not beside_declared(grid, TrackerSettings()).any()


@pytest.mark.parametrize("scale", [0.2, 4.0])
def test_another_exposure_is_no_change(scale):
    rng = np.random.default_rng(0)
    q = np.linspace(0.6, 6.0, 4000)
    shape = 0.05 + sum(
        height * np.exp(-4 * np.log(2) * ((q - centre) / 0.012) ** 2) for height, centre in SAMPLE
    )
    counts = [rng.poisson(5000 * shape * (scale if k > 14 else 1.0)) for k in range(30)]
    frames = [
        prepare_pattern(Pattern.from_q(q, one.astype(float)), Preprocessing()) for one in counts
    ]
    assert {state.phase.stage for state in follow(frames)} == {Stage.STABLE}


def test_fewer_false_alarms_need_more_evidence():
    assert alarm_level(0.1) > alarm_level(1.0) > alarm_level(10.0)
    assert change_probability(alarm_level(1.0), alarm_level(1.0), 100.0) == pytest.approx(0.5)
    assert change_probability(9.0, 8.0, 1000.0) < change_probability(9.0, 8.0, 100.0)


@pytest.mark.slow
def test_a_simulated_run_is_noticed_near_its_onset():
    task = Task(seed=11, number=0, has_transition=True)
    run = task.run()
    states = tracked(prepared_frames(run), run.gauge, benchmark_settings())
    alarms = [k for k, one in enumerate(states) if one.phase.stage is Stage.CHANGING]
    (change,) = run.course.changes
    onset, grown = change.first_frame_with(1e-9), change.first_frame_with(0.2)
    assert alarms
    assert onset is not None
    assert grown is not None
    assert onset <= alarms[0] <= grown
