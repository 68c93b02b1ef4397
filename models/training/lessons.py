"""What a run learns: batches to train on, a network that learns, batches to watch it on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn
from torch.utils.data import Dataset

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.images.reflection_store import open_reflection_store
from phasepilot.models.diffraction.stick_store import open_stick_store
from phasepilot.models.training.cake_stream import cake_training_stream, cake_validation_batches
from phasepilot.models.training.configuration import TrainingConfiguration
from phasepilot.models.training.image_configuration import ImageTrainingConfiguration
from phasepilot.models.training.network_choice import create_cake_network, create_network
from phasepilot.models.training.pattern_stream import (
    TensorBatch,
    training_stream,
    validation_batches,
)
from phasepilot.models.training.run_configuration import RunConfiguration


@dataclass(frozen=True, slots=True)
class Lessons:
    """What one process of a training run works with.

    Attributes
    ----------
    stream : Dataset
        Batches by number; of this process, its parts.
    log_space_group_frequency : ndarray, shape (230,)
        Of the batches.
    create_network : callable
        Returns the network, untrained.
    watched : callable
        Returns so many patterns of held-out families, always the same.
    """

    stream: Dataset[TensorBatch]
    log_space_group_frequency: FloatArray
    create_network: Callable[[], nn.Module]
    watched: Callable[[int], Iterable[TensorBatch]]


def lessons(configuration: RunConfiguration, parts: range) -> Lessons:
    """Return what a configuration asks for.

    Raises
    ------
    StickStoreError, TrainingError, UnknownModelError
        If lists of lines or reflections, structures or the network are not there.
    """
    if isinstance(configuration, ImageTrainingConfiguration):
        return _of_images(configuration, parts)
    if isinstance(configuration, TrainingConfiguration):
        return _of_patterns(configuration, parts)
    raise TypeError(f"there are no lessons for a {type(configuration).__name__}")


def _of_patterns(configuration: TrainingConfiguration, parts: range) -> Lessons:
    store = open_stick_store(configuration.stick_directory)
    stream = training_stream(configuration, store, parts)
    return Lessons(
        stream,
        stream.choice.log_space_group_frequency,
        lambda: create_network(configuration),
        lambda n_patterns: validation_batches(configuration, store, n_patterns),
    )


def _of_images(configuration: ImageTrainingConfiguration, parts: range) -> Lessons:
    store = open_reflection_store(configuration.reflection_directory)
    stream = cake_training_stream(configuration, store, parts)
    return Lessons(
        stream,
        stream.choice.log_space_group_frequency,
        lambda: create_cake_network(configuration),
        lambda n_patterns: cake_validation_batches(configuration, store, n_patterns, "ideal"),
    )
