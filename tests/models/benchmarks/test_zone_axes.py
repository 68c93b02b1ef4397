"""The zone-axis benchmark on a table of textbook structures, of which Si and Ge are held out."""

import numpy as np
import pytest
import torch
from structure_rows import write_table

from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, no_progress
from phasepilot.models.benchmarks.zone_axes import REFLECTIONS, compared, run
from phasepilot.models.benchmarks.zone_networks import found_spots
from phasepilot.models.benchmarks.zone_patterns import Answers, detector_frames
from phasepilot.models.benchmarks.zone_scores import IS_CENTROSYMMETRIC, all_scores
from phasepilot.models.benchmarks.zone_sets import ZoneStructures
from phasepilot.models.diffraction.images.reflection_store import build_reflection_store
from phasepilot.models.diffraction.images.zone_spots import zone_spots
from phasepilot.models.errors import CrystalError
from phasepilot.models.training.zone_training import ZoneTrainer, ZoneTraining

FD_3M = 227


class AlwaysSays:
    """An estimator that knows one space group."""

    def __init__(self, space_group_number: int) -> None:
        self._row = np.full(230, 1e-3)
        self._row[space_group_number - 1] = 1.0
        self._row /= self._row.sum()

    def answer_spots(self, patterns):
        return Answers.of_space_groups(np.tile(self._row, (patterns.n_patterns, 1)))

    def answer_frames(self, patterns):
        return Answers.of_space_groups(np.tile(self._row, (len(patterns.image), 1)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("zone")
    table = write_table(path / "structures.parquet")
    build_reflection_store(table, path / REFLECTIONS, licences=("COD CC0",), n_workers=1)
    return path


@pytest.fixture
def store(folder):
    return build_reflection_store(
        folder / "structures.parquet", folder / REFLECTIONS, licences=("COD CC0",)
    )


@pytest.fixture
def options(folder):
    return BenchmarkOptions(
        estimators={}, structures=folder / "structures.parquet", n_seeds=2, n_simulated=1
    )


def test_who_is_always_right_scores_all_and_loses_nothing(options, store):
    result = compared(
        options, store, {"right": AlwaysSays(FD_3M)}, few_axes={}, progress=no_progress
    )
    figures = result.flat()
    for name in ("seen_space_group", "unseen_131_crystal_system", "detector_space_group_top3"):
        assert figures[name] == 1
    for name in ("unseen_drop_space_group", "detector_drop_space_group"):
        assert figures[name] == 0
    for name in ("rotation_flips_space_group", "compressed_10_flips_crystal_system"):
        assert figures[name] == 0
    assert figures["centrosymmetric_right_top1"] == 1
    assert {item["identifier"] for item in result.items} == {"test-Si", "test-Ge"}


def test_the_last_is_judged_and_others_carry_their_name(options, store):
    both = {"model-4": AlwaysSays(1), "ours": AlwaysSays(FD_3M)}
    few = {"model-1": AlwaysSays(FD_3M)}
    figures = compared(options, store, both, few_axes=few, progress=no_progress).flat()
    assert figures["seen_space_group"] == 1
    assert figures["model_4_seen_space_group"] == 0
    assert figures["model_1_on_4_axes_space_group"] == 1


def test_each_seed_has_structures_of_its_own_all_held_out(options, store):
    structures = ZoneStructures(options.structures, store)
    first, second = structures.parts(1, 2)
    assert set(first) | set(second) == set(np.flatnonzero(store.is_held_out))
    with pytest.raises(CrystalError, match="the test needs 4"):
        structures.parts(2, 2)


def test_the_patterns_of_a_seed_are_always_the_same(options, store):
    structures = ZoneStructures(options.structures, store)
    one, other = (structures.sets(structures.held_out, 3) for _ in range(2))
    np.testing.assert_array_equal(
        one.rotated.spots.x_per_angstrom, other.rotated.spots.x_per_angstrom
    )
    scores = [all_scores(AlwaysSays(FD_3M), sets) for sets in (one, other)]
    for name, values in scores[0].items():
        np.testing.assert_array_equal(values, scores[1][name])


def test_a_detector_masks_its_gaps_and_stop_and_counts_whole_photons(store):
    spots = zone_spots(store, np.array([0, 1]), np.array([[1, 0, 0], [1, 1, 1]]))
    frames = detector_frames(spots, np.random.default_rng(0))
    assert not frames.image[~frames.is_measured].any()
    assert not frames.is_measured[:, 127, 127].any()
    np.testing.assert_array_equal(frames.image, np.rint(frames.image))


def test_spots_of_a_frame_are_found_where_they_are(store):
    spots = zone_spots(store, np.array([0]), np.array([[1, 0, 0]]))
    frames = detector_frames(spots, np.random.default_rng(0))
    found = found_spots(frames)
    true = np.stack([spots.x_per_angstrom, spots.y_per_angstrom], axis=1)
    seen = np.stack([found.x_per_angstrom, found.y_per_angstrom], axis=1)
    distance = np.linalg.norm(seen[:, None] - true, axis=2).min(axis=1)
    assert len(seen) > 3
    assert (distance < 1.5 * frames.inverse_angstrom_per_pixel).all()


def test_a_frame_without_spots_gives_none(store):
    spots = zone_spots(store, np.array([0]), np.array([[1, 0, 0]]))
    frames = detector_frames(spots, np.random.default_rng(0))
    frames.image[:] = 0
    assert found_spots(frames).n_patterns == 1
    assert found_spots(frames).intensity.size == 0


def test_92_space_groups_have_a_centre():
    assert IS_CENTROSYMMETRIC.sum() == 92


def test_networks_of_a_folder_are_tested_without_training_them(options, store, folder):
    torch.set_num_threads(1)
    for number, n_axes in enumerate((1, 4, 10, 20), start=1):
        training = ZoneTraining(n_axes, 16, width=1 / 16, shape=(32, 32), batch_size=16)
        ZoneTrainer(training, store, folder, name=f"model-{number}").run(lambda *_: None)
    result = run(
        BenchmarkOptions(
            estimators={}, structures=options.structures, n_seeds=1, n_simulated=2, weights=folder
        ),
        no_progress,
    )
    figures = result.flat()
    assert 0 <= figures["seen_space_group"] <= 1
    assert "model_3_on_20_axes_crystal_system" in figures
    assert any("16" in note for note in result.notes)
