"""A powder detector: integrated patterns of the sample, Poisson counts, and faults on request."""

import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device, Kind, Signal
from ophyd.status import Status

from phasepilot.models.diffraction.pressure.compressed_powder import DEFAULT_EXPOSURE_S
from phasepilot.sim_devices.diamond_anvil_cell import DiamondAnvilCell
from phasepilot.sim_devices.sample import FloatArray, Sample

DEAD_FRACTION = 0.05
LIGHT_AFTER_BEAM_LOSS = 0.01


class Fault(Enum):
    """What a frame may arrive as instead of counts."""

    NAN = "every value is NaN"
    ZEROS = "every value is 0"
    INFINITE = "every value is infinite"
    SHORT = "half of the points are missing"
    NEGATIVE = "every value has the wrong sign"
    COMPLEX = "complex numbers"
    TEXT = "a sentence"
    MISSING = "the field is not in the reading at all"
    DEAD_PIXELS = "some single values are NaN"
    BEAM_LOSS = "a hundredth of the background and no lines"


class PowderDetector(Device):  # type: ignore[misc]  # ophyd carries no types
    """A detector that gives one integrated pattern a frame.

    Reads ``NAME_intensity``, counts of shape (n_points,), and ``NAME_exposure_s``, which is set as
    ``detector.exposure_s``. Its configuration holds ``NAME_two_theta_deg`` and
    ``NAME_wavelength_angstrom``.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    sample : Sample
        What stands in the beam.
    rng : numpy.random.Generator
        Counting noise.
    cell : DiamondAnvilCell, optional
        What presses the sample; needed to see the right pressure while a move is under way.
    fault_at : mapping of int to Fault, optional
        Which frames arrive spoilt. Frames are counted from 1 since the detector was staged, so
        that in a plain scan the number is the `seq_num` of the event. May be replaced at any time.
    clock, sleep : callable
        Seconds since the epoch, and how to wait for the end of an exposure.
    """

    exposure_s = Component(Signal, value=DEFAULT_EXPOSURE_S, kind=Kind.normal)

    def __init__(
        self,
        *,
        name: str,
        sample: Sample,
        rng: np.random.Generator,
        cell: DiamondAnvilCell | None = None,
        fault_at: Mapping[int, Fault] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(name=name, **ophyd_arguments)
        self.sample = sample
        self.fault_at: Mapping[int, Fault] = fault_at or {}
        self._cell = cell
        self._rng = rng
        self._clock = clock
        self._sleep = sleep
        self._frame_number = 0
        # Nothing has been measured before the first exposure.
        self._intensity: Any = np.full(sample.diffractometer.n_points, np.nan)
        self._is_missing = False
        self._exposed_at = clock()

    def stage(self) -> list[object]:
        """Make ready for a run; frames are counted from here."""
        staged: list[object] = super().stage()
        self._frame_number = 0
        return staged

    def trigger(self) -> Status:
        """Start an exposure; raise ValueError unless it lasts longer than nothing."""
        exposure_s = float(self.exposure_s.get())
        if not 0 < exposure_s < np.inf:
            raise ValueError(
                f"{self.name}_exposure_s must be positive, but is {exposure_s:g};"
                " set the exposure before the trigger."
            )
        self._frame_number += 1
        fault = self.fault_at.get(self._frame_number)
        status = Status(self)
        # The RunEngine's loop must not be held up, so the waiting is done beside it.
        threading.Thread(target=self._expose, args=(status, exposure_s, fault), daemon=True).start()
        return status

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the last frame and its exposure; all NaN before the first."""
        reading = dict(super().read())
        if not self._is_missing:
            reading[f"{self.name}_intensity"] = {
                "value": self._intensity,
                "timestamp": self._exposed_at,
            }
        return reading

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read`, as they are when nothing fails."""
        exposure = {"dtype": "number", "dtype_numpy": "<f8", "shape": [], "units": "s"}
        n_points = self.sample.diffractometer.n_points
        return {
            f"{self.name}_exposure_s": self._data_key("exposure_s", exposure),
            f"{self.name}_intensity": self._data_key("intensity", _array_key(n_points, "counts")),
        }

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the angles and the wavelength."""
        diffractometer = self.sample.diffractometer
        values = {
            "two_theta_deg": diffractometer.two_theta_deg,
            "wavelength_angstrom": diffractometer.wavelength_angstrom,
        }
        now = self._clock()
        return {
            f"{self.name}_{key}": {"value": value, "timestamp": now}
            for key, value in values.items()
        }

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read_configuration`."""
        angles = _array_key(self.sample.diffractometer.n_points, "deg")
        wavelength = {"dtype": "number", "dtype_numpy": "<f8", "shape": [], "units": "angstrom"}
        return {
            f"{self.name}_two_theta_deg": self._data_key("two_theta_deg", angles),
            f"{self.name}_wavelength_angstrom": self._data_key("wavelength_angstrom", wavelength),
        }

    def _data_key(self, key: str, kind: dict[str, Any]) -> dict[str, Any]:
        return {"source": f"SIM:{self.name}_{key}", **kind}

    def _expose(self, status: Status, exposure_s: float, fault: Fault | None) -> None:
        try:
            self._sleep(exposure_s)
            if self._cell is not None:
                self._cell.follow()
            mean_counts = self.sample.expected_counts(exposure_s)
            counts = self._rng.poisson(mean_counts).astype(np.float64)
            background = self.sample.pattern.background_counts * (exposure_s / DEFAULT_EXPOSURE_S)
            self._intensity = spoilt(counts, fault, background_counts=background, rng=self._rng)
            self._is_missing = fault is Fault.MISSING
            self._exposed_at = self._clock()
        except Exception as error:
            # In a thread of its own an error would be lost; the status takes it to the plan.
            status.set_exception(error)
            return
        status.set_finished()


def spoilt(
    counts: FloatArray,
    fault: Fault | None,
    *,
    background_counts: FloatArray,
    rng: np.random.Generator,
) -> FloatArray | NDArray[np.complexfloating] | str:
    """Return what the detector hands over for these counts under this fault."""
    if fault is Fault.DEAD_PIXELS:
        return np.where(rng.random(counts.size) < DEAD_FRACTION, np.nan, counts)
    if fault is Fault.BEAM_LOSS:
        return rng.poisson(LIGHT_AFTER_BEAM_LOSS * background_counts).astype(np.float64)
    if fault is Fault.TEXT:
        return "acquisition failed"
    if fault is Fault.COMPLEX:
        return counts * (1 + 1j)
    arrays = {
        Fault.NAN: np.full(counts.size, np.nan),
        Fault.ZEROS: np.zeros(counts.size),
        Fault.INFINITE: np.full(counts.size, np.inf),
        Fault.SHORT: counts[: counts.size // 2],
        Fault.NEGATIVE: -counts,
    }
    return counts if fault is None else arrays.get(fault, counts)


def _array_key(n_points: int, units: str) -> dict[str, Any]:
    return {"dtype": "array", "dtype_numpy": "<f8", "shape": [n_points], "units": units}
