"""The tables of Oviedo et al., npj Comput. Mater. 5, 60 (2019), doi:10.1038/s41524-019-0196-x.

Space group and dimensionality of thin films by ten methods, in the paper's three cases: trained and
tested on simulated patterns, trained on simulated and tested on measured ones, and trained on
simulated and four fifths of the measured. Then what augmentation does, and how many patterns and
which step are needed; the maps that explain the a-CNN; and what the agent says of the same films.

Fewer patterns are augmented than in the paper (400 of each kind instead of 2000, which
`--full-size` asks for), so that the whole takes minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import default_rng

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.autoxrd import N_FOLDS, shuffled_folds
from phasepilot.models.benchmarks.autoxrd_paper_figures import (
    MapFigures,
    augmentation_figures,
    case_figures,
    map_figures,
    notes,
    sheets,
    step_figures,
)
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.film_methods import METHODS, Method, acnn
from phasepilot.models.benchmarks.film_training_sets import TrainingSet, measured, powders
from phasepilot.models.benchmarks.films_by_agent import agent_figures
from phasepilot.models.benchmarks.halide_films import LabelledFilms, halide_films

N_CHANGED, N_CHANGED_IN_PAPER = 400, 2000
COARSER_BY = (1, 2, 4, 8, 16, 24)
# The seed of the authors' program, and those of the benchmark `autoxrd`.
SEEDS = (3, *range(100, 119))
_EXPLAINED = "space_group"


@dataclass(frozen=True, slots=True)
class CaseAnswers:
    """What a method answers, one entry a seed.

    Attributes
    ----------
    truth, answer : list of ndarray of int
    """

    truth: list[IntArray] = field(default_factory=list)
    answer: list[IntArray] = field(default_factory=list)

    def add(self, truth: IntArray, answer: IntArray) -> None:
        """Add those of another seed."""
        self.truth.append(truth)
        self.answer.append(answer)

    def is_right(self) -> list[FloatArray]:
        """Return 1 for each right answer, one array a seed."""
        return [
            (truth == answer).astype(np.float64)
            for truth, answer in zip(self.truth, self.answer, strict=True)
        ]


Answers = dict[tuple[Any, ...], CaseAnswers]


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how the paper's methods do on the public films.

    Raises
    ------
    CrystalError
        If there is no structure table.
    ModelsError, PatternError
        If there are no films.
    """
    progress("films", 0, 1)
    asked = halide_films(options.measured(), options.structures, default_rng(0))
    answers: Answers = {}
    maps: list[MapFigures] = []
    seeds = SEEDS[: options.n_seeds]
    n_changed = N_CHANGED_IN_PAPER if options.is_full_size else N_CHANGED
    numbers = numbers_of_copies(n_changed)
    for number, seed in enumerate(seeds):
        for what, films in asked.items():
            runs = _Runs(what, films, seed, n_changed, answers)
            parts = list(_parts(runs, maps))
            for k, (step, part) in enumerate(parts):
                progress(f"{what}, seed {number + 1} of {len(seeds)}: {step}", k, len(parts))
                part()
    figures: list[Figure] = []
    for what, films in asked.items():
        figures += case_figures(what, films, answers)
        figures += augmentation_figures(what, answers, numbers)
        figures += step_figures(what, films, answers, COARSER_BY)
    figures += map_figures(maps)
    figures += agent_figures(options, seeds, progress)
    return BenchmarkResult(
        f"Oviedo et al. 2019 on the public films, {N_FOLDS} folds x {len(seeds)} seeds",
        tuple(figures),
        tuple(_items(asked, answers, seeds)),
        notes(asked, n_changed),
        sheets=tuple(sheets(asked, answers, maps, numbers, COARSER_BY)),
    )


def numbers_of_copies(n: int) -> tuple[tuple[int, int], ...]:
    """Return changed copies of films and of powders, for the a-CNN: points of the paper's figure 3.

    Examples
    --------
    >>> numbers_of_copies(400)
    ((0, 0), (100, 0), (400, 0), (0, 400), (100, 400), (400, 400))
    """
    return (0, 0), (n // 4, 0), (n, 0), (0, n), (n // 4, n), (n, n)


@dataclass(frozen=True, slots=True)
class _Runs:
    """Trainings and answers of one seed for one kind of classes."""

    what: str
    films: LabelledFilms
    seed: int
    n_changed: int
    answers: Answers

    def simulated_only(self, name: str, method: Method) -> None:
        """Case 1: folds of the changed powders, whose compounds are in training and test alike."""
        rng = default_rng([self.seed, 1])
        all_ = powders(self.films, self.n_changed, rng)
        fold = shuffled_folds(all_.classes.size, self.seed)
        answer = np.zeros(all_.classes.size, dtype=np.int64)
        for number in range(N_FOLDS):
            rest, test = fold != number, fold == number
            answer[test] = method(
                all_.patterns[rest],
                all_.classes[rest],
                all_.patterns[test],
                self.films.step_deg,
                self.seed,
            )
        self._add(("case 1", name), all_.classes, answer)

    def to_measured(self, name: str, method: Method) -> None:
        """Case 2: from powders to films."""
        train = powders(self.films, self.n_changed, default_rng([self.seed, 2]))
        films = self.films
        answer = method(train.patterns, train.classes, films.measured, films.step_deg, self.seed)
        self._add(("case 2", name), films.measured_class, answer)

    def with_measured(self, name: str, method: Method) -> None:
        """Case 3: from powders and four of five films to the fifth."""
        self._cross_validated(("case 3", name), self.films, method, self.n_changed, self.n_changed)

    def with_numbers(self, n_films: int, n_powders: int) -> None:
        """Case 3 with other numbers of changed copies."""
        key = ("number", n_films, n_powders)
        self._cross_validated(key, self.films, acnn, n_films, n_powders)

    def with_noise(self) -> None:
        """Case 3 with noise in place of the changes of a film."""
        answer = np.zeros(self.films.measured_class.size, dtype=np.int64)
        for rows, test, rng in self._folds(self.films):
            train = powders(self.films, self.n_changed, rng, change="noise").with_(
                measured(self.films, rows, self.n_changed, rng, change="noise")
            )
            answer[test] = self._said(acnn, train, test, self.films)
        self._add(("noise",), self.films.measured_class, answer)

    def at_step(self, every: int) -> None:
        """Case 3 with every k-th point, trained on such patterns too."""
        key = ("step", every)
        self._cross_validated(key, self.films.coarser(every), acnn, self.n_changed, self.n_changed)

    def explained(self, maps: list[MapFigures]) -> None:
        """Case 3 of the a-CNN, with its maps."""
        from phasepilot.models.benchmarks.film_networks import explained_films, trained_acnn

        films = self.films
        answer = np.zeros(films.measured_class.size, dtype=np.int64)
        for rows, test, rng in self._folds(films):
            train = powders(films, self.n_changed, rng).with_(
                measured(films, rows, self.n_changed, rng)
            )
            network = trained_acnn(train.patterns, train.classes, seed=self.seed)
            found = explained_films(network, train.patterns, train.classes, films.measured[test])
            answer[test] = found.answer
            maps.append(MapFigures(found, films.measured_class[test], test, self.seed))
        self._add(("case 3", "acnn"), films.measured_class, answer)

    def _cross_validated(
        self,
        key: tuple[Any, ...],
        films: LabelledFilms,
        method: Method,
        n_films: int,
        n_powders: int,
    ) -> None:
        answer = np.zeros(films.measured_class.size, dtype=np.int64)
        for rows, test, rng in self._folds(films):
            train = powders(films, n_powders, rng).with_(measured(films, rows, n_films, rng))
            answer[test] = self._said(method, train, test, films)
        self._add(key, films.measured_class, answer)

    def _said(
        self, method: Method, train: TrainingSet, test: IntArray, films: LabelledFilms
    ) -> IntArray:
        return method(
            train.patterns, train.classes, films.measured[test], films.step_deg, self.seed
        )

    def _folds(
        self, films: LabelledFilms
    ) -> Iterator[tuple[IntArray, IntArray, np.random.Generator]]:
        """Yield films to train on, films to test, and the same randomness for every method."""
        fold = shuffled_folds(films.measured_class.size, self.seed)
        for number in range(N_FOLDS):
            rng = default_rng([self.seed, 3, number])
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number), rng

    def _add(self, key: tuple[Any, ...], truth: IntArray, answer: IntArray) -> None:
        self.answers.setdefault((self.what, *key), CaseAnswers()).add(truth, answer)


def _parts(runs: _Runs, maps: list[MapFigures]) -> Iterator[tuple[str, Any]]:
    for name, method in METHODS.items():
        yield f"case 1, {name}", lambda n=name, m=method: runs.simulated_only(n, m)
        yield f"case 2, {name}", lambda n=name, m=method: runs.to_measured(n, m)
        if name == "acnn" and runs.what == _EXPLAINED:
            yield f"case 3, {name}, maps", lambda: runs.explained(maps)
        else:
            yield f"case 3, {name}", lambda n=name, m=method: runs.with_measured(n, m)
    yield "noise", runs.with_noise
    for pair in numbers_of_copies(runs.n_changed):
        if pair != (runs.n_changed, runs.n_changed):
            yield f"{pair[0]} and {pair[1]} copies", lambda p=pair: runs.with_numbers(*p)
    for every in COARSER_BY[1:]:
        yield f"every {every}th point", lambda e=every: runs.at_step(e)


def _items(
    asked: dict[str, LabelledFilms], answers: Answers, seeds: tuple[int, ...]
) -> Iterator[dict[str, Any]]:
    for what, films in asked.items():
        for compound, label in zip(films.compound, films.simulated_class.tolist(), strict=True):
            yield {"what": what, "compound": compound, "class": films.classes[label]}
    for (what, *key), found in answers.items():
        if key[0] == "case 1":
            continue
        films = asked[what]
        for seed, truth, answer in zip(seeds, found.truth, found.answer, strict=True):
            for film, true, said in zip(films.film, truth.tolist(), answer.tolist(), strict=True):
                yield {
                    "what": what,
                    "condition": " ".join(map(str, key)),
                    "seed": seed,
                    "film": film,
                    "truth": films.classes[true],
                    "answer": films.classes[said],
                }
