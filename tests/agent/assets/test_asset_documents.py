"""What documents say of files, in every order and form."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from asset_documents import flown, frames_of, stream_datum, stream_resource, write_hdf5
from ring_detector import (
    SHAPE,
    image_configuration,
)

from phasepilot.agent.assets.asset_reader import AssetReader
from phasepilot.agent.errors import AssetError
from phasepilot.agent.frame_loading import loaded, summed_exposures


def test_reads_the_single_batch_of_a_short_fly_scan_when_the_run_stops(tmp_path: Path) -> None:
    documents = flown(stream_resource(tmp_path / "x.h5"), [(0, 3)])
    frames = frames_of(documents, image_configuration(tmp_path))
    assert [frame.seq_num for frame in frames] == [1, 2, 3]
    assert {frame.time for frame in frames} == {2.0}


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


def test_finds_files_under_another_root(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "x.h5", 1)
    roots = {"wait_s": 0.0, "root_map": {"/detector/disk": str(tmp_path)}}
    resource = stream_resource(Path("/detector/disk/x.h5"))
    documents = flown(resource, [(0, 1)])
    (frame,) = frames_of(documents, image_configuration(tmp_path, assets=roots))
    assets = AssetReader(0.0)
    assert loaded(frame, assets).intensity.shape == (1, *SHAPE)
    assets.close()
