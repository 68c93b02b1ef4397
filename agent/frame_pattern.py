"""From a frame as the documents have it to a checked pattern."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from phasepilot.agent.frames import Frame
from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.growing_pattern import evenly_exposed, merged_points
from phasepilot.models.pattern import Pattern


@dataclass(frozen=True, slots=True)
class CountedPattern:
    """A pattern in counts, and how long each of its points was counted.

    Attributes
    ----------
    exposure_s : ndarray, shape (n_points,), or None
        None where nobody said.
    """

    pattern: Pattern
    exposure_s: FloatArray | None

    @property
    def evenly_exposed(self) -> Pattern:
        """The pattern as if every point had been counted for the same time."""
        if self.exposure_s is None:
            return self.pattern
        return evenly_exposed(self.pattern, self.exposure_s)


def pattern_of(frame: Frame) -> Pattern:
    """Return the pattern of a frame.

    Raises
    ------
    PatternError
        If the frame cannot be one; the text says what was expected, what came and what to do.
    """
    intensity, geometry = frame.intensity, frame.geometry
    if intensity is None:
        raise PatternError(
            "the event must hold the detector's pattern, but has no such field;"
            " check intensity_field and that the detector was read."
        )
    if geometry.q_per_angstrom is not None:
        return Pattern.from_q(np.asarray(geometry.q_per_angstrom), np.asarray(intensity))
    if geometry.two_theta_deg is None:
        raise PatternError(
            "the axis of the pattern must stand in the event or in the descriptor's configuration,"
            " but is in neither; check two_theta_field or q_field."
        )
    return Pattern.from_two_theta(
        np.asarray(geometry.two_theta_deg),
        np.asarray(intensity),
        wavelength_angstrom=_wavelength(geometry.wavelength_angstrom),
    )


def _wavelength(found: Any) -> float:
    if found is None:
        raise PatternError(
            "the wavelength must stand in the agent's configuration, the event or the descriptor's"
            " configuration, but is in none; set wavelength_angstrom or wavelength_field."
        )
    try:
        return float(np.asarray(found).item())
    except (TypeError, ValueError) as error:
        raise PatternError(
            f"the wavelength must be one number in angstrom, but is {found!r};"
            " check wavelength_field."
        ) from error


def counted_pattern(frame: Frame) -> CountedPattern:
    """Return the pattern of a frame that holds a whole one.

    Raises
    ------
    PatternError
        As `pattern_of`.
    """
    pattern = pattern_of(frame)
    try:
        exposure_s = float(np.asarray(frame.exposure_s).item())
    except (TypeError, ValueError):  # absent, or one for each point: all points counted alike
        return CountedPattern(pattern, None)
    return CountedPattern(pattern, np.full(pattern.intensity.size, exposure_s))


def grown_pattern(frame: Frame, *, merge_within: float) -> CountedPattern:
    """Return the pattern of a frame that holds all points of a scan so far, in any order.

    Raises
    ------
    PatternError
        As `pattern_of`, and if the points lack counting times.
    """
    by_q = frame.geometry.q_per_angstrom is not None
    axis = frame.geometry.q_per_angstrom if by_q else frame.geometry.two_theta_deg
    # What the detector failed to count was not measured; a second visit may have.
    is_counted = np.isfinite(frame.intensity) & (axis > 0)
    points = merged_points(
        axis[is_counted],
        frame.intensity[is_counted],
        frame.exposure_s[is_counted],
        merge_within=merge_within,
    )
    if by_q:
        pattern = Pattern.from_q(points.axis, points.counts)
    else:
        pattern = Pattern.from_two_theta(
            points.axis,
            points.counts,
            wavelength_angstrom=_wavelength(frame.geometry.wavelength_angstrom),
        )
    return CountedPattern(pattern, points.exposure_s)
