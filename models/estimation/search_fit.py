"""Weighs a network against a search, on simulated measurements."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import Array, IntArray
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import Recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.errors import PatternError
from phasepilot.models.estimation.answer_calibration import calibrated_symmetry_sets
from phasepilot.models.estimation.calibrated_model import (
    NOTHING_KNOWN,
    CalibratedModel,
    NetworkView,
    Part,
    matched,
)
from phasepilot.models.estimation.calibration_samples import CalibrationSamples
from phasepilot.models.estimation.combination import (
    CombinationWeights,
    CombinedAnswer,
    combine,
)
from phasepilot.models.estimation.combination_fit import KnownCase, fit_combination
from phasepilot.models.estimation.evidence import candidate_evidence, pattern_features
from phasepilot.models.estimation.search_calibration import SearchCalibration, all_to_arrays
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.networks.model_card import read_card
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern
from phasepilot.models.uncertainty.novelty import calibrate_novelty

_BLOCK = 32


@dataclass(frozen=True, slots=True)
class SimulatedCase:
    """A simulated measurement that was searched for and seen by the network.

    Attributes
    ----------
    known : KnownCase
    prepared : PreparedPattern
    view : NetworkView
    """

    known: KnownCase
    prepared: PreparedPattern
    view: NetworkView


@dataclass(frozen=True, slots=True)
class _Sample:
    structure: int
    pattern: Pattern


def simulated_cases(
    model: CalibratedModel,
    index: SearchIndex,
    recipe: Recipe,
    samples: CalibrationSamples,
    *,
    n_patterns: int,
    rng: Generator,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[SimulatedCase]:
    """Return simulated measurements of samples, searched for and seen by the network."""
    chosen = samples.draw(n_patterns, rng)
    cases = []
    for n_done, sample in enumerate(_samples(index, chosen, recipe, rng), start=1):
        is_withheld = rng.random() < samples.withheld_share
        with suppress(PatternError):  # a crop may leave a pattern without any line
            cases.append(_case(model, index, sample, is_withheld=is_withheld))
        progress(n_done, n_patterns)
    return cases


def _samples(
    index: SearchIndex, chosen: IntArray, recipe: Recipe, rng: Generator
) -> Iterator[_Sample]:
    simulator = PatternSimulator(index.sticks, NumpyBackend(rng))
    for start in range(0, chosen.size, _BLOCK):
        block = chosen[start : start + _BLOCK]
        settings = recipe.draw(block.size, rng)
        impurities = rng.choice(index.n_structures, block.size)
        measured = simulator.simulate_unchecked(block, settings, impurities)
        for row, structure in enumerate(block.tolist()):
            yield _Sample(structure, measured.pattern(row))


def _case(
    model: CalibratedModel, index: SearchIndex, sample: _Sample, *, is_withheld: bool
) -> SimulatedCase:
    prepared = prepare_pattern(sample.pattern, model.card.preprocessing)
    candidates = candidate_evidence(index, prepared)
    view = model.view(prepared)
    known = KnownCase(
        space_group_index=int(index.sticks.space_group_number[sample.structure]) - 1,
        network_log_probabilities=model.calibration.log_probabilities(view.logits, view.embedding),
        candidates=candidates,
        pattern=pattern_features(prepared),
        is_withheld=(candidates.structure == sample.structure) & is_withheld,
    )
    return SimulatedCase(known, prepared, view)


def fitted_search(
    model: CalibratedModel, index: SearchIndex, cases: list[SimulatedCase]
) -> dict[str, SearchCalibration]:
    """Return the calibration of the search alone and of both together.

    Weights come from all cases. Conformal sets and ranks of novelty come from answers to each half
    of the cases by weights that were fitted to the other, so that all cases serve both.
    """
    logits, embedding = (
        np.array([getattr(case.view, name) for case in cases]) for name in ("logits", "embedding")
    )
    told = [case.view.novelty_logit for case in cases if case.view.novelty_logit is not None]
    truth = np.array([case.known.space_group_index for case in cases])
    dissimilarity = np.array([_dissimilarity(case.known) for case in cases])
    parts: tuple[Part, ...] = ("search", "both")
    found: dict[str, SearchCalibration] = {}
    for part in parts:
        known = [_seen_by(part, case.known) for case in cases]
        answers = _cross_fitted(known)
        probabilities = np.array([answer.space_group_probabilities for answer in answers])
        unexplained = [
            _unexplained(index, case, answer) for case, answer in zip(cases, answers, strict=True)
        ]
        found[part] = SearchCalibration(
            fit_combination(known),
            calibrated_symmetry_sets(probabilities, truth),
            calibrate_novelty(
                model.calibration.novelty.prototypes,
                logits,
                embedding,
                novelty_logit=np.array(told) if told else None,
                unexplained=np.array(unexplained),
                dissimilarity=dissimilarity,
            ),
        )
    return found


def _cross_fitted(known: list[KnownCase]) -> list[CombinedAnswer]:
    """Return the answer to each case by weights that were fitted to the other half of them."""
    half = len(known) // 2
    first, second = known[:half], known[half:]
    of_first, of_second = fit_combination(first), fit_combination(second)
    return [
        *(_answer(of_second, case) for case in first),
        *(_answer(of_first, case) for case in second),
    ]


def _seen_by(part: Part, case: KnownCase) -> KnownCase:
    if part == "both":
        return case
    return replace(case, network_log_probabilities=NOTHING_KNOWN)


def _answer(weights: CombinationWeights, case: KnownCase) -> CombinedAnswer:
    return combine(
        weights,
        case.network_log_probabilities,
        case.candidates,
        case.pattern,
        is_excluded=case.is_withheld,
    )


def _unexplained(index: SearchIndex, case: SimulatedCase, answer: CombinedAnswer) -> float:
    return matched(index, case.prepared, case.known.candidates, answer).unexplained


def _dissimilarity(known: KnownCase) -> float:
    """Return the dissimilarity of what the search was allowed to find."""
    candidates = known.candidates
    return replace(candidates, features=candidates.features[~known.is_withheld]).dissimilarity


def write_search_calibration(found: dict[str, SearchCalibration], card_path: Path) -> Path:
    """Write NAME.search.npz beside the card, name it there, and return its path."""
    card = read_card(card_path)
    path = card_path.with_name(f"{card.name}.search.npz")
    arrays: dict[str, Array] = dict(all_to_arrays(found))
    np.savez(path, **arrays)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    named = card.model_copy(update={"search_file": path.name, "search_sha256": digest})
    card_path.write_text(named.model_dump_json(indent=1) + "\n")
    return path
