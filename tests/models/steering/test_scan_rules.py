import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scan_cases import KnownLines, lines_at, make_sight, nothing_seen

from phasepilot.models.errors import ModelsError
from phasepilot.models.steering.activation_rule import (
    ActivationRule,
    ActivationSettings,
    activation_difference,
)
from phasepilot.models.steering.scan import believed
from phasepilot.models.steering.scan_policies import POLICIES, ScanPolicySettings, build
from phasepilot.models.steering.step_rules import (
    CoarseScanSettings,
    DoublingScan,
    DoublingSettings,
    FixedScan,
    ThresholdScan,
    ThresholdSettings,
    coarsest_step,
)
from phasepilot.models.suggestion import Action

A, B = lines_at(30.0, 50.0), lines_at(30.0, 80.0)
ALIKE = KnownLines({"a": A, "b": 1.0001 * A})
SOURCE = KnownLines({"a": A, "b": B})


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_rule_can_be_chosen_by_name_and_begins_with_a_window(name) -> None:
    settings = TypeAdapter(ScanPolicySettings).validate_python({"policy": name})
    rule = build(settings, SOURCE)
    suggestion, _ = rule.advise(rule.first_state(), nothing_seen())
    assert suggestion.action is Action.CONTINUE
    assert suggestion.region_stop > suggestion.region_start
    assert suggestion.cost_s > 0


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_the_same_sight_gives_the_same_suggestion(name) -> None:
    settings = TypeAdapter(ScanPolicySettings).validate_python({"policy": name})
    rule = build(settings, SOURCE)
    _, state = rule.advise(rule.first_state(), nothing_seen())
    sight = make_sight(A, 10.0, 45.0)
    assert rule.advise(state, sight) == rule.advise(state, sight)


def test_settings_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ValidationError, match="speed"):
        TypeAdapter(ScanPolicySettings).validate_python({"policy": "fixed", "speed": 3})


def test_activations_differ_where_only_one_of_the_two_best_has_a_line() -> None:
    source = KnownLines({"a": A, "b": lines_at(30.0)})
    judgement = believed(source, make_sight(A, 10.0, 12.0)).judgement
    difference = activation_difference(judgement, smoothing_deg=0.3, reached_deg=60.0)
    axis = judgement.hypotheses.axis
    assert axis.start_deg + difference.argmax() * axis.cell_deg == pytest.approx(50.0, abs=0.4)
    at_common_line = difference[axis.cell_of(np.array([30.0]))[0]]
    assert at_common_line < 0.01


def test_the_activation_rule_rescans_then_extends_then_gives_up() -> None:
    settings = ActivationSettings(smallest_window_deg=0.5, smoothing_deg=0.5, largest_error=1e-9)
    rule = ActivationRule(settings, KnownLines({"a": A, "b": lines_at(30.0)}))
    state, sight = rule.first_state(), make_sight(A, 10.0, 45.0)
    taken = []
    for _ in range(7):
        suggestion, state = rule.advise(state, sight)
        taken.append(suggestion)
    first = taken[0]
    assert first.action is Action.REFINE
    assert first.region_start < 50.0 < first.region_stop
    assert (first.step, first.dwell_s) == (0.01, 0.2)
    extensions = [one for one in taken if one.action is Action.EXTEND]
    assert [one.region_stop for one in extensions] == [70.0, 80.0, 90.0, 100.0]
    assert taken[-1].action is Action.STOP


def test_the_activation_rule_stops_when_sure_enough() -> None:
    rule = ActivationRule(ActivationSettings(), KnownLines({"a": A, "b": lines_at(30.0)}))
    suggestion, _ = rule.advise(rule.first_state(), make_sight(A, 10.0, 60.0))
    assert suggestion.action is Action.STOP
    assert "sure enough: a" in suggestion.reason


def test_the_step_of_the_paper_is_the_coarsest_with_enough_accuracy() -> None:
    # Oviedo et al.: at least 85 % up to 0.16 degree, from 0.04.
    steps = np.array([0.32, 0.04, 0.16, 0.08])
    assert coarsest_step(steps, np.array([0.80, 0.89, 0.86, 0.88]), least_accuracy=0.85) == 0.16
    with pytest.raises(ModelsError, match="measure finer"):
        coarsest_step(steps, np.full(4, 0.5), least_accuracy=0.85)


def test_a_coarse_scan_takes_a_quarter_of_the_time_of_one_four_times_finer() -> None:
    taken = []
    for step in (0.04, 0.16):
        rule = FixedScan(CoarseScanSettings(step_deg=step), SOURCE)
        taken.append(rule.advise(rule.first_state(), nothing_seen())[0].cost_s - 0.5)
    assert taken[0] / taken[1] == pytest.approx(4, rel=0.01)


def test_a_fixed_scan_stops_after_its_range_whatever_it_found() -> None:
    rule = FixedScan(CoarseScanSettings(), ALIKE)
    suggestion, _ = rule.advise(rule.first_state(), make_sight(A, 10.0, 60.0))
    assert suggestion.action is Action.STOP


def test_a_threshold_scan_repeats_the_range_until_it_is_sure() -> None:
    unsure, _ = ThresholdScan(ThresholdSettings(), ALIKE).advise(
        ThresholdScan(ThresholdSettings(), ALIKE).first_state(), make_sight(A, 10.0, 60.0)
    )
    assert (unsure.action, unsure.region_stop) == (Action.EXPOSE, 100.0)
    rule = ThresholdScan(ThresholdSettings(), SOURCE)
    assert rule.advise(rule.first_state(), make_sight(A, 10.0, 60.0))[0].action is Action.STOP


def test_the_step_is_halved_while_unsure_and_doubled_after_several_sure_windows() -> None:
    settings = DoublingSettings(step_deg=0.04)
    unsure = DoublingScan(settings, ALIKE)
    sight = make_sight(A, 10.0, 60.0)
    state = unsure.first_state()
    steps = []
    for _ in range(4):
        suggestion, state = unsure.advise(state, sight)
        steps.append((suggestion.action, suggestion.step))
    assert steps == [
        (Action.REFINE, 0.02),
        (Action.REFINE, 0.01),
        (Action.REFINE, 0.01),
        (Action.REFINE, 0.01),
    ]
    sure = DoublingScan(settings, SOURCE)
    state, steps = sure.first_state(), []
    for _ in range(4):
        suggestion, state = sure.advise(state, sight)
        steps.append((suggestion.action, suggestion.step))
    assert steps == [
        (Action.CONTINUE, 0.04),
        (Action.COARSEN, 0.08),
        (Action.CONTINUE, 0.08),
        (Action.COARSEN, 0.16),
    ]
