"""Refuse suggestions that are none, at the doors through which they come."""

import math

from phasepilot.models.suggestion import Action, Suggestion


def checked(suggestion: Suggestion) -> Suggestion:
    """Return the suggestion; raise if its action or one of its numbers is none.

    Raises
    ------
    ValueError, TypeError
        What comes from another process, or from a keyboard, may be anything.
    """
    Action(suggestion.action)
    for number in (
        suggestion.step,
        suggestion.region_start,
        suggestion.region_stop,
        suggestion.dwell_s,
    ):
        math.isnan(number)
    if not isinstance(suggestion.target, str):
        raise TypeError(
            f"target must be the name of a sample, but is {suggestion.target!r}; leave it empty"
            " when it is not about samples."
        )
    return suggestion
