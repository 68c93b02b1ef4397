"""The networks that can be asked for by name."""

import difflib
import os
from importlib.resources import as_file, files
from pathlib import Path
from typing import Protocol

from phasepilot.models.errors import UnknownModelError
from phasepilot.models.estimation.calibrated_model import SET_LEVEL, CalibratedModel, Gather, Part
from phasepilot.models.estimation.evidence import candidate_evidence
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.lattice_card import LATTICE_CARD_SUFFIX
from phasepilot.models.networks.model_card import ModelCard, read_card
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import PreparedPattern

DEFAULT_MODEL = "pilotnet-v1"
# Folder of cards that `phasepilot train` wrote, whose names are as good as those that ship.
MODELS_VARIABLE = "PHASEPILOT_MODELS"


class PhaseModel(Protocol):
    """Anything that says which phases a pattern shows."""

    @property
    def card(self) -> ModelCard:
        """What the model is and covers."""
        ...

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        """Return the estimate for a pattern."""
        ...

    def predict_prepared(self, pattern: PreparedPattern) -> PhaseEstimate:
        """Return the estimate for a pattern prepared as the card says."""
        ...


def model_names() -> list[str]:
    """Return the names of networks of powder patterns, sorted.

    Those that ship, and those of the cards in the folder `PHASEPILOT_MODELS`.
    """
    # Cards of another kind end in .lattice.json.
    return sorted({*(name for name in _card_names(".json") if "." not in name), *_own_cards()})


def _own_cards() -> dict[str, Path]:
    """Return the cards in the user's folder by name; a folder that is not there holds none."""
    folder = os.environ.get(MODELS_VARIABLE)
    cards = [] if not folder else Path(folder).glob("*.json")
    return {path.stem: path for path in cards if "." not in path.stem}


def _card_names(suffix: str) -> list[str]:
    folder = files("phasepilot.models.weights")
    return sorted(
        item.name.removesuffix(suffix) for item in folder.iterdir() if item.name.endswith(suffix)
    )


def lattice_card_path(name: str) -> Path:
    """Return the card of a network of spot lattices that ships; the path itself of a .json name.

    Raises
    ------
    UnknownModelError
        If there is none.
    """
    if name.endswith(".json"):
        return Path(name)
    names = _card_names(LATTICE_CARD_SUFFIX)
    if name not in names:
        raise UnknownModelError(
            f"the model of spot lattices must be one of {names} or the path of a card, but is"
            f" {name!r}."
        )
    with as_file(files("phasepilot.models.weights")) as folder:
        return folder / f"{name}{LATTICE_CARD_SUFFIX}"


def card_path(name: str) -> Path:
    """Return the card of the network of that name, or the path itself of a name ending in .json.

    Names are those of `model_names`; what ships comes before what the user's folder holds.

    Raises
    ------
    UnknownModelError
        If there is none; the text lists the names and suggests the nearest.
    """
    if name.endswith(".json"):
        return Path(name)
    names = model_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownModelError(
            f"the model must be one of {names}, of the cards in the folder that {MODELS_VARIABLE}"
            f" names, or the path of a card, but is {name!r}.{hint}"
        )
    if name not in _card_names(".json"):
        return _own_cards()[name]
    with as_file(files("phasepilot.models.weights")) as folder:
        return folder / f"{name}.json"


def load_model(
    name: str = DEFAULT_MODEL,
    *,
    index: SearchIndex | None = None,
    part: Part = "both",
    set_level: float = SET_LEVEL,
    gather: Gather = candidate_evidence,
) -> CalibratedModel:
    """Return the network of that name, or of the card at that path (a name ending in .json).

    The other arguments are those of `CalibratedModel`.

    Raises
    ------
    UnknownModelError
        If there is none.
    WeightsError
        If its files are damaged.
    """
    return CalibratedModel(
        card_path(name), index=index, part=part, set_level=set_level, gather=gather
    )


def open_model(
    name: str = DEFAULT_MODEL, *, index: SearchIndex | None = None, set_level: float = SET_LEVEL
) -> PhaseModel:
    """Return the network of that name or card, be it ours or one of the papers'.

    Networks of the papers (weights in NAME.pt; they need the extra train) answer alone: without the
    index, without sets and without telling what is unknown.

    Raises
    ------
    UnknownModelError
        If there is none.
    WeightsError
        If its files are damaged.
    """
    path = card_path(name)
    if read_card(path).file.endswith(".pt"):
        # torch takes a second to import.
        from phasepilot.models.training.reference_estimator import ReferenceEstimator

        return ReferenceEstimator(path)
    return CalibratedModel(path, index=index, set_level=set_level)
