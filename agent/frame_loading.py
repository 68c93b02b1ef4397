"""Fills a frame with what stands in files, in the agent's thread."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.agent.assets.array_place import ArrayPlace
from phasepilot.agent.assets.asset_reader import AssetReader
from phasepilot.agent.errors import AssetError
from phasepilot.agent.frames import Frame, Geometry

_GEOMETRY = frozenset(Geometry.__dataclass_fields__)


def loaded(frame: Frame, reader: AssetReader) -> Frame:
    """Return the frame with the arrays that its places name; a large one lives until the next.

    Raises
    ------
    AssetError
        If one of them does not come.
    """
    if not frame.places:
        return frame
    # The image last: only it is large enough to be overwritten.
    names = sorted(frame.places, key=lambda name: name == "intensity")
    values = {name: _value(name, frame.places[name], reader) for name in names}
    return with_values(frame, values)


def with_values(frame: Frame, values: Mapping[str, Any]) -> Frame:
    """Return the frame with these fields of it and its geometry, and without places."""
    geometry = replace(frame.geometry, **{k: v for k, v in values.items() if k in _GEOMETRY})
    own = {k: v for k, v in values.items() if k not in _GEOMETRY}
    return replace(frame, geometry=geometry, places={}, **own)


def _value(name: str, place: ArrayPlace, reader: AssetReader) -> Any:
    array = reader.read(place)
    if name == "intensity":
        return array
    if name in ("two_theta_deg", "q_per_angstrom"):
        return array.reshape(-1)
    if array.size == 0 or array.dtype.kind not in "fiub":
        raise AssetError(
            f"{name} must be a number, but its file holds {array.dtype} of shape {array.shape};"
            " check that field of the configuration."
        )
    # Several exposures of one event were made at one place, up to the readback's noise.
    return float(np.mean(array, dtype=np.float64))


def summed_exposures(array: NDArray[Any], n_axes: int) -> tuple[NDArray[Any], int]:
    """Return an array of so many axes, its exposures added up, and how many they were.

    Pixels that a detector marks as dead in any of them are NaN in the sum.
    """
    if array.ndim <= n_axes:
        return array, 1
    stack = array.reshape(-1, *array.shape[-n_axes:])
    if stack.shape[0] == 1:
        return stack[0], 1
    counts = stack.astype(np.float64)
    if stack.dtype.kind == "i":
        counts[stack < 0] = np.nan
    elif stack.dtype.kind == "u" and stack.dtype.itemsize >= np.dtype(np.uint32).itemsize:
        counts[stack == np.iinfo(stack.dtype).max] = np.nan
    return counts.sum(axis=0), int(stack.shape[0])
