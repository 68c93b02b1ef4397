"""Frames that stand in files beside the documents, from real devices."""

from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from experiment import Emitted, PausesOnce
from ophyd.sim import SynAxis, SynSignalWithRegistry
from ring_detector import (
    SHAPE,
    SeriesDetector,
    fly,
    hdf5_detector,
    image_configuration,
    ring_image,
)

from phasepilot.agent.assets.asset_reader import AssetReader
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frame_loading import loaded
from phasepilot.agent.frames import Frame, FrameReader


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
