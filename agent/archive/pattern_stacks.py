"""Frames in HDF5 files, one by one: images, or patterns with their axis, as NeXus has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.agent.errors import PatternFileError
from phasepilot.models.arrays import FloatArray
from phasepilot.models.pattern import Pattern

HDF5_SUFFIXES = (".h5", ".hdf5", ".nxs", ".nx5", ".nexus")
# What the axis is called, or its unit, in lower case without blanks; and what makes 1/angstrom.
_Q_UNITS = {"1/angstrom": 1.0, "angstrom^-1": 1.0, "a^-1": 1.0, "1/a": 1.0, "q_a^-1": 1.0}
_Q_UNITS |= {"1/nm": 0.1, "nm^-1": 0.1, "q_nm^-1": 0.1}
_ANGLE_UNITS = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "2th_deg": 1.0}
_ANGLE_UNITS |= {"rad": float(np.degrees(1.0)), "2th_rad": float(np.degrees(1.0))}


@dataclass(frozen=True, slots=True)
class StackedFrame:
    """One frame of a stack; an image has neither axis."""

    file: Path
    counts: NDArray[Any]
    q_per_angstrom: FloatArray | None = None
    two_theta_deg: FloatArray | None = None

    def pattern(self, wavelength_angstrom: float | None) -> Pattern:
        """Return the frame as a pattern.

        Raises
        ------
        PatternFileError
            If its axis is an angle, and the wavelength is not known.
        """
        if self.q_per_angstrom is not None:
            return Pattern.from_q(
                self.q_per_angstrom, self.counts, wavelength_angstrom=wavelength_angstrom
            )
        if wavelength_angstrom is None or self.two_theta_deg is None:
            raise PatternFileError(
                f"{self.file} holds angles, which need a wavelength; state the wavelength of the"
                " beam in angstrom."
            )
        return Pattern.from_two_theta(
            self.two_theta_deg, self.counts, wavelength_angstrom=wavelength_angstrom
        )


def stacked_frames(path: Path, dataset: str | None) -> Iterator[StackedFrame]:
    """Yield the frames of an HDF5 file, one in memory at a time.

    Parameters
    ----------
    dataset : str or None
        Path of the frames; None takes the signal of the file's default NXdata.

    Raises
    ------
    PatternFileError
        If the file cannot be read, or it does not say which of its contents are frames.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            signal, axis = _signal(file, dataset, path)
            axis_values, unit = _axis(signal, axis)
            for counts in _rows(signal, axis_values):
                yield _frame(path, counts, axis_values, unit)
    except OSError as error:
        raise PatternFileError(
            f"{path} must be an HDF5 file that can be read, but there came"
            f" {str(error).splitlines()[0]}; was it copied completely?"
        ) from error


def _signal(file: Any, dataset: str | None, path: Path) -> tuple[Any, Any]:
    """Return the frames and the axis beside them, if there is one."""
    import h5py

    if dataset is not None:
        found = file.get(dataset)
        if not isinstance(found, h5py.Dataset):
            raise PatternFileError(
                f"{path} must hold frames at {dataset!r}, but there is"
                f" {'a group' if found is not None else 'nothing'}; see `h5ls -r {path.name}`"
            )
        return found, _axis_beside(found.parent, found)
    group = _default_group(file)
    name = _text(group.attrs.get("signal", ""))
    if name not in group:
        raise PatternFileError(
            f"{path} must mark its frames as NeXus does (attributes `default` and `signal`), but"
            " does not; name them with --dataset."
        )
    return group[name], _axis_beside(group, group[name])


def _default_group(file: Any) -> Any:
    group = file
    while (name := _text(group.attrs.get("default", ""))) and name in group:
        group = group[name]
    if "signal" in group.attrs:
        return group
    found: list[Any] = []
    file.visititems(
        lambda _, item: found.append(item) if "signal" in getattr(item, "attrs", {}) else None
    )
    return found[0] if len(found) == 1 else group


def _axis_beside(group: Any, signal: Any) -> Any:
    names = group.attrs.get("axes")
    names = [] if names is None else [_text(name) for name in np.atleast_1d(names)]
    is_axis = bool(names) and names[-1] in group
    if is_axis and group[names[-1]].shape in (signal.shape[-1:], signal.shape):
        return group[names[-1]]
    return None


def _axis(signal: Any, axis: Any) -> tuple[FloatArray | None, str]:
    if axis is None:
        return None, ""
    unit = _text(axis.attrs.get("units", "")).replace(" ", "").lower()
    if unit in _Q_UNITS:
        return np.asarray(axis[()], dtype=np.float64) * _Q_UNITS[unit], "q"
    if unit in _ANGLE_UNITS:
        return np.asarray(axis[()], dtype=np.float64) * _ANGLE_UNITS[unit], "two_theta"
    # Pixels, as images have them.
    return None, ""


def _rows(signal: Any, axis: FloatArray | None) -> Iterator[NDArray[Any]]:
    n_frame_dimensions = 2 if axis is None else 1
    if signal.ndim <= n_frame_dimensions:
        yield np.asarray(signal[()])
        return
    for index in np.ndindex(*signal.shape[:-n_frame_dimensions]):
        yield np.asarray(signal[index])


def _frame(path: Path, counts: Any, axis: FloatArray | None, unit: str) -> StackedFrame:
    if axis is None:
        return StackedFrame(path, counts)
    if unit == "q":
        return StackedFrame(path, counts, q_per_angstrom=axis)
    return StackedFrame(path, counts, two_theta_deg=axis)


def _text(value: Any) -> str:
    value = value[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode() if isinstance(value, bytes) else str(value)
