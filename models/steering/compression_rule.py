"""When to refine, coarsen and stop while a sample is driven along an axis such as pressure."""

import math
from dataclasses import dataclass
from typing import Literal

from phasepilot.models.steering.policy import Sight
from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.models.tracking.phase_state import PhaseState, Stage


@dataclass(frozen=True, slots=True)
class CompressionSettings:
    """What the rule works towards; lengths are in units of the scanned axis.

    Attributes
    ----------
    coarse_step, fine_step : float
        Steps far from a change, and the smallest one near it.
    stop_margin : float
        How far to go on after the new phase is established.
    suspicion : float
        Probability of a change from which the step is halved.
    policy : str
        Tells these settings from those of other rules.
    """

    coarse_step: float
    fine_step: float
    stop_margin: float
    suspicion: float = 0.05
    policy: Literal["compression"] = "compression"


@dataclass(frozen=True, slots=True)
class SteeringState:
    """What the rule remembers between frames."""

    step: float
    established_at: float = math.nan


@dataclass(frozen=True, slots=True)
class CompressionRule:
    """Coarse steps where nothing happens, fine ones where it does; a `Policy`."""

    settings: CompressionSettings

    def first_state(self) -> SteeringState:
        """Return the state before the first frame: the coarse step."""
        return SteeringState(self.settings.coarse_step)

    def advise(self, state: SteeringState, sight: Sight) -> tuple[Suggestion, SteeringState]:
        """Return what to do next and the state to remember."""
        if sight.phase is None:
            told = "nothing is known of the sample's phases in this frame; keep the step"
            return Suggestion(Action.CONTINUE, told, state.step), state
        if not math.isfinite(sight.axis_value):
            told = "the scanned axis has no reading in this frame; keep the nominal step"
            return Suggestion(Action.CONTINUE, told), state
        return _advise(state, sight.phase, sight.axis_value, self.settings)


def _advise(
    state: SteeringState, phase: PhaseState, axis_value: float, settings: CompressionSettings
) -> tuple[Suggestion, SteeringState]:
    if phase.stage is Stage.ESTABLISHED:
        return _after_change(state, axis_value, settings)
    if phase.stage is Stage.CHANGING:
        reason = (
            f"changing since frame {phase.changed_since_seq_num},"
            f" {phase.new_phase_fraction:.0%} of the intensity in new lines"
        )
        return _finer(state, reason, settings)
    if phase.change_probability >= settings.suspicion:
        reason = (
            f"a change may have begun (probability {phase.change_probability:.0%}),"
            f" an unexplained line stands {phase.excess:.1f} standard deviations out"
        )
        return _finer(state, reason, settings)
    return _coarser(state, settings)


def _finer(
    state: SteeringState, reason: str, settings: CompressionSettings
) -> tuple[Suggestion, SteeringState]:
    step = max(state.step / 2, settings.fine_step)
    is_finer = step < state.step
    action = Action.REFINE if is_finer else Action.CONTINUE
    told = f"{reason}; {'halve the step' if is_finer else 'keep the fine step'}"
    return Suggestion(action, told, step), SteeringState(step, state.established_at)


def _coarser(
    state: SteeringState, settings: CompressionSettings
) -> tuple[Suggestion, SteeringState]:
    step = min(state.step * 2, settings.coarse_step)
    if step > state.step:
        suggestion = Suggestion(Action.COARSEN, "the suspicion has passed; double the step", step)
    else:
        suggestion = Suggestion(Action.CONTINUE, "the strain explains the frame", step)
    return suggestion, SteeringState(step, state.established_at)


def _after_change(
    state: SteeringState, axis_value: float, settings: CompressionSettings
) -> tuple[Suggestion, SteeringState]:
    if math.isnan(state.established_at):
        suggestion, coarser = _coarser(state, settings)
        told = f"the new phase is established; go on for {settings.stop_margin:g} and stop"
        return (
            Suggestion(suggestion.action, told, suggestion.step),
            SteeringState(coarser.step, axis_value),
        )
    travelled = abs(axis_value - state.established_at)
    if travelled >= settings.stop_margin:
        told = f"the new phase has been followed for {travelled:.3g}, as asked; stop"
        return Suggestion(Action.STOP, told, state.step), state
    suggestion, coarser = _coarser(state, settings)
    told = f"the new phase is stable; {settings.stop_margin - travelled:.3g} to go"
    return Suggestion(suggestion.action, told, suggestion.step), coarser
