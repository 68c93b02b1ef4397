import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.models.diffraction.hysteresis import HysteresisLoop
from phasepilot.models.errors import ModelsError

LOOP = HysteresisLoop(rise_onset=1273.0, rise_end=1473.0, fall_onset=1243.0, fall_end=1023.0)
VALUES = st.floats(900.0, 1600.0)


@given(path=st.lists(VALUES, min_size=1, max_size=8))
def test_the_fraction_stays_between_the_two_branches(path):
    fraction = 0.0
    for value in path:
        fraction = LOOP.advanced(fraction, value)
        assert LOOP.advanced(0.0, value) <= fraction <= LOOP.advanced(1.0, value)


@given(fraction=st.floats(0, 1), start=VALUES, stop=VALUES, way=st.floats(0, 1))
def test_steps_on_a_monotonic_way_do_not_matter(fraction, start, stop, way):
    begun = LOOP.advanced(fraction, start)
    between = LOOP.advanced(begun, start + way * (stop - start))
    assert LOOP.advanced(between, stop) == LOOP.advanced(begun, stop)


def test_half_way_up_and_half_way_down_lie_apart():
    assert LOOP.advanced(0.0, 1373.0) == pytest.approx(0.5)
    assert LOOP.advanced(1.0, 1133.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "corners",
    [(400.0, 410.0, 420.0, 405.0), (410.0, 400.0, 395.0, 390.0), (400.0, 410.0, 390.0, 395.0)],
)
def test_a_loop_that_turns_back_above_its_onset_is_refused(corners):
    with pytest.raises(ModelsError, match="must turn back below where it went up"):
        HysteresisLoop(*corners)
