import pytest

from phasepilot.models.steering.compression_rule import (
    CompressionSettings,
    SteeringState,
    advise,
    first_steering_state,
)
from phasepilot.models.suggestion import Action
from phasepilot.models.tracking.phase_state import PhaseState, Stage

SETTINGS = CompressionSettings(coarse_step=0.4, fine_step=0.1, stop_margin=1.0)


def phase(stage: Stage = Stage.STABLE, change_probability: float = 0.01) -> PhaseState:
    return PhaseState(-0.01, 1e-5, 0.97, 4.0, change_probability, 0.2, stage, 7)


def test_keeps_the_coarse_step_while_nothing_happens() -> None:
    suggestion, _ = advise(first_steering_state(SETTINGS), phase(), 1.0, SETTINGS)
    assert (suggestion.action, suggestion.step) == (Action.CONTINUE, 0.4)


def test_halves_the_step_when_a_change_may_have_begun_but_not_below_the_fine_one() -> None:
    state = first_steering_state(SETTINGS)
    taken = []
    for _ in range(4):
        suggestion, state = advise(state, phase(change_probability=0.2), 1.0, SETTINGS)
        taken.append((suggestion.action, suggestion.step))
    assert taken == [
        (Action.REFINE, 0.2),
        (Action.REFINE, 0.1),
        (Action.CONTINUE, 0.1),
        (Action.CONTINUE, 0.1),
    ]


def test_doubles_the_step_again_when_the_suspicion_passes() -> None:
    suggestion, state = advise(SteeringState(0.1), phase(), 1.0, SETTINGS)
    assert (suggestion.action, suggestion.step) == (Action.COARSEN, 0.2)
    suggestion, _ = advise(state, phase(), 1.0, SETTINGS)
    assert suggestion.step == 0.4


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_stops_a_margin_after_the_new_phase_is_established(direction: float) -> None:
    state = SteeringState(0.1)
    actions = []
    for travelled in (0.0, 0.2, 0.6, 1.0):
        position = 5.0 + direction * travelled
        suggestion, state = advise(state, phase(Stage.ESTABLISHED), position, SETTINGS)
        actions.append(suggestion.action)
    assert actions[-1] is Action.STOP
    assert Action.STOP not in actions[:-1]


def test_every_suggestion_carries_a_sentence() -> None:
    for stage in Stage:
        suggestion, _ = advise(SteeringState(0.2), phase(stage, 0.5), 1.0, SETTINGS)
        assert len(suggestion.reason.split()) > 3
