"""What kind of frame a pattern is, told before any network is asked.

A network trained on crystals names a space group for anything. An empty beam, an overflowing
detector and a glass are told from the pattern alone, by tests whose false-alarm rates are stated.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.pattern import Pattern
from phasepilot.models.uncertainty.line_contrast import (
    Contrast,
    equivalent_counts,
    hump_contrast,
    line_contrast,
)

FrameKind = Literal["normal", "empty", "saturated", "amorphous"]

# How often, at most, counting noise alone passes for a line, or for a hump.
FALSE_LINE_RATE = 0.005
# How often, at most, neighbouring points share the highest count by chance.
FALSE_SATURATION_RATE = 0.001


@dataclass(frozen=True, slots=True)
class FrameQuality:
    """What kind of frame it is.

    Attributes
    ----------
    kind : {"normal", "empty", "saturated", "amorphous"}
        Normal frames show lines. Empty ones show nothing but counting noise on a background that
        falls smoothly, amorphous ones a hump but no line narrower than about 0.3 1/angstrom.
    statistic : float
        What decided: standard deviations of the clearest line (normal, empty) or hump (amorphous),
        or the number of points at the flat top (saturated).
    reason : str
        One sentence.
    """

    kind: FrameKind
    statistic: float
    reason: str


def assess_frame(pattern: Pattern, *, saturation_level: float | None = None) -> FrameQuality:
    """Return what kind of frame a pattern is.

    Works on raw counts and on scaled intensities, whose noise is estimated from the differences of
    neighbouring points; smoothed or interpolated noise is taken for weak lines. Of raw counts from
    an empty beam, at most `FALSE_LINE_RATE` pass for normal.

    Parameters
    ----------
    saturation_level : float, optional
        Intensity at which the detector overflows; two neighbouring points that reach it are
        saturated. Without it, flat tops are sought: neighbouring points that share the highest
        intensity more often than noise allows. Averaging over pixels hides those.

    Examples
    --------
    >>> q = np.linspace(1.0, 5.0, 500)
    >>> line = 100 * np.exp(-(((q - 3) / 0.02) ** 2))
    >>> noise = np.random.default_rng(0).poisson(10.0, size=500)
    >>> assess_frame(Pattern.from_q(q, noise)).kind
    'empty'
    >>> assess_frame(Pattern.from_q(q, noise + np.rint(line))).kind
    'normal'
    >>> assess_frame(Pattern.from_q(q, np.minimum(noise + np.rint(line), 50))).kind
    'saturated'
    """
    in_counts = equivalent_counts(pattern)
    intensity = pattern.intensity[pattern.is_measured]
    n_flat = (
        _n_flat_points(intensity, float(in_counts.counts.max()))
        if saturation_level is None
        else _n_beyond(intensity, saturation_level)
    )
    if n_flat:
        level = float(intensity.max()) if saturation_level is None else saturation_level
        return FrameQuality(
            "saturated", float(n_flat), f"{n_flat} neighbouring points are cut off at {level:g}."
        )
    line = line_contrast(in_counts)
    if _is_significant(line):
        return FrameQuality(
            "normal",
            line.deviations,
            f"The clearest line stands {line.deviations:.1f} standard deviations above noise.",
        )
    hump = hump_contrast(in_counts)
    if _is_significant(hump):
        return FrameQuality(
            "amorphous",
            hump.deviations,
            f"A broad hump stands {hump.deviations:.1f} standard deviations above noise, but no"
            " line does.",
        )
    return FrameQuality(
        "empty",
        line.deviations,
        f"No line stands out of noise: the clearest by {line.deviations:.1f} standard deviations.",
    )


def _is_significant(contrast: Contrast) -> bool:
    if not contrast.n_tested:
        return False
    # Half the rate, since the upper tail of Poisson noise is a little heavier than the normal one.
    return bool(contrast.deviations > -ndtri(FALSE_LINE_RATE / 2 / contrast.n_tested))


def _n_beyond(intensity: FloatArray, level: float) -> int:
    starts, stops = _runs(intensity >= level)
    n_points = stops - starts
    return int(n_points[n_points > 1].sum())


def _n_flat_points(intensity: FloatArray, highest_count: float) -> int:
    """Return how many neighbouring points share the maximum; 0 if noise may have done it."""
    is_highest = intensity == intensity.max()
    if is_highest.sum() < 3:
        return 0
    starts, stops = _runs(is_highest)
    n_points = stops - starts
    # Two Poisson numbers near n are equal with a probability of at most 1 / sqrt(2 pi n).
    chance = 1 / np.sqrt(2 * np.pi * max(highest_count, 1.0))
    n_needed = max(2.0, np.log(FALSE_SATURATION_RATE / n_points.sum()) / np.log(chance))
    if (n_points - 1).sum() < n_needed or not _is_cut(intensity, starts, stops):
        return 0
    return int(n_points[n_points > 1].sum())


def _is_cut(intensity: FloatArray, starts: IntArray, stops: IntArray) -> bool:
    """Say whether intensity falls off steeply beside the longest flat top.

    A smooth maximum of rounded numbers is flat too. As far outside as it is wide, a parabola lies
    at most 9 of its smallest steps lower.
    """
    steps = np.diff(np.unique(intensity))
    if not steps.size:
        return True  # noise never leaves all points equal
    longest = int((stops - starts).argmax())
    n_flat = int(stops[longest] - starts[longest])
    beside = [
        max(starts[longest] - n_flat - 1, 0),
        min(stops[longest] + n_flat, intensity.size - 1),
    ]
    return bool(intensity.max() - intensity[beside].min() > 12 * steps.min())


def _runs(is_in: BoolArray) -> tuple[IntArray, IntArray]:
    """Return where runs of True start, and where they have stopped."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], is_in, [False]]).astype(np.int8)))
    return change[::2], change[1::2]
