"""What films are classified by: simulated and measured patterns, and changed copies of them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.halide_films import LabelledFilms
from phasepilot.models.diffraction.powder.pattern_augmentation import (
    ThinFilmAugmentation,
    augment_thin_film,
    rescale_min_max,
)

# The authors' program scales simulated patterns in pieces of 0.52 degree, measured ones of 0.24.
_OF_POWDERS, _OF_FILMS = ThinFilmAugmentation(), ThinFilmAugmentation(scaling_block_deg=0.24)
# The paper says nothing of the noise that it compares with: ours is a twentieth of the highest.
_NOISE = 0.05
Change = Literal["physics", "noise"]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Patterns and their classes."""

    patterns: FloatArray
    classes: IntArray

    def with_(self, other: "TrainingSet") -> "TrainingSet":
        """Return both."""
        return TrainingSet(
            np.concatenate([self.patterns, other.patterns]),
            np.concatenate([self.classes, other.classes]),
        )


def powders(
    films: LabelledFilms, n_changed: int, rng: Generator, *, change: Change = "physics"
) -> TrainingSet:
    """Return the simulated patterns and so many changed copies of them.

    Copies are drawn from all classes alike: four of five compounds of the table are of one class.
    """
    share = 1.0 / np.bincount(films.simulated_class)[films.simulated_class]
    chosen = rng.choice(films.simulated_class.size, n_changed, p=share / share.sum())
    changed = _changed(films.simulated[chosen], films.step_deg, _OF_POWDERS, rng, change)
    originals = TrainingSet(films.simulated, films.simulated_class)
    return originals.with_(TrainingSet(changed, films.simulated_class[chosen]))


def measured(
    films: LabelledFilms,
    rows: IntArray,
    n_changed: int,
    rng: Generator,
    *,
    change: Change = "physics",
) -> TrainingSet:
    """Return these films and so many changed copies of them, drawn alike from all films."""
    chosen = rng.choice(rows, n_changed)
    changed = _changed(films.measured[chosen], films.step_deg, _OF_FILMS, rng, change)
    originals = TrainingSet(films.measured[rows], films.measured_class[rows])
    return originals.with_(TrainingSet(changed, films.measured_class[chosen]))


def _changed(
    patterns: FloatArray,
    step_deg: float,
    augmentation: ThinFilmAugmentation,
    rng: Generator,
    change: Change,
) -> FloatArray:
    if not len(patterns):
        return patterns
    if change == "noise":
        return rescale_min_max(patterns + _NOISE * rng.standard_normal(patterns.shape))
    return augment_thin_film(patterns, step_deg=step_deg, augmentation=augmentation, rng=rng)
