"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from phasepilot.models.errors import TrainingError
from phasepilot.models.training.configuration import TrainingConfiguration


def save_checkpoint(
    path: Path, configuration: TrainingConfiguration, state: Mapping[str, Any]
) -> None:
    """Write the state of a run of this configuration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written beside and moved over: a kill in the middle leaves the previous checkpoint.
    partial = path.with_suffix(".partial")
    torch.save({**state, "configuration": configuration.model_dump_json()}, partial)
    partial.replace(path)


def load_checkpoint(path: Path, configuration: TrainingConfiguration) -> dict[str, Any]:
    """Return the state that was saved.

    Raises
    ------
    TrainingError
        If the file is damaged, or of a run that learns something else.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        saved = TrainingConfiguration.model_validate_json(state["configuration"])
    except Exception as error:  # torch raises something else for every way of being damaged
        raise TrainingError(
            f"{path} must be a checkpoint of a training run, but could not be read as one"
            f" ({type(error).__name__}); use another work_directory or delete the checkpoint."
        ) from error
    changed = configuration.changes(saved)
    if changed:
        raise TrainingError(
            f"{path} must belong to this configuration, but differs in {', '.join(changed)};"
            " use another work_directory or delete the checkpoint."
        )
    return state
