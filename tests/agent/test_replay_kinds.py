"""Same run, same decisions: runs that were suspended, flown, or whose frames stand in files.

Each is judged live, written to Tiled, to our log and to a msgpack file, and judged again from each.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.suspenders import SuspendBoolHigh
from experiment import Emitted, configuration, make_beamline
from ophyd import Signal
from ophyd.sim import NullStatus, SynAxis
from recorded_documents import write_msgpack
from steered_run import assert_same_to_the_bit

from phasepilot.agent.archive.document_files import DocumentFiles
from phasepilot.agent.archive.document_log import log_path
from phasepilot.agent.archive.run_query import RunQuery
from phasepilot.agent.archive.tiled_columns import archived_documents, find_run
from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import replay
from phasepilot.plans.compression_scan import compression_scan


def assert_replays_as_judged(
    run_engine: RunEngine,
    settings: AgentConfiguration,
    plan_of: Callable[[PhaseAgent], Any],
    container: Any,
    directory: Path,
) -> Emitted:
    """Run a plan under an agent, judge the run again from every archive; return what was live."""
    agent, emitted = PhaseAgent(settings), Emitted()
    writer = ArchiveWriter(directory / "log", container, batch_size=7)
    for callback in (agent, emitted, writer):
        run_engine.subscribe(callback)
    (uid,) = run_engine(plan_of(agent))
    agent.wait()
    assert not agent.problems
    live = agent.report(uid).advice
    assert writer.close(timeout_s=60).uploaded == (uid,)
    file = write_msgpack(directory / "run.msgpack", emitted.documents)
    archives: dict[str, Iterator[Any]] = {
        "Tiled": archived_documents(find_run(container, uid)),
        "log": DocumentFiles(log_path(directory / "log", uid)).documents(uid, pytest.fail),
        "msgpack": DocumentFiles(file).documents(uid, pytest.fail),
    }
    assert DocumentFiles(file).find(RunQuery())[0].uid == uid
    for name, documents in archives.items():
        result = replay(documents, settings)
        assert result.differences == (), name
        assert len(result.advice) == len(live) > 0, name
        assert_same_to_the_bit(result.advice, live)
        assert all(not advice.problem for advice in result.advice), name
    return emitted


class Blinks:
    """A subscriber that has a suspender see a shutter close at a frame, and open again.

    In the RunEngine's own thread: from another one it may come too late to repeat the frame.
    """

    def __init__(self, suspender: SuspendBoolHigh, seq_num: int) -> None:
        self._suspender, self._seq_num = suspender, seq_num
        self._has_blinked = False

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        # Once: the suspension repeats the event.
        if name == "event" and doc["seq_num"] == self._seq_num and not self._has_blinked:
            self._has_blinked = True
            self._suspender(1)
            self._suspender(0)


def test_a_run_that_a_suspender_held_up(
    run_engine: RunEngine, container: Any, tmp_path: Path
) -> None:
    beamline = make_beamline()
    suspender = SuspendBoolHigh(Signal(name="shutter", value=0))
    run_engine.install_suspender(suspender)
    run_engine.subscribe(Blinks(suspender, 4))

    def plan_of(agent: PhaseAgent) -> Any:
        return compression_scan(
            [beamline.detector],
            beamline.cell,
            1.6,
            3.0,
            step=0.2,
            advisor=agent,
        )

    emitted = assert_replays_as_judged(run_engine, configuration(), plan_of, container, tmp_path)
    numbers = [doc["seq_num"] for doc in emitted.events("primary")]
    assert len(numbers) > len(set(numbers)), "the suspension repeated no frame"


class Flyer:
    """Hands out in pages what was measured on the fly."""

    name, parent = "flyer", None

    def __init__(self, page_sizes: tuple[int, ...]) -> None:
        self._page_sizes = page_sizes
        beamline = make_beamline()
        settings = beamline.detector.read_configuration()
        self.two_theta_deg = np.array(settings["detector_two_theta_deg"]["value"])
        self.wavelength_angstrom = float(settings["detector_wavelength_angstrom"]["value"])
        self._rows = []
        for pressure in np.linspace(1.4, 2.4, sum(page_sizes)):
            beamline.cell.set(float(pressure)).wait()
            beamline.detector.trigger().wait()
            frame = beamline.detector.read()["detector_intensity"]["value"]
            self._rows.append((float(pressure), np.array(frame)))

    def kickoff(self) -> NullStatus:
        return NullStatus()

    def complete(self) -> NullStatus:
        return NullStatus()

    def describe_collect(self) -> dict[str, Any]:
        array = {"source": "sim", "dtype": "array", "shape": [self.two_theta_deg.size]}
        number = {"source": "sim", "dtype": "number", "shape": []}
        return {"primary": {"counts": array, "two_theta_deg": array, "pressure_gpa": number}}

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        rows = iter(self._rows)
        for size in self._page_sizes:
            page = [next(rows) for _ in range(size)]
            times = [time.time()] * size
            data = {
                "counts": [counts for _, counts in page],
                "two_theta_deg": [self.two_theta_deg] * size,
                "pressure_gpa": [pressure for pressure, _ in page],
            }
            yield {"time": times, "data": data, "timestamps": dict.fromkeys(data, times)}


def test_a_fly_scan_that_came_in_pages(
    run_engine: RunEngine, container: Any, tmp_path: Path
) -> None:
    flyer = Flyer((3, 5, 1))
    settings = AgentConfiguration(
        intensity_field="counts",
        two_theta_field="two_theta_deg",
        wavelength_angstrom=flyer.wavelength_angstrom,
        axis_field="pressure_gpa",
    )

    @bpp.run_decorator()
    def plan() -> Any:
        yield from bps.kickoff(flyer, wait=True)
        yield from bps.complete(flyer, wait=True)
        yield from bps.collect(flyer)

    emitted = assert_replays_as_judged(run_engine, settings, lambda _: plan(), container, tmp_path)
    assert not emitted.of("event")
    assert len(emitted.of("event_page")) == 3


@pytest.fixture
def readable(tiled_server: Any) -> Path:
    """Where the server may read the files of detectors."""
    directory: Path = tiled_server.directory / "files"
    directory.mkdir(exist_ok=True)
    return directory


def test_a_step_scan_whose_images_stand_in_hdf5(
    run_engine: RunEngine, container: Any, tmp_path: Path, readable: Path
) -> None:
    pytest.importorskip("phasepilot.agent.assets", reason="needs frames from external assets")
    from ring_detector import hdf5_detector, image_configuration

    detector = hdf5_detector(readable, rng=np.random.default_rng(0))
    settings = image_configuration(tmp_path, axis_field="pressure")
    plan = bp.scan([detector], SynAxis(name="pressure"), 1, 5, 5)
    emitted = assert_replays_as_judged(run_engine, settings, lambda _: plan, container, tmp_path)
    assert len(emitted.of("stream_datum")) > 0
    assert "det" not in emitted.of("event")[0]["data"]


def test_a_fly_scan_without_events_whose_images_stand_in_hdf5(
    run_engine: RunEngine, container: Any, tmp_path: Path, readable: Path
) -> None:
    pytest.importorskip("phasepilot.agent.assets", reason="needs frames from external assets")
    from ophyd_async.core import TriggerInfo
    from ring_detector import hdf5_detector, image_configuration

    detector = hdf5_detector(readable, rng=np.random.default_rng(0))

    @bpp.stage_decorator([detector])
    @bpp.run_decorator()
    def plan() -> Any:
        yield from bps.prepare(detector, TriggerInfo(number_of_events=9, livetime=0.01), wait=True)
        yield from bps.declare_stream(detector, name="primary", collect=True)
        yield from bps.kickoff(detector, wait=True)
        yield from bps.collect_while_completing(
            flyers=[detector], dets=[detector], flush_period=0.05, stream_name="primary"
        )

    emitted = assert_replays_as_judged(
        run_engine, image_configuration(tmp_path), lambda _: plan(), container, tmp_path
    )
    assert not emitted.of("event")
