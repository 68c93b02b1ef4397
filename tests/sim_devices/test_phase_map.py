import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.sim_devices.phase_map import (
    LEAST_FRACTION,
    PhaseMap,
    phase_fractions,
    random_phase_map,
)

NAMES = ("a", "b", "c", "d", "e", "f")


def make_map(seed=0, names=NAMES, mixing_length_mm=4.0):
    return random_phase_map(
        names,
        width_mm=95.0,
        height_mm=45.0,
        mixing_length_mm=mixing_length_mm,
        rng=np.random.default_rng(seed),
    )


@given(seed=st.integers(0, 200), x_mm=st.floats(-5, 100), y_mm=st.floats(-5, 50))
def test_fractions_add_up_to_one_and_traces_are_left_out(seed, x_mm, y_mm):
    fractions = phase_fractions(make_map(seed), x_mm, y_mm)
    assert fractions.sum() == pytest.approx(1.0)
    assert ((fractions == 0) | (fractions >= LEAST_FRACTION)).all()


def test_halfway_between_two_centres_there_is_half_of_each():
    two = PhaseMap(("a", "b"), np.array([[0.0, 0.0], [30.0, 40.0]]), mixing_length_mm=3.0)
    assert phase_fractions(two, 15.0, 20.0) == pytest.approx([0.5, 0.5])


def test_the_boundary_is_as_wide_as_stated():
    two = PhaseMap(("a", "b"), np.array([[0.0, 0.0], [60.0, 0.0]]), mixing_length_mm=5.0)
    way = np.linspace(20.0, 40.0, 2001)
    share = np.array([phase_fractions(two, x, 0.0)[1] for x in way])
    width_mm = np.interp(0.9, share, way) - np.interp(0.1, share, way)
    assert width_mm == pytest.approx(2.2 * 5.0, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_every_phase_rules_somewhere_and_centres_lie_apart(seed):
    drawn = make_map(seed)
    assert {int(phase_fractions(drawn, *centre).argmax()) for centre in drawn.centres_mm} == set(
        range(6)
    )
    distances = np.linalg.norm(drawn.centres_mm[:, None] - drawn.centres_mm[None], axis=2)
    assert distances[np.triu_indices(6, 1)].min() > 10.0
