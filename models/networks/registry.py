"""The networks that can be asked for by name."""

import difflib
from importlib.resources import as_file, files
from pathlib import Path
from typing import Protocol

from phasepilot.models.errors import UnknownModelError
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.model_card import ModelCard
from phasepilot.models.networks.onnx_model import OnnxPhaseModel
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import PreparedPattern

DEFAULT_MODEL = "npcnn-v1"


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
    """Return the names of the networks that ship, sorted."""
    folder = files("phasepilot.models.weights")
    return sorted(
        item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json")
    )


def load_model(name: str = DEFAULT_MODEL) -> PhaseModel:
    """Return the network of that name, or of the card at that path (a name ending in .json).

    Raises
    ------
    UnknownModelError
        If there is none; the text lists the names and suggests the nearest.
    WeightsError
        If its files are damaged.
    """
    if name.endswith(".json"):
        return OnnxPhaseModel(Path(name))
    names = model_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownModelError(
            f"the model must be one of {names} or the path of a card, but is {name!r}.{hint}"
        )
    with as_file(files("phasepilot.models.weights")) as folder:
        return OnnxPhaseModel(folder / f"{name}.json")
