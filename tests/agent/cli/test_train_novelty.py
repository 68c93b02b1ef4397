"""`phasepilot train-novelty`, on a tiny network that was trained before."""

from collections.abc import Callable
from pathlib import Path

from structure_rows import write_table
from training_run import write_training_file
from typer.testing import Result

from phasepilot.models.networks.model_card import read_card


def test_a_trained_network_gets_a_novelty_network_beside_it(
    phasepilot: Callable[..., Result], tmp_path: Path
) -> None:
    write_table(tmp_path / "structures.parquet")
    config = write_training_file(tmp_path, n_patterns=16)
    trained = phasepilot("train", "--config", config, "--data", tmp_path)
    assert trained.exit_code == 0, trained.output
    card_path = tmp_path / "run" / "tiny.json"
    result = phasepilot(
        *("train-novelty", card_path, "--sticks", tmp_path / "run" / "sticks"),
        *("--patterns", 256, "--held-out", 64),
    )
    assert result.exit_code == 0, result.output
    assert "wrote tiny.novelty.onnx" in result.output
    assert (tmp_path / "run" / "tiny.novelty.onnx").exists()
    assert read_card(card_path).training["novelty_n_patterns"] == 256


def test_a_recipe_that_does_not_exist_is_told(
    phasepilot: Callable[..., Result], tmp_path: Path
) -> None:
    config = write_training_file(tmp_path, n_patterns=16)
    trained = phasepilot("train", "--config", config, "--data", tmp_path)
    assert trained.exit_code == 0, trained.output
    result = phasepilot(
        *("train-novelty", tmp_path / "run" / "tiny.json"),
        *("--sticks", tmp_path / "run" / "sticks", "--recipe", "laboratoire"),
    )
    assert result.exit_code != 0
    assert "laboratory" in result.output
    assert not (tmp_path / "run" / "tiny.novelty.onnx").exists()
