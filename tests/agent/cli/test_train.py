import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from training_run import write_training_file
from typer.testing import Result

PhasePilot = Callable[..., Result]


@pytest.fixture(scope="module")
def config(phasepilot: PhasePilot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a run that has ended."""
    path = write_training_file(tmp_path_factory.mktemp("train"), n_patterns=12, name="tiny")
    result = phasepilot("train", "--config", path, "--data", path.parent)
    assert result.exit_code == 0, result.output
    return path


def test_a_trained_network_names_patterns_by_the_path_of_its_card(
    phasepilot: PhasePilot, config: Path, tmp_path: Path
) -> None:
    pattern = tmp_path / "pattern.xy"
    q_per_angstrom = np.linspace(1.0, 6.0, 2000)
    counts = 20 + 900 * np.exp(-(((q_per_angstrom - 3.0) / 0.02) ** 2))
    np.savetxt(pattern, np.column_stack([q_per_angstrom, counts]))
    card = config.parent / "run" / "tiny.json"
    result = phasepilot("classify", "--json", "--axis", "q", "--model", card, pattern)
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["crystal_system_probabilities"]) == 7


def test_a_second_start_finds_all_done_and_writes_the_same(
    phasepilot: PhasePilot, config: Path
) -> None:
    weights = config.parent / "run" / "tiny.onnx"
    before = weights.read_bytes()
    again = phasepilot("train", "--config", config, "--data", config.parent)
    assert again.exit_code == 0, again.output
    assert "and its card" in again.stdout
    assert "crystal system accuracy" in again.stdout
    assert weights.read_bytes() == before


def test_the_learning_curve_is_kept_as_numbers_and_as_a_picture(config: Path) -> None:
    assert len((config.parent / "run" / "curve.csv").read_text().splitlines()) == 2
    assert (config.parent / "run" / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_in_pieces_asks_to_be_started_again(phasepilot: PhasePilot, tmp_path: Path) -> None:
    config = write_training_file(tmp_path, n_patterns=24)
    statuses, said = [], []
    for _ in range(3):
        piece = phasepilot("train", "--config", config, "--data", tmp_path, "--minutes", 0)
        statuses.append(piece.exit_code)
        said.append(piece.stdout)
    # No time at all is enough for one batch.
    assert statuses == [75, 75, 0]
    assert "stopped after 1 of 3 batches; start again to go on" in said[0]
    assert "stopped after 2 of 3 batches" in said[1]
    assert "and its card" in said[2]


def test_an_unknown_network_is_told_before_anything_is_computed(
    phasepilot: PhasePilot, tmp_path: Path
) -> None:
    config = write_training_file(tmp_path, network={"kind": "resnet"})
    result = phasepilot("train", "--config", config, "--data", tmp_path)
    assert result.exit_code == 1
    assert (
        "must be one of ['acnn', 'b-vggnet', 'mlp', 'npcnn', 'scnn', 'tio2-cnn'], but is 'resnet'"
        in result.stderr
    )
    assert not (tmp_path / "run").exists()


def test_a_changed_configuration_is_refused_in_one_sentence(
    phasepilot: PhasePilot, config: Path
) -> None:
    changed = config.with_name("changed.yaml")
    changed.write_text(config.read_text().replace("n_patterns: 12", "n_patterns: 16"))
    result = phasepilot("train", "--config", changed, "--data", config.parent)
    assert result.exit_code == 1
    assert "must belong to this configuration, but differs in n_patterns" in result.stderr


def test_a_wrong_configuration_is_told_in_one_sentence(
    phasepilot: PhasePilot, tmp_path: Path
) -> None:
    result = phasepilot("train", "--config", write_training_file(tmp_path, batchsize=12))
    assert result.exit_code == 1
    assert "batchsize: Extra inputs are not permitted" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_table_is_told_in_one_sentence(phasepilot: PhasePilot, tmp_path: Path) -> None:
    config = write_training_file(tmp_path)
    (tmp_path / "structures.parquet").unlink()
    result = phasepilot("train", "--config", config, "--data", config.parent)
    assert result.exit_code == 1
    assert "structures must be a Parquet table" in result.stderr


def test_structures_stand_beside_the_configuration_if_no_data_folder_is_named(
    phasepilot: PhasePilot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PHASEPILOT_DATA", raising=False)
    config = write_training_file(tmp_path, structures="missing.parquet")
    result = phasepilot("train", "--config", config)
    assert result.exit_code == 1
    assert str(tmp_path / "missing.parquet") in result.stderr


def test_structures_are_looked_for_in_the_data_folder(
    phasepilot: PhasePilot, tmp_path: Path
) -> None:
    config = write_training_file(tmp_path)
    result = phasepilot("train", "--config", config, "--data", tmp_path / "elsewhere")
    assert result.exit_code == 1
    assert str(tmp_path / "elsewhere" / "structures.parquet") in result.stderr
