"""External assets of today: `stream_resource` says which file, `stream_datum` which rows are there.

As ophyd-async emits them, from step and fly scans.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from phasepilot.agent.assets.array_place import ArrayPlace, Hdf5Rows, ImageFiles, Nowhere
from phasepilot.agent.assets.asset_path import file_name, path_of_uri
from phasepilot.agent.errors import AssetError

HDF5 = "application/x-hdf5"
IMAGE_SERIES = (
    "multipart/related;type=image/tiff",
    "multipart/related;type=image/jpeg",
    "multipart/related;type=application/x-npy",
)
# A run has one a detector and file; those of runs that never stopped go first.
_MAX_RESOURCES = 10_000


@dataclass(slots=True)
class _Resource:
    """One file or series, and how far the rows that were announced before it reach."""

    doc: Mapping[str, Any]
    first_index: int | None = None


class StreamAssets:
    """Remembers resources, and tells where the rows of a datum stand."""

    def __init__(self, root_map: Mapping[str, str]) -> None:
        self._root_map = root_map
        self._resources: OrderedDict[str, _Resource] = OrderedDict()
        # Rows of a field so far, by run: a series may go on in another file.
        self._n_rows: dict[tuple[str, str], int] = {}

    def add(self, doc: Mapping[str, Any]) -> None:
        """Take a `stream_resource` document."""
        self._resources[doc["uid"]] = _Resource(doc)
        while len(self._resources) > _MAX_RESOURCES:
            self._resources.popitem(last=False)

    def forget(self, run_uid: str) -> None:
        """Drop what belongs to a run."""
        for uid in [u for u, r in self._resources.items() if r.doc.get("run_start") == run_uid]:
            del self._resources[uid]
        for key in [key for key in self._n_rows if key[0] == run_uid]:
            del self._n_rows[key]

    def field(self, datum: Mapping[str, Any]) -> str:
        """Return the data key of a `stream_datum`; empty when its resource was not seen."""
        resource = self._resources.get(datum["stream_resource"])
        return "" if resource is None else str(resource.doc["data_key"])

    def places(
        self, datum: Mapping[str, Any], shape: tuple[int, ...]
    ) -> Iterator[tuple[int, ArrayPlace]]:
        """Yield the sequence number and place of each row of a `stream_datum`.

        Parameters
        ----------
        shape : tuple of int
            Of one exposure, as the descriptor has it.
        """
        resource = self._resources[datum["stream_resource"]]
        start, stop = datum["indices"]["start"], datum["indices"]["stop"]
        key = (str(resource.doc.get("run_start", "")), str(resource.doc["data_key"]))
        if resource.first_index is None:
            # A second file goes on counting where the first ended, or begins anew.
            goes_on = start > 0 and start == self._n_rows.get(key, 0)
            resource.first_index = start if goes_on else 0
        self._n_rows[key] = max(stop, self._n_rows.get(key, 0))
        first_seq_num = datum["seq_nums"]["start"]
        for index in range(start, stop):
            place = self._place(resource.doc, index - resource.first_index, shape)
            yield first_seq_num + index - start, place

    def _place(self, doc: Mapping[str, Any], index: int, shape: tuple[int, ...]) -> ArrayPlace:
        parameters, mimetype = doc.get("parameters", {}), doc.get("mimetype", "")
        try:
            path = path_of_uri(doc["uri"], self._root_map)
            if mimetype == HDF5 and "template" not in parameters:
                dataset = str(_required(parameters, "dataset", doc))
                return Hdf5Rows(path, dataset, index, shape)
            if mimetype in IMAGE_SERIES:
                template = str(_required(parameters, "template", doc))
                n_files = _files_of_one(parameters, shape)
                numbers = range(index * n_files, (index + 1) * n_files)
                # The address is a folder, or the part of the names that all have in common.
                stem = doc["uri"]
                names = (
                    file_name(template, str(parameters.get("filename", "")), n) for n in numbers
                )
                joined = (
                    stem + (name.lstrip("/") if stem.endswith("/") else name) for name in names
                )
                return ImageFiles(tuple(path_of_uri(uri, self._root_map) for uri in joined))
        except AssetError as error:
            return Nowhere(str(error))
        return Nowhere(
            f"the files of {doc['data_key']!r} must be HDF5 or a series of TIFF, JPEG or NPY"
            f" images, but are {mimetype!r}; choose another file plugin, or leave this detector"
            " out."
        )


def _required(parameters: Mapping[str, Any], key: str, doc: Mapping[str, Any]) -> Any:
    if key not in parameters:
        raise AssetError(
            f"the stream_resource of {doc['data_key']!r} must have the parameter {key!r}, but has"
            f" only {sorted(parameters)}; mend the detector's writer."
        )
    return parameters[key]


def _files_of_one(parameters: Mapping[str, Any], shape: tuple[int, ...]) -> int:
    """Return how many files hold one exposure: 1, but where a detector writes several images."""
    if "files_per_datum" in parameters:
        return int(parameters["files_per_datum"])
    if len(shape) < 3:
        return 1
    chunk = parameters.get("chunk_shape") or (1,)
    return max(int(shape[0]) // int(chunk[0]), 1)
