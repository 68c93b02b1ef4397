"""Frames that no answer should be trusted for, simulated as an instrument would give them.

What is usual is a held-out structure, measured with the recipe `laboratory`. Unusual frames have
the ranges, steps and wavelengths of usual ones, which therefore tell nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.held_out_patterns import HeldOut, simulated_patterns
from phasepilot.models.diffraction.powder.recipe import Settings, named_recipe
from phasepilot.models.pattern import Pattern, two_theta_from_q

RECIPE = "laboratory"
# K-alpha of Mo, Cu, Co and Fe: what may stand in a header by mistake.
_STATED_WAVELENGTHS = (0.7107, 1.5418, 1.7903, 1.9374)


@dataclass(frozen=True, slots=True)
class UsualFrames:
    """Measurements of held-out structures, with all that a laboratory does to them.

    Attributes
    ----------
    held_out : HeldOut
    patterns : tuple of Pattern
        One a structure.
    is_single_phase : ndarray of bool, shape (n_structures,)
        Others hold up to a quarter of a second phase, as the recipe has it.
    """

    held_out: HeldOut
    patterns: tuple[Pattern, ...]
    is_single_phase: BoolArray


@dataclass(frozen=True, slots=True)
class FrameKind:
    """A way in which frames are unusual.

    Attributes
    ----------
    name : str
    meaning : str
    goal : str
        For the area under the ROC curve.
    frames : callable
        Takes usual frames and a generator; gives an unusual one for each.
    """

    name: str
    meaning: str
    goal: str
    frames: Callable[[UsualFrames, Generator], list[Pattern]]


def usual_frames(held_out: HeldOut, rng: Generator) -> UsualFrames:
    """Return one measurement of each structure."""
    settings, second = _settings(held_out, rng), _others(held_out, rng)
    patterns = simulated_patterns(held_out, settings, rng, second=second)
    is_single_phase = settings["impurity_fraction"][:, 0] == 0
    return UsualFrames(held_out, tuple(patterns), is_single_phase)


def empty_frames(usual: UsualFrames, rng: Generator) -> list[Pattern]:
    """Return frames of a beam without a sample: air scatter, 3 to 3000 counts at its highest."""
    return [_counted(one, _air(one, rng), (3, 3000), rng) for one in usual.patterns]


def noise_frames(usual: UsualFrames, rng: Generator) -> list[Pattern]:
    """Return frames without a beam: dark counts, 0.3 to 30 in a point."""
    return [_counted(one, np.ones(one.intensity.size), (0.3, 30), rng) for one in usual.patterns]


def saturated_frames(usual: UsualFrames, rng: Generator) -> list[Pattern]:
    """Return frames of a detector that stops counting at 1 to 10 % of the highest line."""
    return [_clipped(one, float(rng.uniform(0.01, 0.1))) for one in usual.patterns]


def amorphous_frames(usual: UsualFrames, rng: Generator) -> list[Pattern]:
    """Return frames of a glass or a liquid: one to three halos over air scatter."""
    return [
        _counted(one, _air(one, rng) + _halos(one, rng), (100, 1e5), rng) for one in usual.patterns
    ]


def mixture_frames(usual: UsualFrames, rng: Generator) -> list[Pattern]:
    """Return frames of two phases in equal volumes, measured as usual."""
    held_out = usual.held_out
    settings = _settings(held_out, rng)
    half = np.full((settings.n_patterns, 1), 0.5)
    mixed = replace(settings, columns={**settings.columns, "impurity_fraction": half})
    return simulated_patterns(held_out, mixed, rng, second=_others(held_out, rng))


def mislabelled_frames(usual: UsualFrames, rng: Generator) -> list[Pattern]:
    """Return frames whose stated wavelength is that of another tube, off by a tenth or more."""
    return [_mislabelled(one, rng) for one in usual.patterns]


KINDS = (
    FrameKind("empty", "beam without sample", "floor 0.99, goal 0.995", empty_frames),
    FrameKind("noise", "no beam", "floor 0.99, goal 0.995", noise_frames),
    FrameKind("saturated", "detector overloaded", "floor 0.99, goal 0.995", saturated_frames),
    FrameKind("amorphous", "no crystal", "goal 0.99", amorphous_frames),
    FrameKind("mixture", "two phases, 50:50", "floor 0.75, goal 0.85", mixture_frames),
    FrameKind("wrong_wavelength", "stated of another tube", "goal 0.95", mislabelled_frames),
)


def _settings(held_out: HeldOut, rng: Generator) -> Settings:
    return named_recipe(RECIPE).draw(held_out.chosen.size, rng)


def _others(held_out: HeldOut, rng: Generator) -> IntArray:
    """Return another structure for each."""
    return np.roll(held_out.chosen, int(rng.integers(1, max(2, held_out.chosen.size))))


def _counted(
    like: Pattern, expected: FloatArray, peak_counts: tuple[float, float], rng: Generator
) -> Pattern:
    """Return counts of an expected shape on the axis of a pattern, of a random exposure."""
    low, high = np.log(peak_counts)
    exposure = np.exp(rng.uniform(low, high)) / expected.max()
    return Pattern.from_q(
        like.q_per_angstrom,
        rng.poisson(expected * exposure).astype(np.float64),
        wavelength_angstrom=like.wavelength_angstrom,
    )


def _air(like: Pattern, rng: Generator) -> FloatArray:
    q = like.q_per_angstrom
    decay = np.exp(rng.uniform(np.log(0.1), np.log(2.0)))
    return np.asarray(rng.uniform(0.02, 1.0) + np.exp(-(q - q[0]) / decay))


def _halos(like: Pattern, rng: Generator) -> FloatArray:
    halos = np.zeros(like.q_per_angstrom.size)
    for _ in range(rng.integers(1, 4)):
        centre, width = rng.uniform(1.0, 3.5), rng.uniform(0.2, 0.6)
        halos += rng.uniform(0.5, 4) * np.exp(-(((like.q_per_angstrom - centre) / width) ** 2) / 2)
    return halos


def _clipped(one: Pattern, height: float) -> Pattern:
    """Return the pattern cut at this part of the way from its median to its highest line."""
    # Lines are wider than a point of these axes, hot pixels are not.
    x = one.intensity
    top = np.minimum(x[1:-1], np.maximum(x[:-2], x[2:])).max()
    base = np.median(x)
    # A detector stops at a whole number of counts, and never below one.
    limit = max(1.0, np.floor(base + height * (top - base)))
    return Pattern(
        one.q_per_angstrom,
        np.minimum(one.intensity, limit),
        one.is_measured,
        one.wavelength_angstrom,
    )


def _mislabelled(one: Pattern, rng: Generator) -> Pattern:
    true = one.wavelength_angstrom
    if true is None:
        return one
    others = [stated for stated in _STATED_WAVELENGTHS if abs(stated / true - 1) > 0.1]
    angles = two_theta_from_q(one.q_per_angstrom, true)
    stated = float(rng.choice(others))
    return Pattern.from_two_theta(angles, one.intensity, wavelength_angstrom=stated)
