"""Numbered batches of simulated cakes, as `pattern_stream` has them of powder patterns."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from phasepilot.models.arrays import BoolArray
from phasepilot.models.diffraction.images.cake_grid import CakeGrid
from phasepilot.models.diffraction.images.reflection_store import (
    ReflectionStore,
    open_reflection_store,
)
from phasepilot.models.training.cake_synthesis import CakeKind, CakeRecipe, synthesise_cakes
from phasepilot.models.training.image_configuration import ImageTrainingConfiguration
from phasepilot.models.training.pattern_stream import TensorBatch, first_patterns
from phasepilot.models.training.structure_choice import StructureChoice
from phasepilot.models.training.synthesis import sampling_weights

# The second word of the seed: training and validation draw from unrelated streams.
_TRAINING, _VALIDATION = 1, 2
_VALIDATION_CAKES = 128


@dataclass(frozen=True)
class CakeStream(Dataset[TensorBatch]):
    """Batches by number: the same number always gives the same batch.

    Attributes are those of `phasepilot.models.training.pattern_stream.PatternStream`.
    """

    reflections: Path
    choice: StructureChoice
    recipe: CakeRecipe
    grid: CakeGrid
    seed: tuple[int, int]
    n_patterns: int
    n_parts: int = 1
    parts: range = range(1)

    def __getitem__(self, number: int) -> TensorBatch:
        """Return the parts of the batch of that number."""
        store = open_reflection_store(self.reflections)
        drawn = [self._part(store, number * self.n_parts + part) for part in self.parts]
        inputs, labels = (torch.cat(tensors) for tensors in zip(*drawn, strict=True))
        return TensorBatch(inputs, labels)

    def _part(self, store: ReflectionStore, number: int) -> TensorBatch:
        rng = np.random.default_rng([*self.seed, number])
        chosen = self.choice.draw(self.n_patterns, rng)
        batch = synthesise_cakes(store, chosen, recipe=self.recipe, grid=self.grid, rng=rng)
        labels = torch.from_numpy(batch.space_group_index.astype(np.int64))
        return TensorBatch(torch.from_numpy(batch.inputs.astype(np.float16)), labels)


def is_tested(store: ReflectionStore) -> BoolArray:
    """Return which structures are of families that only benchmarks see."""
    return store.is_held_out


def is_validated(store: ReflectionStore) -> BoolArray:
    """Return which structures are of families that choose and calibrate: another tenth of all."""
    return np.asarray(store.family_hash % 10 == 1)


def trained_choice(
    configuration: ImageTrainingConfiguration, store: ReflectionStore
) -> StructureChoice:
    """Return the structures to train on."""
    return _choice(store, ~is_tested(store) & ~is_validated(store), configuration.class_exponent)


def validated_choice(store: ReflectionStore) -> StructureChoice:
    """Return the structures that choose and calibrate, each as often as the others."""
    return _choice(store, is_validated(store), 1.0)


def tested_choice(store: ReflectionStore) -> StructureChoice:
    """Return the structures that only benchmarks see, each as often as the others."""
    return _choice(store, is_tested(store), 1.0)


def cake_training_stream(
    configuration: ImageTrainingConfiguration, store: ReflectionStore, parts: range
) -> CakeStream:
    """Return the batches to train on, of which this process draws these parts."""
    return CakeStream(
        configuration.reflection_directory,
        trained_choice(configuration, store),
        CakeRecipe(),
        configuration.cells.grid(),
        (configuration.seed, _TRAINING),
        configuration.batch_size // configuration.batch_parts,
        configuration.batch_parts,
        parts,
    )


def cake_validation_batches(
    configuration: ImageTrainingConfiguration,
    store: ReflectionStore,
    n_patterns: int,
    kind: CakeKind | None = None,
) -> Iterator[TensorBatch]:
    """Yield so many cakes of the validation families, of one kind or as trained; always the same.

    They are not scaled: a network must know lattices as they are.
    """
    shares: dict[CakeKind, float] | None = None if kind is None else {kind: 1.0}
    stream = CakeStream(
        configuration.reflection_directory,
        validated_choice(store),
        CakeRecipe() if shares is None else CakeRecipe(shares, scaling=0.0),
        configuration.cells.grid(),
        (configuration.seed, _VALIDATION),
        _VALIDATION_CAKES,
    )
    yield from first_patterns(stream, n_patterns, configuration.n_workers)


def _choice(store: ReflectionStore, is_chosen: BoolArray, exponent: float) -> StructureChoice:
    structures = np.flatnonzero(is_chosen)
    numbers = np.asarray(store.space_group_number)[structures]
    return StructureChoice(structures, sampling_weights(numbers, exponent), numbers - 1)
