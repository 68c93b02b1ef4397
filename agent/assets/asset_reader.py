"""Reads arrays from their places, waiting a while for files that come late.

It runs in the agent's own thread: the RunEngine never waits for a file.
"""

import contextlib
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.agent.assets.array_place import (
    ArrayPlace,
    HandlerCall,
    Hdf5Rows,
    ImageFiles,
    Nowhere,
)
from phasepilot.agent.assets.image_file import read_image_file
from phasepilot.agent.errors import AssetError

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.25
_MAX_OPEN_FILES = 8
# Smaller arrays are not worth a memory of their own.
_LARGE_BYTES = 1 << 20


class NotYet(Exception):  # noqa: N818 - a state of the file, not an error
    """The array is not there yet; the text says what is missing."""


class AssetReader:
    """Reads the arrays of frames, one thread at a time.

    Parameters
    ----------
    wait_s : float
        How long to wait for a file, or a row of it. A file that has not come in this time is not
        waited for again: each further frame of it is looked for once.
    clock, sleep : callable
        Seconds, and how to let them pass.
    """

    def __init__(
        self,
        wait_s: float = 10.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._wait_s = wait_s
        self._clock, self._sleep = clock, sleep
        self._given_up: set[Path] = set()
        self._files: OrderedDict[Path, Any] = OrderedDict()
        self._memory: NDArray[Any] = np.empty(0)

    def read(self, place: ArrayPlace) -> NDArray[Any]:
        """Return the array of a place; a large one is overwritten by the next call.

        Raises
        ------
        AssetError
            If there is none, or it does not come in time.
        """
        if isinstance(place, Nowhere):
            raise AssetError(place.reason)
        awaited = place.paths[0].parent if isinstance(place, ImageFiles) else place.path
        deadline = self._clock() + (0.0 if awaited in self._given_up else self._wait_s)
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                array = self._attempt(place)
            except NotYet as state:
                left_s = deadline - self._clock()
                if left_s <= 0:
                    self._given_up.add(awaited)
                    raise AssetError(_never_came(state, self._wait_s)) from state
                self._sleep(min(pause_s, left_s))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self._given_up.discard(awaited)
                return array

    def close(self) -> None:
        """Close all files; the next read opens what it needs."""
        while self._files:
            self._forget(next(iter(self._files)))

    def _attempt(self, place: Hdf5Rows | ImageFiles | HandlerCall) -> NDArray[Any]:
        if isinstance(place, Hdf5Rows):
            return self._rows(place)
        if isinstance(place, ImageFiles):
            images = [_image(path) for path in place.paths]
            return images[0] if len(images) == 1 else np.stack(images)
        return _handled(place)

    def _rows(self, place: Hdf5Rows) -> NDArray[Any]:
        try:
            dataset = self._file(place)[place.dataset]
            with contextlib.suppress(AttributeError):  # a group has no refresh
                dataset.refresh()
            n_rows, first = _extent(dataset, place)
            if dataset.shape[0] < first + n_rows:
                raise NotYet(
                    f"{place.path} has only {dataset.shape[0]} of {first + n_rows} rows in"
                    f" {place.dataset}"
                )
            return self._read_into_memory(dataset, first, n_rows)
        except KeyError as error:
            self._forget(place.path)
            raise NotYet(f"{place.path} has no data set {place.dataset}") from error
        except OSError as error:
            self._forget(place.path)
            raise NotYet(f"{place.path} cannot be read ({_one_line(error)})") from error
        finally:
            # One that is not written for readers must not be in the way of its writer, and shows
            # rows added later only when it is opened again.
            if not self._is_live(place.path):
                self._forget(place.path)

    def _read_into_memory(self, dataset: Any, first: int, n_rows: int) -> NDArray[Any]:
        shape = (n_rows, *dataset.shape[1:])
        if np.prod(shape) * dataset.dtype.itemsize < _LARGE_BYTES:
            return np.asarray(dataset[first : first + n_rows])
        if self._memory.shape != shape or self._memory.dtype != dataset.dtype:
            self._memory = np.empty(shape, dtype=dataset.dtype)
        dataset.read_direct(self._memory, np.s_[first : first + n_rows])
        return self._memory

    def _file(self, place: Hdf5Rows) -> Any:
        file = self._files.get(place.path)
        if file is None:
            if not place.path.is_file():
                raise NotYet(f"{place.path} does not exist")
            file = self._files[place.path] = _open_hdf5(place.path)
            while len(self._files) > _MAX_OPEN_FILES:
                self._forget(next(iter(self._files)))
        return file

    def _is_live(self, path: Path) -> bool:
        file = self._files.get(path)
        return file is not None and bool(file.swmr_mode)

    def _forget(self, path: Path) -> None:
        file = self._files.pop(path, None)
        if file is not None:
            with contextlib.suppress(OSError, RuntimeError):  # it was only read
                file.close()


def _extent(dataset: Any, place: Hdf5Rows) -> tuple[int, int]:
    """Return how many rows of a data set make an exposure, and the first of them."""
    if not getattr(dataset, "shape", None):
        raise AssetError(
            f"{place.dataset} in {place.path} must be a data set with a row for each exposure, but"
            " is none; correct the path in the detector's writer."
        )
    # Rows of images: either each exposure has several, or the descriptor writes a 1 for them.
    n_rows = place.shape[0] if len(place.shape) == len(dataset.shape) else 1
    wanted = place.shape[1:] if len(place.shape) == len(dataset.shape) else place.shape
    if place.shape and tuple(dataset.shape[1:]) != tuple(wanted):
        raise AssetError(
            f"a row of {place.dataset} in {place.path} must have the shape"
            f" {tuple(wanted)} that the descriptor states, but has {tuple(dataset.shape[1:])};"
            " region of interest or binning was changed after the detector was described."
        )
    return int(n_rows), place.index * int(n_rows)


def _open_hdf5(path: Path) -> Any:
    """Return the open file, in a way that leaves its writer free to open it again."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise AssetError(
            f"{path} is HDF5, which needs h5py; install it with: pip install 'phasepilot[images]'."
        ) from error
    # Registers the compressions that detectors use.
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401
    if has_swmr_writer(path):
        # HDF5 lets go of its lock at once in this mode.
        return h5py.File(path, "r", libver="latest", swmr=True)
    if _is_locked(path):
        raise NotYet(f"{path} is still being written, and not in SWMR mode")
    return h5py.File(path, "r", locking=False)


def has_swmr_writer(path: Path) -> bool:
    """Return whether a file is written while others may read, as its first bytes say.

    References
    ----------
    HDF5 File Format Specification 3.0, section II.A: version of the superblock in byte 8, file
    consistency flags in byte 11, of which bit 2 stands for single writer, multiple readers.
    """
    with path.open("rb") as file:
        head = file.read(12)
    return len(head) == 12 and head[8] >= 3 and bool(head[11] & 0b100)


def _is_locked(path: Path) -> bool:
    """Return whether somebody holds the file for writing, as HDF5 does."""
    if sys.platform == "win32":
        return False
    import fcntl

    with path.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _image(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise NotYet(f"{path} does not exist")
    try:
        return read_image_file(path)
    except AssetError as error:
        # Half a file looks like a damaged one.
        raise NotYet(str(error).partition(";")[0]) from error


def _handled(place: HandlerCall) -> NDArray[Any]:
    entry = next(iter(entry_points(group="databroker.handlers", name=place.spec)))
    try:
        handler = entry.load()(str(place.path), **place.resource_kwargs)
        return np.asarray(handler(**place.datum_kwargs))
    except OSError as error:
        raise NotYet(f"{place.path} cannot be read ({_one_line(error)})") from error
    except Exception as error:
        raise AssetError(
            f"the handler {entry.value} must read {place.path}, but failed"
            f" ({type(error).__name__}: {_one_line(error)}); mend or replace it."
        ) from error


def _never_came(state: NotYet, wait_s: float) -> str:
    return (
        f"the detector's data must come within {wait_s:g} s, but {state}; check the path"
        " (assets.root_map) and the file writer."
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
