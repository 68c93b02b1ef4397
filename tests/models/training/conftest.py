"""One stick store for all tests of the training: building it starts processes."""

from pathlib import Path

import pytest
from structure_rows import write_table
from training_run import Configure, training_configuration

from phasepilot.models.diffraction.stick_store import (
    StickStore,
    build_stick_store,
    open_stick_store,
)
from phasepilot.models.training.configuration import TrainingConfiguration


@pytest.fixture(scope="session")
def store_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store")
    build_stick_store(
        write_table(directory / "structures.parquet"),
        directory / "sticks",
        licences=("COD CC0",),
        q_max_per_angstrom=6.93,
        max_atoms=300,
        n_workers=1,
    )
    return directory / "sticks"


@pytest.fixture
def store(store_directory: Path) -> StickStore:
    return open_stick_store(store_directory)


@pytest.fixture
def configure(tmp_path: Path, store_directory: Path) -> Configure:
    """Makes the configuration of a run on that store; `place` is a folder of its own."""

    def configuration(place: str = ".", **changes: object) -> TrainingConfiguration:
        directory = tmp_path / place
        directory.mkdir(exist_ok=True)
        return training_configuration(directory, sticks=str(store_directory), **changes)

    return configuration
