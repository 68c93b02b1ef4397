"""External assets of classic ophyd: `resource` says which file, `datum` which part of it.

The event holds the datum's uid in place of the array. What area detectors write is read here;
other kinds by the handler that the beamline has installed (entry points `databroker.handlers`).
"""

from collections import OrderedDict
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

import event_model

from phasepilot.agent.assets.array_place import (
    ArrayPlace,
    HandlerCall,
    Hdf5Rows,
    ImageFiles,
    Nowhere,
)
from phasepilot.agent.assets.asset_path import file_name, mapped

_HDF5_SPECS = {"AD_HDF5", "AD_HDF5_SWMR", "AD_HDF5_SWMR_STREAM"}
_SERIES_SPECS = {"AD_TIFF", "AD_CBF", "AD_JPEG"}
_AREA_DETECTOR_DATASET = "/entry/data/data"
# One a frame; what no event has asked for is dropped from the oldest on.
_MAX_DATUMS = 200_000
_MAX_RESOURCES = 10_000


class DatumAssets:
    """Remembers resources and datums, and tells where the array of a datum stands."""

    def __init__(self, root_map: Mapping[str, str]) -> None:
        self._root_map = root_map
        self._resources: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._datums: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def add_resource(self, doc: Mapping[str, Any]) -> None:
        """Take a `resource` document."""
        self._resources[doc["uid"]] = doc
        while len(self._resources) > _MAX_RESOURCES:
            self._resources.popitem(last=False)

    def add_datum(self, doc: Mapping[str, Any]) -> None:
        """Take a `datum` document."""
        self._datums[doc["datum_id"]] = doc
        while len(self._datums) > _MAX_DATUMS:
            self._datums.popitem(last=False)

    def add_datum_page(self, doc: Any) -> None:
        """Take a `datum_page` document."""
        for datum in event_model.unpack_datum_page(doc):
            self.add_datum(datum)

    def forget(self, run_uid: str) -> None:
        """Drop what belongs to a run."""
        gone = {u for u, doc in self._resources.items() if doc.get("run_start") == run_uid}
        for uid in gone:
            del self._resources[uid]
        for datum_id in [d for d, doc in self._datums.items() if doc["resource"] in gone]:
            del self._datums[datum_id]

    def place(self, datum_id: str, shape: tuple[int, ...]) -> ArrayPlace:
        """Return where the array of a datum stands."""
        datum = self._datums.get(datum_id)
        resource = None if datum is None else self._resources.get(datum["resource"])
        if datum is None or resource is None:
            missing = "datum" if datum is None else "resource"
            return Nowhere(
                f"the event names the datum {datum_id!r}, but its {missing} document was not seen;"
                " subscribe the agent before the run."
            )
        spec, kwargs = str(resource["spec"]), dict(resource.get("resource_kwargs", {}))
        root, relative = str(resource.get("root", "")), str(resource["resource_path"])
        whole = relative if not root else f"{root.rstrip('/')}/{relative.lstrip('/')}"
        path = mapped(whole, self._root_map)
        where = dict(datum.get("datum_kwargs", {}))
        number = int(where.get("point_number") or where.get("index") or 0)
        n_frames = int(kwargs.get("frame_per_point", 1) or 1)
        if spec in _HDF5_SPECS:
            dataset = str(kwargs.get("key") or kwargs.get("dataset") or _AREA_DETECTOR_DATASET)
            per_point = (n_frames, *shape[-2:]) if len(shape) >= 2 else (n_frames, *shape)
            return Hdf5Rows(path, dataset, number, per_point)
        if spec in _SERIES_SPECS and "template" in kwargs:
            numbers = range(number * n_frames, (number + 1) * n_frames)
            name = str(kwargs.get("filename", ""))
            return ImageFiles(
                tuple(
                    path / file_name(str(kwargs["template"]), name, n).lstrip("/") for n in numbers
                )
            )
        if spec == "NPY_SEQ":
            return ImageFiles((path.with_name(f"{path.name}_{number}.npy"),))
        if spec in {entry.name for entry in entry_points(group="databroker.handlers")}:
            return HandlerCall(spec, path, kwargs, where)
        return Nowhere(
            f"files of the kind {spec!r} must have a handler, but none is installed here; install"
            " the package that brings it (entry point 'databroker.handlers')."
        )
