"""The state of a small training run on disk, and its learning curve."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from phasepilot.models.errors import TrainingError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CurvePoint = tuple[int, float, float, float]


class ResumableRun:
    """Network, optimiser and learning curve of a run, taken up from its checkpoint if there is one.

    Parameters
    ----------
    training : dataclass
        What is trained; a checkpoint of another one is refused.
    directory : Path
        Checkpoint and learning curve go here, as NAME.pt and NAME.csv.
    name : str
    counted : str
        What `n_done` and the first column of the curve count.

    Raises
    ------
    TrainingError
        If the checkpoint there is damaged or of another training.
    """

    def __init__(
        self,
        training: "DataclassInstance",
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        directory: Path,
        *,
        name: str,
        counted: str,
    ) -> None:
        self._training = json.dumps(asdict(training))
        self._network, self._optimiser = network, optimiser
        self._counted = counted
        self.checkpoint_path = directory / f"{name}.pt"
        self._curve_path = directory / f"{name}.csv"
        self.n_done = 0
        self.curve: list[CurvePoint] = []
        directory.mkdir(parents=True, exist_ok=True)
        if self.checkpoint_path.exists():
            self._resume()

    def save(self) -> None:
        """Write checkpoint and learning curve."""
        state = {
            "training": self._training,
            "n_done": self.n_done,
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "curve": self.curve,
        }
        # Written beside and moved over: a kill in the middle leaves the previous checkpoint.
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint_path)
        with self._curve_path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                (self._counted, "loss", "space_group_accuracy", "crystal_system_accuracy")
            )
            writer.writerows(self.curve)

    def _resume(self) -> None:
        state = read_checkpoint(self.checkpoint_path)
        if state["training"] != self._training:
            raise TrainingError(
                f"{self.checkpoint_path} must be of the training {self._training}, but is of"
                f" {state['training']}; use another folder or delete the file."
            )
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.n_done, self.curve = state["n_done"], state["curve"]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what was saved of a training on zone axes.

    Raises
    ------
    TrainingError
        If the file is damaged or of something else.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        state["training"], state["n_done"]
    except Exception as error:  # torch raises something else for every way of being damaged
        raise TrainingError(
            f"{path} must be a checkpoint of a training on zone axes, but could not be read as one"
            f" ({type(error).__name__}); delete it to train anew."
        ) from error
    return state
