from pathlib import Path
from typing import Any

import pytest
from training_run import training_configuration, write_training_file

from phasepilot.models.errors import TrainingError
from phasepilot.models.training.configuration import read_training_configuration

EXAMPLE = Path(__file__).parents[3] / "examples" / "train_npcnn.yaml"


def test_the_example_is_the_run_of_the_network_that_ships(tmp_path: Path) -> None:
    configuration = read_training_configuration(EXAMPLE, tmp_path)
    assert configuration.name == "npcnn-v1"
    assert configuration.structures == tmp_path / "structures" / "structures.parquet"


def test_paths_start_at_the_file_and_structures_at_the_data(tmp_path: Path) -> None:
    path = write_training_file(tmp_path)
    of_file = read_training_configuration(path)
    of_data = read_training_configuration(path, tmp_path / "data")
    assert of_file.structures == tmp_path / "structures.parquet"
    assert of_data.structures == tmp_path / "data" / "structures.parquet"
    assert of_file.work_directory == of_data.work_directory == tmp_path / "run"


def test_a_run_is_the_same_from_wherever_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_training_file(tmp_path)
    absolute = read_training_configuration(path, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert read_training_configuration(Path("train.yaml"), Path("data")) == absolute


def test_the_last_batch_is_filled_up(tmp_path: Path) -> None:
    assert training_configuration(tmp_path, n_patterns=17, batch_size=8).n_batches == 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n_paterns": 12}, "n_paterns: Extra inputs"),
        ({"batch_size": "many"}, "batch_size: Input should be a valid integer"),
        ({"batch_size": 0}, "batch_size: Input should be greater than or equal to 1"),
        ({"network": {"dense": [8]}}, "network.dense.1: Field required"),
        ({"preprocessing": {"grid": {"n_bins": 1024, "qmin": 1}}}, "grid.qmin: Extra inputs"),
        (
            {"preprocessing": {"grid": {"q_min_per_angstrom": 7.0}}},
            "grid: .*q_min_per_angstrom must lie below",
        ),
        ({"network": {"kernels": [400, 300, 8]}}, "file: .*leave nothing of 1024 bins"),
        ({"name": "A/B"}, "name: String should match"),
        ({"structures": None}, "structures: "),
    ],
)
def test_every_unexpected_entry_is_named(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    path = write_training_file(tmp_path, **changes)
    with pytest.raises(TrainingError, match=rf"must describe a training run, but has .*{told}"):
        read_training_configuration(path)


def test_two_wrong_entries_are_both_named(tmp_path: Path) -> None:
    path = write_training_file(tmp_path, seed="zero", colour="blue")
    with pytest.raises(TrainingError, match=r"seed: .*; colour: .*"):
        read_training_configuration(path)


@pytest.mark.parametrize("content", ["grid: [1, 2", "\tname: x", b"\xff\xfe\x00bad", None])
def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "train.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TrainingError, match=r"must be a YAML file, but .*train.yaml could not be"):
        read_training_configuration(path)


@pytest.mark.parametrize("content", ["", "- a list\n", "just words\n"])
def test_yaml_without_entries_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(content)
    with pytest.raises(TrainingError, match=r"must describe a training run, but has file: "):
        read_training_configuration(path)
