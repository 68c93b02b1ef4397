"""Numbered batches of simulated patterns, made by as many processes as there are cores for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from phasepilot.models.diffraction.powder.recipe import Recipe, named_recipe
from phasepilot.models.diffraction.stick_store import StickStore, open_stick_store
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.training.configuration import TrainingConfiguration
from phasepilot.models.training.structure_choice import (
    StructureChoice,
    held_out_structures,
    trained_structures,
)
from phasepilot.models.training.synthesis import synthesise

# The second word of the seed: training and validation draw from unrelated streams.
_TRAINING, _VALIDATION, _CALIBRATION = 1, 2, 3
_VALIDATION_PATTERNS = 256
# Batches that each process has ready.
_AHEAD = 3
# A process takes seconds to start: as long as these batches take to simulate.
_WORTH_A_PROCESS = 8


class TensorBatch(NamedTuple):
    """Network inputs and their labels, as processes hand them to each other.

    Attributes
    ----------
    inputs : Tensor, shape (n_patterns, 2, n_bins), half precision
        Root intensities are between 0 and 1: half precision keeps them to 5e-4 and halves what is
        moved.
    space_group_index : Tensor of int64, shape (n_patterns,)
    """

    inputs: Tensor
    space_group_index: Tensor


@dataclass(frozen=True)
class PatternStream(Dataset[TensorBatch]):
    """Batches by number: the same number always gives the same batch.

    Attributes
    ----------
    sticks : Path
        The stick store; opened in the process that simulates.
    choice : StructureChoice
    recipe : Recipe
    preprocessing : Preprocessing
    seed : tuple of int
        What the batches are drawn from, together with their number.
    n_patterns : int
        In a part of a batch.
    n_parts : int
        In a batch.
    parts : range
        Which of them this process draws.
    """

    sticks: Path
    choice: StructureChoice
    recipe: Recipe
    preprocessing: Preprocessing
    seed: tuple[int, int]
    n_patterns: int
    n_parts: int = 1
    parts: range = range(1)

    def __getitem__(self, number: int) -> TensorBatch:
        """Return the parts of the batch of that number."""
        store = open_stick_store(self.sticks)
        drawn = [self._part(store, number * self.n_parts + part) for part in self.parts]
        inputs, labels = (torch.cat(tensors) for tensors in zip(*drawn, strict=True))
        return TensorBatch(inputs, labels)

    def _part(self, store: StickStore, number: int) -> TensorBatch:
        rng = np.random.default_rng([*self.seed, number])
        batch = synthesise(
            store,
            self.choice.draw(self.n_patterns, rng),
            self.choice.draw_evenly(self.n_patterns, rng),
            recipe=self.recipe,
            preprocessing=self.preprocessing,
            rng=rng,
        )
        labels = torch.from_numpy(batch.space_group_index.astype(np.int64))
        return TensorBatch(torch.from_numpy(batch.inputs.astype(np.float16)), labels)


def training_stream(
    configuration: TrainingConfiguration, store: StickStore, parts: range
) -> PatternStream:
    """Return the batches to train on, of which this process draws these parts."""
    return PatternStream(
        configuration.stick_directory,
        trained_structures(configuration, store),
        named_recipe(configuration.recipe),
        configuration.preprocessing,
        (configuration.seed, _TRAINING),
        configuration.batch_size // configuration.batch_parts,
        configuration.batch_parts,
        parts,
    )


def validation_stream(configuration: TrainingConfiguration, store: StickStore) -> PatternStream:
    """Return batches of structures whose families are never trained on.

    Space groups come as often as the training stream draws them.
    """
    return PatternStream(
        configuration.stick_directory,
        held_out_structures(configuration, store),
        named_recipe(configuration.recipe),
        configuration.preprocessing,
        (configuration.seed, _VALIDATION),
        _VALIDATION_PATTERNS,
    )


def calibration_batches(
    configuration: TrainingConfiguration, store: StickStore, n_patterns: int
) -> Iterator[TensorBatch]:
    """Yield so many patterns of held-out structures as careful measurements show them.

    All structures are equally likely: as a table has them, not as training balances them.
    """
    held_out = held_out_structures(configuration, store)
    even = np.full(held_out.structures.size, 1 / held_out.structures.size)
    stream = replace(
        validation_stream(configuration, store),
        choice=replace(held_out, weights=even),
        recipe=named_recipe(configuration.calibration_recipe),
        seed=(configuration.seed, _CALIBRATION),
    )
    yield from _first_patterns(stream, n_patterns, configuration.n_workers)


def trained_batches(
    configuration: TrainingConfiguration, store: StickStore, n_patterns: int
) -> Iterator[TensorBatch]:
    """Yield the first so many patterns that were trained on."""
    stream = training_stream(configuration, store, range(configuration.batch_parts))
    yield from _first_patterns(stream, n_patterns, configuration.n_workers)


def validation_batches(
    configuration: TrainingConfiguration, store: StickStore, n_patterns: int
) -> Iterator[TensorBatch]:
    """Yield the first so many patterns of the validation stream, the same every time."""
    stream = validation_stream(configuration, store)
    yield from _first_patterns(stream, n_patterns, configuration.n_workers)


def _first_patterns(
    stream: PatternStream, n_patterns: int, n_workers: int
) -> Iterator[TensorBatch]:
    n_batch = stream.n_patterns * stream.n_parts
    n_left = n_patterns
    for batch in batches_ahead(stream, range(-(-n_patterns // n_batch)), n_workers):
        yield TensorBatch(*(tensor[:n_left] for tensor in batch))
        n_left -= n_batch


def batches_ahead(
    stream: PatternStream, numbers: range, n_workers: int, *, is_for_gpu: bool = False
) -> Iterator[TensorBatch]:
    """Yield the batches of these numbers in order, simulated ahead by other processes.

    What goes wrong there is raised here. Without workers, and for a few batches, they are simulated
    when asked for.
    """
    n_workers = min(n_workers, len(numbers) // _WORTH_A_PROCESS)
    loader = DataLoader(
        stream,
        batch_size=None,
        sampler=numbers,
        num_workers=n_workers,
        prefetch_factor=_AHEAD if n_workers else None,
        # A fork would copy the locks of torch's threads and the state of a GPU.
        multiprocessing_context="spawn" if n_workers else None,
        pin_memory=is_for_gpu,
        # Else it draws from the stream of random numbers that dropout uses.
        generator=torch.Generator(),
    )
    yield from loader
