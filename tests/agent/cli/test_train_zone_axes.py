"""`phasepilot train-zone-axes`: what it makes of a table of textbook structures."""

from pathlib import Path

import torch
import typer
from structure_rows import write_table
from typer.testing import CliRunner, Result

from phasepilot.agent.cli.train_zone_axes import train_zone_axes
from phasepilot.models.training.zone_training import TrainedVgg


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(train_zone_axes)
    torch.set_num_threads(1)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_model_is_trained_at_the_size_that_is_asked_for(tmp_path: Path) -> None:
    table = write_table(tmp_path / "structures.parquet")
    sizes = ("--width", 1 / 16, "--shape", 32, 48, "--images", 16, "--batch", 16)
    result = run(table, tmp_path / "networks", "--model", "model-4", *sizes)
    assert result.exit_code == 0, result.output
    trained = TrainedVgg(tmp_path / "networks" / "model-4.pt")
    assert trained.training.shape == (32, 48)
    assert trained.training.n_axes == 20
    assert (tmp_path / "networks" / "reflections" / "hkl.npy").exists()


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, tmp_path, "--model", "model-5")
    assert result.exit_code != 0
    assert "model-4" in result.output
