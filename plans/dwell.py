"""Counting time as plans set it: within limits, and put back afterwards."""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Readable
from bluesky.utils import Msg


@dataclass(frozen=True, slots=True)
class DwellLimits:
    """The counting times that no advice can leave, in seconds.

    Attributes
    ----------
    nominal_s, min_s, max_s : float
        Without advice, and the shortest and longest with it.
    """

    nominal_s: float
    min_s: float
    max_s: float

    def __post_init__(self) -> None:
        if not 0 < self.min_s <= self.nominal_s <= self.max_s < math.inf:
            raise ValueError(
                "dwells must obey 0 < min_dwell_s <= dwell_s <= max_dwell_s, but are"
                f" {self.min_s:g}, {self.nominal_s:g} and {self.max_s:g}; give them in seconds."
            )

    @classmethod
    def for_signal(
        cls,
        dwell: Movable[Any] | None,
        dwell_s: float,
        *,
        min_dwell_s: float | None = None,
        max_dwell_s: float | None = None,
    ) -> "DwellLimits":
        """Return the limits; nothing but `dwell_s` where no signal can set another.

        Without limits given, from a tenth of `dwell_s` to ten times it.
        """
        if dwell is None:
            return cls(dwell_s, dwell_s, dwell_s)
        return cls(
            dwell_s,
            dwell_s / 10 if min_dwell_s is None else min_dwell_s,
            10 * dwell_s if max_dwell_s is None else max_dwell_s,
        )

    def within(self, asked_s: float) -> float:
        """Return the nearest counting time allowed; the nominal one where none was asked for."""
        if math.isnan(asked_s):
            return self.nominal_s
        return min(max(asked_s, self.min_s), self.max_s)


def restoring_dwell(
    plan: Generator[Msg, Any, Any], dwell: Movable[Any] | None
) -> Generator[Msg, Any, Any]:
    """Run a plan and set the counting time back to what it was, also when the plan fails.

    Yields
    ------
    Msg
    """
    if not isinstance(dwell, Readable):
        return (yield from plan)
    before = yield from bps.rd(dwell)
    return (yield from bpp.finalize_wrapper(plan, lambda: bps.mv(dwell, before)))


def dwell_move(dwell: Movable[Any] | None, dwell_s: float) -> tuple[Any, ...]:
    """Return what to add to the arguments of `bps.mv` to set a counting time."""
    return () if dwell is None else (dwell, dwell_s)


def devices_to_read(detectors: Sequence[Readable[Any]], *others: Any) -> list[Readable[Any]]:
    """Return detectors and what else can be read, without what a detector reads as its own part."""
    devices = list(detectors)
    for other in others:
        if isinstance(other, Readable) and not _is_part_of(other, devices):
            devices.append(other)
    return devices


def _is_part_of(device: Any, wholes: Sequence[Any]) -> bool:
    while device is not None:
        if any(device is whole for whole in wholes):
            return True
        device = getattr(device, "parent", None)
    return False
