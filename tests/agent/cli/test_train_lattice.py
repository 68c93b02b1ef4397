import pytest
import torch
from structure_rows import write_table
from typer.testing import CliRunner

from phasepilot.agent.cli import app
from phasepilot.models.estimation.lattice_model import load_lattice_model


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads of a network this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "structures.parquet")


def test_a_table_without_calibrating_families_is_refused(tmp_path, table):
    command = ["train-lattice", str(table), str(tmp_path / "out"), "--patterns", "4096"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code != 0
    assert "families that calibrate" in " ".join(result.output.split())


def test_the_shipped_network_is_found_by_its_name():
    model = load_lattice_model()
    assert model.card.n_structures > 20_000
    assert model.calibration.network.temperature > 0
