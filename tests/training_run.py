"""A training run small enough for a test: a tiny network on the structures of `structure_rows`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from structure_rows import write_table

from phasepilot.models.training.configuration import (
    TrainingConfiguration,
    read_training_configuration,
)

Configure = Callable[..., TrainingConfiguration]

TINY = {
    "channels": [4, 4],
    "kernels": [32, 16],
    "strides": [16, 4],
    "dense": [8, 6],
    "dropout": 0.1,
}
# The smallest of the papers' networks; their kernels need more bins.
REFERENCE = {"network": {"kind": "acnn"}, "preprocessing": {"grid": {"n_bins": 4096}}}


def training_entries(**changes: Any) -> dict[str, Any]:
    """What the YAML file of the run holds; five batches, a checkpoint after every second."""
    entries = {
        "name": "tiny",
        "structures": "structures.parquet",
        "work_directory": "run",
        "preprocessing": {"grid": {"n_bins": 1024}},
        "network": {"sizes": TINY},
        "n_patterns": 40,
        "batch_size": 8,
        "warm_up_batches": 2,
        "n_validation": 64,
        "n_watched": 40,
        "validate_every": 2,
        "checkpoint_every": 2,
        "n_workers": 0,
        # Some processors are fast in bfloat16; what a test finds must not depend on the machine.
        "precision": "float32",
    }
    return {**entries, **changes}


def write_training_file(directory: Path, **changes: Any) -> Path:
    """Write the table and the YAML file of a run into a directory and return the latter's path."""
    write_table(directory / "structures.parquet")
    path = directory / "train.yaml"
    path.write_text(yaml.safe_dump(training_entries(**changes)))
    return path


def training_configuration(directory: Path, **changes: Any) -> TrainingConfiguration:
    return read_training_configuration(write_training_file(directory, **changes))
