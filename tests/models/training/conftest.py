"""One stick store for all tests of the training: building it starts processes."""

from pathlib import Path

import pytest
from structure_rows import write_table

from phasepilot.models.diffraction.stick_store import (
    StickStore,
    build_stick_store,
    open_stick_store,
)


@pytest.fixture(scope="session")
def store_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store")
    build_stick_store(
        write_table(directory / "structures.parquet"),
        directory / "sticks",
        licences=("COD CC0",),
        q_max_per_angstrom=6.8,
        max_atoms=50,
        n_workers=1,
    )
    return directory / "sticks"


@pytest.fixture
def store(store_directory: Path) -> StickStore:
    return open_stick_store(store_directory)
