"""The experiments of the B-VGGNet paper, npj Comput. Mater. (2025), doi:10.1038/s41524-025-01743-x.

Space group and structure type of ABX3 from patterns of 10 to 80 degree: trained on virtual patterns
(VSS), on these with real ones, and on mixtures of both (SYN, equation 2), with and without template
element replacement, and tested on real structures that had no part in training. Three Bayesian
networks side by side; whether a structure type is in the library; Shapley values against Bragg
lines; a structure that heat has changed.

The default is small, for two cores: fewer patterns, an eighth of VGG's width, few batches.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Progress,
)
from phasepilot.models.benchmarks.classifier_training import Schedule, class_probabilities
from phasepilot.models.benchmarks.film_methods import METHODS as FILM_METHODS
from phasepilot.models.benchmarks.perovskite_cases import (
    agent_answers,
    explained,
    hot_case,
    hot_novelty,
    library_case,
    measured_case,
)
from phasepilot.models.benchmarks.perovskite_figures import (
    CLASSICAL,
    OURS,
    OURS_NEW,
    Found,
    perovskite_figures,
    perovskite_items,
    perovskite_notes,
    perovskite_sheets,
)
from phasepilot.models.benchmarks.perovskite_networks import (
    METHODS,
    Training,
    trained_b_vggnet,
)
from phasepilot.models.benchmarks.perovskite_sets import (
    N_TYPES,
    REAL_RECIPE,
    VIRTUAL_RECIPE,
    Abx3Structures,
    abx3_structures,
    replaced,
    simulated_patterns,
    unchanged,
)
from phasepilot.models.diffraction.powder.pattern_augmentation import (
    LabelledPatterns,
    draw_synthetic_patterns,
)

SHARES = (0.3, 0.5, 0.7, 0.9)
# A class needs a real structure to learn from and another to be asked.
_FEWEST_REAL = 2
_TYPES_OF_GROUP = 3
_STEP_DEG = 0.1


@dataclass(frozen=True, slots=True)
class Size:
    """How large the benchmark is.

    Attributes
    ----------
    n_compositions : int
        On each template.
    n_patterns : int
        Of each training set.
    narrower_by : int
        What widths of the network are divided by.
    schedule : Schedule
    n_draws : int
        Of the weights, for Monte Carlo dropout and variational inference.
    n_orders : int
        Of the parts of a pattern, for Shapley values.
    """

    n_compositions: int
    n_patterns: int
    narrower_by: int
    schedule: Schedule
    n_draws: int
    n_orders: int


SMALL = Size(28, 1200, 8, Schedule(n_epochs=1000, batch_size=64, n_batches=360), 50, 10)
FULL = Size(53, 24_645, 1, Schedule(n_epochs=50, batch_size=64, precision="auto"), 100, 100)


@dataclass(frozen=True, slots=True)
class Problem:
    """Classes, and patterns of them.

    Attributes
    ----------
    classes : tuple of str
    real : LabelledPatterns
        Of experimental structures.
    name : tuple of str
        Row of the table of each.
    virtual, relaxed : LabelledPatterns
        Of templates with other elements, and of the relaxed structures as they are.
    """

    classes: tuple[str, ...]
    real: LabelledPatterns
    name: tuple[str, ...]
    virtual: LabelledPatterns
    relaxed: LabelledPatterns


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how the paper's ways to train do on the table's ABX3.

    Raises
    ------
    CrystalError
        If there is no structure table, or it holds no ABX3.
    """
    size = FULL if options.is_full_size else SMALL
    progress("structures of ABX3", 0, 1)
    data = abx3_structures(options.structures)
    found = Found(data)
    for seed in range(options.n_seeds):
        rng = default_rng(seed)
        problems = {"space_group": _by_group(data, size, rng), "type": _by_type(data, size, rng)}
        steps = list(_steps(found, problems, data, size, options, seed, rng))
        for number, (step, part) in enumerate(steps):
            progress(f"seed {seed + 1} of {options.n_seeds}: {step}", number, len(steps))
            part()
    return BenchmarkResult(
        f"ABX3 of the table: {len(data.real)} real structures, {len(data.relaxed)} relaxed ones",
        tuple(perovskite_figures(found)),
        tuple(perovskite_items(found)),
        perovskite_notes(found, size),
        sheets=tuple(perovskite_sheets(found)),
    )


def _by_group(data: Abx3Structures, size: Size, rng: Generator) -> Problem:
    """Return the problem whose classes are space groups."""
    numbers = np.array([one.space_group_number for one in data.real])
    types = data.types()
    usable = {int(name.split("|")[0]) for name in types}
    groups = [
        number
        for number in np.unique(numbers).tolist()
        if (numbers == number).sum() >= _FEWEST_REAL and number in usable
    ]
    chosen = [
        name
        for number in groups
        for name in [one for one in types if int(one.split("|")[0]) == number][:_TYPES_OF_GROUP]
    ]
    labels = [groups.index(number) if number in groups else -1 for number in numbers.tolist()]
    label_of_type = {name: groups.index(int(name.split("|")[0])) for name in chosen}
    return _problem(data, tuple(map(str, groups)), labels, label_of_type, size, rng)


def _by_type(data: Abx3Structures, size: Size, rng: Generator) -> Problem:
    """Return the problem whose classes are the commonest structure types."""
    types = data.types()[:N_TYPES]
    label_of_type = {name: number for number, name in enumerate(types)}
    known = [label_of_type.get(one.structure_type, -1) for one in data.real]
    counts = np.bincount([label for label in known if label >= 0], minlength=N_TYPES)
    labels = [label if label >= 0 and counts[label] >= _FEWEST_REAL else -1 for label in known]
    return _problem(data, tuple(types), labels, label_of_type, size, rng)


def _problem(
    data: Abx3Structures,
    classes: tuple[str, ...],
    labels: list[int],
    label_of_type: dict[str, int],
    size: Size,
    rng: Generator,
) -> Problem:
    asked = [k for k, label in enumerate(labels) if label >= 0]
    crystals = tuple(data.real[k].crystal for k in asked)
    real = simulated_patterns(crystals, np.arange(len(asked)), recipe=REAL_RECIPE, rng=rng)
    sets = []
    for make in (replaced, unchanged):
        made = make(data, list(label_of_type), size.n_compositions, rng)
        of_class = np.array([label_of_type[name] for name in made.structure_type])
        chosen = _evenly(of_class, size.n_patterns, rng)
        patterns = simulated_patterns(made.crystals, chosen, recipe=VIRTUAL_RECIPE, rng=rng)
        sets.append(LabelledPatterns(patterns, of_class[chosen]))
    return Problem(
        classes,
        LabelledPatterns(real, np.array([labels[k] for k in asked])),
        tuple(data.real[k].identifier for k in asked),
        *sets,
    )


def _steps(
    found: Found,
    problems: dict[str, Problem],
    data: Abx3Structures,
    size: Size,
    options: BenchmarkOptions,
    seed: int,
    rng: Generator,
) -> Iterator[tuple[str, Callable[[], None]]]:
    for what, problem in problems.items():
        runs = Runs(what, problem, found, size, seed, rng)
        has_both = what == "space_group"
        step = f"{what}, without replacement"
        yield f"{what}, virtual patterns", partial(runs.virtual_only, "vss", problem.virtual)
        if has_both:
            yield step, partial(runs.virtual_only, "vss_without_ter", problem.relaxed)
        for fold in (0, 1):
            yield f"{what}, with real patterns", partial(runs.with_real, fold)
            yield f"{what}, mixtures", partial(runs.mixtures, "syn", fold)
            if has_both:
                yield step, partial(runs.mixtures, "syn_without_ter", fold)
    groups = Runs("space_group", problems["space_group"], found, size, seed, rng)
    for share in SHARES:
        yield f"{share:.0%} of the real patterns", partial(groups.of_share, share)
    for method in METHODS:
        for fold in (0, 1):
            yield method.replace("_", " "), partial(groups.doubts, method, fold)
    yield "structure types in the library", partial(groups.library, data)
    yield "explanations and cases", partial(groups.cases, data, options.data)
    yield "the agent's networks", partial(groups.ours, options, data)


@dataclass(frozen=True, slots=True)
class Runs:
    """Trainings of one seed for one kind of classes."""

    what: str
    problem: Problem
    found: Found
    size: Size
    seed: int
    rng: Generator

    def how(self, n_classes: int | None = None) -> Training:
        """Return how networks are trained."""
        size = self.size
        n = len(self.problem.classes) if n_classes is None else n_classes
        return Training(n, size.narrower_by, size.schedule, size.n_draws, self.seed)

    def virtual_only(self, condition: str, train: LabelledPatterns) -> None:
        """Train on virtual patterns and ask for all real ones."""
        real = self.problem.real
        self._compare(condition, train, real.intensity, np.arange(real.labels.size))

    def with_real(self, fold: int) -> None:
        """Train on virtual patterns and half of the real ones, ask for the other half."""
        known, asked = self._half(fold)
        # So few real patterns would be lost among thousands: they make up a quarter.
        rows = self.rng.choice(known.labels.size, self.size.n_patterns // 3)
        virtual = self.problem.virtual
        both = LabelledPatterns(
            np.concatenate([virtual.intensity, known.intensity[rows]]),
            np.concatenate([virtual.labels, known.labels[rows]]),
        )
        self._compare("vss_and_rss", both, self.problem.real.intensity[asked], asked)

    def mixtures(self, condition: str, fold: int) -> None:
        """Train on mixtures of virtual patterns and half of the real ones, ask for the rest."""
        known, asked = self._half(fold)
        self._compare(
            condition, self._mixed(known, condition), self.problem.real.intensity[asked], asked
        )

    def of_share(self, share: float) -> None:
        """Train on mixtures with so many of the real patterns, ask for the rest."""
        known, asked = self._part(share)
        train = self._mixed(known, "syn")
        patterns = self.problem.real.intensity[asked]
        self._ask(f"share_{share * 100:.0f}", train, patterns, asked)

    def doubts(self, method: str, fold: int) -> None:
        """Let a Bayesian network say how sure it is."""
        known, asked = self._half(fold)
        mixed = self._mixed(known, "syn")
        network = METHODS[method](mixed.intensity, mixed.labels, self.how())
        real = self.problem.real
        said = network.doubt(real.intensity[asked])
        self.found.add_doubt(method, real.labels[asked], said, network.training_s)

    def library(self, data: Abx3Structures) -> None:
        """Ask whether structure types are in the library."""
        found = library_case(data, self.how(2), self.size.n_compositions, self.rng)
        self.found.library.append(found)

    def cases(self, data: Abx3Structures, measured: Path | None) -> None:
        """Explain answers, and ask for measured patterns and for a structure that heat changed."""
        known, asked = self._half(0)
        mixed = self._mixed(known, "syn")
        network = trained_b_vggnet(mixed.intensity, mixed.labels, self.how())
        real = self.problem.real

        def answer(patterns: FloatArray) -> FloatArray:
            return class_probabilities(network, patterns)

        self.found.explained.append(
            explained(
                answer,
                LabelledPatterns(real.intensity[asked], real.labels[asked]),
                mixed.intensity,
                n_orders=self.size.n_orders,
                rng=self.rng,
            )
        )
        self.found.hot.append(hot_case(answer, data, self.problem.classes, self.rng))
        if measured is not None:
            minerals = measured_case(answer, measured, self.problem.classes)
            self.found.measured.extend(minerals)

    def ours(self, options: BenchmarkOptions, data: Abx3Structures) -> None:
        """Ask the agent's networks for the same real structures."""
        patterns, names = self.problem.real.intensity, self.problem.name
        is_new = data.is_of_unseen_family(names)
        for name, estimator in options.estimators.items():
            said = agent_answers(estimator, patterns, self.problem.classes)
            for condition, rows in ((OURS, ~is_new), (OURS_NEW, is_new)):
                if rows.any():
                    self._add(condition, name, np.flatnonzero(rows), said[rows])
            novelty = hot_novelty(estimator, data, default_rng([self.seed, 2]))
            self.found.hot_novelty.setdefault(name, []).append(novelty)

    def _compare(
        self, condition: str, train: LabelledPatterns, patterns: FloatArray, asked: IntArray
    ) -> None:
        self._ask(condition, train, patterns, asked)
        if condition.endswith("ter"):
            return
        for name in CLASSICAL:
            said = FILM_METHODS[name](train.intensity, train.labels, patterns, _STEP_DEG, self.seed)
            self._add(condition, name, asked, said)

    def _ask(
        self, condition: str, train: LabelledPatterns, patterns: FloatArray, asked: IntArray
    ) -> None:
        network = trained_b_vggnet(train.intensity, train.labels, self.how())
        said = class_probabilities(network, patterns).argmax(axis=1)
        self._add(condition, "b_vggnet", asked, said)

    def _add(self, condition: str, name: str, asked: IntArray, said: IntArray) -> None:
        names = [self.problem.name[k] for k in asked.tolist()]
        classes = np.array(self.problem.classes)
        truth = classes[self.problem.real.labels[asked]]
        self.found.add(self.what, condition, name, (self.seed, names, truth, classes[said]))

    def _mixed(self, known: LabelledPatterns, condition: str) -> LabelledPatterns:
        virtual = self.problem.relaxed if condition.endswith("ter") else self.problem.virtual
        return draw_synthetic_patterns(
            known, virtual, n_patterns=self.size.n_patterns, rng=self.rng
        )

    def _half(self, fold: int) -> tuple[LabelledPatterns, IntArray]:
        """Return real patterns to train on, and the numbers of those to ask for."""
        real = self.problem.real
        # The same halves for every condition of a seed.
        order = default_rng([self.seed, 1]).permutation(real.labels.size)
        half = np.zeros(real.labels.size, dtype=np.int64)
        for label in np.unique(real.labels).tolist():
            rows = order[real.labels[order] == label]
            half[rows] = np.arange(rows.size) % 2
        known, asked = np.flatnonzero(half != fold), np.flatnonzero(half == fold)
        return LabelledPatterns(real.intensity[known], real.labels[known]), asked

    def _part(self, share: float) -> tuple[LabelledPatterns, IntArray]:
        """Return so many real patterns of each class, and the numbers of the others."""
        real = self.problem.real
        order = self.rng.permutation(real.labels.size)
        rank = np.array(
            [(real.labels[order[:k]] == real.labels[row]).sum() for k, row in enumerate(order)]
        )
        # At least one of each class is mixed, and one asked.
        counts = np.bincount(real.labels)[real.labels[order]]
        is_known = rank < np.clip(np.round(share * counts), 1, counts - 1)
        known, asked = np.sort(order[is_known]), np.sort(order[~is_known])
        return LabelledPatterns(real.intensity[known], real.labels[known]), asked


def _evenly(labels: IntArray, n: int, rng: Generator) -> IntArray:
    """Return n numbers of crystals, drawn so that all classes are equally common."""
    weights = 1.0 / np.bincount(labels)[labels]
    return np.asarray(rng.choice(labels.size, n, p=weights / weights.sum()))
