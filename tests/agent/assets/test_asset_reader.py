"""Files that are late, broken or still being written."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from asset_documents import flown, frames_of, stream_resource, write_hdf5
from ring_detector import (
    image_configuration,
)

from phasepilot.agent.assets.array_place import Hdf5Rows
from phasepilot.agent.assets.asset_reader import AssetReader
from phasepilot.agent.errors import AssetError
from phasepilot.agent.frame_loading import loaded


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
