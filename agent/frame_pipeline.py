"""One frame after another: pattern, estimate, state, suggestion. A pure function with a memory."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from phasepilot.agent.cell_measurement import CellMeasurement, CellMemory
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AgentError
from phasepilot.agent.frame_pattern import CountedPattern, FramePatterns
from phasepilot.agent.frames import Frame
from phasepilot.agent.image_answers import ImageAnswers
from phasepilot.agent.steering import Steerer
from phasepilot.models.errors import ModelsError
from phasepilot.models.estimation.crystal_views import CrystalViews
from phasepilot.models.estimation.image_estimator import ImageEstimator
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.registry import PhaseModel
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern
from phasepilot.models.steering.policy import Sight
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS, Action, Advice, Suggestion
from phasepilot.models.tracking.back_and_forth import advance_from_unchanged
from phasepilot.models.tracking.phase_state import PhaseState
from phasepilot.models.tracking.phase_tracker import advance
from phasepilot.models.tracking.tracker_state import TrackerState

if TYPE_CHECKING:
    from phasepilot.models.diffraction.images.image_kind import ImageStatement

logger = logging.getLogger(__name__)

_BEAM_LOST = (
    "a frame must have intensity like the ones before, but this one has almost none;"
    " the beam may be lost or the shutter closed."
)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a run after a frame; immutable, so going back costs nothing.

    Attributes
    ----------
    tracker : TrackerState or None
    steering : Any
        State of the rule that steers; None before its first frame.
    cells : CellMemory
    monitor : float or None
        What the normalisation monitor read at the first frame.
    views : CrystalViews or None
        Images so far of a crystal that is turned.
    """

    tracker: TrackerState | None
    steering: Any
    cells: CellMemory
    monitor: float | None = None
    views: CrystalViews | None = None


NOTHING_REMEMBERED = Memory(None, None, CellMemory())


class FramePipeline:
    """Judges frames: `judge` is a function of its arguments alone."""

    def __init__(
        self,
        configuration: AgentConfiguration,
        model: PhaseModel,
        steerer: Steerer,
        cells: CellMeasurement,
        image_network: ImageEstimator | None = None,
    ) -> None:
        self._configuration = configuration
        self._model = model
        self._steerer = steerer
        self._cells = cells
        self._patterns = FramePatterns(configuration)
        self._images = ImageAnswers(configuration, image_network)

    def prepare(self, image_shape: tuple[int, int]) -> None:
        """Set up what images of that shape need, before the first of them comes."""
        self._patterns.prepare(image_shape)

    def judge(self, memory: Memory, frame: Frame) -> tuple[Advice, Memory]:
        """Return the advice on a frame and what to remember; bad frames leave the memory as is."""
        try:
            counted = self._patterns.of(frame)
            looked = self._images.look(memory.views, counted)
            # A rule is shown this orientation only, the networks all of them.
            shown, counted = counted, looked.counted
            monitor = memory.monitor or counted.monitor
            even = counted.normalised(monitor).evenly_exposed
            pattern = prepare_pattern(even, self._model.card.preprocessing)
        except (ModelsError, AgentError) as error:
            return Advice.none(frame.seq_num, str(error)), memory
        phase, tracker = self._tracked(memory.tracker, frame, pattern)
        if phase is not None and phase.is_beam_lost:
            return Advice.none(frame.seq_num, _BEAM_LOST), memory
        of_pattern, problem = self._estimate(frame, pattern)
        answered = self._images.joined(looked, of_pattern)
        estimate = answered.estimate
        suggestion, steering = self._steer(memory, frame, shown, phase, estimate)
        cell, cells = self._cells.measure(memory.cells, pattern, estimate)
        problem = " ".join((problem, answered.problem, *counted.remarks)).strip()
        stated = {} if counted.image is None else _stated(counted.image.statement)
        advice = _advice(frame, suggestion, phase, estimate, problem, {**cell, **stated})
        views = answered.views if self._images.is_one_crystal else None
        return advice, Memory(tracker, steering, cells, monitor, views)

    def _tracked(
        self, before: TrackerState | None, frame: Frame, pattern: PreparedPattern
    ) -> tuple[PhaseState | None, TrackerState | None]:
        """Return what the sample is at, and what the next frame is compared with."""
        # A pattern that grows and a crystal that is turned show new lines of the same sample.
        if self._configuration.frame == "points" or self._images.is_one_crystal:
            return None, None
        settings = self._configuration.tracker
        if self._steerer.returns:
            return advance_from_unchanged(
                before,
                pattern,
                seq_num=frame.seq_num,
                axis_value=frame.axis_value,
                settings=settings,
            )
        state = advance(
            before,
            pattern,
            seq_num=frame.seq_num,
            axis_value=frame.axis_value,
            settings=settings,
        )
        return state.phase, state

    def _estimate(self, frame: Frame, pattern: PreparedPattern) -> tuple[PhaseEstimate | None, str]:
        try:
            return self._model.predict_prepared(pattern), ""
        except Exception as error:  # whatever a network throws, the strain is still worth telling
            logger.exception("run %s, frame %d: the network failed", frame.run_uid, frame.seq_num)
            return None, f"the network failed ({type(error).__name__}: {error}); went on without it"

    def _steer(
        self,
        memory: Memory,
        frame: Frame,
        counted: CountedPattern,
        phase: PhaseState | None,
        estimate: PhaseEstimate | None,
    ) -> tuple[Suggestion, Any]:
        policy = self._steerer.policy(counted.pattern.wavelength_angstrom)
        if policy is None:
            return Suggestion(Action.CONTINUE, "watching only"), None
        sight = Sight(
            seq_num=frame.seq_num,
            axis_value=frame.axis_value,
            elapsed_s=frame.elapsed_s,
            pattern=counted.pattern,
            exposure_s=counted.exposure_s,
            phase=phase,
            estimate=estimate,
        )
        state = policy.first_state() if memory.steering is None else memory.steering
        return policy.advise(state, sight)


def _advice(
    frame: Frame,
    suggestion: Suggestion,
    phase: PhaseState | None,
    estimate: PhaseEstimate | None,
    problem: str,
    further: dict[str, object],
) -> Advice:
    return Advice(
        frame_seq_num=frame.seq_num,
        problem=problem,
        axis_value=frame.axis_value,
        **({} if phase is None else _tracked(phase)),  # type: ignore[arg-type]
        **suggestion.columns(),  # type: ignore[arg-type]
        **({} if estimate is None else _named(estimate)),  # type: ignore[arg-type]
        **further,  # type: ignore[arg-type]
    )


def _stated(statement: "ImageStatement") -> dict[str, object]:
    return {"image_kind": statement.kind.value, "image_reason": statement.reason}


def _tracked(phase: PhaseState) -> dict[str, object]:
    return {
        "strain": phase.strain,
        "strain_uncertainty": phase.strain_uncertainty,
        "volume_ratio": phase.volume_ratio,
        "excess": phase.excess,
        "change_probability": phase.change_probability,
        "new_phase_fraction": phase.new_phase_fraction,
        "state": phase.stage.value,
        "changed_since_seq_num": phase.changed_since_seq_num,
    }


def _named(estimate: PhaseEstimate) -> dict[str, object]:
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
