"""The points of a scan that makes one pattern out of many events."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray


@dataclass(slots=True)
class GrowingScan:
    """All points of one stream so far; of a repeated sequence number the last counts."""

    _rows: list[tuple[int, FloatArray, FloatArray, FloatArray]] = field(default_factory=list)
    _first_monitor: float = np.nan

    @property
    def last_seq_num(self) -> int:
        """Sequence number of the newest event; 0 before the first."""
        return self._rows[-1][0] if self._rows else 0

    def add(
        self, seq_num: int, axis: Any, counts: Any, exposure_s: Any, monitor: Any = 1.0
    ) -> None:
        """Take one event: a point, or a strip of points that were counted for the same time.

        The counting time is that in the beam of the first point, as the monitor has it.

        After a pause the RunEngine repeats events: what came from the repeated one on is dropped.
        Values that are missing or no numbers become NaN.
        """
        while self._rows and self._rows[-1][0] >= seq_num:
            self._rows.pop()
        columns = [
            _numbers(counts),
            _numbers(axis),
            _numbers(1.0 if exposure_s is None else exposure_s) * self._relative_flux(monitor),
        ]
        try:
            counted, placed, lasted = np.broadcast_arrays(*columns)
        except ValueError:
            counted, placed, lasted = (np.full(1, np.nan) for _ in columns)
        # A place or a time that nobody knows makes a point that nobody can use.
        is_usable = np.isfinite(placed) & np.isfinite(lasted)
        self._rows.append((seq_num, placed[is_usable], counted[is_usable], lasted[is_usable]))

    def _relative_flux(self, monitor: Any) -> float:
        """Return the monitor against the first of the scan; NaN where it tells nothing."""
        reading = float(_numbers(monitor)[0]) if np.size(monitor) == 1 else np.nan
        if not (np.isfinite(reading) and reading > 0):
            return np.nan
        if np.isnan(self._first_monitor):
            self._first_monitor = reading
        return reading / self._first_monitor

    def columns(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return places, counts and counting times of all points, in the order of measurement."""
        if not self._rows:
            return np.empty(0), np.empty(0), np.empty(0)
        _, placed, counted, lasted = zip(*self._rows, strict=True)
        return np.concatenate(placed), np.concatenate(counted), np.concatenate(lasted)


def _numbers(value: Any) -> FloatArray:
    try:
        return np.array(value, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        return np.full(1, np.nan)
