"""What is said about one pattern, with how sure it is."""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.extinction_classes import EXTINCTION_CLASSES
from phasepilot.models.identification.phase_match import PhaseMatch
from phasepilot.models.networks.symmetry_levels import (
    crystal_system_probabilities,
    extinction_probabilities,
)
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the pattern is of a kind that the answer can be trusted for.

    Attributes
    ----------
    is_known : bool
    reason : str
        One sentence: what was found unusual, or that nothing was.
    """

    is_known: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PhaseEstimate:
    """Probabilities of one pattern's symmetry.

    Attributes
    ----------
    space_group_probabilities : ndarray, shape (230,)
        Of space groups 1 to 230; all coarser levels are sums of these.
    crystal_system_set : tuple of str
        Systems that together hold the true one at the level `set_level`, for patterns like those
        that calibrated; most probable first.
    space_group_set : tuple of int
        The same for space group numbers.
    set_level : float
    entropy_bits : float
        Of the space groups; log2 230 = 7.8 when nothing is known.
    epistemic_bits : float
        The part of it that more training could settle, at most `entropy_bits`; the rest lies in the
        pattern itself.
    novelty : float
        Share of the calibration patterns that look more familiar, 0 to 1.
    verdict : Verdict
    phases : tuple of PhaseMatch
        Known phases found in the pattern, the largest fraction first; empty without a library.
    """

    space_group_probabilities: FloatArray
    crystal_system_set: tuple[str, ...]
    space_group_set: tuple[int, ...]
    set_level: float
    entropy_bits: float
    epistemic_bits: float
    novelty: float
    verdict: Verdict
    phases: tuple[PhaseMatch, ...] = ()

    @property
    def crystal_system_probabilities(self) -> FloatArray:
        """Probabilities in the order of `CRYSTAL_SYSTEMS`, shape (7,)."""
        return crystal_system_probabilities(self.space_group_probabilities)

    @property
    def extinction_class_probabilities(self) -> FloatArray:
        """Probabilities in the order of `EXTINCTION_CLASSES`, shape (97,)."""
        return extinction_probabilities(self.space_group_probabilities)

    @property
    def crystal_system(self) -> str:
        """The most probable crystal system."""
        return CRYSTAL_SYSTEMS[int(self.crystal_system_probabilities.argmax())]

    @property
    def extinction_class(self) -> str:
        """The extinction symbol of the most probable extinction class."""
        return EXTINCTION_CLASSES[int(self.extinction_class_probabilities.argmax())].symbol

    @property
    def space_group_number(self) -> int:
        """The most probable space group.

        It need not belong to the most probable crystal system, whose probability may be spread
        over many groups.
        """
        return int(self.space_group_probabilities.argmax()) + 1

    def top_space_groups(self, n_groups: int) -> list[tuple[int, float]]:
        """Return the most probable space groups and their probabilities."""
        order = np.argsort(-self.space_group_probabilities, kind="stable")[:n_groups]
        return [(int(k) + 1, float(self.space_group_probabilities[k])) for k in order]
