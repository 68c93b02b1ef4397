"""Folders of memory-mapped arrays that say what they were computed from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.errors import StickStoreError

ABOUT = "about.json"


def open_arrays(directory: Path, names: Sequence[str], *, kind: str) -> list[NDArray[Any]]:
    """Return the arrays of these names, memory-mapped.

    Parameters
    ----------
    kind : str
        What errors call the folder, e.g. ``"a stick store"``.

    Raises
    ------
    StickStoreError
        If one of them is not there.
    """
    try:
        return [np.load(directory / f"{name}.npy", mmap_mode="r") for name in names]
    except (OSError, ValueError, EOFError) as error:
        raise StickStoreError(
            f"{kind} must hold {', '.join(names)}, but {directory} does not ({error});"
            " delete the folder and build it again."
        ) from error


def check_about(directory: Path, about: dict[str, object], *, kind: str) -> None:
    """Raise StickStoreError if the folder was computed from something else."""
    # Lists of other rows would be trained on under a card that states these licences.
    try:
        stored = json.loads((directory / ABOUT).read_text())
    except (OSError, ValueError) as error:
        raise StickStoreError(
            f"{kind} must say in {ABOUT} what it was built from, but {directory} does"
            f" not ({error}); delete the folder and build it again."
        ) from error
    changed = [name for name, value in about.items() if stored.get(name, value) != value]
    if changed:
        raise StickStoreError(
            f"{kind} must be built from this configuration, but {directory} differs in"
            f" {', '.join(changed)}; use another folder, or delete that one."
        )
