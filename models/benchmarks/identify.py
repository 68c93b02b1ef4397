"""Names of phases in measured patterns, against a library of candidates or a whole table.

A sample counts as single-phase if its source names one phase, by a formula that can be read and a
space group. An answer is right if it has the same reduced formula and the same space group number.
Reduced formulas are equal if all amounts are: another member of a solid solution is wrong, and so
is one of two space groups that differ in handedness only. In mixtures the space group counts where
the source states one, which is seldom.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.identifiers import (
    N_BEST,
    Identification,
    Identifier,
    opened_identifiers,
)
from phasepilot.models.benchmarks.measured_files import KnownSample, read_known_samples
from phasepilot.models.benchmarks.metrics import figure_of_items
from phasepilot.models.diffraction.crystals.stated_formula import stated_reduced_formula
from phasepilot.models.diffraction.crystals.structure_selection import PhaseName
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern


@dataclass(frozen=True, slots=True)
class _Sample:
    name: str
    kind: str
    pattern: Pattern
    phases: tuple[PhaseName, ...]

    @property
    def elements(self) -> frozenset[int]:
        return frozenset[int]().union(*(phase.elements for phase in self.phases))

    @property
    def is_single(self) -> bool:
        return len(self.phases) == 1 and self.phases[0].space_group_number is not None


@dataclass(frozen=True, slots=True)
class _Answer:
    """How one method did on one sample."""

    identifier: str
    sample: _Sample
    said: Identification
    is_refused: bool

    @property
    def rank(self) -> int | None:
        """Place of the true phase among the candidates, from 1; None if it is not among them."""
        ranking, truth = self.said.ranking, self.sample.phases[0]
        return ranking.index(truth) + 1 if truth in ranking else None

    @property
    def is_formula_right(self) -> bool:
        """Whether the first candidate has the true formula."""
        ranking = self.said.ranking
        return bool(ranking) and ranking[0].formula == self.sample.phases[0].formula

    @property
    def scores(self) -> FloatArray:
        """Precision, recall and F1 of the phases found, shape (3,)."""
        found, true = set(self.said.found), set(self.sample.phases)
        precision = sum(any(_is_same(one, other) for other in true) for one in found)
        recall = sum(any(_is_same(other, one) for other in found) for one in true)
        shares = np.array([precision / max(len(found), 1), recall / len(true)])
        return np.array([*shares, 2 * shares.prod() / max(shares.sum(), 1.0 / len(true))])


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how often phases are named rightly with the library of the options.

    Raises
    ------
    PatternError
        If the options name no library, or as `compare`.
    """
    if options.library is None:
        raise PatternError(
            "the benchmark identify needs phases to choose from, but was given none; name with"
            " --library a folder of CIF files (see `phasepilot structures export`) or a search"
            " index (see `phasepilot library build`)."
        )
    return compare(options, opened_identifiers(options.library), progress)


def compare(
    options: BenchmarkOptions, identifiers: Mapping[str, Identifier], progress: Progress
) -> BenchmarkResult:
    """Return how often each method names the phases of measured patterns.

    Parameters
    ----------
    identifiers : mapping of str to Identifier
        What is compared, by name. The last is the answer that is judged: its figures carry no
        prefix, those of the others their name.

    Raises
    ------
    PatternError
        If there is no pattern of a single known phase.
    """
    known = read_known_samples(options.measured())
    samples = list(_usable(known.samples))
    n_single = sum(sample.is_single for sample in samples)
    if not n_single:
        raise PatternError(
            f"{options.data} must hold patterns of a single known phase with its space group, but"
            " has none; give another file with --data."
        )
    answers = [
        answer
        for name, identifier in identifiers.items()
        for answer in _answers(name, identifier, samples, progress)
    ]
    judged = list(identifiers)[-1]
    figures = tuple(
        figure
        for name, identifier in identifiers.items()
        for figure in _figures(
            "" if name == judged else f"{name}_",
            identifier,
            [answer for answer in answers if answer.identifier == name],
        )
    )
    n_without = len(known.samples) - len(samples)
    notes = (
        f"{n_single} patterns of a single phase, {len(samples) - n_single} of mixtures.",
        f"left out: {len(known.left_out)} patterns that cannot be read or state no wavelength,"
        f" {n_without} whose phases are unknown or named by no formula or space group.",
        "right = the same reduced formula and space group number; in mixtures the formula, and the"
        " space group where the source states it.",
    )
    items = tuple(_item(answer) for answer in answers)
    return BenchmarkResult("phases named in measured patterns", figures, items, notes)


def _usable(samples: Sequence[KnownSample]) -> Iterator[_Sample]:
    """Yield samples of one phase with its space group, and mixtures that formulas describe."""
    for sample in samples:
        phases = tuple(
            PhaseName(stated_reduced_formula(phase.formula), phase.space_group_number)
            for phase in sample.phases
        )
        usable = _Sample(sample.name, sample.kind, sample.pattern, phases)
        if (usable.is_single or len(phases) > 1) and all(phase.formula for phase in phases):
            yield usable


def _answers(
    name: str, identifier: Identifier, samples: list[_Sample], progress: Progress
) -> Iterator[_Answer]:
    for k, sample in enumerate(samples):
        progress(name, k, len(samples))
        elements = sample.elements if identifier.needs_elements else None
        try:
            yield _Answer(name, sample, identifier.identify(sample.pattern, elements), False)
        except PatternError:
            # What is refused is not named.
            yield _Answer(name, sample, Identification((), ()), True)
    progress(name, len(samples), len(samples))


def _figures(prefix: str, identifier: Identifier, answers: list[_Answer]) -> Iterator[Figure]:
    single = [answer for answer in answers if answer.sample.is_single]
    mixed = [answer for answer in answers if not answer.sample.is_single]
    is_known = np.array([answer.sample.phases[0] in identifier.known for answer in single])
    rank = np.array([answer.rank or np.inf for answer in single])
    where = "with its elements told" if identifier.needs_elements else "among the candidates"
    goals = ("0.75", "0.92") if identifier.needs_elements else ("0.95", "")
    yield figure_of_items(
        f"{prefix}top1", rank == 1, f"share of single phases named rightly {where}", goal=goals[0]
    )
    yield figure_of_items(
        f"{prefix}top{N_BEST}",
        rank <= N_BEST,
        f"share whose true phase is among the first {N_BEST}",
        goal=goals[1],
    )
    yield figure_of_items(
        f"{prefix}top1_formula",
        [answer.is_formula_right for answer in single],
        "share whose formula is right, whatever the space group",
    )
    yield figure_of_items(
        f"{prefix}known", is_known, "share whose true phase is there to be chosen at all"
    )
    if is_known.any():
        yield figure_of_items(
            f"{prefix}top1_of_known", rank[is_known] == 1, "top-1 of those that are there"
        )
        yield figure_of_items(
            f"{prefix}top{N_BEST}_of_known",
            rank[is_known] <= N_BEST,
            f"top-{N_BEST} of those that are there",
        )
    if mixed:
        scores = np.array([answer.scores for answer in mixed])
        for column, what in enumerate(("precision", "recall", "f1")):
            yield figure_of_items(
                f"{prefix}mixtures_{what}",
                scores[:, column],
                f"mean {what} of the phases found in mixtures",
            )


def _is_same(said: PhaseName, true: PhaseName) -> bool:
    return said.formula == true.formula and true.space_group_number in (
        None,
        said.space_group_number,
    )


def _item(answer: _Answer) -> dict[str, object]:
    said, sample = answer.said, answer.sample
    return {
        "identifier": answer.identifier,
        "sample": sample.name,
        "kind": sample.kind,
        "phases": [_written(phase) for phase in sample.phases],
        "rank": answer.rank if sample.is_single else None,
        "ranking": [_written(phase) for phase in said.ranking[:N_BEST]],
        "found": [_written(phase) for phase in said.found],
        "is_refused": answer.is_refused,
    }


def _written(phase: PhaseName) -> str:
    number = phase.space_group_number
    return phase.formula if number is None else f"{phase.formula} {number}"
