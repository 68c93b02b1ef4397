"""What a run's documents offer: streams, their fields, settings and files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from phasepilot.agent.errors import DocumentError

# Enough for every descriptor that comes with the first readings of each stream.
MAX_DOCUMENTS = 2000
# Shorter columns are settings, not patterns.
_LEAST_POINTS = 16


@dataclass(frozen=True, slots=True)
class Field:
    """A key that a configuration may name.

    Attributes
    ----------
    place : {"event", "settings", "baseline", "start"}
        Where it stands.
    shape : tuple of int
    is_external : bool
        Whether its values stand in files.
    value : Any
        What it holds, where the documents say so at once; None elsewhere.
    """

    name: str
    place: Literal["event", "settings", "baseline", "start"]
    shape: tuple[int, ...]
    is_external: bool = False
    value: Any = None

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Rows and columns of an image; None of anything else."""
        sizes = tuple(size for size in self.shape if size > 1)
        if len(self.shape) < 2 or len(sizes) < 2:
            return None
        return sizes[-2], sizes[-1]

    @property
    def n_points(self) -> int:
        """Length of a column of numbers that may be a pattern or its axis; 0 of anything else."""
        if self.image_shape is not None:
            return 0
        size = int(np.prod(self.shape)) if self.shape else 0
        return size if size >= _LEAST_POINTS else 0

    @property
    def is_number(self) -> bool:
        """Whether it holds a single number."""
        if self.value is not None and not isinstance(self.value, int | float | np.number):
            return False
        return all(size == 1 for size in self.shape)


@dataclass(slots=True)
class RunDescription:
    """What a run offers.

    Attributes
    ----------
    streams : dict of str to dict of str to Field
        Fields of the events of each stream, and of the settings of its devices.
    resources : list
        Documents of kind `stream_resource` and `resource`, as (name, document).
    """

    start: Mapping[str, Any] = field(default_factory=dict)
    streams: dict[str, dict[str, Field]] = field(default_factory=dict)
    resources: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def fields(self, stream: str) -> dict[str, Field]:
        """Return all that is found for a frame of a stream: its own fields first."""
        found = {
            key: Field(key, "start", np.shape(value), value=value)
            for key, value in self.start.items()
            if isinstance(value, int | float)
        }
        for one in self.streams.get("baseline", {}).values():
            found[one.name] = Field(one.name, "baseline", one.shape, one.is_external, one.value)
        return found | self.streams.get(stream, {})


def describe_run(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> RunDescription:
    """Return what the documents of one run offer; the first of them are enough.

    Raises
    ------
    DocumentError
        If there is no start document or no descriptor among them.
    """
    run, names = RunDescription(), dict[str, str]()
    for number, (kind, doc) in enumerate(documents):
        if kind == "start" and not run.start:
            run.start = doc
        elif kind == "descriptor":
            names[doc["uid"]] = _add_stream(run, doc)
        elif kind in ("stream_resource", "resource"):
            run.resources.append((kind, doc))
        elif kind == "event":
            _add_values(run.streams.get(names.get(doc["descriptor"], ""), {}), doc["data"])
        if kind == "stop" or number > MAX_DOCUMENTS:
            break
    if not run.start or not run.streams:
        raise DocumentError(
            "the documents must begin with a start document and hold descriptors, but have"
            f" {'no descriptors' if run.start else 'no start document'}; give a run that has"
            " measured something."
        )
    return run


def _add_stream(run: RunDescription, doc: Mapping[str, Any]) -> str:
    name = str(doc.get("name", "primary"))
    stream = run.streams.setdefault(name, {})
    for device in doc.get("configuration", {}).values():
        for key, value in device.get("data", {}).items():
            stream[key] = Field(key, "settings", np.shape(value), value=value)
    for key, about in doc["data_keys"].items():
        shape = tuple(int(size or 0) for size in about.get("shape", ()))
        stream[key] = Field(key, "event", shape, bool(about.get("external")))
    return name


def _add_values(stream: dict[str, Field], data: Mapping[str, Any]) -> None:
    """Note the first reading of each field that is in the event itself."""
    for key, value in data.items():
        known = stream.get(key)
        if known is not None and known.value is None and not isinstance(value, str):
            shape = known.shape if known.is_external else np.shape(value)
            stream[key] = Field(key, "event", tuple(shape), known.is_external, value)
