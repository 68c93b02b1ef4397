"""What weighs network and search against each other, fitted once on simulated patterns."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from phasepilot.models.errors import WeightsError
from phasepilot.models.estimation.answer_calibration import (
    Arrays,
    SymmetrySets,
    with_prefix,
    without_prefix,
)
from phasepilot.models.estimation.combination import CombinationWeights
from phasepilot.models.uncertainty.novelty import NoveltyDetector


@dataclass(frozen=True, slots=True)
class SearchCalibration:
    """For one of the ways to answer: by the search alone, or by network and search.

    Attributes
    ----------
    weights : CombinationWeights
    sets : SymmetrySets
    novelty : NoveltyDetector
        That knows what known phases usually leave unexplained.
    """

    weights: CombinationWeights
    sets: SymmetrySets
    novelty: NoveltyDetector

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs."""
        text = np.frombuffer(self.weights.model_dump_json().encode(), dtype=np.uint8)
        return {
            "weights": text,
            **with_prefix("sets", self.sets.to_arrays()),
            **with_prefix("novelty", self.novelty.to_arrays()),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Return the calibration that `to_arrays` described.

        Raises
        ------
        WeightsError
            If the weights cannot be read.
        """
        text = np.asarray(arrays["weights"], dtype=np.uint8).tobytes()
        try:
            weights = CombinationWeights.model_validate(json.loads(text))
        except (ValueError, ValidationError) as error:
            raise WeightsError(
                f"the weights of the search must be JSON, but could not be read ({error});"
                " reinstall phasepilot, or fit them again."
            ) from error
        return cls(
            weights,
            SymmetrySets.from_arrays(without_prefix("sets", arrays)),
            NoveltyDetector.from_arrays(without_prefix("novelty", arrays)),
        )


def all_to_arrays(calibrations: Mapping[str, SearchCalibration]) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of several calibrations, each under its name."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, one in calibrations.items():
        arrays |= with_prefix(name, one.to_arrays())
    return arrays


def all_from_arrays(arrays: Arrays) -> dict[str, SearchCalibration]:
    """Return the calibrations that `all_to_arrays` described, by name."""
    names = sorted({name.split(".", 1)[0] for name in arrays})
    return {name: SearchCalibration.from_arrays(without_prefix(name, arrays)) for name in names}
