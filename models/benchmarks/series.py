"""What the tracker finds in measured in-situ series, beside what is known of them.

Nothing is fitted to these series and there are too few of them for rates: look at the pictures.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    FollowedSeries,
    Progress,
)
from phasepilot.models.benchmarks.series_files import MeasuredSeries, read_series
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern
from phasepilot.models.tracking.change_statistic import alarm_level
from phasepilot.models.tracking.phase_state import PhaseState, Stage, TrackerSettings
from phasepilot.models.tracking.phase_tracker import advance
from phasepilot.models.tracking.tracker_state import TrackerState

# Frames, counted from 0, at which something is known to begin or end, from the notes that come with
# the series; the magnetostructural transition of CuCr2O4 is near 130 K.
KNOWN = {
    "ti_alloy_chess_insitu": {4: "bcc begins", 9: "hcp gone", 19: "hcp returns", 24: "bcc minor"},
    "nacl_crcl3_ramp": {76: "strong change"},
    "ta2o5_laser_anneal_line": {97: "crystalline", 121: "amorphous"},
}
_CUCR2O4_K = 130.0
_SHORT_SERIES = 40


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return the phase changes that the tracker sees in every series.

    Raises
    ------
    ModelsError
        If no data are given, or there is no series in them.
    """
    measured = read_series(options.measured())
    found = []
    for done, one in enumerate(measured):
        progress(one.name, done, len(measured))
        found.append(follow(one))
    figures = tuple(
        Figure(f"{one.name}_transitions", float(len(one.transitions)), "phase changes seen")
        for one in found
    )
    items = tuple({"series": one.name, **row} for one in found for row in one.transitions)
    notes = (
        "Frames count from 0. Short series teach the tracker with fewer frames than usual: a tenth"
        " of theirs, at least two.",
        *(
            f"{one.name}: no wavelength is stated; q is to scale only."
            for one in measured
            if one.is_q_nominal
        ),
    )
    return BenchmarkResult(
        f"phase changes in {len(found)} measured series", figures, items, notes, series=tuple(found)
    )


def follow(measured: MeasuredSeries) -> FollowedSeries:
    """Return what the tracker sees in a series; frames that are no pattern are passed over."""
    n_frames = len(measured.intensity)
    settings = TrackerSettings()
    if n_frames < 10 * settings.learning_frames:
        settings = replace(settings, learning_frames=max(2, n_frames // 10))
    preprocessing = Preprocessing()
    state: TrackerState | None = None
    states: list[PhaseState | None] = []
    signals: list[FloatArray] = []
    for index, row in enumerate(measured.intensity):
        frame = _prepared(measured.q_per_angstrom, row, preprocessing)
        if frame is not None:
            state = advance(
                state,
                frame,
                seq_num=index + 1,
                axis_value=float(measured.varied[index]),
                settings=settings,
            )
        states.append(None if state is None else state.phase)
        signals.append(np.zeros(preprocessing.grid.n_bins) if frame is None else frame.signal)
    return _followed(measured, states, np.stack(signals), preprocessing)


def _prepared(
    q_per_angstrom: FloatArray, row: FloatArray, preprocessing: Preprocessing
) -> PreparedPattern | None:
    try:
        return prepare_pattern(Pattern.from_q(q_per_angstrom, row), preprocessing)
    except PatternError:
        return None


def _followed(
    measured: MeasuredSeries,
    states: list[PhaseState | None],
    signals: FloatArray,
    preprocessing: Preprocessing,
) -> FollowedSeries:
    is_changing = np.array([one is not None and one.stage is Stage.CHANGING for one in states])
    alarms = np.flatnonzero(np.diff(is_changing.astype(int), prepend=0) == 1)
    transitions: list[dict[str, Any]] = []
    for index in alarms.tolist():
        phase = states[index]
        if phase is not None:
            varied = float(measured.varied[index])
            transitions.append(
                {
                    "frame": index,
                    "varied_value": varied,
                    "probability": round(phase.change_probability, 4),
                }
            )
    return FollowedSeries(
        name=measured.name,
        varied_name=measured.varied_name,
        varied=measured.varied,
        q_per_angstrom=preprocessing.grid.grid().q_per_angstrom,
        signal=signals,
        strain=_column(states, "strain"),
        statistic=_column(states, "excess"),
        alarm_level=alarm_level(TrackerSettings().false_alarms_per_10000_frames),
        new_phase_fraction=_column(states, "new_phase_fraction"),
        is_changing=is_changing,
        transitions=tuple(transitions),
        known=_known(measured),
        truth=measured.truth,
    )


def _column(states: list[PhaseState | None], name: str) -> FloatArray:
    return np.array([np.nan if one is None else float(getattr(one, name)) for one in states])


def _known(measured: MeasuredSeries) -> dict[int, str]:
    if measured.name == "cucr2o4_11bm_temperature":
        return {int(np.flatnonzero(measured.varied > _CUCR2O4_K)[0]): "Fddd to I4_1/amd"}
    return KNOWN.get(measured.name, {})
