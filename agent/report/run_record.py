"""What is kept of a run for the report: its patterns, and what the agent made of each."""

from dataclasses import dataclass

from phasepilot.models.arrays import FloatArray
from phasepilot.models.suggestion import Action, Advice


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame and the advice on it.

    Attributes
    ----------
    seq_num : int
        Number of the frame in its stream, from 1.
    axis_value : float
        Where the scanned axis stood, in `RunRecord.axis_units`.
    q_per_angstrom, intensity : ndarray, shape (n_points,)
        The pattern; NaN where nothing was measured.
    advice : Advice
    """

    seq_num: int
    axis_value: float
    q_per_angstrom: FloatArray
    intensity: FloatArray
    advice: Advice

    @property
    def is_decision(self) -> bool:
        """Whether the agent asked here for anything but to carry on."""
        return self.advice.action not in ("", Action.CONTINUE)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The heading of a report: a title, and labels with their values as text, in order."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the report shows it.

    Attributes
    ----------
    uid : str
        Of the run that was watched.
    sample : str
        Empty where the run does not name one.
    axis_label, axis_units : str
        The scanned axis, as in "pressure" and "GPa".
    wavelength_angstrom : float or None
        None for patterns that came on a q axis.
    frames : tuple of FrameRecord
        In the order of measurement.
    true_onset : float or None
        Where the change begins, for a simulated run; in `axis_units` like the following.
    found_onset : float or None
        Where the agent places it; None where it found none.
    found_onset_low, found_onset_high : float or None
        Interval of `found_onset`.
    summary : RunSummary
    is_steered : bool
        Whether the scan obeyed the advice; otherwise it was only given.
    """

    uid: str
    sample: str
    axis_label: str
    axis_units: str
    wavelength_angstrom: float | None
    frames: tuple[FrameRecord, ...]
    true_onset: float | None
    found_onset: float | None
    found_onset_low: float | None
    found_onset_high: float | None
    summary: RunSummary
    is_steered: bool = True

    @property
    def axis_title(self) -> str:
        """The scanned axis with its unit, as in "pressure (GPa)"."""
        return f"{self.axis_label} ({self.axis_units})" if self.axis_units else self.axis_label
