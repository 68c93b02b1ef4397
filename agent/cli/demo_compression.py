"""What the demos under pressure have in common: their steps, and what they came to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phasepilot.agent.cli.console import console

if TYPE_CHECKING:
    from phasepilot.agent.report.run_record import FrameRecord, RunRecord, RunSummary
    from phasepilot.models.diffraction.pressure.materials import Material
    from phasepilot.models.suggestion import Advice

# The coarse step is this part of the material's range; the fine one is three halvings below it.
_N_COARSE_STEPS = 24
_N_FINE_STEPS = 8 * _N_COARSE_STEPS
# How far to follow the new phase, in coarse steps.
_MARGIN_STEPS = 3


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of the demo in GPa, from the range of the material."""

    coarse_gpa: float
    fine_gpa: float
    margin_gpa: float

    @classmethod
    def of(cls, material: "Material") -> "Steps":
        """Return the steps that suit a material."""
        span = material.scan_stop_gpa - material.scan_start_gpa
        coarse = span / _N_COARSE_STEPS
        return cls(coarse, span / _N_FINE_STEPS, _MARGIN_STEPS * coarse)


@dataclass(frozen=True, slots=True)
class CompressionRun:
    """A simulated run under pressure.

    Attributes
    ----------
    uid : str
    material : Material
    wavelength_angstrom : float
    """

    uid: str
    material: "Material"
    wavelength_angstrom: float


def compression_record(
    run: CompressionRun,
    frames: "tuple[FrameRecord, ...]",
    advice: "Mapping[int, Advice]",
    *,
    elapsed_s: float,
    is_steered: bool,
) -> "RunRecord":
    """Return the record of a run, with what was found beside what is true."""
    from phasepilot.agent.report.run_record import RunRecord
    from phasepilot.agent.run_history import onset_interval

    material = run.material
    interval = onset_interval(tuple(advice[number] for number in sorted(advice)))
    low, high = interval or (None, None)
    return RunRecord(
        uid=run.uid,
        sample=material.name,
        axis_label="pressure",
        axis_units="GPa",
        wavelength_angstrom=run.wavelength_angstrom,
        frames=frames,
        true_onset=material.transition_pressure_gpa,
        found_onset=None if low is None or high is None else (low + high) / 2,
        found_onset_low=low,
        found_onset_high=high,
        summary=_summary(material, frames, interval, elapsed_s, is_steered=is_steered),
        is_steered=is_steered,
    )


def _summary(
    material: "Material",
    frames: "tuple[FrameRecord, ...]",
    interval: tuple[float, float] | None,
    elapsed_s: float,
    *,
    is_steered: bool,
) -> "RunSummary":
    from phasepilot.agent.report.run_record import RunSummary

    steps = Steps.of(material)
    travelled = frames[-1].axis_value - frames[0].axis_value if frames else 0.0
    n_fine = round(travelled / steps.fine_gpa) + 1
    found = "none"
    error = ""
    if interval:
        low, high = interval
        found = f"{(low + high) / 2:.3f} GPa (between {low:.3f} and {high:.3f})"
        error = f"{(low + high) / 2 - material.transition_pressure_gpa:+.3f} GPa"
    rows = (
        ("sample", f"{material.low_pressure.name} to {material.high_pressure.name}, simulated"),
        ("scan", "steered by the agent" if is_steered else "plain, the agent only watched"),
        ("transition found (onset)", found),
        ("true onset", f"{material.transition_pressure_gpa:.3f} GPa"),
        ("found less true", error or "-"),
        ("frames taken", str(len(frames))),
        (
            "frames of a fixed fine scan",
            f"{n_fine} (steps of {steps.fine_gpa:.3g} GPa over the same range)",
        ),
        ("time", f"{elapsed_s:.1f} s"),
    )
    return RunSummary(f"{material.name} under compression", rows)


def print_summary(record: "RunRecord") -> None:
    """Print the rows of a report's heading."""
    from rich.table import Table

    table = Table(title=record.summary.title, show_header=False, title_style="bold")
    for label, value in record.summary.rows:
        table.add_row(label, value)
    console.print(table)
