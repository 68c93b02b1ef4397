"""Thin films on one angular axis, thinned and coarsened, and what of them is compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter1d, minimum_filter1d, uniform_filter1d

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern, two_theta_from_q

# The axis of the a-CNN of Oviedo et al., npj Comput. Mater. 5, 60 (2019),
# doi:10.1038/s41524-019-0196-x, as far as their measured patterns reach.
STEP_DEG = 0.04
TWO_THETA_DEG: FloatArray = 5.0 + STEP_DEG * np.arange(1200, dtype=np.float64)
_BACKGROUND_WINDOW_DEG = 2.0
_SMOOTHING_DEG = 0.12


@dataclass(frozen=True, slots=True)
class Films:
    """Patterns on a common axis of even steps.

    Attributes
    ----------
    two_theta_deg : ndarray, shape (n_points,)
    counts : ndarray, shape (n_films, n_points)
        As measured, with background; what lies outside the measured range repeats its end.
    is_measured : ndarray of bool, shape (n_films, n_points)
    """

    two_theta_deg: FloatArray
    counts: FloatArray
    is_measured: BoolArray

    @property
    def step_deg(self) -> float:
        """Distance of the points."""
        return float(self.two_theta_deg[1] - self.two_theta_deg[0])

    def coarser(self, every: int, *, first: int = 0) -> "Films":
        """Return the films as if only every k-th point had been measured."""
        points = slice(first, None, every)
        return Films(
            self.two_theta_deg[points], self.counts[:, points], self.is_measured[:, points]
        )

    def thinned(self, share: float, rng: Generator) -> "Films":
        """Return the films as if counted for this share of the time.

        Each photon is kept with that probability, which turns Poisson counts into Poisson counts.
        """
        photons = np.rint(np.maximum(self.counts, 0)).astype(np.int64)
        kept = np.asarray(rng.binomial(photons, share), dtype=np.float64)
        return Films(self.two_theta_deg, kept, self.is_measured)


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a pattern.

    Attributes
    ----------
    blur_deg : float
        Standard deviation of the Gaussian that it is smoothed with. A blurred line is still seen
        by a scan that steps over its top, and still overlaps when the lattice differs a little.
    power : float
        Exponent of the intensity. Small powers make faint lines count: in a textured film they
        may be strong lines of the powder.
    """

    blur_deg: float
    power: float


NEAREST_NEIGHBOUR_VIEW = (View(0.0, 0.5),)
VIEWS = (View(0.15, 0.5), View(0.4, 0.5), View(0.25, 0.25))


def films(patterns: Sequence[Pattern]) -> Films:
    """Return the patterns on the axis from 5 to 53 degree in steps of 0.04 degree.

    Raises
    ------
    PatternError
        If a pattern has no wavelength.
    """
    axes = [_angles(pattern) for pattern in patterns]
    counts = [
        np.interp(TWO_THETA_DEG, axis, pattern.intensity[pattern.is_measured])
        for axis, pattern in zip(axes, patterns, strict=True)
    ]
    # Angles went through q and back.
    slack = STEP_DEG / 100
    is_measured = [
        (axis[0] - slack <= TWO_THETA_DEG) & (axis[-1] + slack >= TWO_THETA_DEG) for axis in axes
    ]
    return Films(TWO_THETA_DEG, np.array(counts), np.array(is_measured))


def _angles(pattern: Pattern) -> FloatArray:
    if pattern.wavelength_angstrom is None:
        raise PatternError(
            "thin films are compared at the angles where they were measured, but a pattern has no"
            " wavelength; state it in the file."
        )
    return two_theta_from_q(
        pattern.q_per_angstrom[pattern.is_measured], pattern.wavelength_angstrom
    )


def unit_vectors(seen: Films, views: Sequence[View]) -> Float32Array:
    """Return what the views show of each film, as one vector of length 1 whatever the step.

    Each view has the same weight. Between the points of a coarse scan stand straight lines.

    Returns
    -------
    ndarray, shape (n_films, n_views * 1200)
    """
    signal = above_background(seen)
    parts = []
    for view in views:
        blurred = (
            gaussian_filter1d(signal, view.blur_deg / seen.step_deg) if view.blur_deg else signal
        )
        shown = _on_full_axis((blurred * seen.is_measured) ** view.power, seen.two_theta_deg)
        parts.append(_normalised(shown))
    return _normalised(np.concatenate(parts, axis=1)).astype(np.float32)


def above_background(seen: Films) -> FloatArray:
    """Return the counts above their rolling minimum."""
    window = max(3, round(_BACKGROUND_WINDOW_DEG / seen.step_deg))
    smoothing = max(1, round(_SMOOTHING_DEG / seen.step_deg))
    smooth = uniform_filter1d(seen.counts, smoothing, mode="nearest")
    background = uniform_filter1d(
        minimum_filter1d(smooth, window, mode="nearest"), window, mode="nearest"
    )
    return np.asarray(np.maximum(seen.counts - background, 0) * seen.is_measured)


def _on_full_axis(rows: FloatArray, two_theta_deg: FloatArray) -> FloatArray:
    if two_theta_deg.size == TWO_THETA_DEG.size:
        return rows
    return np.array([np.interp(TWO_THETA_DEG, two_theta_deg, row) for row in rows])


def _normalised(rows: FloatArray) -> FloatArray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0))
