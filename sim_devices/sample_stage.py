"""A stage that brings the samples of a library into the beam."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ophyd import Device
from ophyd.status import StatusBase

from phasepilot.sim_devices.clock import Clock
from phasepilot.sim_devices.faults import MoveFault
from phasepilot.sim_devices.positioner import SimulatedPositioner
from phasepilot.sim_devices.rate_curve import RateCurve
from phasepilot.sim_devices.sample_library import SampleLibrary
from phasepilot.sim_devices.travel import Path, Travel


class StageAxis(SimulatedPositioner):
    """One linear motor. Reads ``NAME_mm`` and ``NAME_setpoint_mm``.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    limits_mm : tuple of float
        Lowest and highest set point.
    rng : numpy.random.Generator
        Noise of the encoder.
    clock : Clock
    velocity_mm_per_s, settle_time_s : float
        Of a move.
    fault_at : mapping of int to MoveFault, optional
        See `phasepilot.sim_devices.faults`.
    """

    def __init__(
        self,
        *,
        name: str,
        limits_mm: tuple[float, float],
        rng: np.random.Generator,
        clock: Clock,
        velocity_mm_per_s: float = 5.0,
        settle_time_s: float = 0.5,
        fault_at: Mapping[int, MoveFault] | None = None,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(
            name=name,
            quantity="mm",
            unit="mm",
            start=0.0,
            limits=limits_mm,
            rng=rng,
            clock=clock,
            readback_noise=0.0,
            noisy_readback=0.5,
            timeout_s=60.0,
            fault_at=fault_at,
            **ophyd_arguments,
        )
        self.velocity_mm_per_s = velocity_mm_per_s
        self.settle_time_s = settle_time_s

    def path_to(self, target: float, start: float) -> Path:
        """Return the way from one position to another that begins now."""
        now = self._clock()
        return Travel(start, target, now, self.velocity_mm_per_s, self.settle_time_s)


class SampleStage(Device):  # type: ignore[misc]  # ophyd carries no types
    """A library on two axes; set it to the name of a sample, or its axes to positions.

    Reads ``NAME_sample``, the name of the sample in the beam or an empty text, and what ``stage.x``
    and ``stage.y`` read: ``NAME_x_mm``, ``NAME_y_mm`` and their set points. A detector takes it as
    its sample. Faults are those of its axes: ``stage.x.fault_at``.

    Parameters
    ----------
    name : str
        Prefix of the fields.
    library : SampleLibrary
    rng : numpy.random.Generator
        Noise of the encoders.
    clock : Clock
    margin_mm : float
        How far the axes reach beyond the samples.
    """

    def __init__(
        self,
        *,
        name: str,
        library: SampleLibrary,
        rng: np.random.Generator,
        clock: Clock,
        margin_mm: float = 5.0,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(name=name, **ophyd_arguments)
        self.library = library
        self._clock = clock
        places_mm = np.array([(sample.x_mm, sample.y_mm) for sample in library.samples])
        (x_low, y_low), (x_high, y_high) = places_mm.min(axis=0), places_mm.max(axis=0)
        x_rng, y_rng = rng.spawn(2)
        self.x = StageAxis(
            name=f"{name}_x",
            limits_mm=(float(x_low) - margin_mm, float(x_high) + margin_mm),
            rng=x_rng,
            clock=clock,
            parent=self,
        )
        self.y = StageAxis(
            name=f"{name}_y",
            limits_mm=(float(y_low) - margin_mm, float(y_high) + margin_mm),
            rng=y_rng,
            clock=clock,
            parent=self,
        )

    @property
    def position(self) -> str:
        """Name of the sample in the beam, empty over bare wafer."""
        sample = self.library.sample_at(self.x.position, self.y.position)
        return "" if sample is None else sample.name

    @property
    def wavelength_angstrom(self) -> float:
        """Wavelength of the beam."""
        return self.library.pattern.diffractometer.wavelength_angstrom

    def rate_curve(self) -> RateCurve:
        """Return what is in the beam scatters."""
        return self.library.rate_curve_at(self.x.position, self.y.position)

    def check_value(self, sample_name: str) -> None:
        """Raise ValueError unless there is a sample of that name."""
        self.library.sample(sample_name)

    def set(self, sample_name: str) -> StatusBase:
        """Bring a sample into the beam; both axes move at once."""
        sample = self.library.sample(sample_name)
        return self.x.set(sample.x_mm) & self.y.set(sample.y_mm)

    def stop(self, *, success: bool = False) -> None:
        """Stop both axes."""
        super().stop(success=success)
        self.x.stop(success=success)
        self.y.stop(success=success)

    def stage(self) -> list[object]:
        """Make ready for a run; moves of the axes are counted from here."""
        return [*super().stage(), *self.x.stage(), *self.y.stage()]

    def unstage(self) -> list[object]:
        """Undo `stage`."""
        return [*self.y.unstage(), *self.x.unstage(), *super().unstage()]

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the sample in the beam, and both axes."""
        name = {"value": self.position, "timestamp": self._clock()}
        return {f"{self.name}_sample": name, **self.x.read(), **self.y.read()}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of `read`."""
        key = f"{self.name}_sample"
        name = {"source": f"SIM:{key}", "dtype": "string", "shape": []}
        return {key: name, **self.x.describe(), **self.y.describe()}

    @property
    def hints(self) -> dict[str, list[str]]:
        """The axes of the wafer."""
        return {"fields": [self.x.readback_key, self.y.readback_key]}
