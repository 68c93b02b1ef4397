from dataclasses import replace

import numpy as np
import pytest

from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import NPCNN_V1
from phasepilot.models.preprocessing.preparation import prepare_pattern
from phasepilot.models.tracking.phase_state import Stage, TrackerSettings
from phasepilot.models.tracking.phase_tracker import advance
from phasepilot.models.tracking.tracker_state import TrackerState

SETTINGS = TrackerSettings()
OLD_LINES = ((1.0, 2.0), (0.6, 2.83), (0.25, 3.46), (0.2, 4.0), (0.15, 4.47))
NEW_LINES = ((1.0, 2.32), (0.3, 1.64), (0.35, 3.28), (0.2, 4.02))


def expected_counts(
    q: np.ndarray, strain: float, new_fraction: float, peak_counts: float
) -> np.ndarray:
    total = np.full(q.size, 0.05)
    for lines, weight in ((OLD_LINES, 1 - new_fraction), (NEW_LINES, new_fraction)):
        for height, centre in lines:
            moved = centre / (1 + strain)
            total += weight * height * np.exp(-4 * np.log(2) * ((q - moved) / 0.012) ** 2)
    return peak_counts * total


def frame(
    rng: np.random.Generator,
    *,
    strain: float = 0.0,
    new_fraction: float = 0.0,
    peak_counts: float = 3000.0,
):  # type: ignore[no-untyped-def]
    q = np.linspace(0.6, 6.0, 4000)
    counts = rng.poisson(expected_counts(q, strain, new_fraction, peak_counts))
    return prepare_pattern(Pattern.from_q(q, counts.astype(float)), NPCNN_V1)


def follow(frames, settings: TrackerSettings = SETTINGS) -> list[TrackerState]:  # type: ignore[no-untyped-def]
    states: list[TrackerState] = []
    state = None
    for number, pattern in enumerate(frames, start=1):
        state = advance(state, pattern, seq_num=number, axis_value=0.1 * number, settings=settings)
        states.append(state)
    return states


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("peak_counts", "tolerance"), [(300.0, 5e-4), (30_000.0, 5e-5)])
def test_measures_strain_as_well_as_the_counts_allow(
    seed: int, peak_counts: float, tolerance: float
) -> None:
    rng = np.random.default_rng(seed)
    strains = -0.0015 * np.arange(20)
    states = follow(frame(rng, strain=s, peak_counts=peak_counts) for s in strains)
    found = np.array([state.phase.strain for state in states])
    assert np.abs(found - strains).max() < tolerance


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("peak_counts", [200.0, 3000.0, 100_000.0])
def test_pure_compression_raises_no_alarm(seed: int, peak_counts: float) -> None:
    rng = np.random.default_rng(seed)
    states = follow(frame(rng, strain=-0.002 * k, peak_counts=peak_counts) for k in range(40))
    assert {state.phase.stage for state in states} == {Stage.STABLE}


@pytest.mark.parametrize("seed", range(3))
def test_drifting_intensity_raises_no_alarm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    states = follow(
        frame(rng, strain=-0.001 * k, peak_counts=5000 * (1 - 0.02 * k)) for k in range(40)
    )
    assert {state.phase.stage for state in states} == {Stage.STABLE}


@pytest.mark.parametrize("seed", range(3))
def test_notices_a_new_phase_within_two_frames_of_a_tenth_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fractions = [0.0] * 10 + [0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 1.0, 1.0]
    states = follow(frame(rng, strain=-0.001 * k, new_fraction=f) for k, f in enumerate(fractions))
    stages = [state.phase.stage for state in states]
    assert stages[:10] == [Stage.STABLE] * 10
    assert Stage.CHANGING in stages[10:12]
    assert stages[-1] is Stage.ESTABLISHED
    assert states[11].phase.changed_since_seq_num == 11


def test_a_sudden_and_complete_change_is_established_too() -> None:
    rng = np.random.default_rng(0)
    fractions = [0.0] * 8 + [1.0] * 6
    states = follow(frame(rng, new_fraction=f) for f in fractions)
    assert states[-1].phase.stage is Stage.ESTABLISHED


def test_a_lost_beam_is_no_phase_change_and_is_forgotten() -> None:
    rng = np.random.default_rng(0)
    lost = [False] * 8 + [True] * 3 + [False] * 8
    states = follow(frame(rng, peak_counts=20.0 if is_lost else 3000.0) for is_lost in lost)
    assert [state.phase.is_beam_lost for state in states] == lost
    assert states[-1].phase.stage is Stage.STABLE


def test_the_next_state_does_not_touch_the_one_before() -> None:
    rng = np.random.default_rng(0)
    patterns = [frame(rng, strain=-0.001 * k) for k in range(6)]
    first = follow(patterns[:3])[-1]
    reference = first.components[0].lines.copy()
    kept = replace(first)
    advance(first, patterns[3], seq_num=4, axis_value=0.4, settings=SETTINGS)
    np.testing.assert_array_equal(first.components[0].lines, reference)
    assert first.phase == kept.phase
