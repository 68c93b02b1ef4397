"""`phasepilot demo --experiment rotation`: a crystal that is turned until it is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.demo_scan import write_library

if TYPE_CHECKING:
    from bluesky import RunEngine

    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.agent.phase_agent import PhaseAgent
    from phasepilot.agent.report.rotation_figure import RotationRecord
    from phasepilot.models.steering.rotation_settings import RotationSettings
    from phasepilot.sim_devices.crystal_beamline import SimulatedCrystalBeamline

# What stands on the axis; a name among `LIBRARY_CRYSTALS`.
CRYSTAL = "corundum"
RANGE_DEG, EQUAL_STEP_DEG = (0.0, 170.0), 5.0


def rotation_settings() -> "RotationSettings":
    """Return the rule, with the costs of the simulated axis and detector."""
    from phasepilot.models.steering.rotation_settings import RotationCost, RotationSettings

    return RotationSettings(
        start_deg=RANGE_DEG[0],
        stop_deg=RANGE_DEG[1],
        largest_error=0.005,
        cost=RotationCost(speed_deg_per_s=20.0, settle_s=0.3, exposure_s=1.0, readout_s=0.1),
    )


def rotation_configuration(library: Path, poni: Path) -> "AgentConfiguration":
    """Return where the simulated beamline puts things, and the rule that steers."""
    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.agent.frame_settings import ImageSettings

    return AgentConfiguration(
        intensity_field="detector_image",
        image=ImageSettings.model_validate(
            {"poni": str(poni), "views": "one_crystal", "n_bins": 1000}
        ),
        wavelength_field="detector_wavelength_angstrom",
        exposure_field="detector_exposure_s",
        axis_field="omega_setpoint_deg",
        library=str(library),
        steering=rotation_settings(),
    )


def run_rotation_demo(out: Path, *, material: str, seed: int, is_steered: bool) -> None:
    """Turn a crystal until it is known, then press another; write rotation.png and report.png."""
    from phasepilot.agent.cli.demo_pressed_crystal import press_crystal

    _turn_crystal(out, seed=seed, is_steered=is_steered)
    press_crystal(material, out / "pressed", seed=seed, is_steered=is_steered)


def _turn_crystal(out: Path, *, seed: int, is_steered: bool) -> None:
    from bluesky import RunEngine

    from phasepilot.agent.phase_agent import PhaseAgent
    from phasepilot.agent.report.rotation_figure import draw_rotation
    from phasepilot.models.diffraction.images.poni_file import poni_text
    from phasepilot.sim_devices.clock import SimulatedClock
    from phasepilot.sim_devices.crystal_beamline import simulated_crystal
    from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

    out.mkdir(parents=True, exist_ok=True)
    library = write_library(LIBRARY_CRYSTALS, out / "library")
    clock = SimulatedClock()
    run_engine = RunEngine({})
    clock.follow(run_engine)
    beamline = simulated_crystal(LIBRARY_CRYSTALS[CRYSTAL], seed=seed, clock=clock)
    poni = out / "detector.poni"
    poni.write_text(poni_text(beamline.geometry))
    agent = PhaseAgent(rotation_configuration(library, poni))
    documents = _turned(beamline, run_engine, agent, is_steered=is_steered)
    record = _record(documents, beamline, agent, is_steered=is_steered)
    picture = out / "rotation.png"
    draw_rotation(record, picture)
    _print_summary(record)
    console.print(f"see {picture}; known phases are in {library}")


def _turned(
    beamline: "SimulatedCrystalBeamline",
    run_engine: "RunEngine",
    agent: "PhaseAgent",
    *,
    is_steered: bool,
) -> list[tuple[str, Any]]:
    from phasepilot.plans.rotation_scan import rotation_scan

    documents: list[tuple[str, Any]] = []
    run_engine.subscribe(lambda name, doc: documents.append((name, doc)))
    run_engine.subscribe(agent)
    run_engine.subscribe(_show)
    run_engine(
        rotation_scan(
            [beamline.detector, beamline.time],
            beamline.omega,
            *RANGE_DEG,
            step=EQUAL_STEP_DEG,
            advisor=agent if is_steered else None,
            advice_timeout_s=120.0,
            clock=beamline.clock,
            md={"sample": {"name": CRYSTAL}, "purpose": "phasepilot demo"},
        )
    )
    agent.wait(60.0)
    return documents


def _show(name: str, doc: Any) -> None:
    """Print a line for each decision."""
    data = doc.get("data", {}) if name == "event" else {}
    if "agent_reason" in data:
        told = f"{data['agent_image_kind']}: {data['agent_reason']}"
        console.print(
            f"[bold]{data['agent_action']:>5}[/]  {told}",
            no_wrap=True,
            overflow="ellipsis",
            highlight=False,
        )


def _record(
    documents: list[tuple[str, Any]],
    beamline: "SimulatedCrystalBeamline",
    agent: "PhaseAgent",
    *,
    is_steered: bool,
) -> "RotationRecord":
    import numpy as np

    from phasepilot.agent.report.rotation_figure import RotationRecord, RotationView

    events = [doc["data"] for name, doc in documents if name == "event"]
    frames = [data for data in events if "detector_image" in data]
    advice = agent.report().advice
    views = tuple(
        RotationView(data["omega_setpoint_deg"], data["beamline_time_s"], one)
        for data, one in zip(frames, advice, strict=True)
    )
    images = np.stack([data["detector_image"] for data in frames])
    truth = beamline.sample.grains()[0].crystal
    last = views[-1].advice
    n_full = round((RANGE_DEG[1] - RANGE_DEG[0]) / EQUAL_STEP_DEG) + 1
    cost = rotation_settings().cost
    return RotationRecord(
        title="A crystal, turned where it pays" if is_steered else "A crystal in equal steps",
        views=views,
        last_image=images[-1],
        summed_image=np.where(images[0] < 0, -1, images.astype(np.int64).sum(axis=0)),
        found=f"{last.answer} ({last.answer_probability:.1%})" if last.answer else "nothing",
        truth=f"{truth.name}, space group {truth.space_group_number}",
        full_scan_s=cost.seconds(0.0) + (n_full - 1) * cost.seconds(EQUAL_STEP_DEG),
    )


def _print_summary(record: "RotationRecord") -> None:
    from rich.table import Table

    table = Table(title=record.title, show_header=False, title_style="bold")
    table.add_row("found", record.found)
    table.add_row("true", record.truth)
    table.add_row("images", str(len(record.views)))
    elapsed_s = record.views[-1].elapsed_s
    table.add_row("beam time", f"{elapsed_s:.1f} s")
    table.add_row("equal steps", f"{record.full_scan_s:.1f} s (steps of {EQUAL_STEP_DEG:g} degree)")
    table.add_row("time saved", f"{record.full_scan_s / elapsed_s:.1f} times as fast")
    console.print(table)
