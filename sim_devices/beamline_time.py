"""What time it is at the beamline, as a reading of every event."""

from typing import Any

from ophyd import Device

from phasepilot.sim_devices.clock import Clock


class BeamlineTime(Device):  # type: ignore[misc]  # ophyd carries no types
    """Reads ``NAME_time_s``, seconds since it was made.

    Events carry the time of the wall; with a `SimulatedClock` only this tells how long a scan would
    have taken. Read it beside the detectors: ``bp.scan([detector, beamline_time], arm, ...)``.

    Parameters
    ----------
    name : str
        Prefix of the field.
    clock : Clock
    """

    def __init__(self, *, name: str, clock: Clock, **ophyd_arguments: Any) -> None:
        super().__init__(name=name, **ophyd_arguments)
        self._clock = clock
        self._start_s = clock()

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the seconds that have passed."""
        now_s = self._clock()
        return {f"{self.name}_time_s": {"value": now_s - self._start_s, "timestamp": now_s}}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data key of `read`."""
        key = f"{self.name}_time_s"
        kind = {"dtype": "number", "dtype_numpy": "<f8", "shape": [], "units": "s", "precision": 3}
        return {key: {"source": f"SIM:{key}", **kind}}

    @property
    def hints(self) -> dict[str, list[str]]:
        """Nothing to plot."""
        return {"fields": []}
