import numpy as np
import pytest
from pydantic import ValidationError

from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.transition_bisection import TransitionBisection
from phasepilot.models.steering.transition_information import TransitionInformation
from phasepilot.models.steering.transition_settings import (
    DetectionModel,
    MoveCost,
    TransitionBisectionSettings,
    TransitionInformationSettings,
)
from phasepilot.models.suggestion import Action
from phasepilot.models.tracking.phase_state import PhaseState, Stage

# Moving costs nothing: every frame costs the same second.
EQUAL_COST = MoveCost(max_rate_per_s=1e12, exposure_s=1.0)
SHARP = DetectionModel(false_alarm=1e-6, miss=1e-6, detectable_fraction=1e-4, fraction_error=0.01)


def search(**changes: object) -> TransitionInformation:
    given = {
        "start": 0.0,
        "max_axis_value": 16.0,
        "tolerance": 0.5,
        "return_is_allowed": True,
        "cost": EQUAL_COST,
        "detection": SHARP,
        "min_width": 0.01,
        "max_width": 0.01,
    }
    return TransitionInformation(TransitionInformationSettings(**given | changes))  # type: ignore[arg-type]


def sight(axis_value: float, onset: float, width: float = 0.01) -> Sight:
    fraction = float(np.clip((axis_value - onset) / width, 0, 1))
    excess, stage = (50.0, Stage.CHANGING) if fraction > 0 else (4.0, Stage.STABLE)
    phase = PhaseState(-0.01, 1e-5, 0.97, excess, 0.5, fraction, stage, 1)
    return Sight(seq_num=1, axis_value=axis_value, elapsed_s=0.0, phase=phase)


def path(rule: TransitionInformation | TransitionBisection, onset: float, width: float = 0.01):  # type: ignore[no-untyped-def]
    state, places, suggestion = rule.first_state(), [rule.settings.start], None
    while len(places) < 100:
        suggestion, state = rule.advise(state, sight(places[-1], onset, width))  # type: ignore[arg-type]
        if suggestion.action is Action.STOP:
            break
        places.append(suggestion.region_start)
    return places, suggestion, state


def test_with_equal_costs_and_a_way_back_the_first_step_halves_the_range() -> None:
    rule = search()
    suggestion, _ = rule.advise(rule.first_state(), sight(0.0, 5.3))
    assert suggestion.region_start == pytest.approx(8.0, abs=0.5)
    # One answer, yes or no, of two that are equally likely: a bit a second, half of it the bound.
    assert suggestion.gain_per_s == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("onset", [1.3, 5.3, 11.7, 14.9])
def test_with_equal_costs_and_a_way_back_it_takes_as_few_frames_as_bisection(onset: float) -> None:
    rule = search()
    places, suggestion, state = path(rule, onset)
    assert suggestion.action is Action.STOP
    assert len(places) <= 1 + np.log2(16.0 / 0.5) + 2
    assert abs(rule.interval(state).centre - onset) <= 0.5


@pytest.mark.parametrize("width", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("onset", [3.2, 9.1, 13.0])
def test_one_way_never_goes_back_and_finds_the_onset(onset: float, width: float) -> None:
    rule = search(return_is_allowed=False, min_width=0.3, max_width=3.0, detection=DetectionModel())
    places, _, state = path(rule, onset, width)
    assert (np.diff(places) > 0).all()
    assert abs(rule.interval(state).centre - onset) <= 0.75


def test_on_decompression_one_way_goes_down() -> None:
    rule = search(start=16.0, max_axis_value=0.0, return_is_allowed=False)
    suggestion, _ = rule.advise(rule.first_state(), sight(16.0, 100.0))
    assert 0.0 <= suggestion.region_start < 16.0


def test_one_way_takes_wider_steps_where_the_change_is_known_to_be_broad() -> None:
    steps = []
    for width in (0.1, 4.0):
        rule = search(
            return_is_allowed=False,
            min_width=width,
            max_width=width,
            tolerance=1.0,
            detection=DetectionModel(),
        )
        suggestion, _ = rule.advise(rule.first_state(), sight(0.0, 9.0))
        steps.append(suggestion.step)
    assert steps[1] > 2 * steps[0]


def test_a_known_onset_lets_one_way_pass_over_where_it_is_not() -> None:
    blind = search(return_is_allowed=False)
    told = search(return_is_allowed=False, expected_onset=12.0, expected_onset_deviation=0.5)
    steps = [rule.advise(rule.first_state(), sight(0.0, 12.0))[0].step for rule in (blind, told)]
    assert steps[1] > 3 * steps[0]


def test_stops_when_no_frame_would_tell_anything() -> None:
    blind = DetectionModel(
        false_alarm=0.499, miss=0.499, detectable_fraction=0.5, fraction_error=100.0
    )
    rule = search(detection=blind)
    suggestion, _ = rule.advise(rule.first_state(), sight(0.0, 5.0))
    assert suggestion.action is Action.STOP
    assert "does not pay" in suggestion.reason


def test_stops_when_time_is_worth_more_than_the_best_frame_gains() -> None:
    rule = search(min_gain_per_s=0.6)
    suggestion, _ = rule.advise(rule.first_state(), sight(0.0, 5.0))
    assert suggestion.action is Action.STOP


def test_never_goes_beyond_the_largest_value_nor_by_more_than_the_largest_step() -> None:
    for allowed in (True, False):
        rule = search(max_step=3.0, return_is_allowed=allowed)
        places, _, _ = path(rule, 100.0)
        assert max(places) <= 16.0
        assert np.abs(np.diff(places)).max() <= 3.0 + 1e-6


def test_a_slow_axis_makes_near_places_pay() -> None:
    fast, slow = search(), search(cost=MoveCost(max_rate_per_s=0.1, exposure_s=1.0))
    steps = [rule.advise(rule.first_state(), sight(0.0, 5.0))[0].step for rule in (fast, slow)]
    assert steps[1] < steps[0] / 2


def test_a_frame_without_a_reading_changes_nothing() -> None:
    rule = search()
    state = rule.first_state()
    suggestion, after = rule.advise(state, Sight(seq_num=1, axis_value=1.0, elapsed_s=0.0))
    assert suggestion.action is Action.CONTINUE
    assert after is state


def test_bisection_halves_the_interval_until_it_is_narrow_enough() -> None:
    rule = TransitionBisection(
        TransitionBisectionSettings(
            start=0.0, max_axis_value=16.0, tolerance=0.5, return_is_allowed=True, cost=EQUAL_COST
        )
    )
    places, suggestion, state = path(rule, 5.3)
    assert places == [0.0, 16.0, 8.0, 4.0, 6.0, 5.0, 5.5]
    assert suggestion.action is Action.STOP
    assert (state.old, state.new) == (5.0, 5.5)


def test_bisection_is_refused_where_there_is_no_way_back() -> None:
    with pytest.raises(ValidationError, match="choose transition_information"):
        TransitionBisectionSettings(
            start=0.0, max_axis_value=16.0, tolerance=0.5, return_is_allowed=False, cost=EQUAL_COST
        )
