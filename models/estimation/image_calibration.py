"""What turns outputs of networks of images into estimates, for one image and for several."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.estimation.answer_calibration import (
    Arrays,
    NetworkCalibration,
    with_prefix,
    without_prefix,
)
from phasepilot.models.estimation.frame_fusion import FrameFusion
from phasepilot.models.networks.estimate import PhaseEstimate, Verdict
from phasepilot.models.uncertainty.entropy import split_entropy

# Of the conformal sets, unless told otherwise.
SET_LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class ImageCalibration:
    """What turns outputs of a network of images into answers.

    Attributes
    ----------
    network : NetworkCalibration
    fusion : FrameFusion
    """

    network: NetworkCalibration
    fusion: FrameFusion

    def estimate(
        self, logits: FloatArray, embedding: FloatArray, set_level: float
    ) -> PhaseEstimate:
        """Return the estimate for the logits (230,) and the embedding of one image."""
        network = self.network
        probabilities = np.exp(network.log_probabilities(logits, embedding))
        drawn = network.laplace.drawn_probabilities(
            logits, embedding, temperature=network.temperature
        )
        entropy = split_entropy(probabilities, drawn)
        novelty = network.novelty.judge(logits, embedding)
        return PhaseEstimate(
            space_group_probabilities=probabilities,
            crystal_system_set=network.sets.crystal_systems(probabilities, set_level),
            space_group_set=network.sets.space_groups(probabilities, set_level),
            set_level=set_level,
            entropy_bits=entropy.total,
            epistemic_bits=entropy.epistemic,
            novelty=novelty.novelty,
            verdict=novelty.verdict,
        )

    def fuse(self, estimates: Sequence[PhaseEstimate], set_level: float) -> PhaseEstimate:
        """Return what several orientations of one crystal say together; one says what it says.

        The part of the entropy that more training could settle is the mean of theirs, and so is the
        novelty; the answer is trusted if most of them are.

        Raises
        ------
        PatternError
            If there are no estimates.
        """
        if not estimates:
            raise PatternError(
                "estimates to fuse must be at least one, but there is none; estimate a frame first."
            )
        if len(estimates) == 1:
            return estimates[0]
        frames = np.array([one.space_group_probabilities for one in estimates])
        log_p = self.fused_log_probabilities(frames)
        probabilities = np.exp(log_p)
        total = float(-(probabilities * log_p).sum() / np.log(2))
        epistemic = float(np.mean([one.epistemic_bits for one in estimates]))
        n_known = sum(one.verdict.is_known for one in estimates)
        return PhaseEstimate(
            space_group_probabilities=probabilities,
            crystal_system_set=self.fusion.sets.crystal_systems(probabilities, set_level),
            space_group_set=self.fusion.sets.space_groups(probabilities, set_level),
            set_level=set_level,
            entropy_bits=total,
            epistemic_bits=min(epistemic, total),
            novelty=float(np.mean([one.novelty for one in estimates])),
            verdict=Verdict(
                2 * n_known > len(estimates),
                f"{n_known} of {len(estimates)} frames look like what the network knows.",
            ),
        )

    def fused_log_probabilities(self, probabilities: FloatArray) -> FloatArray:
        """Return the answer (230,) from those of single images (n_images, 230)."""
        return self.fusion.log_probabilities(probabilities, self.network.log_prior)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs."""
        fusion = with_prefix("fusion", self.fusion.to_arrays())
        return with_prefix("network", self.network.to_arrays()) | fusion

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "ImageCalibration":
        """Return the calibration that `to_arrays` described."""
        return cls(
            NetworkCalibration.from_arrays(without_prefix("network", arrays)),
            FrameFusion.from_arrays(without_prefix("fusion", arrays)),
        )
