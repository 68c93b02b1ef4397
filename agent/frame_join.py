"""Joins rows of external files with the events they belong to.

Three orders are met: a step scan announces the row and then its event; a fly scan announces rows
and emits no event at all; an archive gives all events first and all rows after them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from phasepilot.agent.assets.array_place import ArrayPlace, Nowhere


@dataclass(frozen=True, slots=True)
class JoinedRow:
    """One exposure: its event, None in a fly scan, and where its external fields stand."""

    seq_num: int
    event: Mapping[str, Any] | None
    places: Mapping[str, ArrayPlace]


@dataclass(slots=True)
class FrameJoin:
    """Rows and events of one descriptor; yields each exposure once it is complete.

    Attributes
    ----------
    wanted : frozenset of str
        External fields to wait for.
    needs_event : bool
        Whether the event holds a field that is wanted, so that none is given without it.
    """

    wanted: frozenset[str]
    needs_event: bool
    _events: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    _places: dict[int, dict[str, ArrayPlace]] = field(default_factory=dict)
    _is_flown: bool = False

    def add_event(self, event: Mapping[str, Any]) -> Iterator[JoinedRow]:
        """Take an event, and yield its exposure if its rows are known."""
        # Given without it already.
        if self._is_flown:
            return
        seq_num = int(event["seq_num"])
        self._events[seq_num] = event
        if self._is_complete(seq_num):
            yield self._taken(seq_num)

    def add_rows(self, key: str, rows: Iterable[tuple[int, ArrayPlace]]) -> Iterator[JoinedRow]:
        """Take rows of a field, and yield the exposures that they complete."""
        if key not in self.wanted:
            return
        added = []
        for seq_num, place in rows:
            self._places.setdefault(seq_num, {})[key] = place
            added.append(seq_num)
        if not (self.needs_event or self._is_flown) and added:
            # A step scan would have sent the event of an earlier row before the next row.
            self._is_flown = any(
                seq_num < added[0] and seq_num not in self._events and self._is_complete(seq_num)
                for seq_num in self._places
            )
        ready = sorted(self._places) if self._is_flown else added
        for seq_num in ready:
            if self._is_complete(seq_num) and (self._is_flown or seq_num in self._events):
                yield self._taken(seq_num)

    def finish(self) -> Iterator[JoinedRow]:
        """Yield what is left when the run has stopped, complete or not."""
        for seq_num in sorted({*self._events, *self._places}):
            yield self._taken(seq_num)

    def _is_complete(self, seq_num: int) -> bool:
        return self.wanted <= self._places.get(seq_num, {}).keys()

    def _taken(self, seq_num: int) -> JoinedRow:
        places = self._places.pop(seq_num, {})
        for key in self.wanted - places.keys():
            places[key] = Nowhere(
                f"a stream_datum must announce the row of {key!r} for frame {seq_num}, but none"
                " came before the run stopped; the detector may have missed a trigger."
            )
        return JoinedRow(seq_num, self._events.pop(seq_num, None), places)
