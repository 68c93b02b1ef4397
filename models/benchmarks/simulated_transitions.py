"""Runs of a sample whose transition lies where nobody knows: frames, tracker, and a search's path.

The materials are those of `models/diffraction/pressure`, with onset, width and course of the change
drawn anew for every run. Where going back is allowed there is no hysteresis, as of a transition
that is reversible at the pace of the scan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.pressure.compressed_powder import (
    Diffractometer,
    PowderPattern,
)
from phasepilot.models.diffraction.pressure.materials import MATERIALS, Material
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import NPCNN_V1
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern
from phasepilot.models.steering.policy import Policy, Sight, State
from phasepilot.models.steering.transition_settings import MoveCost
from phasepilot.models.suggestion import Action
from phasepilot.models.tracking.back_and_forth import advance_from_unchanged
from phasepilot.models.tracking.phase_state import PhaseState, TrackerSettings
from phasepilot.models.tracking.phase_tracker import advance
from phasepilot.models.tracking.tracker_state import TrackerState

PEAK_COUNTS = 2000.0
# Searches jump farther than scans step, by up to this strain, and take too few frames to spend
# eight of them on learning.
TRACKER = TrackerSettings(max_strain_step=0.03, learning_frames=1)
# Moves at 0.05 GPa/s, 20 s for the pressure to settle, 1 s to count: a gas membrane cell (assumed).
COST = MoveCost(max_rate_per_s=0.05, settle_s=20.0, exposure_s=1.0)
MAX_FRAMES = 200


@dataclass(frozen=True, slots=True)
class HiddenTransition:
    """What is true of one run and not known to the search.

    Attributes
    ----------
    onset_gpa, width_gpa : float
    sigmoid : float
        Course of the change: 0 even, 1 along a smooth step.
    returns : bool
        The old phase comes back where the new one came.
    """

    material: Material
    onset_gpa: float
    width_gpa: float
    sigmoid: float
    returns: bool

    def fraction(self, pressure_gpa: float, largest_before: float) -> float:
        """Return the new phase's share, given the largest one so far."""
        way = min(1.0, max(0.0, (pressure_gpa - self.onset_gpa) / self.width_gpa))
        grown = (1 - self.sigmoid) * way + self.sigmoid * way * way * (3 - 2 * way)
        return grown if self.returns else max(grown, largest_before)


def hidden_transition(
    material: Material, rng: np.random.Generator, *, returns: bool
) -> HiddenTransition:
    """Return a transition somewhere in the middle 70 % of the material's range."""
    length = material.scan_stop_gpa - material.scan_start_gpa
    usual_width = material.compress_end_gpa - material.compress_onset_gpa
    return HiddenTransition(
        material,
        onset_gpa=material.scan_start_gpa + length * rng.uniform(0.15, 0.85),
        width_gpa=usual_width * rng.uniform(0.5, 1.5),
        sigmoid=rng.uniform(),
        returns=returns,
    )


@lru_cache(maxsize=8)
def _powder(name: str) -> PowderPattern:
    return PowderPattern(
        MATERIALS[name],
        start_pressure_gpa=MATERIALS[name].scan_start_gpa,
        diffractometer=Diffractometer(),
        peak_counts=PEAK_COUNTS,
        crystallite_size_nm=50.0,
    )


class SampleRun:
    """A sample that is driven and looked at; counts its frames and its seconds."""

    def __init__(self, truth: HiddenTransition, rng: np.random.Generator) -> None:
        self._truth, self._rng = truth, rng
        self._tracker: TrackerState | None = None
        self._fraction = 0.0
        self._pressure_gpa = truth.material.scan_start_gpa
        self.n_frames = 0
        self.elapsed_s = 0.0

    def look(self, pressure_gpa: float) -> Sight:
        """Go there, count, and return what the tracker makes of it."""
        self.elapsed_s += COST.seconds(pressure_gpa - self._pressure_gpa)
        self._pressure_gpa = pressure_gpa
        self._fraction = self._truth.fraction(pressure_gpa, self._fraction)
        self.n_frames += 1
        phase = self._judged(self._frame(pressure_gpa), pressure_gpa)
        return Sight(
            seq_num=self.n_frames,
            axis_value=pressure_gpa,
            elapsed_s=self.elapsed_s,
            phase=phase,
        )

    def _judged(self, frame: PreparedPattern, pressure_gpa: float) -> PhaseState:
        if self._truth.returns:
            phase, self._tracker = advance_from_unchanged(
                self._tracker,
                frame,
                seq_num=self.n_frames,
                axis_value=pressure_gpa,
                settings=TRACKER,
            )
            return phase
        self._tracker = advance(
            self._tracker,
            frame,
            seq_num=self.n_frames,
            axis_value=pressure_gpa,
            settings=TRACKER,
        )
        return self._tracker.phase

    def _frame(self, pressure_gpa: float) -> PreparedPattern:
        powder = _powder(self._truth.material.name)
        counts = self._rng.poisson(powder.expected_counts(pressure_gpa, self._fraction))
        beam = powder.diffractometer
        pattern = Pattern.from_two_theta(
            beam.two_theta_deg,
            counts.astype(np.float64),
            wavelength_angstrom=beam.wavelength_angstrom,
        )
        return prepare_pattern(pattern, NPCNN_V1)


def searched(policy: Policy[State], run: SampleRun, truth: HiddenTransition) -> list[Sight]:
    """Return what a policy saw on its way, until it stopped or ran out of range."""
    stop = truth.material.scan_stop_gpa
    state, place, seen = policy.first_state(), truth.material.scan_start_gpa, []
    while run.n_frames < MAX_FRAMES:
        seen.append(run.look(place))
        suggestion, state = policy.advise(state, seen[-1])
        is_absolute = np.isfinite(suggestion.region_start)
        if suggestion.action is Action.STOP or (place >= stop and not is_absolute):
            break
        ahead = min(stop, place + suggestion.step)
        place = suggestion.region_start if is_absolute else ahead
    return seen


def scanned(places: Sequence[float] | FloatArray, run: SampleRun) -> list[Sight]:
    """Return what a fixed scan sees."""
    return [run.look(float(place)) for place in places]
