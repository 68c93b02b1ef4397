"""A transition that comes later on the way up than it goes on the way back."""

from dataclasses import dataclass

from phasepilot.models.errors import ModelsError


@dataclass(frozen=True, slots=True)
class HysteresisLoop:
    """Where a phase appears while pressure or temperature rises, and where it goes as that falls.

    Attributes
    ----------
    rise_onset, rise_end : float
        Where, on the way up, the new phase first appears and the old one is gone.
    fall_onset, fall_end : float
        Where, on the way down, the old phase comes back and the new one is gone; minus infinity
        for a phase that never returns.
    """

    rise_onset: float
    rise_end: float
    fall_onset: float
    fall_end: float

    def __post_init__(self) -> None:
        is_loop = (
            self.rise_onset < self.rise_end
            and self.fall_end <= self.fall_onset
            and self.fall_end <= self.rise_onset
            and self.fall_onset <= self.rise_end
        )
        if not is_loop:
            raise ModelsError(
                "a hysteresis loop must turn back below where it went up, but goes up from"
                f" {self.rise_onset:g} to {self.rise_end:g} and back from {self.fall_onset:g} to"
                f" {self.fall_end:g}; swap the pairs or onset and end."
            )

    def advanced(self, fraction: float, value: float) -> float:
        """Return the fraction of the new phase after a monotonic change to this value.

        A play operator: the fraction is pushed up by the branch of the way up, pushed down by that
        of the way down, and constant between the two. Only turning points matter, not the steps
        between.

        Examples
        --------
        >>> loop = HysteresisLoop(rise_onset=13.0, rise_end=15.0, fall_onset=12.0, fall_end=10.0)
        >>> half = loop.advanced(0.0, 14.0)
        >>> half, loop.advanced(half, 12.5), loop.advanced(half, 10.0)
        (0.5, 0.5, 0.0)
        """
        lower = _smooth_ramp(value, self.rise_onset, self.rise_end)
        upper = _smooth_ramp(value, self.fall_end, self.fall_onset)
        return min(max(fraction, lower), upper)


def _smooth_ramp(value: float, start: float, stop: float) -> float:
    if value >= stop:
        return 1.0
    if value <= start:
        return 0.0
    way = (value - start) / (stop - start)
    return float(way * way * (3 - 2 * way))
