"""`phasepilot demo --experiment scan`: a diffractometer that measures where it pays."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phasepilot.agent.cli.console import console

if TYPE_CHECKING:
    from bluesky import RunEngine

    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.agent.report.scan_figure import ScanRecord
    from phasepilot.sim_devices.beamline import SimulatedDiffractometer

# A mixture that a fast scan cannot name: the lines of the lesser phase drown in noise.
FRACTIONS = {"anatase": 0.96, "rutile": 0.04}
RANGE_DEG = (20.0, 80.0)
COARSE_STEP_DEG, COARSE_DWELL_S = 0.1, 0.05
# The scan that the same laboratory would run otherwise.
FULL_STEP_DEG, FULL_DWELL_S = 0.04, 0.5


def scan_configuration(library: Path) -> "AgentConfiguration":
    """Return where the simulated diffractometer puts things, and the rule that steers."""
    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.models.steering.information_rate import InformationRateSettings
    from phasepilot.models.steering.scan import ScanCost

    return AgentConfiguration(
        frame="points",
        intensity_field="detector_counts",
        two_theta_field="arm_two_theta_deg",
        exposure_field="detector_exposure_s",
        axis_field="arm_two_theta_deg",
        wavelength_field="detector_wavelength_angstrom",
        library=str(library),
        steering=InformationRateSettings(
            start_deg=RANGE_DEG[0],
            stop_deg=RANGE_DEG[1],
            reach_deg=RANGE_DEG[1],
            step_deg=COARSE_STEP_DEG,
            dwell_s=COARSE_DWELL_S,
            steps_deg=(0.04, 0.1),
            dwells_s=(0.2, 1.0, 4.0),
            largest_error=0.02,
            max_phases=2,
            # A step of the arm takes its settling time and a little of way.
            cost=ScanCost(speed_deg_per_s=2.0, settle_s=0.1, readout_s=0.12),
        ),
    )


def run_scan_demo(out: Path, *, seed: int, is_steered: bool) -> None:
    """Scan a simulated mixture until its phases are settled; write scan.png."""
    from bluesky import RunEngine

    from phasepilot.agent.report.scan_figure import draw_scan
    from phasepilot.sim_devices.beamline import simulated_diffractometer
    from phasepilot.sim_devices.clock import SimulatedClock
    from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

    out.mkdir(parents=True, exist_ok=True)
    library = write_library(LIBRARY_CRYSTALS, out / "library")
    clock = SimulatedClock()
    run_engine = RunEngine({})
    clock.follow(run_engine)
    beamline = simulated_diffractometer(FRACTIONS, seed=seed, clock=clock)
    record = _scanned(beamline, run_engine, library, is_steered=is_steered)
    picture = out / "scan.png"
    draw_scan(record, picture)
    _print_summary(record)
    console.print(f"see {picture}; known phases are in {library}")


def write_library(crystals: Any, folder: Path) -> Path:
    """Write known phases as CIF files, as a user would drop them in; return the folder."""
    from phasepilot.models.diffraction.crystals.cif_writer import cif_text

    folder.mkdir(parents=True, exist_ok=True)
    for name, crystal in crystals.items():
        (folder / f"{name}.cif").write_text(cif_text(crystal, name, licence="as the source"))
    return folder


def _scanned(
    beamline: "SimulatedDiffractometer",
    run_engine: "RunEngine",
    library: Path,
    *,
    is_steered: bool,
) -> "ScanRecord":
    from phasepilot.agent.phase_agent import PhaseAgent
    from phasepilot.plans.adaptive_two_theta_scan import adaptive_two_theta_scan

    agent = PhaseAgent(scan_configuration(library))
    documents: list[tuple[str, Any]] = []
    run_engine.subscribe(lambda name, doc: documents.append((name, doc)))
    run_engine.subscribe(agent)
    run_engine.subscribe(_show)
    plan = adaptive_two_theta_scan(
        [beamline.detector, beamline.time],
        beamline.arm,
        *RANGE_DEG,
        step=FULL_STEP_DEG,
        dwell_s=FULL_DWELL_S,
        dwell=beamline.detector.exposure_s,
        coarse_step=COARSE_STEP_DEG,
        coarse_dwell_s=COARSE_DWELL_S,
        min_dwell_s=0.01,
        max_dwell_s=10.0,
        max_time_s=3600.0,
        advisor=agent if is_steered else None,
        advice_timeout_s=30.0,
        clock=beamline.clock,
        md={"sample": {"name": " + ".join(FRACTIONS)}, "purpose": "phasepilot demo"},
    )
    run_engine(plan)
    return _record(documents, agent, is_steered=is_steered)


def _show(name: str, doc: Any) -> None:
    """Print a line for each decision."""
    data = doc.get("data", {}) if name == "event" else {}
    if "agent_reason" in data:
        console.print(
            f"[bold]{data['agent_action']:>8}[/]  {data['agent_reason']}",
            no_wrap=True,
            overflow="ellipsis",
            highlight=False,
        )


def _record(documents: list[tuple[str, Any]], agent: Any, *, is_steered: bool) -> "ScanRecord":
    import numpy as np

    from phasepilot.agent.report.scan_figure import ScanPass, ScanRecord
    from phasepilot.models.growing_pattern import merged_points
    from phasepilot.models.suggestion import Advice

    events = [doc["data"] for name, doc in documents if name == "event"]
    points = [data for data in events if "detector_counts" in data]
    passes: list[ScanPass] = []
    elapsed_s = 0.0
    for data in events:
        if "beamline_time_s" in data:
            elapsed_s = data["beamline_time_s"]
        else:
            columns = {key.removeprefix("agent_"): value for key, value in data.items()}
            passes.append(ScanPass(elapsed_s, Advice.from_values(columns)))
    merged = merged_points(
        np.array([data["arm_two_theta_deg"] for data in points]),
        np.array([data["detector_counts"] for data in points], dtype=np.float64),
        np.array([data["detector_exposure_s"] for data in points]),
        merge_within=agent.configuration.merge_within,
    )
    last = passes[-1].advice if passes else None
    found = f"{last.answer} ({last.answer_probability:.1%})" if last else "nobody was asked"
    n_full = round((RANGE_DEG[1] - RANGE_DEG[0]) / FULL_STEP_DEG) + 1
    per_point_s = FULL_DWELL_S + agent.configuration.steering.cost.readout_s
    return ScanRecord(
        title="A powder on a 2θ arm, measured where it pays" if is_steered else "A plain 2θ scan",
        points=merged,
        passes=tuple(passes),
        elapsed_s=elapsed_s,
        full_scan_s=n_full * per_point_s if is_steered else math.nan,
        found=found,
        truth=" + ".join(f"{share:.0%} {name}" for name, share in FRACTIONS.items()),
    )


def _print_summary(record: "ScanRecord") -> None:
    from rich.table import Table

    table = Table(title=record.title, show_header=False, title_style="bold")
    table.add_row("found", record.found)
    table.add_row("true", record.truth)
    table.add_row("points", str(record.points.axis.size))
    table.add_row("beam time", f"{record.elapsed_s:.0f} s")
    if math.isfinite(record.full_scan_s):
        table.add_row(
            "a full scan",
            f"{record.full_scan_s:.0f} s (steps of {FULL_STEP_DEG:g} degree, {FULL_DWELL_S:g} s)",
        )
        table.add_row("time saved", f"{record.full_scan_s / record.elapsed_s:.1f} times as fast")
    console.print(table)
