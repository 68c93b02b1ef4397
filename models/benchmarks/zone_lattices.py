"""The model of spot lattices in the benchmark of zone axes."""

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.zone_networks import found_spots
from phasepilot.models.benchmarks.zone_patterns import Answers, SpotFrames
from phasepilot.models.diffraction.images.zone_spots import SpotLists
from phasepilot.models.estimation.lattice_model import LatticeModel

# Standard error of the place of a spot that is found on a frame; neighbours that overlap and weak
# spots make it what it is.
_ERROR_PX = 0.5


class LatticeEstimator:
    """A `FusingEstimator` of a model of spot lattices.

    On frames of a detector it answers the spots that the search finds, as the paper's network does.
    """

    def __init__(self, model: LatticeModel) -> None:
        self._model = model

    def answer_spots(self, patterns: SpotLists) -> Answers:
        """Return answers for ideal patterns."""
        return Answers.of_space_groups(self._model.probabilities(patterns))

    def answer_frames(self, patterns: SpotFrames) -> Answers:
        """Return answers for the spots that are found."""
        error = _ERROR_PX * patterns.inverse_angstrom_per_pixel
        return Answers.of_space_groups(self._model.probabilities(found_spots(patterns), error))

    def fused(self, space_group: FloatArray) -> Answers:
        """Return answers from several directions of each crystal, (n, n_directions, 230)."""
        return Answers.of_space_groups(np.array([self._model.fuse(one) for one in space_group]))
