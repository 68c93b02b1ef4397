"""Guards of a scanned axis: how far it may go, what it may read, how fast it may be driven."""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.protocols import Locatable, Movable
from bluesky.utils import Msg

from phasepilot.models.suggestion import Action, Suggestion

# A move at a limited rate is made of pieces that take about so long.
_PIECE_S = 0.5


@dataclass(frozen=True, slots=True)
class AxisGuard:
    """What an axis is never driven beyond, whatever the scan and the advice.

    Attributes
    ----------
    max_value : float
        Highest set point, and highest reading: the scan ends once the axis reads more.
    max_rate_per_s : float
        In units of the axis a second, on average over any move and the wait after it. Moves are
        cut into pieces with waits between them.
    """

    max_value: float = math.inf
    max_rate_per_s: float = math.inf

    def __post_init__(self) -> None:
        if not self.max_rate_per_s > 0:
            raise ValueError(
                f"max_rate_per_s must be above 0, but is {self.max_rate_per_s:g}; leave it out"
                " for as fast as the axis goes."
            )

    def check_range(self, start: float, stop: float) -> None:
        """Raise ValueError unless the whole range is allowed."""
        if max(start, stop) > self.max_value:
            raise ValueError(
                f"the range must stay at or below max_value = {self.max_value:g}, but goes from"
                f" {start:g} to {stop:g}; shorten it."
            )

    def limited(self, done: Suggestion, reading: float) -> Suggestion:
        """Return the suggestion, or a stop where the axis reads too much."""
        if reading > self.max_value:
            told = f"the axis reads {reading:g}, above its maximum of {self.max_value:g}"
            return replace(done, action=Action.STOP, reason=told)
        return done

    def move(self, axis: Movable[Any], target: float) -> Generator[Msg, Any, None]:
        """Drive the axis to a set point, no faster than allowed.

        Yields
        ------
        Msg
        """
        if math.isinf(self.max_rate_per_s):
            yield from bps.mv(axis, target)
            return
        start = yield from _place_of(axis)
        distance = abs(target - start)
        n_pieces = max(1, math.ceil(distance / (self.max_rate_per_s * _PIECE_S)))
        for piece in range(1, n_pieces + 1):
            # After a pause only the last piece is repeated: the axis does not go back.
            yield from bps.checkpoint()
            place = target if piece == n_pieces else start + (target - start) * piece / n_pieces
            yield from bps.mv(axis, place)
            yield from bps.sleep(distance / n_pieces / self.max_rate_per_s)


def _place_of(axis: Movable[Any]) -> Generator[Msg, Any, float]:
    if isinstance(axis, Locatable):
        location = yield Msg("locate", axis)
        return float(location["readback"])
    position = getattr(axis, "position", None)
    if position is None:
        raise ValueError(
            "an axis with max_rate_per_s must say where it is (locate, or position), but"
            f" {getattr(axis, 'name', axis)!r} does not; drive it by a positioner that does."
        )
    return float(position)


def reading_of(axis: Any, readings: Mapping[str, Any] | None) -> float:
    """Return what the axis reads in an event; NaN where it is not read."""
    fields = getattr(axis, "hints", {}).get("fields") or [getattr(axis, "name", "")]
    reading = (readings or {}).get(fields[0])
    try:
        return math.nan if reading is None else float(reading["value"])
    except (TypeError, ValueError):
        return math.nan
