"""Arrays in Tiled, one event at a time, read ahead in blocks.

A frame at a time costs a request each, 20 to 200 ms; a whole array may not fit in memory.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.agent.errors import ArchiveError

_BLOCK_BYTES = 32 * 1024 * 1024


class ArrayRows:
    """The rows of an array in Tiled, read ahead in blocks of about 32 MiB."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._block: NDArray[Any] | None = None
        self._block_start = 0
        self._n_frames = 1

    @property
    def n_rows(self) -> int:
        """How many events it has values for."""
        return int(self._client.shape[0]) // self._n_frames

    def pair(self, n_events: int, what: str) -> None:
        """Find how many frames belong to each event."""
        n_frames = int(self._client.shape[0])
        if n_events == 0 or n_frames % n_events or n_frames < n_events:
            raise ArchiveError(
                f"expected {n_events} rows of {what}, one an event, but Tiled holds {n_frames};"
                " frames and motor positions cannot be paired, so upload the run again"
            )
        self._n_frames = n_frames // n_events

    def pair_as_declared(self, data_key: Mapping[str, Any]) -> None:
        """Take as many frames for each event as its data key says: how many events is not known."""
        shape = list(data_key.get("shape") or ())
        # Where frames are stacked, not given a dimension of their own, the first one counts them.
        is_stacked = "external" in data_key and len(shape) == len(self._client.shape)
        self._n_frames = int(shape[0] or 1) if is_stacked else 1

    def read(self, row: int) -> NDArray[Any]:
        """Return the value of one event, as an array of its own."""
        first, after = row * self._n_frames, (row + 1) * self._n_frames
        block = self._block
        if block is None or first < self._block_start or after > self._block_start + len(block):
            row_bytes = self._client.dtype.itemsize * math.prod(self._client.shape[1:])
            n_ahead = max(self._n_frames, _BLOCK_BYTES // max(1, row_bytes))
            stop = min(first + n_ahead, int(self._client.shape[0]))
            block = self._block = np.asarray(self._client[first:stop])
            self._block_start = first
        frames = block[first - self._block_start : after - self._block_start]
        return (frames if self._n_frames > 1 else frames[0]).copy()
