"""A training run small enough for a test: a tiny network on the structures of `structure_rows`."""

from pathlib import Path
from typing import Any

import yaml
from structure_rows import write_table

from phasepilot.models.training.configuration import (
    TrainingConfiguration,
    read_training_configuration,
)


def training_entries(**changes: Any) -> dict[str, Any]:
    """What the YAML file of the run holds; five batches, a checkpoint after every second."""
    entries = {
        "name": "tiny",
        "structures": "structures.parquet",
        "work_directory": "run",
        "preprocessing": {"grid": {"n_bins": 1024}},
        "network": {"channels": 4, "dense": [8, 8]},
        "n_patterns": 40,
        "batch_size": 8,
        "n_validation": 64,
        "checkpoint_every": 2,
        "n_threads": 1,
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
