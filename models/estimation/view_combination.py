"""The common answer of a pattern's network and an image's network.

A product of experts: each answer to a power that says how much it is worth beside the other [1]_.
The powers are fitted where the truth is known, and with them the product is calibrated: powers that
add up to less than 1 soften it.

References
----------
.. [1] Hinton, Neural Computation 14, 1771 (2002), doi:10.1162/089976602760128018.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.optimize import minimize
from scipy.special import log_softmax

from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import TrainingError
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.symmetry_levels import crystal_system_probabilities
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS
from phasepilot.models.uncertainty.entropy import entropy_bits

# A probability of 0 would be a veto.
_LEAST_PROBABILITY = 1e-6
_PENALTY = 1e-3


class Powers(BaseModel):
    """What two answers are raised to.

    Attributes
    ----------
    pattern, image : float
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: float = Field(ge=0)
    image: float = Field(ge=0)


@dataclass(frozen=True, slots=True, eq=False)
class KnownViews:
    """Two answers on a crystal whose space group is known.

    Attributes
    ----------
    space_group_index : int
    pattern, image : ndarray, shape (230,)
        Probabilities.
    """

    space_group_index: int
    pattern: FloatArray
    image: FloatArray


def joined(
    pattern: PhaseEstimate, image: PhaseEstimate, powers: Powers, *, set_level: float
) -> PhaseEstimate:
    """Return the common answer; known phases and the judgement of novelty are the pattern's.

    Sets hold the most probable answers until they add up to the level.
    """
    log_p = _log_product(pattern.space_group_probabilities, image.space_group_probabilities, powers)
    probabilities = np.exp(log_p)
    total = float(entropy_bits(probabilities))
    systems = crystal_system_probabilities(probabilities)
    return replace(
        pattern,
        space_group_probabilities=probabilities,
        crystal_system_set=tuple(CRYSTAL_SYSTEMS[k] for k in _smallest_set(systems, set_level)),
        space_group_set=tuple(k + 1 for k in _smallest_set(probabilities, set_level)),
        set_level=set_level,
        entropy_bits=total,
        epistemic_bits=min(total, min(pattern.epistemic_bits, image.epistemic_bits)),
        novelty=min(pattern.novelty, image.novelty),
        verdict=pattern.verdict if pattern.novelty <= image.novelty else image.verdict,
    )


def fit_powers(cases: Sequence[KnownViews]) -> Powers:
    """Return the powers that give the true space groups the largest likelihood.

    Raises
    ------
    TrainingError
        If there are no cases.
    """
    if not cases:
        raise TrainingError(
            "powers are fitted to views of known crystals, but there are none; draw some first."
        )
    pattern, image = (
        np.log(np.maximum([getattr(case, name) for case in cases], _LEAST_PROBABILITY))
        for name in ("pattern", "image")
    )
    truth = np.array([case.space_group_index for case in cases])

    def loss(powers: FloatArray) -> float:
        log_p = log_softmax(powers[0] * pattern + powers[1] * image, axis=1)
        # Towards one half each, where cases are few.
        return float(
            -log_p[np.arange(truth.size), truth].mean() + _PENALTY * ((powers - 0.5) ** 2).sum()
        )

    found = minimize(loss, [0.5, 0.5], bounds=[(0, 3)] * 2, method="L-BFGS-B")
    return Powers(pattern=float(found.x[0]), image=float(found.x[1]))


def _log_product(pattern: FloatArray, image: FloatArray, powers: Powers) -> FloatArray:
    of_pattern, of_image = (np.log(np.maximum(one, _LEAST_PROBABILITY)) for one in (pattern, image))
    return np.asarray(log_softmax(powers.pattern * of_pattern + powers.image * of_image))


def _smallest_set(probabilities: FloatArray, level: float) -> list[int]:
    order = np.argsort(-probabilities, kind="stable")
    n_needed = int(np.searchsorted(np.cumsum(probabilities[order]), level)) + 1
    return [int(k) for k in order[:n_needed]]
