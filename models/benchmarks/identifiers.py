"""The ways to name phases that the benchmark `identify` compares."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phasepilot.models.diffraction.crystals.structure_selection import PhaseName
from phasepilot.models.estimation.calibrated_model import CalibratedModel, matched
from phasepilot.models.estimation.identification import identify
from phasepilot.models.identification.coarse_search import search
from phasepilot.models.identification.known_structures import open_known_structures
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.networks.registry import load_model
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern

N_BEST = 10
_MARK_OF_INDEX = "templates.npy"


@dataclass(frozen=True, slots=True)
class Identification:
    """What a method says of one pattern.

    Attributes
    ----------
    ranking : tuple of PhaseName
        Candidates, the most probable first; structures of one phase follow each other as they
        come.
    found : tuple of PhaseName
        Phases that together explain the pattern.
    """

    ranking: tuple[PhaseName, ...]
    found: tuple[PhaseName, ...]


# Takes a pattern and the elements that the sample may hold (None if nobody knows).
Identify = Callable[[Pattern, frozenset[int] | None], Identification]


@dataclass(frozen=True, slots=True)
class Identifier:
    """A method to name phases, and the phases that it can name.

    Attributes
    ----------
    known : frozenset of PhaseName
    needs_elements : bool
        Whether it is told which elements are in the sample, as with a whole table.
    identify : callable
    """

    known: frozenset[PhaseName]
    needs_elements: bool
    identify: Identify


def opened_identifiers(library: Path) -> dict[str, Identifier]:
    """Return the methods that name phases of a search index, or of a folder of CIF files, by name.

    Files that cannot be read are passed over: nothing can be named after them.

    Raises
    ------
    CrystalError
        If the folder holds neither an index nor a CIF file that can be read.
    """
    index, _ = open_known_structures(library)
    needs_elements = (library / _MARK_OF_INDEX).exists()
    return {
        "coarse search": searched(index, needs_elements=needs_elements),
        "search": identified(load_model(index=index, part="search"), needs_elements=needs_elements),
        "identify": identified(load_model(index=index), needs_elements=needs_elements),
    }


def searched(index: SearchIndex, *, needs_elements: bool) -> Identifier:
    """Return the search of an index alone: structures by the cosine of coarse root patterns."""
    names = _names_of(index)

    def identify(pattern: Pattern, elements: frozenset[int] | None) -> Identification:
        prepared = prepare_pattern(pattern, Preprocessing())
        candidates = search(index, prepared, n_candidates=N_BEST, elements=elements)
        ranking = tuple(names[k] for k in candidates.structure.tolist())
        return Identification(ranking, found=ranking[:1])

    return Identifier(frozenset(names), needs_elements, identify)


def identified(model: CalibratedModel, *, needs_elements: bool) -> Identifier:
    """Return what `phasepilot identify` does: compounds, each by the best of its structures.

    What is found are the phases of the mixture that explains the pattern.
    """
    index = model.searched_index()

    def name(pattern: Pattern, elements: frozenset[int] | None) -> Identification:
        prepared = prepare_pattern(pattern, model.card.preprocessing)
        compounds = identify(model, prepared, n_results=N_BEST, elements=elements)
        ranking = tuple(PhaseName(one.formula, one.space_group_number) for one in compounds)
        return Identification(ranking, found=_mixture(model, prepared, elements))

    return Identifier(frozenset(_names_of(index)), needs_elements, name)


def _mixture(
    model: CalibratedModel, prepared: PreparedPattern, elements: frozenset[int] | None
) -> tuple[PhaseName, ...]:
    answer, candidates = model.candidates(prepared, elements=elements)
    found = matched(model.searched_index(), prepared, candidates, answer)
    return tuple(PhaseName(one.formula, one.space_group_number) for one in found.phases)


def _names_of(index: SearchIndex) -> list[PhaseName]:
    numbers = index.sticks.space_group_number.tolist()
    formulas = index.labels.formula.tolist()
    return [PhaseName(*pair) for pair in zip(formulas, numbers, strict=True)]
