"""What `phasepilot benchmark` tests: the network, the search, both together, and others beside."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phasepilot.agent.cli.console import print_error
from phasepilot.agent.errors import ConfigurationError

if TYPE_CHECKING:
    from phasepilot.models.benchmarks.benchmark_result import Estimator
    from phasepilot.models.estimation.evidence import CandidateEvidence
    from phasepilot.models.identification.search_index import SearchIndex
    from phasepilot.models.pattern import Pattern
    from phasepilot.models.preprocessing.preparation import PreparedPattern


class RememberedSearch:
    """A search that is made once for each pattern, though several ways to answer ask for it."""

    def __init__(self) -> None:
        # The pattern is kept too: what is gone could lend its id to another.
        self._found: dict[int, tuple[Pattern, CandidateEvidence]] = {}

    def __call__(self, index: "SearchIndex", prepared: "PreparedPattern") -> "CandidateEvidence":
        """Return the candidates for a pattern."""
        from phasepilot.models.estimation.evidence import candidate_evidence

        source = prepared.source
        if source is None:
            return candidate_evidence(index, prepared)
        if id(source) not in self._found:
            self._found[id(source)] = (source, candidate_evidence(index, prepared))
        return self._found[id(source)][1]


def estimators(model: str, reference: Path | None, library: Path | None) -> "dict[str, Estimator]":
    """Return what is compared, by name; the one that is judged comes last.

    Parameters
    ----------
    model : str
        Name of a network, or path of its card; empty for the default.
    reference : Path or None
        Folder with networks of the papers to compare with, as `phasepilot train` writes them.
    library : Path or None
        Known structures; without them the network is judged alone.

    Raises
    ------
    ConfigurationError
        If the reference folder holds no card.
    """
    # ONNX Runtime is loaded only when something is to be tested.
    from phasepilot.models.identification.known_structures import open_known_structures
    from phasepilot.models.networks.registry import DEFAULT_MODEL, load_model

    name = model or DEFAULT_MODEL
    compared: dict[str, Estimator] = {}
    for card in [] if reference is None else _cards(reference):
        compared[card.stem] = _reference(card)
    compared["network"] = load_model(name)
    if library is not None:
        index, problems = open_known_structures(library)
        for problem in problems:
            print_error(problem)
        remembered = RememberedSearch()
        compared["search"] = load_model(name, index=index, part="search", gather=remembered)
        compared["both"] = load_model(name, index=index, gather=remembered)
    return compared


def _reference(card: Path) -> "Estimator":
    # torch takes a second to import and is only in the train extra.
    from phasepilot.models.training.reference_estimator import ReferenceEstimator

    return ReferenceEstimator(card)


def _cards(folder: Path) -> Sequence[Path]:
    cards = sorted(folder.glob("*.json"))
    if not cards:
        raise ConfigurationError(
            f"--reference must be a folder with cards of networks (.json), but {folder} holds none;"
            " `phasepilot train` writes them."
        )
    return cards
