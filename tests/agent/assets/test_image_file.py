from pathlib import Path

import fabio.cbfimage
import fabio.edfimage
import numpy as np
import pytest
import tifffile
from PIL import Image

from phasepilot.agent.assets.image_file import read_image_file
from phasepilot.agent.errors import AssetError

IMAGE = np.arange(48, dtype=np.int32).reshape(6, 8)


def test_reads_what_detectors_and_masks_are_written_in(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGE)
    tifffile.imwrite(tmp_path / "x.tif", IMAGE)
    fabio.edfimage.EdfImage(data=IMAGE).write(str(tmp_path / "x.edf"))
    fabio.cbfimage.CbfImage(data=IMAGE).write(str(tmp_path / "x.cbf"))
    for suffix in ("npy", "tif", "edf", "cbf"):
        np.testing.assert_array_equal(read_image_file(tmp_path / f"x.{suffix}"), IMAGE)
    Image.fromarray(np.full((6, 8), 77, dtype=np.uint8)).save(tmp_path / "x.jpeg", quality=100)
    assert np.abs(read_image_file(tmp_path / "x.jpeg").astype(int) - 77).max() <= 1


def test_reads_all_pages_of_a_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.stack([IMAGE, IMAGE + 1]))
    np.testing.assert_array_equal(read_image_file(tmp_path / "x.tif")[1], IMAGE + 1)


@pytest.mark.parametrize("name", ["x.tif", "x.npy", "x.cbf", "x.what"])
def test_says_that_a_file_is_no_image(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not an image" * 10)
    with pytest.raises(AssetError, match="must be an image, but could not be read"):
        read_image_file(tmp_path / name)


def test_never_unpickles_what_a_file_holds(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(AssetError, match="could not be read"):
        read_image_file(tmp_path / "x.npy")
