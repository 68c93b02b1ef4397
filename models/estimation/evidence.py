"""What a search and a network have to say of one pattern, before it is weighed."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.identification.coarse_search import search
from phasepilot.models.identification.refinement import FEATURES, refine
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.preprocessing.preparation import PreparedPattern

N_CANDIDATES = 100
# Of each candidate: how it fits, and how it had looked to the search.
CANDIDATE_FEATURES = (*FEATURES, "search_score")
# Of the pattern: noise and range set how far a good fit can be trusted.
PATTERN_FEATURES = ("log_contrast", "measured_share")
# A pattern without noise has no end of contrast.
_LARGEST_LOG_CONTRAST = 3.5


@dataclass(frozen=True, slots=True)
class CandidateEvidence:
    """Known structures that resemble a pattern, the most similar first.

    Attributes
    ----------
    structure : ndarray of int, shape (n,)
        Numbers in the search index.
    space_group_index : ndarray of int, shape (n,)
        Space group numbers less 1.
    features : ndarray, shape (n, n_candidate_features)
        `CANDIDATE_FEATURES` of each.
    mean_strain : ndarray, shape (n,)
        Relative difference of the lattice from the index's.
    """

    structure: IntArray
    space_group_index: IntArray
    features: FloatArray
    mean_strain: FloatArray

    @property
    def explained(self) -> FloatArray:
        """Share of the pattern's root intensity on each candidate's lines, shape (n,)."""
        return self.features[:, CANDIDATE_FEATURES.index("root_explained")]

    @property
    def dissimilarity(self) -> float:
        """1 less the similarity that the search gave to the most similar candidate."""
        scores = self.features[:, CANDIDATE_FEATURES.index("search_score")]
        return 1 - float(scores.max(initial=0.0))


def candidate_evidence(
    index: SearchIndex,
    prepared: PreparedPattern,
    *,
    elements: Iterable[int] | None = None,
    excluded: BoolArray | None = None,
    n_candidates: int = N_CANDIDATES,
) -> CandidateEvidence:
    """Return the structures of the index that resemble a pattern, laid over it and compared.

    Parameters
    ----------
    elements : iterable of int, optional
        Atomic numbers; structures that hold any other are passed over.
    excluded : ndarray of bool, shape (n_structures,), optional
        Structures that are passed over as well.

    Raises
    ------
    PatternError
        If nothing of the pattern stands above its background.
    """
    found = search(index, prepared, n_candidates=n_candidates, elements=elements, excluded=excluded)
    sticks = index.sticks_of(found.structure)
    fitted = refine(prepared, sticks, found.shift)
    return CandidateEvidence(
        structure=found.structure,
        space_group_index=np.asarray(sticks.space_group_number, dtype=np.int64) - 1,
        features=np.column_stack([fitted.features, found.score]),
        mean_strain=fitted.mean_strain,
    )


def pattern_features(prepared: PreparedPattern) -> FloatArray:
    """Return `PATTERN_FEATURES` of a pattern, shape (2,)."""
    signal = prepared.signal[prepared.is_measured]
    highest = signal.max(initial=0.0)
    roughness = np.median(np.abs(np.diff(signal))) if signal.size > 1 else 0.0
    floor = highest * 10**-_LARGEST_LOG_CONTRAST
    contrast = np.log10(highest / max(roughness, floor)) if highest > 0 else 0.0
    return np.array([contrast, prepared.is_measured.mean()])
