"""What turns a network's outputs into an answer whose probabilities and sets can be believed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.networks.symmetry_levels import (
    SYSTEM_OF_SPACE_GROUP,
    crystal_system_probabilities,
)
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS
from phasepilot.models.uncertainty.conformal import ConformalSets, calibrate_sets
from phasepilot.models.uncertainty.laplace import LastLayerLaplace
from phasepilot.models.uncertainty.novelty import NoveltyDetector

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class SymmetrySets:
    """Conformal sets of crystal systems and of space groups."""

    systems: ConformalSets
    groups: ConformalSets

    def crystal_systems(
        self, space_group_probabilities: FloatArray, level: float
    ) -> tuple[str, ...]:
        """Return the crystal systems in a pattern's set, most probable first."""
        systems = crystal_system_probabilities(space_group_probabilities)
        return tuple(CRYSTAL_SYSTEMS[k] for k in self.systems.prediction_set(systems, level))

    def space_groups(self, space_group_probabilities: FloatArray, level: float) -> tuple[int, ...]:
        """Return the space group numbers in a pattern's set, most probable first."""
        found = self.groups.prediction_set(space_group_probabilities, level)
        return tuple((found + 1).tolist())

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs."""
        return with_prefix("systems", self.systems.to_arrays()) | with_prefix(
            "groups", self.groups.to_arrays()
        )

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Return the sets that `to_arrays` described."""
        return cls(
            ConformalSets.from_arrays(without_prefix("systems", arrays)),
            ConformalSets.from_arrays(without_prefix("groups", arrays)),
        )


def calibrated_symmetry_sets(
    probabilities: FloatArray, space_group_index: IntArray
) -> SymmetrySets:
    """Return sets calibrated on answers (n, 230) whose truth is known.

    Space groups with few patterns are pooled with the others of their crystal system.
    """
    systems = crystal_system_probabilities(probabilities)
    return SymmetrySets(
        calibrate_sets(
            systems,
            SYSTEM_OF_SPACE_GROUP[space_group_index],
            pool_of_class=np.zeros(len(CRYSTAL_SYSTEMS), dtype=np.int64),
        ),
        calibrate_sets(probabilities, space_group_index, pool_of_class=SYSTEM_OF_SPACE_GROUP),
    )


@dataclass(frozen=True, slots=True)
class NetworkCalibration:
    """Fitted on held-out simulated patterns, for one network.

    Attributes
    ----------
    temperature : float
        Logits are divided by it, after the last layer's uncertainty has been put in.
    log_prior : ndarray, shape (230,)
        How common the network takes each space group to be.
    laplace : LastLayerLaplace
    sets : SymmetrySets
    novelty : NoveltyDetector
    """

    temperature: float
    log_prior: FloatArray
    laplace: LastLayerLaplace
    sets: SymmetrySets
    novelty: NoveltyDetector

    def log_probabilities(self, logits: FloatArray, embedding: FloatArray) -> FloatArray:
        """Return calibrated log probabilities, shape (..., 230)."""
        predictive = self.laplace.predictive_logits(logits, embedding)
        return np.asarray(log_softmax(predictive / self.temperature, axis=-1))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs."""
        return {
            "temperature": np.array([self.temperature]),
            "log_prior": self.log_prior.astype(np.float32),
            **with_prefix("laplace", self.laplace.to_arrays()),
            **with_prefix("sets", self.sets.to_arrays()),
            **with_prefix("novelty", self.novelty.to_arrays()),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Return the calibration that `to_arrays` described."""
        return cls(
            float(np.asarray(arrays["temperature"], dtype=np.float64)[0]),
            np.asarray(arrays["log_prior"], dtype=np.float64),
            LastLayerLaplace.from_arrays(without_prefix("laplace", arrays)),
            SymmetrySets.from_arrays(without_prefix("sets", arrays)),
            NoveltyDetector.from_arrays(without_prefix("novelty", arrays)),
        )


def with_prefix(prefix: str, arrays: Arrays) -> dict[str, NDArray[np.generic]]:
    """Return the arrays under ``prefix.name``."""
    return {f"{prefix}.{name}": values for name, values in arrays.items()}


def without_prefix(prefix: str, arrays: Arrays) -> dict[str, NDArray[np.generic]]:
    """Return those arrays whose names begin with ``prefix.``, under the rest of the name."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): values
        for name, values in arrays.items()
        if name.startswith(start)
    }
