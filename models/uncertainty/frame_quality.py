"""What kind of frame a pattern is, told before any network is asked.

A network trained on crystals names a space group for anything. An empty beam, an overflowing
detector and a glass are told from the pattern alone, by tests whose false-alarm rates are stated.
"""

from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtri

from phasepilot.models.arrays import FloatArray
from phasepilot.models.pattern import Pattern
from phasepilot.models.uncertainty.line_contrast import (
    Contrast,
    equivalent_counts,
    hump_contrast,
    line_contrast,
)
from phasepilot.models.uncertainty.saturation import n_cut_off, runs_of_true

FrameKind = Literal["normal", "empty", "saturated", "amorphous"]

# How often, at most, counting noise alone passes for a line, or for a hump.
FALSE_LINE_RATE = 0.005


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
        or the number of points that are cut off (saturated).
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
        saturated. Without it, points that share the highest intensity are sought, more of them than
        noise allows; see `phasepilot.models.uncertainty.saturation`. Averaging over pixels hides
        those.

    Examples
    --------
    >>> import numpy as np
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
        n_cut_off(intensity, float(in_counts.counts.max()))
        if saturation_level is None
        else _n_beyond(intensity, saturation_level)
    )
    if n_flat:
        level = float(intensity.max()) if saturation_level is None else saturation_level
        return FrameQuality(
            "saturated", float(n_flat), f"{n_flat} points are cut off at {level:g}."
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
    starts, stops = runs_of_true(intensity >= level)
    n_points = stops - starts
    return int(n_points[n_points > 1].sum())
