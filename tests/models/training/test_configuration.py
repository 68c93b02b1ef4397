from pathlib import Path
from typing import Any

import pytest
from training_run import TINY, training_configuration, write_training_file

from phasepilot.models.errors import TrainingError
from phasepilot.models.networks.pilot_net import PilotNetShape
from phasepilot.models.networks.reference_networks import REFERENCE_NETWORKS
from phasepilot.models.training.configuration import (
    HARMLESS,
    PilotNetSizes,
    TrainingConfiguration,
    read_training_configuration,
)

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_example_is_the_run_of_the_flagship(tmp_path: Path) -> None:
    configuration = read_training_configuration(EXAMPLES / "train_pilotnet.yaml", tmp_path)
    assert configuration.network.kind == "pilotnet"
    assert configuration.structures == tmp_path / "structures" / "structures.parquet"
    # Four cross entropies, weighted as the run of the weights that ship was.
    loss = configuration.loss
    weights = (loss.space_group, loss.extinction_class, loss.bravais_lattice, loss.crystal_system)
    assert weights == (1.0, 1.0, 0.3, 0.5)


def test_a_reference_network_is_trained_on_what_the_flagship_is(tmp_path: Path) -> None:
    flagship, reference = (
        read_training_configuration(EXAMPLES / f"train_{name}.yaml", tmp_path)
        for name in ("pilotnet", "reference")
    )
    assert reference.network.kind in REFERENCE_NETWORKS
    assert reference.stick_directory == flagship.stick_directory
    names = (
        *("structures", "licences", "max_atoms", "recipe", "preprocessing", "class_exponent"),
        *("experimental_sources", "experimental_weight", "n_patterns", "batch_size"),
    )
    for name in names:
        assert getattr(reference, name) == getattr(flagship, name), name


def test_a_reference_network_is_read_back_from_what_a_checkpoint_holds(tmp_path: Path) -> None:
    reference = read_training_configuration(EXAMPLES / "train_reference.yaml", tmp_path)
    assert TrainingConfiguration.model_validate_json(reference.model_dump_json()) == reference


def test_the_flagship_is_as_large_as_its_module_says() -> None:
    sizes, shape = PilotNetSizes(), PilotNetShape()
    for name in PilotNetSizes.model_fields:
        assert getattr(sizes, name) == getattr(shape, name), name


def test_paths_start_at_the_file_and_structures_at_the_data(tmp_path: Path) -> None:
    path = write_training_file(tmp_path, sticks="../sticks")
    of_file = read_training_configuration(path)
    of_data = read_training_configuration(path, tmp_path / "data")
    assert of_file.structures == tmp_path / "structures.parquet"
    assert of_data.structures == tmp_path / "data" / "structures.parquet"
    assert of_file.work_directory == of_data.work_directory == tmp_path / "run"
    assert of_file.stick_directory == of_data.stick_directory == tmp_path / "../sticks"


def test_stick_lists_stand_with_the_run_unless_a_place_is_named(tmp_path: Path) -> None:
    assert training_configuration(tmp_path).stick_directory == tmp_path / "run" / "sticks"


def test_a_run_is_the_same_from_wherever_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_training_file(tmp_path)
    absolute = read_training_configuration(path, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert read_training_configuration(Path("train.yaml"), Path("data")) == absolute


def test_the_last_batch_is_filled_up(tmp_path: Path) -> None:
    assert training_configuration(tmp_path, n_patterns=17, batch_size=8).n_batches == 3


def test_only_what_alters_the_learning_counts_as_a_change(tmp_path: Path) -> None:
    one = training_configuration(tmp_path)
    harmless = {"n_workers": 7, "checkpoint_every": 9, "sticks": "elsewhere", "device": "cpu"}
    assert training_configuration(tmp_path, **harmless).changes(one) == []
    other = training_configuration(tmp_path, seed=1, recipe="ideal", **harmless)
    assert other.changes(one) == ["recipe", "seed"]


def test_harmless_entries_exist() -> None:
    assert set(TrainingConfiguration.model_fields) >= HARMLESS


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n_paterns": 12}, "n_paterns: Extra inputs"),
        ({"batch_size": "many"}, "batch_size: Input should be a valid integer"),
        ({"batch_size": 0}, "batch_size: Input should be greater than or equal to 1"),
        ({"batch_size": 9, "batch_parts": 2}, "file: .*multiple of batch_parts, but 9 is not one"),
        ({"network": {"sizes": {**TINY, "dense": []}}}, "network.sizes.dense: Tuple should have"),
        ({"network": {"sizes": {**TINY, "strides": [2]}}}, "file: .*but have 2, 2 and 1"),
        ({"network": {"kind": "scnn", "sizes": TINY}}, "network: .*pilotnet only.*is 'scnn'"),
        ({"network": {"sizes": {**TINY, "kernels": [900, 99]}}}, "file: .*nothing of 1024 bins"),
        ({"loss": {"space_group": 0}}, "loss.space_group: Input should be greater than 0"),
        ({"precision": "float16"}, "precision: Input should be 'auto', 'float32' or 'bfloat16'"),
        ({"preprocessing": {"grid": {"n_bins": 1024, "qmin": 1}}}, "grid.qmin: Extra inputs"),
        (
            {"preprocessing": {"grid": {"q_min_per_angstrom": 7.0}}},
            "grid: .*q_min_per_angstrom must lie below",
        ),
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
