"""Measured patterns of titanium oxides and of other things, sorted by what is known of them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from phasepilot.models.benchmarks.measured_files import (
    KnownPhase,
    KnownSample,
    LabelledPatterns,
    read_known_samples,
    read_rruff,
)
from phasepilot.models.diffraction.crystals.stated_formula import stated_reduced_formula
from phasepilot.models.errors import PatternError
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.pattern import Pattern

# The samples of the post. Of the four of anatase RRUFF has calculated patterns only, says the post.
POST_SAMPLES = {
    **dict.fromkeys(("R060277", "R070582", "R120013", "R120064"), "anatase"),
    **dict.fromkeys(("R040049", "R050031", "R050417", "R060493"), "rutile"),
    **dict.fromkeys(("R050363", "R050591", "R130225"), "brookite"),
}
# Whoever lists the products of a reaction may have missed what did not react.
_UNCERTAIN_KINDS = ("reaction",)


@dataclass(frozen=True, slots=True)
class NamedPattern:
    """A measured pattern, and which class it is of."""

    name: str
    pattern: Pattern
    phase: str


@dataclass(frozen=True, slots=True)
class MixedPattern:
    """A measured pattern, and of which classes it is."""

    name: str
    pattern: Pattern
    phases: frozenset[str]


@dataclass(frozen=True, slots=True)
class SortedSamples:
    """Measured patterns by what is known of them.

    Attributes
    ----------
    single : tuple of NamedPattern
        Of one class.
    unstated : tuple of KnownSample
        Of the formula of the classes, but nobody says which; alone or in mixtures of unknown
        amounts.
    several : tuple of MixedPattern
        Of two or more classes and nothing else.
    weighed : tuple of KnownSample
        Mixtures with known amounts that hold the formula of the classes.
    others : tuple of KnownSample
        That hold none of the classes.
    """

    single: tuple[NamedPattern, ...]
    unstated: tuple[KnownSample, ...]
    several: tuple[MixedPattern, ...]
    weighed: tuple[KnownSample, ...]
    others: tuple[KnownSample, ...]


def sorted_samples(path: Path, index: SearchIndex) -> SortedSamples:
    """Return the patterns with known phases of a file or folder, sorted for these classes.

    Raises
    ------
    PatternError
        As `read_known_samples`.
    """
    sorter = _Sorter(index)
    single: list[NamedPattern] = []
    several: list[MixedPattern] = []
    unstated: list[KnownSample] = []
    weighed: list[KnownSample] = []
    others: list[KnownSample] = []
    for sample in map(_of_the_post, read_known_samples(path).samples):
        if not sample.phases:
            continue
        classes = [sorter.class_of(phase) for phase in sample.phases]
        if not any(map(sorter.may_be, sample.phases)):
            if sample.kind not in _UNCERTAIN_KINDS:
                others.append(sample)
        elif len(classes) == 1 and classes[0]:
            single.append(NamedPattern(sample.name, sample.pattern, classes[0]))
        elif all(classes):
            several.append(MixedPattern(sample.name, sample.pattern, frozenset(classes)))
        elif all(phase.weight_fraction is not None for phase in sample.phases):
            weighed.append(sample)
        else:
            unstated.append(sample)
    return SortedSamples(
        tuple(single), tuple(unstated), tuple(several), tuple(weighed), tuple(others)
    )


def rruff_patterns(path: Path, space_groups: Iterable[int]) -> LabelledPatterns | None:
    """Return the patterns of RRUFF-908 with one of these space groups; None without the file."""
    try:
        labelled = read_rruff(path)
    except PatternError:
        return None
    wanted = set(space_groups)
    rows = [k for k, number in enumerate(labelled.space_group_number) if int(number) in wanted]
    return LabelledPatterns(
        tuple(labelled.patterns[k] for k in rows),
        labelled.space_group_number[rows],
        labelled.group[rows],
        tuple(labelled.name[k] for k in rows),
    )


def _of_the_post(sample: KnownSample) -> KnownSample:
    """Return the sample with the phase that the post says it is, if it is one of the post's."""
    for identifier, phase in POST_SAMPLES.items():
        if identifier in sample.name and len(sample.phases) == 1:
            return replace(sample, phases=(replace(sample.phases[0], name=phase),))
    return sample


class _Sorter:
    """Knows the classes by name, and by formula with space group."""

    def __init__(self, index: SearchIndex) -> None:
        names = [str(name) for name in index.labels.name]
        formulas = [str(formula) for formula in index.labels.formula]
        numbers = index.sticks.space_group_number.tolist()
        self._by_name = {name.lower(): name for name in names}
        self._by_symmetry = dict(zip(zip(formulas, numbers, strict=True), names, strict=True))
        self._formulas = set(formulas)

    def class_of(self, phase: KnownPhase) -> str:
        """Return the name of the class that a phase is, empty if it is none or not said."""
        named = self._by_name.get(phase.name.lower())
        if named is not None:
            return named
        formula = stated_reduced_formula(phase.formula)
        return self._by_symmetry.get((formula, phase.space_group_number or 0), "")

    def may_be(self, phase: KnownPhase) -> bool:
        """Say whether a phase may be one of the classes, by name or formula."""
        return (
            stated_reduced_formula(phase.formula) in self._formulas
            or any(name in phase.name.lower() for name in self._by_name)
            or any(formula in phase.name for formula in self._formulas)
        )
