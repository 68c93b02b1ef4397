"""Takes ranges out of a pattern that are none of the sample's."""

from dataclasses import replace

import numpy as np

from phasepilot.agent.frame_settings import IgnoreSettings
from phasepilot.agent.known_lines import line_positions
from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import MIN_POINTS, Pattern, q_from_two_theta


def without_ignored(pattern: Pattern, settings: IgnoreSettings) -> Pattern:
    """Return the pattern with the ranges to ignore as not measured.

    Raises
    ------
    PatternError
        If hardly anything is left, or a range in degree meets a pattern without a wavelength.
    """
    ranges = _ranges(pattern, settings)
    if not ranges.size:
        return pattern
    q = pattern.q_per_angstrom
    is_ignored = np.zeros(q.size, dtype=bool)
    for low, high in ranges:
        first, last = np.searchsorted(q, (low, high))
        is_ignored[first:last] = True
    is_measured = pattern.is_measured & ~is_ignored
    if np.count_nonzero(is_measured) < MIN_POINTS:
        raise PatternError(
            f"some of the pattern must be left, but of {int(pattern.is_measured.sum())} measured"
            f" points the ranges to ignore leave {int(is_measured.sum())}; narrow them."
        )
    return replace(
        pattern, intensity=np.where(is_measured, pattern.intensity, 0.0), is_measured=is_measured
    )


def _ranges(pattern: Pattern, settings: IgnoreSettings) -> FloatArray:
    """Return the ranges in q, shape (n_ranges, 2)."""
    found = [np.array(settings.q_ranges_per_angstrom, dtype=np.float64).reshape(-1, 2)]
    if settings.two_theta_ranges_deg:
        if pattern.wavelength_angstrom is None:
            raise PatternError(
                "two_theta_ranges_deg need the wavelength of the pattern, which came on a q axis;"
                " give q_ranges_per_angstrom instead."
            )
        angles = np.array(settings.two_theta_ranges_deg, dtype=np.float64)
        found.append(q_from_two_theta(angles, pattern.wavelength_angstrom))
    # Rounded up, so that drifting ends of the pattern do not make the lines anew.
    q_max = float(np.ceil(pattern.q_per_angstrom[-1]))
    lines = [line_positions(name, q_max) for name in settings.lines_of]
    lines.append(2 * np.pi / np.array(settings.d_spacings_angstrom, dtype=np.float64))
    width = settings.line_half_width
    found += [np.column_stack([at * (1 - width), at * (1 + width)]) for at in lines]
    return np.concatenate(found)
