"""Networks of the papers, run in torch, for benchmarks to compare with and for the agent."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from phasepilot.models.arrays import FloatArray
from phasepilot.models.networks.estimate import PhaseEstimate, Verdict
from phasepilot.models.networks.model_card import check_sha256, read_card
from phasepilot.models.networks.reference_networks import reference_network
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import (
    PreparedPattern,
    network_input,
    prepare_pattern,
)
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS
from phasepilot.models.uncertainty.entropy import entropy_bits

_NOT_JUDGED = Verdict(True, "Networks of the papers do not tell what they have not seen.")


class ReferenceEstimator:
    """A network that `phasepilot train` wrote as NAME.pt, with its card NAME.json.

    It has a temperature but neither sets nor novelty.

    Raises
    ------
    WeightsError
        If files are missing or do not belong together.
    """

    def __init__(self, card_path: Path) -> None:
        self.card = read_card(card_path)
        path = card_path.with_name(self.card.file)
        check_sha256(path, self.card.sha256)
        calibration = card_path.with_name(self.card.calibration_file)
        check_sha256(calibration, self.card.calibration_sha256)
        with np.load(calibration, allow_pickle=False) as arrays:
            self._temperature = float(arrays["temperature"].reshape(-1)[0])
        self._network = reference_network(
            str(self.card.training["network"]), n_bins=self.card.n_bins
        )
        self._network.load_state_dict(torch.load(path, weights_only=True))
        self._network.eval()

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        """Return the estimate for one pattern."""
        return self.predict_many([pattern])[0]

    def predict_many(self, patterns: Sequence[Pattern]) -> list[PhaseEstimate]:
        """Return the estimates of several patterns."""
        return self._estimates(
            [prepare_pattern(pattern, self.card.preprocessing) for pattern in patterns]
        )

    def predict_prepared(self, prepared: PreparedPattern) -> PhaseEstimate:
        """Return the estimate for one pattern prepared as the card says."""
        return self._estimates([prepared])[0]

    def _estimates(self, prepared: Sequence[PreparedPattern]) -> list[PhaseEstimate]:
        preprocessing = self.card.preprocessing
        inputs = np.array([network_input(one, preprocessing) for one in prepared])
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(inputs)) / self._temperature
            probabilities = torch.softmax(logits, dim=1).double().numpy()
        return [_estimate(row) for row in probabilities]


def _estimate(probabilities: FloatArray) -> PhaseEstimate:
    return PhaseEstimate(
        space_group_probabilities=probabilities,
        crystal_system_set=CRYSTAL_SYSTEMS,
        space_group_set=tuple(range(1, 231)),
        set_level=1.0,
        entropy_bits=float(entropy_bits(probabilities)),
        epistemic_bits=0.0,
        novelty=0.0,
        verdict=_NOT_JUDGED,
    )
