"""Where an array stands that is not in its event: one small value for each kind of place.

Documents are turned into places in the RunEngine's thread, which costs microseconds; files are
opened in the agent's own (`asset_reader`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Hdf5Rows:
    """Rows of a data set that may still grow.

    Attributes
    ----------
    dataset : str
    index : int
        Number of the exposure, from 0.
    shape : tuple of int
        What the descriptor says of one exposure; with as many axes as the data set, its first one
        counts rows.
    """

    path: Path
    dataset: str
    index: int
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """One file or several that make up an exposure."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class HandlerCall:
    """What a handler of the beamline's own reads, as classic ophyd registers them."""

    spec: str
    path: Path
    resource_kwargs: Mapping[str, Any]
    datum_kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Nowhere:
    """No place at all, and the sentence that says why."""

    reason: str


ArrayPlace = Hdf5Rows | ImageFiles | HandlerCall | Nowhere
PLACES = (Hdf5Rows, ImageFiles, HandlerCall, Nowhere)
