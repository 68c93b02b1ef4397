"""`phasepilot demo --experiment screening`: a library, each sample exposed as long as it pays."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.demo_scan import write_library

if TYPE_CHECKING:
    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.agent.report.screening_figure import ScreenedSample, ScreeningRecord
    from phasepilot.agent.screening import ScreeningAdvisor
    from phasepilot.models.steering.sample_order import SampleOrderSettings
    from phasepilot.sim_devices.beamline import SimulatedSampleLibrary
    from phasepilot.sim_devices.counting_detector import StripDetector

N_ROWS, N_COLUMNS, N_BAD_OF_EACH = 7, 10, 1
# Borders are narrow: the rule weighs single phases, and names the main one of a mixture.
MIXING_LENGTH_MM = 1.5
# A weak source and thin films: counts at the top of the strongest line, in 0.05 degree.
PEAK_RATE_PER_S = 0.5
RANGE_DEG = (15.0, 75.0)
CHANNEL_DEG = 0.05
FIRST_DWELL_S, MAX_DWELL_S, MAX_EXPOSURES = 2.0, 16.0, 6
# The raster that the same beamline would run otherwise: of 5, 10 and 20 s the shortest that named
# at most one sample in twenty wrongly, for another seed.
RASTER_DWELL_S = 20.0
NOT_NAMED = ("", "unknown")


def screening_configuration(library: Path) -> "AgentConfiguration":
    """Return where the simulated beamline puts things; repeated exposures add up."""
    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.models.steering.step_rules import ThresholdSettings

    return AgentConfiguration(
        frame="points",
        intensity_field="strip_intensity",
        two_theta_field="strip_two_theta_deg",
        exposure_field="strip_exposure_s",
        wavelength_field="strip_wavelength_angstrom",
        library=str(library),
        steering=ThresholdSettings(
            start_deg=RANGE_DEG[0], stop_deg=RANGE_DEG[1], reach_deg=RANGE_DEG[1], max_phases=1
        ),
    )


def order_settings() -> "SampleOrderSettings":
    """Return how samples are ordered and when they are left."""
    from phasepilot.models.steering.sample_order import SampleOrderSettings
    from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

    return SampleOrderSettings(
        order="information",
        neighbour_length_mm=20.0,
        share_unlike=0.05,
        lone_labels=("unknown",),
        labels=(*LIBRARY_CRYSTALS, "unknown"),
        largest_error=0.05,
        largest_mean_error=0.05,
        first_dwell_s=FIRST_DWELL_S,
        min_dwell_s=FIRST_DWELL_S,
        max_dwell_s=MAX_DWELL_S,
        max_exposure_s=2 * RASTER_DWELL_S,
        least_gain_per_s=0.01,
    )


def run_screening_demo(out: Path, *, seed: int, is_steered: bool) -> None:
    """Screen a simulated library, steered and as a raster; write screening.png."""
    from phasepilot.agent.report.screening_figure import ScreeningRecord, draw_screening
    from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

    out.mkdir(parents=True, exist_ok=True)
    folder = write_library(LIBRARY_CRYSTALS, out / "library")
    raster = _screened(folder, seed, is_steered=False)
    samples = _screened(folder, seed, is_steered=True) if is_steered else raster
    title = "A library of samples, each exposed as long as it pays"
    record = ScreeningRecord(title if is_steered else "A raster of samples", samples, raster)
    picture = out / "screening.png"
    draw_screening(record, picture)
    _print_summary(record, is_steered=is_steered)
    console.print(f"see {picture}; known phases are in {folder}")


def _screened(folder: Path, seed: int, *, is_steered: bool) -> "tuple[ScreenedSample, ...]":
    """Return what a screening of a fresh library made of it; the same library for the same seed."""
    from bluesky import RunEngine

    from phasepilot.agent.phase_agent import PhaseAgent
    from phasepilot.models.steering.sample_order import SampleOrder
    from phasepilot.plans.screening_loop import screening_loop

    beamline = _beamline(seed)
    strip = _strip(beamline, seed)
    agent = PhaseAgent(screening_configuration(folder))
    advisor = _advisor(agent, SampleOrder(order_settings()), beamline)
    run_engine = RunEngine({}, call_returns_result=True)
    beamline.clock.follow(run_engine)  # type: ignore[attr-defined]
    documents: list[tuple[str, Any]] = []
    run_engine.subscribe(lambda name, doc: documents.append((name, doc)))
    run_engine.subscribe(agent)
    run_engine.subscribe(advisor)
    plan = screening_loop(
        [strip, beamline.time],
        [beamline.stage.x, beamline.stage.y],
        _positions(beamline),
        max_exposures=MAX_EXPOSURES if is_steered else 1,
        dwell_s=FIRST_DWELL_S if is_steered else RASTER_DWELL_S,
        dwell=strip.exposure_s,
        min_dwell_s=FIRST_DWELL_S,
        max_dwell_s=2 * RASTER_DWELL_S,
        # Of the raster, too, the agent names the samples; it has only one exposure of each.
        advisor=advisor if is_steered else agent,
        advice_timeout_s=30.0,
        clock=beamline.clock,
        md={"sample": {"name": "library of oxides"}, "purpose": "phasepilot demo"},
    )
    with console.status("steered screening" if is_steered else "raster"):
        result: Any = run_engine(plan)
    answers = _answers(advisor) if is_steered else {}
    return tuple(_samples(beamline, result.plan_result, documents, answers))


def _beamline(seed: int) -> "SimulatedSampleLibrary":
    import numpy as np

    from phasepilot.sim_devices.beamline import simulated_sample_library
    from phasepilot.sim_devices.clock import SimulatedClock
    from phasepilot.sim_devices.sample_library import sample_library

    library = sample_library(
        np.random.default_rng([seed, 2]),
        n_columns=N_COLUMNS,
        n_rows=N_ROWS,
        n_bad_of_each=N_BAD_OF_EACH,
        mixing_length_mm=MIXING_LENGTH_MM,
        peak_rate_per_s=PEAK_RATE_PER_S,
    )
    return simulated_sample_library(seed=seed, library=library, clock=SimulatedClock())


def _strip(beamline: "SimulatedSampleLibrary", seed: int) -> "StripDetector":
    """Return a strip that sees the whole range at once, about the middle of it."""
    import numpy as np

    from phasepilot.sim_devices.counting import SILICON_STRIPS
    from phasepilot.sim_devices.counting_detector import StripDetector

    beamline.arm.set(sum(RANGE_DEG) / 2).wait()
    counters = replace(
        SILICON_STRIPS,
        n_channels=round((RANGE_DEG[1] - RANGE_DEG[0]) / CHANNEL_DEG),
        window_deg=CHANNEL_DEG,
    )
    return StripDetector(
        name="strip",
        arm=beamline.arm,
        sample=beamline.stage,
        rng=np.random.default_rng([seed, 3]),
        clock=beamline.clock,
        counters=counters,
    )


def _positions(beamline: "SimulatedSampleLibrary") -> Any:
    """Return the samples back and forth along the rows, as a raster takes them."""
    from phasepilot.plans.sample_positions import SamplePosition

    rows_mm = sorted({sample.y_mm for sample in beamline.library.samples})

    def place(sample: Any) -> tuple[float, float]:
        is_back = rows_mm.index(sample.y_mm) % 2
        return sample.y_mm, -sample.x_mm if is_back else sample.x_mm

    ordered = sorted(beamline.library.samples, key=place)
    return tuple(SamplePosition(one.name, (one.x_mm, one.y_mm)) for one in ordered)


def _advisor(agent: Any, order: Any, beamline: "SimulatedSampleLibrary") -> "ScreeningAdvisor":
    from phasepilot.agent.screening import ScreeningAdvisor
    from phasepilot.models.steering.sample_belief import SampleSite

    sites = [SampleSite(one.name, one.position) for one in _positions(beamline)]
    return ScreeningAdvisor(agent, order, sites, time_field="beamline_time_s")


def _answers(advisor: "ScreeningAdvisor") -> dict[str, str]:
    """Return what each sample is, by all that is known at the end.

    One that was measured has no name where its own counts say another than its neighbours.
    """
    known, evidence = advisor.known(), advisor.state.evidence
    answers = {site.name: known.answer(k)[0] for k, site in enumerate(advisor.state.sites)}
    for k, site in enumerate(advisor.state.sites):
        if site.name in evidence and known.own_answer(k)[0] != answers[site.name]:
            answers[site.name] = ""
    return answers


def _samples(
    beamline: "SimulatedSampleLibrary", result: Any, documents: Any, answers: dict[str, str]
) -> "Iterable[ScreenedSample]":
    from phasepilot.agent.report.screening_figure import ScreenedSample
    from phasepilot.plans.screening_result import Outcome

    ended_s = _end_times(documents)
    last_s = max(ended_s.values(), default=float("inf"))
    for outcome in result.outcomes:
        sample = beamline.library.sample(outcome.sample.name)
        is_inferred = outcome.outcome is Outcome.INFERRED
        answer = answers.get(sample.name, outcome.advice.answer if outcome.advice else "")
        yield ScreenedSample(
            sample.name,
            sample.x_mm,
            sample.y_mm,
            truth=_truth(beamline, sample.name),
            found="" if answer in NOT_NAMED else answer,
            elapsed_s=last_s if is_inferred else ended_s.get(outcome.run_uid, float("inf")),
            is_measured=not is_inferred,
        )


def _truth(beamline: "SimulatedSampleLibrary", name: str) -> str:
    """Return the main phase of a sample; empty where there is no crystal."""
    phases = beamline.library.phases_of(name)
    return max(phases, key=lambda phase: phases[phase]) if phases else ""


def _end_times(documents: "list[tuple[str, Any]]") -> dict[str, float]:
    """Return the beam time of the last exposure of each run."""
    run_of = {doc["uid"]: doc["run_start"] for name, doc in documents if name == "descriptor"}
    return {
        run_of[doc["descriptor"]]: doc["data"]["beamline_time_s"]
        for name, doc in documents
        if name == "event" and "beamline_time_s" in doc["data"]
    }


def _print_summary(record: "ScreeningRecord", *, is_steered: bool) -> None:
    from rich.table import Table

    table = Table(title=record.title, title_style="bold")
    table.add_column("")
    if is_steered:
        table.add_column("steered")
    table.add_column(f"raster, {RASTER_DWELL_S:g} s each")
    runs = [record.samples, record.raster] if is_steered else [record.raster]
    times_s = [max(one.elapsed_s for one in run if one.elapsed_s < float("inf")) for run in runs]
    n_right = [sum(one.is_right for one in run) for run in runs]
    table.add_row("samples", *(str(len(run)) for run in runs))
    n_inferred = [sum(not one.is_measured for one in run) for run in runs]
    table.add_row("not measured, inferred", *map(str, n_inferred))
    table.add_row("named rightly", *map(str, n_right))
    wrong = [sum(bool(one.found) and one.found != one.truth for one in run) for run in runs]
    table.add_row("named wrongly", *map(str, wrong))
    table.add_row("beam time", *(f"{seconds / 60:.1f} min" for seconds in times_s))
    rates = [3600 * n / seconds for n, seconds in zip(n_right, times_s, strict=True)]
    table.add_row("right an hour", *(f"{rate:.0f}" for rate in rates))
    if is_steered:
        table.add_row("time saved", f"{1 - times_s[0] / times_s[1]:.0%}", "")
    console.print(table)
