"""`phasepilot demo`: a simulated compression experiment, watched and steered live."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phasepilot.agent.cli.console import console, reporting_errors
from phasepilot.agent.cli.demo_compression import (
    CompressionRun,
    Steps,
    compression_record,
    print_summary,
)
from phasepilot.agent.cli.frame_display import FrameDisplay

if TYPE_CHECKING:
    from bluesky import RunEngine

    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.agent.report.run_record import RunRecord
    from phasepilot.models.diffraction.pressure.materials import Material
    from phasepilot.sim_devices.beamline import SimulatedBeamline


class Experiment(StrEnum):
    """What the demo measures."""

    COMPRESSION = "compression"
    SCAN = "scan"
    SCREENING = "screening"
    ROTATION = "rotation"


def demo(
    experiment: Annotated[
        Experiment,
        typer.Option(
            help="A sample under pressure, a powder on a 2-theta arm, a library of samples, or a"
            " crystal that is turned."
        ),
    ] = Experiment.COMPRESSION,
    material: Annotated[str, typer.Option(help="What is pressed: KCl, Si or Fe.")] = "KCl",
    out: Annotated[
        Path, typer.Option(help="Folder for the report, the documents and the catalog.")
    ] = Path("phasepilot-demo"),
    seed: Annotated[int, typer.Option(help="Seed of all simulated noise.")] = 0,
    no_steer: Annotated[
        bool, typer.Option("--no-steer", help="Run the plain scan; the agent only watches.")
    ] = False,
    keep_serving: Annotated[
        bool, typer.Option("--keep-serving", help="Leave Tiled up until Ctrl-C.")
    ] = False,
) -> None:
    """Run a simulated experiment, steered by the agent, and draw what it found.

    A real RunEngine, simulated devices and the agent in lock-step. Under compression a sample in a
    diamond anvil cell changes its phase, and a real Tiled server on this machine keeps the run;
    report.html and report.png tell what happened. Scan, screening and rotation write scan.png,
    screening.png or rotation.png, and run in the virtual time of the beamline; rotation turns a
    crystal until it is known, then rocks another while it is pressed.
    """
    with reporting_errors():
        if experiment is Experiment.SCAN:
            from phasepilot.agent.cli.demo_scan import run_scan_demo

            run_scan_demo(out, seed=seed, is_steered=not no_steer)
        elif experiment is Experiment.SCREENING:
            from phasepilot.agent.cli.demo_screening import run_screening_demo

            run_screening_demo(out, seed=seed, is_steered=not no_steer)
        elif experiment is Experiment.ROTATION:
            from phasepilot.agent.cli.demo_rotation import run_rotation_demo

            run_rotation_demo(out, material=material, seed=seed, is_steered=not no_steer)
        else:
            _compress(material, out, seed=seed, is_steered=not no_steer, serves=keep_serving)


def _compress(material: str, out: Path, *, seed: int, is_steered: bool, serves: bool) -> None:
    from phasepilot.models.diffraction.pressure.materials import MaterialError
    from phasepilot.sim_devices.beamline import simulated_beamline

    try:
        beamline = simulated_beamline(material, seed=seed)
    except MaterialError as error:
        raise typer.BadParameter(str(error), param_hint="--material") from error
    _run_demo(beamline, out, is_steered=is_steered, keeps_serving=serves)


def _run_demo(
    beamline: "SimulatedBeamline", directory: Path, *, is_steered: bool, keeps_serving: bool
) -> None:
    from phasepilot.agent.archive.tiled_server import embedded_tiled_server
    from phasepilot.agent.archive.tiled_upload import ArchiveWriter
    from phasepilot.agent.report.page import write_report

    directory.mkdir(parents=True, exist_ok=True)
    status = console.status("starting a Tiled server for the data")
    status.start()
    with embedded_tiled_server(directory / "catalog") as server:
        status.stop()
        writer = ArchiveWriter(directory / "documents", server.client)
        started = time.perf_counter()
        run_uid = _measure(beamline, writer, is_steered=is_steered)
        elapsed_s = time.perf_counter() - started
        with console.status("archiving the run and drawing the report"):
            writer.close(timeout_s=120.0)
            record = _record(server.client, run_uid, beamline, elapsed_s, is_steered=is_steered)
            picture, page = write_report(record, directory)
        print_summary(record)
        for sentence in writer.problems:
            console.print(f"[yellow]archive:[/] {sentence}")
        console.print(f"run {run_uid} is in Tiled; see {page} and {picture}")
        if keeps_serving:
            _keep_serving(server, run_uid)


def demo_configuration(material: "Material") -> "AgentConfiguration":
    """Return where the simulated beamline puts things, and the steps that suit a material."""
    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.models.steering.compression_rule import CompressionSettings

    steps = Steps.of(material)
    return AgentConfiguration(
        intensity_field="detector_intensity",
        two_theta_field="detector_two_theta_deg",
        wavelength_field="detector_wavelength_angstrom",
        axis_field="cell_pressure_gpa",
        steering=CompressionSettings(steps.coarse_gpa, steps.fine_gpa, steps.margin_gpa),
    )


def _measure(beamline: "SimulatedBeamline", writer: Any, *, is_steered: bool) -> str:
    """Run the scan in a RunEngine and return the uid of the run."""
    from bluesky import RunEngine

    from phasepilot.agent.phase_agent import PhaseAgent
    from phasepilot.plans.compression_scan import compression_scan

    material = beamline.material
    steps = Steps.of(material)
    agent = PhaseAgent(demo_configuration(material))
    run_engine = RunEngine({})
    run_engine.subscribe(writer)
    run_engine.subscribe(agent)
    if not is_steered:
        # Nothing of the agent is in the run then: what it saw becomes a run of its own.
        agent.subscribe(writer)
    plan = compression_scan(
        [beamline.detector],
        beamline.cell,
        material.scan_start_gpa,
        material.scan_stop_gpa,
        step=steps.coarse_gpa,
        advisor=agent if is_steered else None,
        min_step=steps.fine_gpa,
        # A first frame may wait for numba to compile; a demo has the time.
        advice_timeout_s=30.0,
        md={"sample": {"name": material.name}, "purpose": "phasepilot demo"},
    )
    with FrameDisplay(material.scan_start_gpa, material.scan_stop_gpa, "GPa") as display:
        agent.subscribe(display)
        run_uids = _run(run_engine, plan)
        agent.wait()
    return run_uids[0]


def _run(run_engine: "RunEngine", plan: Any) -> tuple[str, ...]:
    """Run a plan; Ctrl-C ends the scan where it is, and what was measured is reported."""
    from bluesky.utils import RunEngineInterrupted

    try:
        uids: Any = run_engine(plan)
    except RunEngineInterrupted:
        console.print("interrupted: the scan ends here")
        uids = run_engine.stop()
    return tuple(uids)


def _record(
    client: Any,
    run_uid: str,
    beamline: "SimulatedBeamline",
    elapsed_s: float,
    *,
    is_steered: bool,
) -> "RunRecord":
    """Return the record of the run as it stands in the archive."""
    from phasepilot.agent.archive.tiled_columns import (
        archived_documents,
        find_analysis,
        find_run,
    )
    from phasepilot.agent.report.build_record import frame_records, recorded_advice

    material = beamline.material
    documents = list(archived_documents(find_run(client, run_uid)))
    if is_steered:
        advice = recorded_advice(documents, stream="agent", prefix="agent_")
    else:
        analysis = archived_documents(find_analysis(client, run_uid))
        advice = recorded_advice(analysis, stream="primary", prefix="")
    frames = frame_records(documents, demo_configuration(material), advice)
    return compression_record(
        CompressionRun(run_uid, material, beamline.sample.diffractometer.wavelength_angstrom),
        frames,
        advice,
        elapsed_s=elapsed_s,
        is_steered=is_steered,
    )


def _keep_serving(server: Any, run_uid: str) -> None:
    console.print(f"Tiled serves at {server.uri} with the key {server.api_key}", soft_wrap=True)
    console.print(
        f"try: phasepilot replay --tiled {server.uri} --api-key {server.api_key} {run_uid}",
        soft_wrap=True,
    )
    console.print("Ctrl-C ends it")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("stopped")
