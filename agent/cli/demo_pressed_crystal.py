"""The second part of `phasepilot demo --experiment rotation`: a crystal that is pressed."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.demo_compression import (
    CompressionRun,
    Steps,
    compression_record,
    print_summary,
)
from phasepilot.agent.cli.demo_scan import write_library
from phasepilot.agent.cli.frame_display import FrameDisplay

if TYPE_CHECKING:
    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.models.diffraction.pressure.materials import Material

# Range that the axis turns through in each exposure: what the opening of a cell lets through.
ROCKING_DEG = 60.0
EXPOSURE_S = 20.0


def pressed_configuration(material: "Material", library: Path, poni: Path) -> "AgentConfiguration":
    """Return where the simulated beamline puts things, and the steps that suit a material."""
    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.agent.frame_settings import ImageSettings
    from phasepilot.models.steering.compression_rule import CompressionSettings

    steps = Steps.of(material)
    return AgentConfiguration(
        intensity_field="detector_image",
        image=ImageSettings.model_validate({"poni": str(poni), "n_bins": 1000}),
        wavelength_field="detector_wavelength_angstrom",
        axis_field="cell_pressure_gpa",
        library=str(library),
        steering=CompressionSettings(steps.coarse_gpa, steps.fine_gpa, steps.margin_gpa),
    )


def press_crystal(material_name: str, out: Path, *, seed: int, is_steered: bool) -> None:
    """Press a rocking crystal through its transition; write report.html and report.png."""
    from bluesky import RunEngine

    from phasepilot.agent.phase_agent import PhaseAgent
    from phasepilot.agent.report.build_record import frame_records
    from phasepilot.agent.report.page import write_report
    from phasepilot.models.diffraction.images.poni_file import poni_text
    from phasepilot.plans.compression_scan import compression_scan
    from phasepilot.sim_devices.clock import SimulatedClock
    from phasepilot.sim_devices.crystal_beamline import simulated_compressed_crystal
    from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

    out.mkdir(parents=True, exist_ok=True)
    clock = SimulatedClock()
    run_engine = RunEngine({})
    clock.follow(run_engine)
    pressed = simulated_compressed_crystal(
        material_name, seed=seed, rocking_deg=ROCKING_DEG, clock=clock
    )
    beamline, material = pressed.beamline, pressed.sample.material
    beamline.detector.exposure_s.set(EXPOSURE_S).wait()
    poni = out / "detector.poni"
    poni.write_text(poni_text(beamline.geometry))
    phases = (material.low_pressure, material.high_pressure)
    known = {phase.name.replace(" ", "_"): phase.crystal for phase in phases} | LIBRARY_CRYSTALS
    library = write_library(known, out / "library")
    configuration = pressed_configuration(material, library, poni)
    agent = PhaseAgent(configuration)
    documents: list[tuple[str, Any]] = []
    run_engine.subscribe(lambda name, doc: documents.append((name, doc)))
    run_engine.subscribe(agent)
    steps = Steps.of(material)
    started = time.perf_counter()
    with FrameDisplay(material.scan_start_gpa, material.scan_stop_gpa, "GPa") as display:
        agent.subscribe(display)
        run_engine(
            compression_scan(
                [beamline.detector],
                pressed.cell,
                material.scan_start_gpa,
                material.scan_stop_gpa,
                step=steps.coarse_gpa,
                advisor=agent if is_steered else None,
                min_step=steps.fine_gpa,
                advice_timeout_s=120.0,
                md={"sample": {"name": material.name}, "purpose": "phasepilot demo"},
            )
        )
        agent.wait(60.0)
    advice = {one.frame_seq_num: one for one in agent.report().advice}
    record = compression_record(
        CompressionRun(documents[0][1]["uid"], material, beamline.geometry.wavelength_angstrom),
        frame_records(documents, configuration, advice),
        advice,
        elapsed_s=time.perf_counter() - started,
        is_steered=is_steered,
    )
    picture, page = write_report(record, out)
    print_summary(record)
    console.print(f"see {page} and {picture}", soft_wrap=True)
