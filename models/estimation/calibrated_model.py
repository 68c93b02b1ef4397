"""The model that answers: a network, with a search over known structures beside it if there is one.

Each part can be switched off, so that a benchmark can show what it adds.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args
from zipfile import BadZipFile

import numpy as np

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray
from phasepilot.models.errors import PatternError, WeightsError
from phasepilot.models.estimation.answer_calibration import Arrays, NetworkCalibration
from phasepilot.models.estimation.combination import N_SPACE_GROUPS, CombinedAnswer, combine
from phasepilot.models.estimation.cubic_indexing import checked_logits
from phasepilot.models.estimation.evidence import (
    N_CANDIDATES,
    CandidateEvidence,
    candidate_evidence,
    pattern_features,
)
from phasepilot.models.estimation.search_calibration import SearchCalibration, all_from_arrays
from phasepilot.models.identification.known_structures import library_of
from phasepilot.models.identification.pattern_match import LibraryMatch, match_library
from phasepilot.models.identification.phase_library import PhaseLibrary
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.networks.estimate import PhaseEstimate, Verdict
from phasepilot.models.networks.model_card import ModelCard, check_sha256, read_card
from phasepilot.models.networks.network_session import (
    PREDICTED_CLASS,
    NetworkSession,
    NoveltySession,
)
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import (
    PreparedPattern,
    network_input,
    prepare_pattern,
    prepare_patterns,
)
from phasepilot.models.uncertainty.entropy import split_entropy
from phasepilot.models.uncertainty.frame_quality import assess_frame
from phasepilot.models.uncertainty.novelty import Novelty

Part = Literal["network", "search", "both"]
_Read = TypeVar("_Read")
Gather = Callable[[SearchIndex, PreparedPattern], CandidateEvidence]
PARTS: tuple[Part, ...] = get_args(Part)
SET_LEVEL = 0.9
NOTHING_KNOWN = np.full(N_SPACE_GROUPS, -np.log(N_SPACE_GROUPS))
# Structures that mixtures are made of: all of a small library, else the most probable.
_LARGEST_LIBRARY = 400
_N_MATCHED = 12


@dataclass(frozen=True, slots=True)
class NetworkView:
    """What networks and cubic check make of one pattern.

    Attributes
    ----------
    logits : ndarray, shape (230,)
    embedding : ndarray, shape (n_features,)
    novelty_logit : float or None
        Of a `NoveltyNet`; None without one.
    attribution : ndarray, shape (2, n_bins)
        Empty where it was not asked for.
    """

    logits: FloatArray
    embedding: FloatArray
    novelty_logit: float | None
    attribution: Float32Array


@dataclass(frozen=True, slots=True)
class _Searched:
    answer: CombinedAnswer
    candidates: CandidateEvidence
    calibration: SearchCalibration


class CalibratedModel:
    """A network with its card, calibration and, if given, known structures to search.

    Parameters
    ----------
    card_path : Path
    index : SearchIndex, optional
        Known structures; without it the network answers alone.
    part : {"network", "search", "both"}
        What answers. Only the network does without an index.
    set_level : float
        Level of the conformal sets.
    gather : callable
        What searches the index; benchmarks remember what it finds.

    Raises
    ------
    WeightsError
        If files are missing, damaged or do not belong together, or the part that is asked for lacks
        what it needs.
    """

    def __init__(
        self,
        card_path: Path,
        *,
        index: SearchIndex | None = None,
        part: Part = "both",
        set_level: float = SET_LEVEL,
        gather: Gather = candidate_evidence,
        n_threads: int = 1,
    ) -> None:
        self.card: ModelCard = read_card(card_path)
        content = check_sha256(card_path.with_name(self.card.file), self.card.sha256)
        self.session = NetworkSession(content, n_threads=n_threads)
        self._novelty_net = _novelty_session(card_path, self.card, n_threads)
        self.calibration = _read_arrays(
            card_path.with_name(self.card.calibration_file),
            self.card.calibration_sha256,
            NetworkCalibration.from_arrays,
        )
        self.index = None if part == "network" else index
        self._gather = gather
        self._part = part
        self._set_level = set_level
        self._search = {} if self.index is None else _search_calibrations(card_path, self.card)
        self._library: PhaseLibrary | None = None
        if self.index is not None and self.index.n_structures <= _LARGEST_LIBRARY:
            self._library = library_of(self.index, np.arange(self.index.n_structures))
        if part == "search":
            self.searched_index()

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        """Return the estimate for one pattern.

        Raises
        ------
        PatternError
            If the pattern lies outside the network's q range.
        """
        return self.predict_prepared(prepare_pattern(pattern, self.card.preprocessing))

    def predict_prepared(self, prepared: PreparedPattern) -> PhaseEstimate:
        """Return the estimate for one pattern prepared as the network's card says."""
        return self._estimates([prepared])[0]

    def predict_explained(self, pattern: Pattern) -> tuple[PhaseEstimate, Float32Array]:
        """Return the estimate for one pattern, and what each bin adds to its largest logit.

        Returns
        -------
        PhaseEstimate
        ndarray, shape (2, n_bins)
            Of the network alone, of its two channels; see
            `phasepilot.models.explanation.attribution`.
        """
        prepared = prepare_pattern(pattern, self.card.preprocessing)
        (view,) = self._views([prepared], PREDICTED_CLASS)
        return self._estimate(prepared, view), view.attribution

    def predict_many(self, patterns: Sequence[Pattern]) -> list[PhaseEstimate]:
        """Return the estimates of several patterns; the network sees them in one batch.

        Raises
        ------
        PatternError
            As `predict`, if any of them does.
        """
        return self._estimates(prepare_patterns(patterns, self.card.preprocessing))

    def view(self, prepared: PreparedPattern) -> NetworkView:
        """Return what networks and cubic check make of a pattern."""
        return self._views([prepared])[0]

    def _views(
        self, prepared: Sequence[PreparedPattern], class_weights: Float32Array | None = None
    ) -> list[NetworkView]:
        preprocessing = self.card.preprocessing
        inputs = np.array([network_input(one, preprocessing) for one in prepared])
        outputs = self.session.run(inputs, class_weights)
        logits = checked_logits(inputs, outputs.space_group_logits, self.card.grid)
        embedding = outputs.embedding.astype(np.float64)
        novelty: list[float | None] = [None] * len(prepared)
        if self._novelty_net is not None:
            novelty = list(self._novelty_net.logits(inputs, outputs).tolist())
        attribution = outputs.attribution
        if not len(attribution):
            attribution = np.zeros((len(prepared), 0), dtype=np.float32)
        rows = zip(logits, embedding, novelty, attribution, strict=True)
        return [NetworkView(*row) for row in rows]

    def _estimates(self, prepared: Sequence[PreparedPattern]) -> list[PhaseEstimate]:
        if not prepared:
            return []
        views = self._views(prepared)
        return [self._estimate(one, view) for one, view in zip(prepared, views, strict=True)]

    def _estimate(self, prepared: PreparedPattern, view: NetworkView) -> PhaseEstimate:
        calibration = self.calibration
        log_probabilities = self._opinion(view)
        searched = self._searched(prepared, log_probabilities)
        match = self._match(prepared, searched)
        if searched is None:
            probabilities, sets = np.exp(log_probabilities), calibration.sets
        else:
            probabilities, sets = (
                searched.answer.space_group_probabilities,
                searched.calibration.sets,
            )
        drawn = calibration.laplace.drawn_probabilities(
            view.logits, view.embedding, temperature=calibration.temperature
        )
        entropy = split_entropy(probabilities, drawn)
        novelty = self._novelty(prepared, view, searched, match)
        return PhaseEstimate(
            space_group_probabilities=probabilities,
            crystal_system_set=sets.crystal_systems(probabilities, self._set_level),
            space_group_set=sets.space_groups(probabilities, self._set_level),
            set_level=self._set_level,
            entropy_bits=entropy.total,
            epistemic_bits=entropy.epistemic,
            novelty=novelty.novelty,
            verdict=novelty.verdict,
            phases=() if match is None else match.phases,
        )

    def _opinion(self, view: NetworkView) -> FloatArray:
        """Return the network's log probabilities, shape (230,); all equal where it is not asked."""
        if self._part == "search":
            return NOTHING_KNOWN
        return self.calibration.log_probabilities(view.logits, view.embedding)

    def searched_index(self) -> SearchIndex:
        """Return the known structures that are searched.

        Raises
        ------
        WeightsError
            If there are none.
        """
        if self.index is None:
            raise WeightsError(
                "a search needs known structures, but there is no index; build one with"
                " `phasepilot library build` and name it."
            )
        return self.index

    def candidates(
        self,
        prepared: PreparedPattern,
        *,
        elements: Iterable[int] | None = None,
        excluded: BoolArray | None = None,
        n_candidates: int = N_CANDIDATES,
    ) -> tuple[CombinedAnswer, CandidateEvidence]:
        """Return the known structures that a pattern may be of, and how probable each is.

        Parameters and errors are those of `candidate_evidence`.
        """
        found = candidate_evidence(
            self.searched_index(),
            prepared,
            elements=elements,
            excluded=excluded,
            n_candidates=n_candidates,
        )
        opinion = self._opinion(self.view(prepared))
        return self._combined(prepared, found, opinion), found

    def _combined(
        self,
        prepared: PreparedPattern,
        candidates: CandidateEvidence,
        opinion: FloatArray,
    ) -> CombinedAnswer:
        weights = self._search[self._part].weights
        return combine(weights, opinion, candidates, pattern_features(prepared))

    def _searched(
        self, prepared: PreparedPattern, log_probabilities: FloatArray
    ) -> _Searched | None:
        """Return what search and network say together; None where there is nothing to search."""
        if self.index is None:
            return None
        try:
            candidates = self._gather(self.index, prepared)
        except PatternError:  # nothing stands above the background: the verdict will say so
            return None
        answer = self._combined(prepared, candidates, log_probabilities)
        return _Searched(answer, candidates, self._search[self._part])

    def _novelty(
        self,
        prepared: PreparedPattern,
        view: NetworkView,
        searched: _Searched | None,
        match: LibraryMatch | None,
    ) -> Novelty:
        """Return how unusual the pattern is; frames without lines are as unusual as can be."""
        if prepared.source is not None:
            frame = assess_frame(prepared.source)
            if frame.kind != "normal":
                return Novelty(1.0, Verdict(False, f"The frame is {frame.kind}: {frame.reason}"))
        if searched is None or match is None:
            return self.calibration.novelty.judge(
                view.logits, view.embedding, novelty_logit=view.novelty_logit
            )
        # Mixtures of a small library are named; of a table an answer names one structure.
        dissimilarity = searched.candidates.dissimilarity if self._library is None else None
        return searched.calibration.novelty.judge(
            view.logits,
            view.embedding,
            novelty_logit=view.novelty_logit,
            unexplained=match.unexplained,
            dissimilarity=dissimilarity,
        )

    def _match(self, prepared: PreparedPattern, searched: _Searched | None) -> LibraryMatch | None:
        """Return the phases that explain the pattern, of a small library or of the best found."""
        if self.index is None or searched is None:
            return None
        return matched(
            self.index, prepared, searched.candidates, searched.answer, library=self._library
        )


def matched(
    index: SearchIndex,
    prepared: PreparedPattern,
    candidates: CandidateEvidence,
    answer: CombinedAnswer,
    *,
    library: PhaseLibrary | None = None,
) -> LibraryMatch:
    """Return the phases that explain a pattern, of a library or of the most probable candidates."""
    if library is None:
        best = np.argsort(-answer.candidate_probabilities, kind="stable")[:_N_MATCHED]
        library = library_of(index, candidates.structure[best])
    return match_library(prepared, prepared.wavelength_angstrom, library)


def _read_arrays(path: Path, sha256: str, read: Callable[[Arrays], _Read]) -> _Read:
    """Return what a function makes of the arrays in an .npz file."""
    content = check_sha256(path, sha256)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return read({name: arrays[name] for name in arrays.files})
    except WeightsError:
        raise
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise WeightsError(
            f"calibration must be an .npz file with the arrays that this version of phasepilot"
            f" writes, but {path} is not ({type(error).__name__}: {error}); reinstall phasepilot,"
            " or calibrate the network again."
        ) from error


def _novelty_session(card_path: Path, card: ModelCard, n_threads: int) -> NoveltySession | None:
    if card.novelty_file is None or card.novelty_sha256 is None:
        return None
    content = check_sha256(card_path.with_name(card.novelty_file), card.novelty_sha256)
    return NoveltySession(content, n_threads=n_threads)


def _search_calibrations(card_path: Path, card: ModelCard) -> dict[Part, SearchCalibration]:
    if card.search_file is None or card.search_sha256 is None:
        raise WeightsError(
            f"{card.name} must have been weighed against a search to be used with known structures,"
            " but was not; run `phasepilot library calibrate`, or leave the library out."
        )
    return _read_arrays(card_path.with_name(card.search_file), card.search_sha256, _search_and_both)


def _search_and_both(arrays: Arrays) -> dict[Part, SearchCalibration]:
    found = all_from_arrays(arrays)
    return {"search": found["search"], "both": found["both"]}
