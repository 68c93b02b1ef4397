"""Single questions of the B-VGGNet paper: the library, explanations, a hot structure, minerals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gemmi
import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import Estimator, no_progress
from phasepilot.models.benchmarks.classifier_training import class_probabilities
from phasepilot.models.benchmarks.measured_files import KnownSample, read_known_samples
from phasepilot.models.benchmarks.perovskite_networks import Training, trained_b_vggnet
from phasepilot.models.benchmarks.perovskite_sets import (
    N_TYPES,
    REAL_RECIPE,
    TWO_THETA_DEG,
    VIRTUAL_RECIPE,
    Abx3Structures,
    replaced,
    simulated_patterns,
)
from phasepilot.models.benchmarks.predictions import Predictions, predictions
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.oxidation_states import abx3_of
from phasepilot.models.diffraction.crystals.stated_formula import stated_amounts
from phasepilot.models.diffraction.powder.pattern_augmentation import (
    LabelledPatterns,
    rescale_min_max,
)
from phasepilot.models.explanation.shapley import shapley_values
from phasepilot.models.pattern import Pattern, two_theta_from_q
from phasepilot.models.uncertainty.entropy import entropy_bits

Answer = Callable[[FloatArray], FloatArray]
# The paper's numbers of virtual patterns: of the 30 types and of others.
N_INSIDE, N_OUTSIDE = 2100, 1500
_N_OTHER_TYPES = 60
_WAVELENGTH_ANGSTROM = 1.54184
# One degree each.
N_PARTS = 70
# A line is where the pattern is higher than this share of its highest point.
_LINE = 0.05
# Perovskite at room temperature; the lattice that heat expands, by our choice as much as this.
_COLD = "oc-CaTiO3-Perovskite"
RELAXED_BY = (0.0, 0.5, 0.95)
_EXPANSION = 0.012


@dataclass(frozen=True, slots=True)
class LibraryAnswers:
    """What the yes/no model says of patterns that it was not trained on.

    Attributes
    ----------
    probability : ndarray
        That the structure type is one of the library.
    is_inside : ndarray of bool
    is_seen : ndarray of bool
        Whether other crystals of the type were trained on.
    """

    probability: FloatArray
    is_inside: BoolArray
    is_seen: BoolArray


@dataclass(frozen=True, slots=True)
class LibrarySplit:
    """Crystals that teach and ask what is in the library.

    Attributes
    ----------
    train, asked : ndarray of int
        Numbers of crystals; a number may come twice in one of them.
    is_inside, is_seen : ndarray of bool, shape (n_crystals,)
        Whether the structure type is one of the library, and whether it may be trained on.
    """

    train: IntArray
    asked: IntArray
    is_inside: BoolArray
    is_seen: BoolArray


@dataclass(frozen=True, slots=True)
class ExplainedPattern:
    """Shapley values of the answer for one pattern.

    Attributes
    ----------
    label, answer : int
    values : ndarray, shape (n_parts,)
        Of the probability of the answer, by degree.
    pattern : ndarray, shape (700,)
    """

    label: int
    answer: int
    values: FloatArray
    pattern: FloatArray

    def share_on_lines(self) -> tuple[float, float]:
        """Return the part of the values that lies in degrees with a line, and of the degrees."""
        is_line = self.pattern.reshape(N_PARTS, -1).max(axis=1) > _LINE
        size = np.abs(self.values)
        return float(size[is_line].sum() / max(size.sum(), 1e-12)), float(is_line.mean())


@dataclass(frozen=True, slots=True)
class HotStructure:
    """Perovskite whose atoms and lattice have gone part of the way to the cubic structure.

    Attributes
    ----------
    relaxed_by : float
        0 as at room temperature, 1 cubic.
    answer : str
    probability, entropy_bits : float
    distance : float
        1 less the cosine to the nearest pattern of another real structure.
    share_nearer : float
        Part of the real structures that are nearer to their own nearest one.
    """

    relaxed_by: float
    answer: str
    probability: float
    entropy_bits: float
    distance: float
    share_nearer: float


@dataclass(frozen=True, slots=True)
class HotNovelty:
    """How novel the agent finds it.

    Attributes
    ----------
    relaxed_by : float
    novelty : float
    share_less : float
        Part of the other real structures that it finds less novel.
    """

    relaxed_by: float
    novelty: float
    share_less: float


@dataclass(frozen=True, slots=True)
class MeasuredMineral:
    """A measured pattern of an ABX3, and what is answered."""

    name: str
    truth: str
    answer: str
    probability: float


def library_case(
    data: Abx3Structures, how: Training, n_compositions: int, rng: Generator
) -> LibraryAnswers:
    """Return whether a model tells the 30 types from others, on crystals it was not trained on."""
    types = data.types()
    inside, others = types[:N_TYPES], types[N_TYPES : N_TYPES + _N_OTHER_TYPES]
    made = replaced(data, inside + others, n_compositions, rng)
    split = library_split(made.structure_type, inside, rng)
    patterns = [
        simulated_patterns(made.crystals, chosen, recipe=VIRTUAL_RECIPE, rng=rng)
        for chosen in (split.train, split.asked)
    ]
    labels = split.is_inside[split.train].astype(np.int64)
    network = trained_b_vggnet(patterns[0], labels, how)
    said = class_probabilities(network, patterns[1])[:, 1]
    return LibraryAnswers(said, split.is_inside[split.asked], split.is_seen[split.asked])


def library_split(
    structure_type: Sequence[str], inside: Sequence[str], rng: Generator
) -> LibrarySplit:
    """Return which crystals to train on, and which to ask for.

    A fifth of the types outside of the library is never trained on, nor a fifth of all crystals.
    """
    names = np.array(structure_type)
    is_inside = np.isin(names, inside)
    others = list(dict.fromkeys(names[~is_inside].tolist()))
    is_seen = ~np.isin(names, rng.permutation(others)[: len(others) // 5])
    is_asked = ~is_seen | (rng.random(names.size) < 0.2)
    train, asked = (
        np.concatenate(
            [
                rng.choice(np.flatnonzero(rows & is_inside), n_inside),
                rng.choice(np.flatnonzero(rows & ~is_inside), n_outside),
            ]
        )
        for rows, n_inside, n_outside in (
            (~is_asked, N_INSIDE, N_OUTSIDE),
            (is_asked, N_INSIDE // 5, N_OUTSIDE // 2),
        )
    )
    return LibrarySplit(train, asked, is_inside, is_seen)


def explained(
    answer: Answer,
    asked: LabelledPatterns,
    background: FloatArray,
    *,
    n_orders: int,
    rng: Generator,
) -> list[ExplainedPattern]:
    """Return the Shapley values of the answer for each pattern."""
    found = []
    for pattern, label in zip(asked.intensity, asked.labels.tolist(), strict=True):
        said = int(answer(pattern[None]).argmax())
        values = shapley_values(
            lambda rows, said=said: answer(rows)[:, said],  # type: ignore[misc]
            pattern,
            background,
            n_parts=N_PARTS,
            n_orders=n_orders,
            rng=rng,
        )
        found.append(ExplainedPattern(label, said, values, pattern))
    return found


def hot_case(
    answer: Answer, data: Abx3Structures, classes: tuple[str, ...], rng: Generator
) -> list[HotStructure]:
    """Return what is said of perovskite on its way to the cubic structure; none without its row."""
    hot, real = _hot_and_real(data, rng)
    if not len(hot):
        return []
    likeness = _cosines(real, real)
    np.fill_diagonal(likeness, -1.0)
    usual = 1 - likeness.max(axis=1)
    found = []
    for share, said, distance in zip(
        RELAXED_BY, answer(hot), 1 - _cosines(hot, real).max(axis=1), strict=True
    ):
        best = int(said.argmax())
        found.append(
            HotStructure(
                share,
                classes[best],
                float(said[best]),
                float(entropy_bits(said)),
                float(distance),
                float((usual < distance).mean()),
            )
        )
    return found


def hot_novelty(estimator: Estimator, data: Abx3Structures, rng: Generator) -> list[HotNovelty]:
    """Return how novel the agent finds the same structures; none without perovskite's row."""
    hot, real = _hot_and_real(data, rng)
    if not len(hot):
        return []
    of_hot, of_real = (_agent_predictions(estimator, rows).novelty for rows in (hot, real))
    return [
        HotNovelty(share, float(novelty), float((of_real < novelty).mean()))
        for share, novelty in zip(RELAXED_BY, of_hot, strict=True)
    ]


def _hot_and_real(data: Abx3Structures, rng: Generator) -> tuple[FloatArray, FloatArray]:
    """Return patterns of perovskite on its way to the cubic structure, and of the other ABX3."""
    cold = next((one for one in data.real if one.identifier == _COLD), None)
    others = tuple(one.crystal for one in data.real if one.identifier != _COLD)
    real = simulated_patterns(others, np.arange(len(others)), recipe=REAL_RECIPE, rng=rng)
    relaxed = [] if cold is None else [towards_cubic(cold.crystal, share) for share in RELAXED_BY]
    # One by one, so that each has the noise that it would have alone.
    rows = [
        simulated_patterns((one,), np.zeros(1, int), recipe=REAL_RECIPE, rng=rng) for one in relaxed
    ]
    return np.concatenate([np.empty((0, real.shape[1])), *rows]), real


def towards_cubic(crystal: Crystal, share: float) -> Crystal:
    """Return perovskite in Pnma, part of the way to the ideal structure, its lattice expanded.

    Atoms of the ideal structure stand at quarters of this cell, whose axes are then as long as
    sqrt(2), 2 and sqrt(2) cubic ones.
    """
    positions = crystal.site_fractional
    ideal = np.round(4 * positions) / 4
    a, b, c, *angles = crystal.cell
    edge = (a * b * c / 4) ** (1 / 3)
    cubic = np.array([np.sqrt(2) * edge, 2 * edge, np.sqrt(2) * edge])
    lengths = (1 - share) * np.array([a, b, c]) + share * cubic
    longer = lengths * (1 + _EXPANSION * share)
    return replace(
        crystal,
        site_fractional=positions + share * (ideal - positions),
        cell=(*longer.tolist(), *angles),
    )


def measured_case(answer: Answer, data: Path, classes: tuple[str, ...]) -> list[MeasuredMineral]:
    """Return what is said of the measured minerals that are ABX3 of one of the classes."""
    found = []
    for sample in read_known_samples(data).samples:
        truth = _space_group(sample)
        if truth not in classes:
            continue
        pattern = sample.pattern
        is_in = pattern.is_measured
        angle = two_theta_from_q(pattern.q_per_angstrom[is_in], _WAVELENGTH_ANGSTROM)
        reached = np.isfinite(angle)
        row = np.interp(TWO_THETA_DEG, angle[reached], pattern.intensity[is_in][reached])
        said = answer(rescale_min_max(row[None]))[0]
        best = int(said.argmax())
        found.append(MeasuredMineral(sample.name, truth, classes[best], float(said[best])))
    return found


def agent_answers(
    estimator: Estimator, intensity: FloatArray, space_groups: tuple[str, ...]
) -> IntArray:
    """Return which of these space groups the estimator says of each pattern."""
    said = _agent_predictions(estimator, intensity).space_groups
    return np.asarray(said[:, np.array(list(map(int, space_groups))) - 1].argmax(axis=1))


def _agent_predictions(estimator: Estimator, intensity: FloatArray) -> Predictions:
    patterns = [
        Pattern.from_two_theta(TWO_THETA_DEG, row, wavelength_angstrom=_WAVELENGTH_ANGSTROM)
        for row in intensity
    ]
    return predictions(estimator, patterns, progress=no_progress, step="")


def _space_group(sample: KnownSample) -> str:
    """Return the space group of a sample of one ABX3, or nothing."""
    if len(sample.phases) != 1 or sample.phases[0].space_group_number is None:
        return ""
    amounts = stated_amounts(sample.phases[0].formula)
    symbols = {gemmi.Element(number).name: amount for number, amount in amounts.items()}
    is_abx3 = len(symbols) > 1 and abx3_of(symbols) is not None
    return str(sample.phases[0].space_group_number) if is_abx3 else ""


def _cosines(first: FloatArray, second: FloatArray) -> FloatArray:
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second)]
    return np.asarray(units[0] @ units[1].T)
