"""Measured in-situ series: one npz file each, frames of one sample while something is varied."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import ModelsError
from phasepilot.models.pattern import q_from_two_theta

# Where the last point is put when no wavelength is stated: shifts on ln q do not depend on it.
_NOMINAL_Q_MAX = 6.0
_VARIED = {
    "temperature_K": "temperature (K)",
    "temperature_C": "temperature (°C)",
    "time_s": "time (s)",
}


@dataclass(frozen=True, slots=True)
class MeasuredSeries:
    """One series.

    Attributes
    ----------
    name : str
        Of the file, without its ending.
    q_per_angstrom : ndarray, shape (n_points,)
    intensity : ndarray, shape (n_frames, n_points)
    varied : ndarray, shape (n_frames,)
        What was varied, or the number of the frame.
    varied_name : str
    is_q_nominal : bool
        Whether no wavelength is stated, so that only ratios of q mean something.
    truth : str
        What is known of it, in the words of who collected it.
    """

    name: str
    q_per_angstrom: FloatArray
    intensity: FloatArray
    varied: FloatArray
    varied_name: str
    is_q_nominal: bool
    truth: str


def read_series(path: Path) -> list[MeasuredSeries]:
    """Return every series of a folder, of its folder `series`, or of one file.

    Raises
    ------
    ModelsError
        If there is none, or a file lacks what a series needs.
    """
    folder = path / "series" if (path / "series").is_dir() else path
    files = sorted(folder.glob("*.npz")) if folder.is_dir() else [folder]
    if not files or not all(file.is_file() for file in files):
        raise ModelsError(
            f"measured series must be .npz files, but {path} is or holds none; name the file or the"
            " folder with --data."
        )
    return [_read(file) for file in files]


def _read(file: Path) -> MeasuredSeries:
    with np.load(file, allow_pickle=False) as columns:
        try:
            intensity = np.asarray(columns["intensity"], dtype=np.float64)
            q, is_nominal = _axis(columns)
        except KeyError as error:
            raise ModelsError(
                f"a series must have intensity and an axis, but {file} lacks {error}; see the"
                " documentation of the benchmark for the columns."
            ) from error
        name = next((key for key in _VARIED if key in columns.files), None)
        varied = np.arange(len(intensity)) if name is None else columns[name]
        truth = (
            json.loads(str(columns["meta_json"])).get("truth", "")
            if "meta_json" in columns.files
            else ""
        )
    # A clipped axis repeats its last value; a beam stop hides q = 0.
    is_rising = np.concatenate([[True], np.diff(np.maximum.accumulate(q)) > 0]) & (q > 0)
    return MeasuredSeries(
        name=file.stem,
        q_per_angstrom=q[is_rising],
        intensity=intensity[:, is_rising],
        varied=np.asarray(varied, dtype=np.float64),
        varied_name="frame" if name is None else _VARIED[name],
        is_q_nominal=is_nominal,
        truth=truth,
    )


def _axis(columns: "np.lib.npyio.NpzFile") -> tuple[FloatArray, bool]:
    """Return q, and whether its scale is made up; a native q axis goes before a converted angle."""
    if "q_inv_A" in columns.files:
        return np.asarray(columns["q_inv_A"], dtype=np.float64), False
    if "q_inv_nm" in columns.files:
        return np.asarray(columns["q_inv_nm"], dtype=np.float64) / 10, False
    angles = np.asarray(columns["two_theta"], dtype=np.float64)
    wavelength = float(columns["wavelength"])
    if np.isfinite(wavelength):
        return q_from_two_theta(angles, wavelength), False
    sine = np.sin(np.radians(angles / 2))
    return np.asarray(_NOMINAL_Q_MAX * sine / sine.max()), True
