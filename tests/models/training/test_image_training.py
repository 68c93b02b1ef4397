import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from structure_rows import write_table

from phasepilot.models.diffraction.images.azimuthal_integration import Cake
from phasepilot.models.diffraction.images.reflection_store import (
    ReflectionStore,
    build_reflection_store,
    open_reflection_store,
)
from phasepilot.models.errors import PatternError, TrainingError, WeightsError
from phasepilot.models.estimation.image_model import ImageModel, load_image_model
from phasepilot.models.networks.image_card import ImageModelCard, read_image_card
from phasepilot.models.training.cake_stream import (
    cake_training_stream,
    cake_validation_batches,
    trained_choice,
    validated_choice,
)
from phasepilot.models.training.cake_synthesis import (
    KINDS,
    TEST_AXES,
    CakeRecipe,
    drawn_cake,
    trained_zone_axes,
)
from phasepilot.models.training.image_configuration import (
    ImageTrainingConfiguration,
    read_image_training_configuration,
)
from phasepilot.models.training.image_release import write_image_release
from phasepilot.models.training.training_loop import Trainer

SIZES = {
    "n_waves": 4,
    "local_filters": 3,
    "local_kernel": 8,
    "global_filters": 4,
    "channels": [6, 8],
    "dense": 12,
    "embedding": 10,
}


@pytest.fixture(scope="module")
def reflections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose structures are, in turn, tested, validated and twice trained."""
    directory = tmp_path_factory.mktemp("store")
    build_reflection_store(
        write_table(directory / "structures.parquet"),
        directory / "reflections",
        licences=("COD CC0",),
        n_workers=1,
    )
    path = directory / "reflections" / "family_hash.npy"
    np.save(path, np.arange(np.load(path).size) % 4)
    return directory / "reflections"


def make_configuration(
    work: Path, reflections: Path, **changes: object
) -> ImageTrainingConfiguration:
    return ImageTrainingConfiguration.model_validate(
        {
            "name": "tiny",
            "structures": "structures.parquet",
            "work_directory": str(work),
            "reflections": str(reflections),
            "cells": {"n_chi": 24, "n_bins": 40, "q_min_per_angstrom": 1.0},
            "network": SIZES,
            "batch_size": 8,
            "n_patterns": 32,
            "n_validation": 64,
            "n_watched": 16,
            "validate_every": 2,
            "checkpoint_every": 2,
            "n_workers": 0,
            **changes,
        }
    )


@pytest.fixture
def store(reflections: Path) -> ReflectionStore:
    return open_reflection_store(reflections)


@pytest.fixture(scope="module")
def released(
    tmp_path_factory: pytest.TempPathFactory, reflections: Path
) -> tuple[Path, ImageModelCard]:
    work = tmp_path_factory.mktemp("released")
    configuration = make_configuration(work, reflections)
    trainer = Trainer(configuration)
    trainer.run()
    card = write_image_release(
        trainer.averaged,  # type: ignore[arg-type]
        configuration,
        open_reflection_store(reflections),
        n_patterns=32,
        code_version="1.2.3",
    )
    return work / "tiny.image.json", card


@pytest.fixture
def model(released: tuple[Path, ImageModelCard]) -> ImageModel:
    return load_image_model(str(released[0]))


def make_cake(model: ImageModel, seed: int = 0) -> Cake:
    rng = np.random.default_rng(seed)
    grid = model.cake_grid
    intensity = rng.poisson(3.0, (48, grid.n_bins)).astype(float)
    intensity[rng.integers(0, 48, 10), rng.integers(0, grid.n_bins, 10)] = 500.0
    chi_deg = -180 + (np.arange(48) + 0.5) * 7.5
    return Cake(intensity, np.ones(intensity.shape, dtype=bool), chi_deg, grid.q_per_angstrom)


def test_no_tested_direction_is_trained_and_all_others_are_there_once() -> None:
    axes = {tuple(axis) for axis in trained_zone_axes().tolist()}
    for u, v, w in TEST_AXES:
        assert not axes & {(u, v, w), (-u, -v, -w)}
    assert {(1, 0, 0), (1, -1, 1), (1, -3, 1), (2, -1, 1), (3, 2, 1)} <= axes
    assert not any((-u, -v, -w) in axes for u, v, w in axes)
    assert (2, 0, 0) not in axes


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_cake_shows_something_and_nothing_where_it_is_masked(
    kind: str, store: ReflectionStore, tmp_path: Path, reflections: Path
) -> None:
    grid = make_configuration(tmp_path, reflections).cells.grid()
    for number in range(store.n_structures):
        cake = drawn_cake(
            store,
            number,
            kind,  # type: ignore[arg-type]
            recipe=CakeRecipe(),
            grid=grid,
            rng=np.random.default_rng(number),
        )
        assert cake.shape == (2, 24, 40)
        assert np.isfinite(cake).all()
        assert cake[0].max() > 0
        assert not cake[0][cake[1] == 0].any()


def test_families_are_trained_or_validated_or_tested(
    store: ReflectionStore, tmp_path: Path, reflections: Path
) -> None:
    trained = trained_choice(make_configuration(tmp_path, reflections), store).structures
    validated = validated_choice(store).structures
    hashes = np.asarray(store.family_hash)
    assert set(hashes[trained]) == {2, 3}
    assert set(hashes[validated]) == {1}


def test_a_batch_of_a_number_is_always_the_same(
    store: ReflectionStore, tmp_path: Path, reflections: Path
) -> None:
    configuration = make_configuration(tmp_path, reflections)
    stream = cake_training_stream(configuration, store, range(1))
    torch.testing.assert_close(stream[3].inputs, stream[3].inputs, rtol=0, atol=0)
    assert not torch.equal(stream[3].inputs, stream[4].inputs)


def test_validation_ends_at_the_number_that_is_asked_for(
    store: ReflectionStore, tmp_path: Path, reflections: Path
) -> None:
    configuration = make_configuration(tmp_path, reflections)
    batches = list(cake_validation_batches(configuration, store, 130, "ideal"))
    assert sum(len(one.space_group_index) for one in batches) == 130


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path, reflections: Path) -> None:
    whole = Trainer(make_configuration(tmp_path / "whole", reflections))
    assert whole.run()
    stopped = Trainer(make_configuration(tmp_path / "stopped", reflections))
    assert not stopped.run(is_time_up=lambda: stopped.n_done >= 1)
    resumed = Trainer(make_configuration(tmp_path / "stopped", reflections))
    assert resumed.run()
    for name, tensor in whole.averaged.state_dict().items():
        torch.testing.assert_close(resumed.averaged.state_dict()[name], tensor, rtol=0, atol=0)
    assert [point.batch for point in resumed.curve] == [2, 4]


def test_a_release_is_weights_arrays_and_a_card(released: tuple[Path, ImageModelCard]) -> None:
    path, card = released
    assert read_image_card(path) == card
    content = path.with_name("tiny.onnx").read_bytes()
    assert card.sha256 == hashlib.sha256(content).hexdigest()
    assert card.n_patterns == 32
    rates = [value for name, value in card.measured.items() if "accuracy" in name]
    assert len(rates) == 2 * len(KINDS) + 2
    assert all(0 <= rate <= 1 for rate in rates)


def test_damaged_weights_are_refused(released: tuple[Path, ImageModelCard], tmp_path: Path) -> None:
    path, card = released
    for name in (card.file, card.calibration_file, path.name):
        (tmp_path / name).write_bytes(path.with_name(name).read_bytes())
    (tmp_path / card.file).write_bytes(b"not a network")
    with pytest.raises(WeightsError, match="must have sha256"):
        load_image_model(str(tmp_path / path.name))


def test_an_estimate_is_a_distribution_with_its_sets(model: ImageModel) -> None:
    estimate = model.estimate(make_cake(model))
    assert estimate.space_group_probabilities.sum() == pytest.approx(1.0)
    assert estimate.space_group_number in estimate.space_group_set
    assert 0 <= estimate.epistemic_bits <= estimate.entropy_bits
    assert estimate.verdict.reason


def test_a_turned_cake_gets_the_same_estimate(model: ImageModel) -> None:
    cake = make_cake(model)
    turned = Cake(
        np.roll(cake.intensity, 8, axis=0), cake.is_measured, cake.chi_deg, cake.q_per_angstrom
    )
    np.testing.assert_allclose(
        model.estimate(turned).space_group_probabilities,
        model.estimate(cake).space_group_probabilities,
        rtol=1e-3,
    )


def test_one_frame_is_fused_to_itself_and_none_is_refused(model: ImageModel) -> None:
    estimate = model.estimate(make_cake(model))
    assert model.fuse([estimate]) is estimate
    with pytest.raises(PatternError, match="at least one"):
        model.fuse([])


def test_fused_frames_do_not_depend_on_their_order(model: ImageModel) -> None:
    frames = [model.estimate(make_cake(model, seed)) for seed in range(3)]
    forwards, backwards = model.fuse(frames), model.fuse(frames[::-1])
    np.testing.assert_allclose(
        forwards.space_group_probabilities, backwards.space_group_probabilities, rtol=1e-9
    )


def test_what_is_masked_already_adds_nothing(model: ImageModel) -> None:
    cake = make_cake(model)
    is_measured = cake.is_measured.copy()
    is_measured[:24] = False
    masked = Cake(cake.intensity, is_measured, cake.chi_deg, cake.q_per_angstrom)
    added = model.attribution(masked, 225)
    assert added.shape == model.grid.shape
    np.testing.assert_allclose(added[:6], 0, atol=1e-4)
    assert np.abs(added[13:]).max() > 0


def test_a_cake_outside_the_range_is_refused(model: ImageModel) -> None:
    cake = make_cake(model)
    far = Cake(cake.intensity, cake.is_measured, cake.chi_deg, 100 * cake.q_per_angstrom)
    with pytest.raises(PatternError, match="has nothing there"):
        model.estimate(far)


def test_a_configuration_file_is_read_with_paths_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: x\nstructures: s.parquet\nwork_directory: w\nreflections: r\n")
    found = read_image_training_configuration(path)
    assert found.structures == tmp_path / "s.parquet"
    assert found.reflection_directory == tmp_path / "r"


def test_an_unknown_entry_of_a_configuration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("name: x\nstructures: s.parquet\nwork_directory: w\nreciep: r\n")
    with pytest.raises(TrainingError, match="reciep"):
        read_image_training_configuration(path)
