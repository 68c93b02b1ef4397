"""Frames that stand in files beside the documents, from real devices and real files."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from experiment import Emitted, PausesOnce
from ophyd.sim import SynAxis, SynSignalWithRegistry
from ophyd_async.core import TriggerInfo
from ring_detector import (
    SHAPE,
    WAVELENGTH_ANGSTROM,
    SeriesDetector,
    hdf5_detector,
    image_configuration,
    ring_image,
)

from phasepilot.agent.assets.array_place import Hdf5Rows
from phasepilot.agent.assets.asset_reader import AssetReader
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AssetError
from phasepilot.agent.frame_loading import loaded
from phasepilot.agent.frames import Frame, FrameReader
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.networks.registry import PhaseModel


class Reading:
    """A subscriber that loads each frame as soon as its document is there."""

    def __init__(self, configuration: AgentConfiguration) -> None:
        self.frames: list[Frame] = []
        self._reader = FrameReader(configuration)
        self._assets = AssetReader(configuration.assets.wait_s)

    def __call__(self, name: str, doc: Any) -> None:
        for frame in self._reader.frames(name, doc):
            whole = loaded(frame, self._assets)
            self.frames.append(whole)

    def close(self) -> None:
        self._assets.close()

    @property
    def seq_nums(self) -> list[int]:
        return [frame.seq_num for frame in self.frames]


@pytest.fixture
def axis() -> SynAxis:
    return SynAxis(name="pressure")


def fly(detector: Any, *, number: int, livetime: float = 0.01, per_event: int = 1) -> Any:
    @bpp.stage_decorator([detector])
    @bpp.run_decorator()
    def plan() -> Any:
        info = TriggerInfo(
            number_of_events=number, livetime=livetime, collections_per_event=per_event
        )
        yield from bps.prepare(detector, info, wait=True)
        yield from bps.declare_stream(detector, name="primary", collect=True)
        yield from bps.kickoff(detector, wait=True)
        yield from bps.collect_while_completing(
            flyers=[detector], dets=[detector], flush_period=0.05, stream_name="primary"
        )

    return plan()


def test_reads_each_image_of_a_step_scan_while_its_file_grows(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis
) -> None:
    reading = Reading(image_configuration(tmp_path, axis_field="pressure"))
    run_engine.subscribe(reading)
    run_engine(bp.scan([hdf5_detector(tmp_path)], axis, 1, 3, 3))
    assert [frame.axis_value for frame in reading.frames] == [1.0, 2.0, 3.0]
    assert reading.seq_nums == [1, 2, 3]
    for frame in reading.frames:
        np.testing.assert_array_equal(frame.intensity.reshape(SHAPE), ring_image())
    reading.close()


def test_reads_a_fly_scan_that_emits_no_events(run_engine: RunEngine, tmp_path: Path) -> None:
    reading, emitted = Reading(image_configuration(tmp_path)), Emitted()
    run_engine.subscribe(reading)
    run_engine.subscribe(emitted)
    run_engine(fly(hdf5_detector(tmp_path), number=12))
    assert not emitted.of("event")
    assert reading.seq_nums == list(range(1, 13))
    reading.close()


def test_reads_the_single_batch_of_a_short_fly_scan_when_the_run_stops(tmp_path: Path) -> None:
    documents = flown(stream_resource(tmp_path / "x.h5"), [(0, 3)])
    frames = frames_of(documents, image_configuration(tmp_path))
    assert [frame.seq_num for frame in frames] == [1, 2, 3]
    assert {frame.time for frame in frames} == {2.0}


def flown(resource: dict[str, Any], batches: list[tuple[int, int]]) -> list[tuple[str, Any]]:
    """Return the documents of a fly scan that announces its rows in these batches."""
    key = {"source": "x", "dtype": "array", "shape": [1, *SHAPE], "external": "STREAM:"}
    return [
        ("start", {"uid": "run", "time": 1.0}),
        ("descriptor", {"uid": "d", "run_start": "run", "time": 2.0, "data_keys": {"det": key}}),
        ("stream_resource", resource),
        *[("stream_datum", stream_datum(start, stop)) for start, stop in batches],
        ("stop", {"run_start": "run"}),
    ]


def frames_of(documents: list[tuple[str, Any]], configuration: AgentConfiguration) -> list[Frame]:
    reader = FrameReader(configuration)
    return [frame for name, doc in documents for frame in reader.frames(name, doc)]


def stream_resource(path: Path, **changes: Any) -> dict[str, Any]:
    return {
        "uid": "resource",
        "run_start": "run",
        "data_key": "det",
        "mimetype": "application/x-hdf5",
        "uri": f"file://localhost{path}",
        "parameters": {"dataset": "/entry/data/data", "chunk_shape": [1, *SHAPE]},
        **changes,
    }


def stream_datum(start: int, stop: int) -> dict[str, Any]:
    return {
        "uid": f"datum/{start}",
        "descriptor": "d",
        "stream_resource": "resource",
        "indices": {"start": start, "stop": stop},
        "seq_nums": {"start": start + 1, "stop": stop + 1},
    }


def test_adds_up_the_exposures_of_one_event(run_engine: RunEngine, tmp_path: Path) -> None:
    reading = Reading(image_configuration(tmp_path))
    run_engine.subscribe(reading)
    run_engine(fly(hdf5_detector(tmp_path), number=2, per_event=3))
    assert [frame.intensity.shape for frame in reading.frames] == [(3, *SHAPE)] * 2
    reading.close()


def test_a_second_detector_and_its_files_do_not_disturb(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis
) -> None:
    first, other = hdf5_detector(tmp_path, "det"), hdf5_detector(tmp_path, "other")
    by_key = {
        key: Reading(image_configuration(tmp_path, intensity_field=key, axis_field="pressure"))
        for key in ("det", "other")
    }
    for reading in by_key.values():
        run_engine.subscribe(reading)
    run_engine(bp.scan([other, first], axis, 1, 2, 2))
    for reading in by_key.values():
        assert reading.seq_nums == [1, 2]
        reading.close()


def test_takes_numbers_from_files_too(run_engine: RunEngine, tmp_path: Path) -> None:
    reading = Reading(image_configuration(tmp_path, monitor_field="det-sum", axis_field="det-sum"))
    run_engine.subscribe(reading)
    run_engine(bp.count([hdf5_detector(tmp_path)], 2))
    total = float(ring_image().sum())
    assert [frame.monitor for frame in reading.frames] == [total, total]
    assert [frame.axis_value for frame in reading.frames] == [total, total]
    reading.close()


def test_ignores_baseline_and_monitor_streams(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis
) -> None:
    detector = hdf5_detector(tmp_path)
    reading = Reading(image_configuration(tmp_path))
    run_engine.subscribe(reading)
    plan = bpp.baseline_wrapper(bp.scan([detector], axis, 1, 2, 2), [axis])
    run_engine(bpp.monitor_during_wrapper(plan, [axis.readback]))
    assert reading.seq_nums == [1, 2]
    reading.close()


def test_an_energy_in_the_baseline_is_found(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis
) -> None:
    energy = SynAxis(name="energy", value=31.0)
    reading = Reading(image_configuration(tmp_path, energy_field="energy"))
    run_engine.subscribe(reading)
    run_engine(bpp.baseline_wrapper(bp.scan([hdf5_detector(tmp_path)], axis, 1, 2, 2), [energy]))
    assert [frame.geometry.energy for frame in reading.frames] == [31.0, 31.0]
    reading.close()


def test_tells_nested_runs_apart(run_engine: RunEngine, tmp_path: Path) -> None:
    outer, inner = hdf5_detector(tmp_path, "det"), hdf5_detector(tmp_path, "other")
    reading = Reading(image_configuration(tmp_path))
    run_engine.subscribe(reading)

    @bpp.set_run_key_decorator("outer")
    @bpp.stage_decorator([outer])
    @bpp.run_decorator()
    def plan() -> Any:
        yield from bps.trigger_and_read([outer])
        yield from bpp.set_run_key_wrapper(bp.count([inner], 2), "inner")
        yield from bps.trigger_and_read([outer])

    run_engine(plan())
    assert reading.seq_nums == [1, 2]
    assert len({frame.run_uid for frame in reading.frames}) == 1
    reading.close()


def test_a_frame_repeated_after_a_pause_is_read_anew(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis
) -> None:
    reading = Reading(image_configuration(tmp_path, axis_field="pressure"))
    run_engine.subscribe(reading)
    pauses = PausesOnce(run_engine, 2)
    run_engine.subscribe(pauses)
    with pytest.raises(Exception, match="paused"):
        run_engine(bp.scan([hdf5_detector(tmp_path)], axis, 1, 4, 4))
    pauses.join()
    run_engine.resume()
    assert reading.seq_nums[-1] == 4
    last = {frame.seq_num: frame.axis_value for frame in reading.frames}
    assert last == {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}
    reading.close()


@pytest.mark.parametrize("spec", ["AD_TIFF", "AD_HDF5"])
def test_reads_what_classic_area_detectors_write(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis, spec: str
) -> None:
    reading = Reading(image_configuration(tmp_path, axis_field="pressure"))
    run_engine.subscribe(reading)
    run_engine(bp.scan([SeriesDetector(tmp_path, name="det", spec=spec)], axis, 1, 3, 3))
    assert [frame.axis_value for frame in reading.frames] == [1.0, 2.0, 3.0]
    for frame in reading.frames:
        np.testing.assert_array_equal(frame.intensity.reshape(SHAPE), ring_image())
    reading.close()


def test_reads_what_ophyds_simulated_camera_writes(run_engine: RunEngine, tmp_path: Path) -> None:
    camera = SynSignalWithRegistry(
        func=ring_image, name="det", save_path=str(tmp_path), kind="normal"
    )
    reading = Reading(image_configuration(tmp_path))
    run_engine.subscribe(reading)
    run_engine(bp.count([camera], 2))
    np.testing.assert_array_equal(reading.frames[1].intensity, ring_image())


def test_judges_a_scan_of_images_and_reports_the_one_that_never_came(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis, model: PhaseModel
) -> None:
    detector = SeriesDetector(tmp_path, name="det", spec="AD_TIFF", lost=(1,))
    agent = PhaseAgent(
        image_configuration(tmp_path, axis_field="pressure", assets={"wait_s": 0.2}), model=model
    )
    run_engine.subscribe(agent)
    run_engine(bp.scan([detector], axis, 1, 3, 3))
    assert agent.wait(60)
    first, lost, last = agent.report().advice
    assert first.crystal_system
    assert first.problem == ""
    assert "must come within 0.2 s" in lost.problem
    assert "rings_000001.tiff does not exist" in lost.problem
    assert last.crystal_system == first.crystal_system
    assert last.state


def test_the_run_engine_does_not_wait_for_a_late_file(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis, model: PhaseModel
) -> None:
    detector = SeriesDetector(tmp_path, name="det", spec="AD_TIFF", lost=(0, 1))
    agent = PhaseAgent(image_configuration(tmp_path, assets={"wait_s": 30.0}), model=model)
    emitted = Emitted()
    run_engine.subscribe(agent)
    run_engine.subscribe(emitted)
    run_engine(bp.count([detector], 2))
    assert emitted.stop["exit_status"] == "success"
    for number in (0, 1):
        detector._write(number)
    assert agent.wait(60)
    assert [advice.problem for advice in agent.report().advice] == ["", ""]


def test_an_energy_that_drifts_needs_no_new_integrator(
    tmp_path: Path, run_engine: RunEngine, model: PhaseModel
) -> None:
    energy = SynAxis(name="energy", value=12.39842 / WAVELENGTH_ANGSTROM)
    agent = PhaseAgent(image_configuration(tmp_path, energy_field="energy"), model=model)
    run_engine.subscribe(agent)
    run_engine(bp.scan([hdf5_detector(tmp_path)], energy, 30.9, 31.1, 3))
    assert agent.wait(60)
    assert [advice.problem for advice in agent.report().advice] == [""] * 3


def write_hdf5(path: Path, n_rows: int, shape: tuple[int, ...] = SHAPE) -> None:
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.ones((n_rows, *shape), dtype=np.uint8)


def problem_of(tmp_path: Path, **changes: Any) -> str:
    """Return what is said of a frame in a fly scan whose resource is changed so."""
    documents = flown(stream_resource(tmp_path / "x.h5", **changes), [(0, 1)])
    (frame,) = frames_of(documents, image_configuration(tmp_path))
    assets = AssetReader(0.0)
    with pytest.raises(Exception, match=r"\.$") as caught:
        loaded(frame, assets)
    assets.close()
    return str(caught.value)


def test_says_in_a_sentence_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    assert "x.h5 does not exist" in problem_of(tmp_path)
    write_hdf5(path, 0)
    assert "only 0 of 1 rows" in problem_of(tmp_path)
    write_hdf5(path, 1, (10, 10))
    assert "must have the shape (240, 320)" in problem_of(tmp_path)
    assert "has no data set /nothing" in problem_of(
        tmp_path, parameters={"dataset": "/nothing", "chunk_shape": []}
    )
    assert "must be a data set" in problem_of(tmp_path, parameters={"dataset": "/entry/data"})
    path.write_bytes(path.read_bytes()[:600])
    assert "cannot be read" in problem_of(tmp_path)
    assert "truncated" in problem_of(tmp_path)
    assert "must be HDF5 or a series" in problem_of(tmp_path, mimetype="application/x-zarr")
    assert "an address like file://" in problem_of(tmp_path, uri="s3://bucket/x.h5")
    assert "must have the parameter 'dataset'" in problem_of(tmp_path, parameters={})


def test_finds_files_under_another_root(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "x.h5", 1)
    roots = {"wait_s": 0.0, "root_map": {"/detector/disk": str(tmp_path)}}
    resource = stream_resource(Path("/detector/disk/x.h5"))
    documents = flown(resource, [(0, 1)])
    (frame,) = frames_of(documents, image_configuration(tmp_path, assets=roots))
    assets = AssetReader(0.0)
    assert loaded(frame, assets).intensity.shape == (1, *SHAPE)
    assets.close()


def test_reading_never_stands_in_the_way_of_the_writer(tmp_path: Path) -> None:
    path, assets = tmp_path / "x.h5", AssetReader(5.0)
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=np.ones((1, 200_000)), maxshape=(None, 200_000))
    assert assets.read(Hdf5Rows(path, "d", 0)).shape == (1, 200_000)
    append = f"import h5py\nwith h5py.File({str(path)!r}, 'a') as f: f['d'].resize(2, axis=0)"
    subprocess.run([sys.executable, "-c", append], check=True)
    with h5py.File(path, "a") as file:
        file["d"][1] = 2.0
    assert assets.read(Hdf5Rows(path, "d", 1)).max() == 2.0
    assets.close()


def test_waits_until_a_writer_that_lets_nobody_read_has_closed_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    write = (
        f"import h5py, sys\nwith h5py.File({str(path)!r}, 'w') as f:\n"
        " f['d'] = [[1.0]]; f.flush(); print('open', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", write], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(AssetError, match="still being written"):
            AssetReader(0.0).read(Hdf5Rows(path, "d", 0))
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert AssetReader(20.0).read(Hdf5Rows(path, "d", 0)).item() == 1.0
