"""Reads one image from a file: NPY by numpy, all that detectors write by fabio."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.agent.errors import AssetError


def read_image_file(path: Path) -> NDArray[Any]:
    """Return the image of a file, shape (rows, columns), or (n, rows, columns) for several.

    Raises
    ------
    AssetError
        If the file cannot be read as an image.
    """
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        return _read_by_fabio(path)
    except ModuleNotFoundError as error:
        raise AssetError(
            f"{path} is an image, which needs fabio; install it with: pip install"
            " 'phasepilot[images]'."
        ) from error
    except Exception as error:  # fabio raises whatever its parsers do
        raise AssetError(
            f"{path} must be an image, but could not be read"
            f" ({type(error).__name__}: {' '.join(str(error).split())}); is it complete?"
        ) from error


def _read_by_fabio(path: Path) -> NDArray[Any]:
    import fabio

    with fabio.open(str(path)) as image:
        if image.nframes == 1:
            return np.asarray(image.data)
        return np.stack([image.get_frame(k).data for k in range(image.nframes)])
