"""Names compounds: the structures of a search index that a pattern resembles most."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import BoolArray
from phasepilot.models.estimation.calibrated_model import CalibratedModel
from phasepilot.models.estimation.evidence import CANDIDATE_FEATURES, N_CANDIDATES
from phasepilot.models.preprocessing.preparation import PreparedPattern

_COSINE = CANDIDATE_FEATURES.index("cosine")


@dataclass(frozen=True, slots=True)
class IdentifiedStructure:
    """A known structure that a pattern may be of.

    Attributes
    ----------
    structure : int
        Its number in the index.
    name : str
        Of the mineral, if the index knows one; else the identifier.
    identifier : str
        Of the row or file that it is from.
    formula : str
        Reduced formula.
    space_group_number : int
        1 to 230.
    probability : float
        Of the compound, with all its structures, if one of those searched is the sample.
    score : float
        Cosine of the root intensities of pattern and structure in its adjusted lattice, 0 to 1.
    strain : float
        Mean relative difference of the lattice from the index's, positive when larger.
    """

    structure: int
    name: str
    identifier: str
    formula: str
    space_group_number: int
    probability: float
    score: float
    strain: float


def identify(
    model: CalibratedModel,
    prepared: PreparedPattern,
    *,
    n_results: int = 10,
    n_candidates: int = N_CANDIDATES,
    elements: Iterable[int] | None = None,
    excluded: BoolArray | None = None,
) -> tuple[IdentifiedStructure, ...]:
    """Return the compounds that a pattern is most probably of, the best first.

    A compound is a formula with a space group; the most probable of its structures stands for all,
    and they share their probability.

    Parameters
    ----------
    model : CalibratedModel
        With an index to search.
    n_candidates, elements, excluded
        As for `phasepilot.models.identification.coarse_search.search`.

    Raises
    ------
    PatternError
        If the pattern has nothing above its background.
    WeightsError
        If the model has no index.
    """
    index = model.searched_index()
    answer, candidates = model.candidates(
        prepared, elements=elements, excluded=excluded, n_candidates=n_candidates
    )
    ranks_of: dict[tuple[str, int], list[int]] = {}
    order = np.argsort(-answer.candidate_probabilities, kind="stable")
    for rank in order.tolist():
        structure = candidates.structure[rank]
        compound = (
            str(index.labels.formula[structure]),
            int(index.sticks.space_group_number[structure]),
        )
        ranks_of.setdefault(compound, []).append(rank)
    compounds = [
        IdentifiedStructure(
            structure=int(candidates.structure[ranks[0]]),
            name=str(index.labels.name[candidates.structure[ranks[0]]]),
            identifier=str(index.sticks.identifier[candidates.structure[ranks[0]]]),
            formula=formula,
            space_group_number=number,
            probability=float(answer.candidate_probabilities[ranks].sum()),
            score=float(candidates.features[ranks[0], _COSINE]),
            strain=float(candidates.mean_strain[ranks[0]]),
        )
        for (formula, number), ranks in ranks_of.items()
    ]
    return tuple(sorted(compounds, key=lambda one: -one.probability)[:n_results])
