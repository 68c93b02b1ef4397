"""Networks that name phases, run by ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime
from scipy.special import logsumexp, softmax

from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import WeightsError
from phasepilot.models.networks.estimate import PhaseEstimate, combine_heads
from phasepilot.models.networks.model_card import ModelCard, check_sha256, read_card
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import (
    PreparedPattern,
    network_input,
    prepare_pattern,
)
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS


class OnnxPhaseModel:
    """A network with its card.

    `predict` takes a pattern, `predict_prepared` one that went through `prepare_pattern`.

    Raises
    ------
    WeightsError
        If the files are missing, damaged or do not belong together.
    """

    def __init__(self, card_path: Path, *, n_threads: int = 1) -> None:
        self.card: ModelCard = read_card(card_path)
        content = check_sha256(card_path.with_name(self.card.file), self.card)
        options = onnxruntime.SessionOptions()
        # One thread: results do not depend on how many cores happen to be free.
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has a class per status, without a common base
            raise WeightsError(
                f"the network {self.card.name} must be an ONNX file that ONNX Runtime"
                f" {onnxruntime.__version__} runs, but it says: {error}; reinstall phasepilot."
            ) from error
        self._quantiles = np.array(self.card.calibration.familiarity_quantiles)

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        """Return the estimate for one pattern.

        Raises
        ------
        PatternError
            If the pattern lies outside the network's q range.
        """
        return self.predict_prepared(prepare_pattern(pattern, self.card.preprocessing))

    def predict_prepared(self, pattern: PreparedPattern) -> PhaseEstimate:
        """Return the estimate for one pattern prepared as the network's card says."""
        inputs = network_input(pattern, self.card.preprocessing)[None]
        system_logits, group_logits = self._session.run(None, {"pattern": inputs})
        return self._estimate(
            system_logits[0].astype(np.float64), group_logits[0].astype(np.float64)
        )

    def _estimate(self, system_logits: FloatArray, group_logits: FloatArray) -> PhaseEstimate:
        calibration = self.card.calibration
        systems, groups = combine_heads(
            softmax(system_logits / calibration.crystal_system_temperature)[None],
            softmax(group_logits / calibration.space_group_temperature)[None],
        )
        rank = np.searchsorted(self._quantiles, logsumexp(group_logits))
        return PhaseEstimate(
            crystal_system_probabilities=systems[0],
            space_group_probabilities=groups[0],
            crystal_system_set=_prediction_set(systems[0], calibration.crystal_system_threshold),
            set_level=calibration.set_level,
            novelty=1.0 - float(rank) / self._quantiles.size,
            entropy=float(-np.sum(systems[0] * np.log(np.maximum(systems[0], 1e-300)))),
        )


def _prediction_set(probabilities: FloatArray, threshold: float) -> tuple[str, ...]:
    order = np.argsort(-probabilities, kind="stable")
    # An empty set would say that nothing is possible; the best class always stays.
    n_kept = max(1, int((probabilities >= threshold).sum()))
    return tuple(CRYSTAL_SYSTEMS[k] for k in order[:n_kept])
