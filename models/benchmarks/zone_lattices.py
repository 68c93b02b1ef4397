"""The model of spot lattices in the benchmark of zone axes."""

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.zone_patterns import Answers, SpotFrames
from phasepilot.models.diffraction.images.zone_frame import zone_spots_of_frame
from phasepilot.models.diffraction.images.zone_spots import SpotLists
from phasepilot.models.estimation.lattice_model import LatticeModel


class LatticeEstimator:
    """A `FusingEstimator` of a model of spot lattices."""

    def __init__(self, model: LatticeModel) -> None:
        self._model = model

    def answer_spots(self, patterns: SpotLists) -> Answers:
        """Return answers for ideal patterns."""
        return Answers.of_space_groups(self._model.probabilities(patterns))

    def answer_frames(self, patterns: SpotFrames) -> Answers:
        """Return answers for what is read at the points of the lattice of each frame."""
        answers = []
        for frame in patterns.each():
            zone = zone_spots_of_frame(frame)
            answers.append(self._model.probabilities(zone.spots, zone.position_error_per_angstrom))
        return Answers.of_space_groups(np.concatenate(answers))

    def fused(self, space_group: FloatArray) -> Answers:
        """Return answers from several directions of each crystal, (n, n_directions, 230)."""
        fused = self._model.calibration.fused_log_probabilities
        return Answers.of_space_groups(np.exp([fused(one) for one in space_group]))
