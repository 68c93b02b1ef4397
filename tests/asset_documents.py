"""Documents of a fly scan whose images stand in files, composed by hand."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ring_detector import (
    SHAPE,
)

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frames import Frame, FrameReader


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


def write_hdf5(path: Path, n_rows: int, shape: tuple[int, ...] = SHAPE) -> None:
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.ones((n_rows, *shape), dtype=np.uint8)
