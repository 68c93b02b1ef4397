"""Which structures are trained on, which are held out, and how often each is drawn."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.errors import TrainingError
from phasepilot.models.training.configuration import TrainingConfiguration
from phasepilot.models.training.synthesis import sampling_weights


@dataclass(frozen=True, slots=True)
class StructureChoice:
    """Structures of a store, and how often each is drawn.

    Attributes
    ----------
    structures : ndarray of int, shape (n_structures,)
        Their numbers in the store.
    weights : ndarray, shape (n_structures,)
        Probabilities; they add up to 1.
    space_group_index : ndarray of int, shape (n_structures,)
        Space group number less 1.
    """

    structures: IntArray
    weights: FloatArray
    space_group_index: IntArray

    def draw(self, n: int, rng: Generator) -> IntArray:
        """Return n structures by their weights, with replacement."""
        cumulative = np.cumsum(self.weights)
        places = np.searchsorted(cumulative, rng.random(n))
        # Rounding may leave the last sum just below 1.
        return self.structures[np.minimum(places, self.structures.size - 1)]

    def draw_evenly(self, n: int, rng: Generator) -> IntArray:
        """Return n structures, all equally likely, with replacement."""
        return np.asarray(rng.choice(self.structures, n))

    @property
    def space_group_frequency(self) -> FloatArray:
        """How often each space group is drawn, shape (230,); adds up to 1."""
        counts = np.bincount(self.space_group_index, weights=self.weights, minlength=230)
        return np.asarray(counts, dtype=np.float64)

    @property
    def log_space_group_frequency(self) -> FloatArray:
        """Its natural logarithm; a space group without structures counts like the rarest."""
        frequency = self.space_group_frequency
        return np.asarray(np.log(np.maximum(frequency, frequency[frequency > 0].min())))


def trained_structures(configuration: TrainingConfiguration, store: StickStore) -> StructureChoice:
    """Return the structures to train on: those of families that are not held out.

    Raises
    ------
    TrainingError
        If there is none, or the table does not say where its rows are from but should.
    """
    return _choice(configuration, store, ~store.is_held_out, "training")


def held_out_structures(configuration: TrainingConfiguration, store: StickStore) -> StructureChoice:
    """Return the structures of families that are never trained on, drawn as those that are.

    Raises
    ------
    TrainingError
        As `trained_structures`.
    """
    return _choice(configuration, store, store.is_held_out, "validation")


def _choice(
    configuration: TrainingConfiguration, store: StickStore, is_chosen: BoolArray, purpose: str
) -> StructureChoice:
    structures = np.flatnonzero(is_chosen)
    if not structures.size:
        kind = "held-out families" if purpose == "validation" else "families that are not held out"
        raise TrainingError(
            f"{purpose} needs structures of {kind}, but none of the {store.n_structures} in the"
            " store is one; use more rows of the table."
        )
    numbers = np.asarray(store.space_group_number)[structures]
    weights = sampling_weights(numbers, configuration.class_exponent)
    if configuration.experimental_weight != 1:
        identifiers = np.asarray(store.identifier)[structures]
        is_experimental = np.isin(identifiers, _experimental(configuration))
        weights = weights * np.where(is_experimental, configuration.experimental_weight, 1.0)
    return StructureChoice(structures, weights / weights.sum(), numbers - 1)


def _experimental(configuration: TrainingConfiguration) -> list[str]:
    """Return the identifiers of rows that an experiment determined."""
    rows = _origins(configuration.structures)
    sources = configuration.experimental_sources
    return [name for name, source, mineral in rows if mineral or (source or "").startswith(sources)]


def _origins(table: Path) -> list[tuple[str, str | None, str | None]]:
    """Return id, source and mineral of every row."""
    # Importing costs a second, and most runs do not ask.
    import pyarrow
    import pyarrow.parquet

    columns = ["id", "source", "mineral"]
    try:
        with pyarrow.parquet.ParquetFile(table) as file:
            lacking = [name for name in columns if name not in file.schema_arrow.names]
            if lacking:
                raise TrainingError(
                    f"experimental_weight needs the columns {', '.join(columns)}, but {table} lacks"
                    f" {', '.join(lacking)}; set experimental_weight to 1."
                )
            found = file.read(columns)
    except (OSError, pyarrow.ArrowException) as error:
        raise TrainingError(
            f"structures must be a Parquet table, but {table} could not be read as one ({error});"
            " give the path of structures.parquet."
        ) from error
    return list(zip(*(found[name].to_pylist() for name in columns), strict=True))
