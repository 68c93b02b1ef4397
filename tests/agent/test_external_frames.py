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
import tifffile
from bluesky import RunEngine
from experiment import Emitted, PausesOnce
from ophyd.sim import SynAxis, SynSignal, SynSignalWithRegistry
from ophyd_async.core import TriggerInfo
from ring_detector import (
    SHAPE,
    WAVELENGTH_ANGSTROM,
    SeriesDetector,
    hdf5_detector,
    image_configuration,
    ring_image,
    write_poni,
)

from phasepilot.agent.assets.array_place import Hdf5Rows
from phasepilot.agent.assets.asset_reader import AssetReader
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AssetError
from phasepilot.agent.frame_loading import loaded, summed_exposures
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
    bare = write_poni(tmp_path / "bare.poni", wavelength=False)
    settings = {"image": {"poni": str(bare)}, "energy_field": "energy"}
    agent = PhaseAgent(image_configuration(tmp_path, **settings), model=model)
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


def test_replayed_documents_give_the_same_decisions_to_the_bit(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis, model: PhaseModel
) -> None:
    configuration = image_configuration(
        tmp_path, axis_field="pressure", monitor_field="det-sum", ignore={"lines_of": ["W"]}
    )
    live, emitted = PhaseAgent(configuration, model=model), Emitted()
    run_engine.subscribe(live)
    run_engine.subscribe(emitted)
    detector = hdf5_detector(tmp_path, rng=np.random.default_rng(3))
    run_engine(bp.scan([detector], axis, 1, 4, 4))
    assert live.wait(60)
    replayed = PhaseAgent(configuration, model=model)
    for name, doc in emitted.documents:
        replayed(name, doc)
    assert replayed.wait(60)
    advice = live.report().advice
    assert [one.problem for one in advice] == [""] * 4
    np.testing.assert_equal(
        [one.values() for one in replayed.report().advice], [one.values() for one in advice]
    )


def test_a_fly_scan_is_judged_frame_by_frame(
    run_engine: RunEngine, tmp_path: Path, model: PhaseModel
) -> None:
    agent = PhaseAgent(image_configuration(tmp_path), model=model)
    run_engine.subscribe(agent)
    run_engine(fly(hdf5_detector(tmp_path, rng=np.random.default_rng(4)), number=10))
    assert agent.wait(60)
    advice = agent.report().advice
    assert [one.frame_seq_num for one in advice] == list(range(1, 11))
    assert [one.problem for one in advice] == [""] * 10
    assert all(one.crystal_system for one in advice)


def test_an_image_in_the_event_itself_is_judged(
    run_engine: RunEngine, tmp_path: Path, model: PhaseModel
) -> None:
    camera = SynSignal(name="det", func=ring_image)
    agent = PhaseAgent(image_configuration(tmp_path), model=model)
    run_engine.subscribe(agent)
    run_engine(bp.count([camera], 2))
    assert agent.wait(60)
    assert [one.problem for one in agent.report().advice] == ["", ""]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones((10, 10), dtype=np.int32), "the image must have the 240 x 320 pixels"),
        (np.zeros(SHAPE, dtype=np.int32), "the image must show a sample"),
        (np.full(SHAPE, -1, dtype=np.int32), "some pixel of the image must hold a count"),
        (np.ones(300), "the frame must be an image, but its shape is"),
    ],
)
def test_says_what_is_wrong_with_an_image(
    run_engine: RunEngine, tmp_path: Path, model: PhaseModel, image: Any, message: str
) -> None:
    camera = SynSignal(name="det", func=lambda: image)
    agent = PhaseAgent(image_configuration(tmp_path), model=model)
    run_engine.subscribe(agent)
    run_engine(bp.count([camera], 1))
    assert agent.wait(60)
    (advice,) = agent.report().advice
    assert message in advice.problem
    assert advice.reason.startswith("no advice")
    assert not advice.crystal_system


def test_says_when_geometry_or_wavelength_are_missing(
    run_engine: RunEngine, tmp_path: Path, model: PhaseModel
) -> None:
    camera = SynSignal(name="det", func=ring_image)
    bare = write_poni(tmp_path / "bare.poni", wavelength=False)
    cases = {
        "could not be read": {"image": {"poni": str(tmp_path / "none.poni")}},
        "must state the wavelength": {"image": {"poni": str(bare)}},
        "the wavelength must stand in": {"energy_field": "mono"},
    }
    for message, changes in cases.items():
        agent = PhaseAgent(image_configuration(tmp_path, **changes), model=model)
        token = run_engine.subscribe(agent)
        run_engine(bp.count([camera], 1))
        run_engine.unsubscribe(token)
        assert agent.wait(60)
        assert message in agent.report().advice[0].problem


def test_rows_that_come_before_or_after_their_events_give_the_same_frames(tmp_path: Path) -> None:
    """An archive gives all events first; a live scan each row before its event."""
    start, descriptor, resource, *_ = flown(stream_resource(tmp_path / "x.h5"), [])
    descriptor[1]["data_keys"]["pressure"] = {"source": "x", "dtype": "number", "shape": []}
    rows = [("stream_datum", stream_datum(k, k + 1)) for k in range(3)]
    events = [
        ("event", {"descriptor": "d", "seq_num": k + 1, "time": 5.0 + k, "data": {"pressure": k}})
        for k in range(3)
    ]
    configuration = image_configuration(tmp_path, axis_field="pressure")
    live = [pair for both in zip(rows, events, strict=True) for pair in both]
    merged = [("stream_datum", stream_datum(0, 3))]
    stop = ("stop", {"run_start": "run"})
    frames = {
        way: frames_of([start, descriptor, resource, *documents, stop], configuration)
        for way, documents in {"live": live, "archive": [*events, *merged]}.items()
    }
    assert frames["live"] == frames["archive"]
    assert [frame.axis_value for frame in frames["live"]] == [0.0, 1.0, 2.0]


def test_an_event_whose_row_never_came_is_reported(tmp_path: Path) -> None:
    start, descriptor, resource, *_ = flown(stream_resource(tmp_path / "x.h5"), [])
    event = ("event", {"descriptor": "d", "seq_num": 1, "time": 5.0, "data": {}})
    stop = ("stop", {"run_start": "run"})
    (frame,) = frames_of([start, descriptor, resource, event, stop], image_configuration(tmp_path))
    with pytest.raises(AssetError, match="a stream_datum must announce the row of 'det'"):
        loaded(frame, AssetReader(0.0))


def test_a_series_that_goes_on_in_a_second_file_is_counted_on(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "one.h5", 2)
    write_hdf5(tmp_path / "two.h5", 2)
    start, descriptor, first, *_ = flown(stream_resource(tmp_path / "one.h5"), [])
    second = ("stream_resource", stream_resource(tmp_path / "two.h5", uid="second"))
    later = ("stream_datum", {**stream_datum(2, 4), "stream_resource": "second"})
    stop = ("stop", {"run_start": "run"})
    documents = [start, descriptor, first, ("stream_datum", stream_datum(0, 2)), second, later]
    frames = frames_of([*documents, stop], image_configuration(tmp_path))
    assets = AssetReader(0.0)
    for frame in frames:
        assert loaded(frame, assets).intensity.shape == (1, *SHAPE)
    assert len(frames) == 4
    assets.close()


def test_reads_series_of_images_of_several_files_an_exposure(tmp_path: Path) -> None:
    key = {"source": "x", "dtype": "array", "shape": [2, *SHAPE], "external": "STREAM:"}
    resource = stream_resource(
        tmp_path,
        mimetype="multipart/related;type=image/tiff",
        uri=f"file://localhost{tmp_path}/",
        parameters={"template": "scan_{:06d}.tiff", "chunk_shape": [1, *SHAPE]},
    )
    start, descriptor, *rest = flown(resource, [(0, 2)])
    descriptor[1]["data_keys"] = {"det": key}
    for number in range(4):
        tifffile.imwrite(tmp_path / f"scan_{number:06d}.tiff", np.full(SHAPE, number, np.uint16))
    frames = frames_of([start, descriptor, *rest], image_configuration(tmp_path))
    images = [loaded(frame, AssetReader(0.0)).intensity for frame in frames]
    assert [image[:, 0, 0].tolist() for image in images] == [[0, 1], [2, 3]]
    summed, n_exposures = summed_exposures(images[1], 2)
    assert (summed[0, 0], n_exposures) == (5, 2)


def test_exposures_of_an_event_keep_the_marks_of_dead_pixels() -> None:
    stack = np.ones((3, 4, 4), dtype=np.int32)
    stack[1, 0, 0] = -1
    summed, _ = summed_exposures(stack, 2)
    assert np.isnan(summed[0, 0])
    assert summed[1, 1] == 3


def test_an_unknown_kind_of_file_of_classic_ophyd_is_reported(tmp_path: Path) -> None:
    key = {"source": "x", "dtype": "array", "shape": [1, *SHAPE], "external": "FILESTORE:"}
    resource = {
        "uid": "r",
        "run_start": "run",
        "spec": "EIGER9",
        "root": "/",
        "resource_path": "x",
        "resource_kwargs": {},
    }
    datum = {"resource": "r", "datum_id": "r/0", "datum_kwargs": {"point_number": 0}}
    event = {"descriptor": "d", "seq_num": 1, "time": 5.0}
    documents: list[tuple[str, Any]] = [
        ("start", {"uid": "run", "time": 1.0}),
        ("descriptor", {"uid": "d", "run_start": "run", "time": 2.0, "data_keys": {"det": key}}),
        ("resource", resource),
        ("datum", datum),
        ("event", {**event, "data": {"det": "r/0"}}),
        ("event", {**event, "data": {"det": "r/1"}}),
    ]
    unknown, unseen = frames_of(documents, image_configuration(tmp_path))
    with pytest.raises(AssetError, match="files of the kind 'EIGER9' must have a handler"):
        loaded(unknown, AssetReader(0.0))
    with pytest.raises(AssetError, match="its datum document was not seen"):
        loaded(unseen, AssetReader(0.0))
