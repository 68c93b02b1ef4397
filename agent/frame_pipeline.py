"""One frame after another: pattern, estimate, state, suggestion. A pure function with a memory."""

import logging
import math
from dataclasses import dataclass
from functools import cached_property

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frames import Frame, pattern_of
from phasepilot.models.errors import PatternError
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.preprocessing.preparation import prepare_pattern
from phasepilot.models.steering.compression_rule import (
    SteeringState,
    advise,
    first_steering_state,
)
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS, Action, Advice, Suggestion
from phasepilot.models.tracking.phase_state import PhaseState
from phasepilot.models.tracking.phase_tracker import TrackerState, advance

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a run after a frame; immutable, so going back costs nothing."""

    tracker: TrackerState | None
    steering: SteeringState | None


class FramePipeline:
    """Judges frames: `judge` is a function of its arguments alone."""

    def __init__(self, configuration: AgentConfiguration, model: PhaseModel) -> None:
        self._configuration = configuration
        self._model = model

    @cached_property
    def first_memory(self) -> Memory:
        """What is remembered before the first frame."""
        steering = self._configuration.steering
        return Memory(None, first_steering_state(steering) if steering else None)

    def judge(self, memory: Memory, frame: Frame) -> tuple[Advice, Memory]:
        """Return the advice on a frame and what to remember; bad frames leave the memory as is."""
        try:
            pattern = prepare_pattern(pattern_of(frame), self._model.card.preprocessing)
        except PatternError as error:
            return Advice.none(frame.seq_num, str(error)), memory
        tracker = advance(
            memory.tracker,
            pattern,
            seq_num=frame.seq_num,
            axis_value=frame.axis_value,
            settings=self._configuration.tracker,
        )
        if tracker.phase.is_beam_lost:
            problem = (
                "a frame must have intensity like the ones before, but this one has almost none;"
                " the beam may be lost or the shutter closed."
            )
            return Advice.none(frame.seq_num, problem), memory
        suggestion, steering = self._steer(memory, tracker.phase, frame.axis_value)
        problem = ""
        estimate: PhaseEstimate | None = None
        try:
            estimate = self._model.predict_prepared(pattern)
        except Exception as error:  # whatever a network throws, the strain is still worth telling
            logger.exception("run %s, frame %d: the network failed", frame.run_uid, frame.seq_num)
            problem = f"the network failed ({type(error).__name__}: {error}); tracked without it"
        advice = _advice(frame, suggestion, tracker.phase, estimate, problem)
        return advice, Memory(tracker, steering)

    def _steer(
        self, memory: Memory, phase: PhaseState, axis_value: float
    ) -> tuple[Suggestion, SteeringState | None]:
        settings = self._configuration.steering
        if settings is None or memory.steering is None:
            return Suggestion(Action.CONTINUE, "watching only"), None
        if not math.isfinite(axis_value):
            told = "the scanned axis has no reading in this frame; keep the nominal step"
            return Suggestion(Action.CONTINUE, told), memory.steering
        return advise(memory.steering, phase, axis_value, settings)


def _advice(
    frame: Frame,
    suggestion: Suggestion,
    phase: PhaseState,
    estimate: PhaseEstimate | None,
    problem: str,
) -> Advice:
    seen = {} if estimate is None else _seen(estimate)
    return Advice(
        frame_seq_num=frame.seq_num,
        problem=problem,
        axis_value=frame.axis_value,
        strain=phase.strain,
        strain_uncertainty=phase.strain_uncertainty,
        volume_ratio=phase.volume_ratio,
        excess=phase.excess,
        change_probability=phase.change_probability,
        new_phase_fraction=phase.new_phase_fraction,
        state=phase.stage.value,
        changed_since_seq_num=phase.changed_since_seq_num,
        **suggestion.columns(),  # type: ignore[arg-type]
        **seen,  # type: ignore[arg-type]
    )


def _seen(estimate: PhaseEstimate) -> dict[str, object]:
    systems = estimate.crystal_system_probabilities
    groups = estimate.space_group_probabilities
    number = estimate.space_group_number

    return {
        "crystal_system": estimate.crystal_system,
        "crystal_system_probability": float(systems.max()),
        "crystal_system_set": "|".join(estimate.crystal_system_set),
        **{f"p_{name}": float(p) for name, p in zip(CRYSTAL_SYSTEMS, systems, strict=True)},
        "space_group_number": number,
        "space_group_probability": float(groups[number - 1]),
        "space_group_probabilities": tuple(groups.tolist()),
        "space_group_set": "|".join(map(str, estimate.space_group_set)),
        "set_level": estimate.set_level,
        "extinction_class": estimate.extinction_class,
        "entropy_bits": estimate.entropy_bits,
        "epistemic_bits": estimate.epistemic_bits,
        "novelty": estimate.novelty,
        "verdict": "known" if estimate.verdict.is_known else "unknown",
        "verdict_reason": estimate.verdict.reason,
        "phases": "|".join(f"{one.name} {one.fraction:.3f}" for one in estimate.phases),
    }
