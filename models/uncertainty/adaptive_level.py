"""The level of sets on a stream that drifts away from what was calibrated.

Coverage can only be corrected where the truth becomes known: a refinement finished, a standard
measured, a person's answer. A wrong frequency of classes needs no correction, because the sets are
calibrated class by class; a wrong look of patterns cannot be told from a new sample without truth.
So there is no version of this without feedback.
"""

from dataclasses import dataclass
from typing import Self

from phasepilot.models.errors import ModelsError
from phasepilot.models.uncertainty.conformal import SET_LEVELS

_LOWEST_LEVEL = float(SET_LEVELS[0])


@dataclass(frozen=True, slots=True)
class AdaptiveLevel:
    """Adaptive conformal inference: after each miss, larger sets; after each hit, slightly smaller.

    However the stream drifts, even adversarially, of the first T answers that were checked at least
    ``target - (1 - target + step) / (step T)`` are covered.

    Attributes
    ----------
    target : float
        The share of patterns whose set shall hold the truth.
    step : float
        How far a miss moves the level. Large steps follow fast and scatter: after about 1 / step
        checked answers the bound begins to bite.
    unclipped : float
        The level before it is clipped to what a set can have: it may rise above 1, where sets hold
        every class.

    References
    ----------
    Gibbs & Candes, NeurIPS 2021, arXiv:2106.00170, equation 2 and proposition 4.1. There the level
    may fall without bound; here not below the lowest level that is tabulated, which only enlarges
    sets and leaves the bound on misses as it is.

    Examples
    --------
    >>> level = AdaptiveLevel.start(0.9, step=0.05)
    >>> missed = level.updated(was_covered=False)
    >>> round(missed.level, 4)
    0.945
    >>> round(missed.updated(was_covered=True).level, 4)
    0.94
    """

    target: float
    step: float
    unclipped: float

    @classmethod
    def start(cls, target: float, *, step: float = 0.02) -> Self:
        """Return the state before any answer was checked.

        Raises
        ------
        ModelsError
            If the target does not lie between the lowest tabulated level and 1, or the step is not
            above 0.
        """
        if not _LOWEST_LEVEL <= target < 1:
            raise ModelsError(
                f"the target must lie in [{_LOWEST_LEVEL:g}, 1), but is {target:g};"
                " 0.9 asks for sets that hold the truth 9 times of 10."
            )
        if not 0 < step < 1:
            raise ModelsError(f"the step must lie in (0, 1), but is {step:g}; try 0.02.")
        return cls(target, step, target)

    @property
    def level(self) -> float:
        """The level to ask of `ConformalSets` for the next pattern."""
        return min(self.unclipped, 1.0)

    def updated(self, *, was_covered: bool) -> Self:
        """Return the state after the truth of one pattern became known."""
        was_missed = 0.0 if was_covered else 1.0
        moved = self.unclipped + self.step * (was_missed - (1 - self.target))
        return type(self)(self.target, self.step, max(moved, _LOWEST_LEVEL))
