import pytest

from phasepilot.models.steering.compression_rule import (
    CompressionRule,
    CompressionSettings,
    SteeringState,
)
from phasepilot.models.steering.policy import Sight
from phasepilot.models.suggestion import Action
from phasepilot.models.tracking.phase_state import PhaseState, Stage

SETTINGS = CompressionSettings(coarse_step=0.4, fine_step=0.1, stop_margin=1.0)
RULE = CompressionRule(SETTINGS)


def phase(stage: Stage = Stage.STABLE, change_probability: float = 0.01) -> PhaseState:
    return PhaseState(-0.01, 1e-5, 0.97, 4.0, change_probability, 0.2, stage, 7)


def sight(phase_state: PhaseState | None, axis_value: float = 1.0) -> Sight:
    return Sight(seq_num=8, axis_value=axis_value, elapsed_s=8.0, phase=phase_state)


def test_keeps_the_coarse_step_while_nothing_happens() -> None:
    suggestion, _ = RULE.advise(RULE.first_state(), sight(phase()))
    assert (suggestion.action, suggestion.step) == (Action.CONTINUE, 0.4)


def test_halves_the_step_when_a_change_may_have_begun_but_not_below_the_fine_one() -> None:
    state = RULE.first_state()
    taken = []
    for _ in range(4):
        suggestion, state = RULE.advise(state, sight(phase(change_probability=0.2)))
        taken.append((suggestion.action, suggestion.step))
    assert taken == [
        (Action.REFINE, 0.2),
        (Action.REFINE, 0.1),
        (Action.CONTINUE, 0.1),
        (Action.CONTINUE, 0.1),
    ]


def test_doubles_the_step_again_when_the_suspicion_passes() -> None:
    suggestion, state = RULE.advise(SteeringState(0.1), sight(phase()))
    assert (suggestion.action, suggestion.step) == (Action.COARSEN, 0.2)
    suggestion, _ = RULE.advise(state, sight(phase()))
    assert suggestion.step == 0.4


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_stops_a_margin_after_the_new_phase_is_established(direction: float) -> None:
    state = SteeringState(0.1)
    actions = []
    for travelled in (0.0, 0.2, 0.6, 1.0):
        position = 5.0 + direction * travelled
        suggestion, state = RULE.advise(state, sight(phase(Stage.ESTABLISHED), position))
        actions.append(suggestion.action)
    assert actions[-1] is Action.STOP
    assert Action.STOP not in actions[:-1]


def test_every_suggestion_carries_a_sentence() -> None:
    for stage in Stage:
        suggestion, _ = RULE.advise(SteeringState(0.2), sight(phase(stage, 0.5)))
        assert len(suggestion.reason.split()) > 3


def test_keeps_the_step_of_the_plan_when_the_axis_has_no_reading() -> None:
    suggestion, state = RULE.advise(SteeringState(0.2), sight(phase(), float("nan")))
    assert suggestion.action is Action.CONTINUE
    assert suggestion.step != suggestion.step
    assert state == SteeringState(0.2)
