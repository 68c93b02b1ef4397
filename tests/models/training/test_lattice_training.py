"""Training of the network of spot lattices, and what it ships."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from phasepilot.models.benchmarks.zone_lattices import LatticeEstimator
from phasepilot.models.benchmarks.zone_patterns import FusingEstimator, detector_frames
from phasepilot.models.diffraction.crystals.cell_materials import DIAMOND
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.images.reflection_store import reflection_store
from phasepilot.models.diffraction.images.zone_spots import zone_spots
from phasepilot.models.errors import TrainingError, UnknownModelError, WeightsError
from phasepilot.models.estimation.lattice_model import LatticeModel, load_lattice_model
from phasepilot.models.preprocessing.lattice_features import lattice_features
from phasepilot.models.training.lattice_release import rounded_weights, write_lattice_release
from phasepilot.models.training.lattice_training import (
    LatticeTrainer,
    LatticeTraining,
    training_axes,
)
from phasepilot.models.training.zone_axes import UNSEEN_AXES

COPPER = crystal_from_sites("Cu", "F m -3 m", (3.6,) * 3 + (90.0,) * 3, [("Cu", (0, 0, 0))])
IRON = crystal_from_sites("Fe", "I m -3 m", (2.9,) * 3 + (90.0,) * 3, [("Fe", (0, 0, 0))])
RUTILE_LIKE = crystal_from_sites(
    "X", "P 4/m", (4.5, 4.5, 3.0, 90, 90, 90), [("Ti", (0.2, 0.1, 0)), ("O", (0.4, 0.3, 0.5))]
)
SMALL = LatticeTraining(n_patterns=12_000, widths=(64,), dropout=0.0, batch_size=64)


def make_store(*family_hashes):
    crystals = [COPPER, IRON, RUTILE_LIKE, DIAMOND, COPPER, IRON, RUTILE_LIKE]
    return replace(reflection_store(crystals), family_hash=np.array(family_hashes))


# Diamond is held out; the last three calibrate.
STORE = make_store(2, 3, 4, 10, 21, 31, 41)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads of a network this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lattice")
    trainer = LatticeTrainer(SMALL, STORE, folder, name="x")
    trainer.run(no_report)
    return trainer


@pytest.fixture(scope="module")
def model(trained):
    folder = trained.checkpoint_path.parent
    write_lattice_release(trained, STORE, folder, name="x", trained_on="a table", code_version="1")
    return load_lattice_model(str(folder / "x.lattice.json"))


def no_report(done, total, loss):
    """Report nothing."""


def directions(n, axis):
    return np.tile(axis, (n, 1))


def test_no_direction_of_the_test_nor_its_opposite_is_trained_on():
    axes = training_axes()
    for axis in UNSEEN_AXES:
        assert axis not in axes
        assert tuple(-index for index in axis) not in axes
    assert len({tuple(np.sign(np.dot(one, (100, 10, 1))) * np.array(one)) for one in axes}) == 141


def test_held_out_and_calibrating_families_are_never_drawn(trained):
    drawn = np.concatenate([trained.patterns(number).space_group_index for number in range(3)])
    assert set(drawn + 1) == {225, 229, 83}
    np.testing.assert_array_equal(trained.structures, [0, 1, 2])
    np.testing.assert_array_equal(trained.calibration_structures, [4, 5, 6])


def test_a_store_of_held_out_families_alone_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="all 7 in the store are"):
        LatticeTrainer(SMALL, make_store(*[10] * 7), tmp_path, name="x")


def test_it_learns_three_crystals_in_directions_that_it_never_saw(model):
    spots = zone_spots(STORE, np.arange(3), directions(3, UNSEEN_AXES[0]))
    said = model.probabilities(spots).argmax(axis=1) + 1
    np.testing.assert_array_equal(said, [225, 229, 83])


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(trained, tmp_path):
    # A clock that saves after each draw and ends the process after the second.
    clock = iter([0.0, 100.0, 200.0, 300.0]).__next__
    with pytest.raises(StopIteration):
        LatticeTrainer(SMALL, STORE, tmp_path, name="x", clock=clock).run(no_report)
    second = LatticeTrainer(SMALL, STORE, tmp_path, name="x")
    assert second.n_done == 2
    second.run(no_report)
    for one, other in zip(second.network.parameters(), trained.network.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_checkpoint_of_another_training_is_refused(trained):
    other = replace(SMALL, learning_rate=1.0)
    with pytest.raises(TrainingError, match="use another folder"):
        LatticeTrainer(other, STORE, trained.checkpoint_path.parent, name="x")


def test_the_file_answers_as_the_network_does(trained, model):
    features = lattice_features(zone_spots(STORE, np.arange(3), directions(3, (1, 1, 0))))
    trained.network.eval()
    with torch.no_grad():
        wanted = trained.network(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(model.weights.logits(features), wanted, atol=0.02)
    np.testing.assert_array_equal(
        model.weights.logits(features), rounded_weights(trained.network).logits(features)
    )


def test_turning_a_pattern_changes_no_answer(model):
    axes = directions(4, (1, 2, 3))
    angles = np.array([0.0, 33.0, 120.0, 281.0])
    said = model.probabilities(zone_spots(STORE, np.full(4, 2), axes, angles))
    np.testing.assert_allclose(said, said[:1].repeat(4, axis=0), atol=1e-5)


def test_several_directions_sharpen_what_one_says(model):
    one = np.full((1, 230), 0.3 / 229)
    one[0, 224] = 0.7
    assert model.fuse(one.repeat(3, axis=0))[224] > 0.7


def test_the_estimator_answers_spots_and_frames_alike(model):
    estimator = LatticeEstimator(model)
    assert isinstance(estimator, FusingEstimator)
    spots = zone_spots(STORE, np.array([0, 2]), directions(2, (0, 0, 1)))
    frames = detector_frames(spots, np.random.default_rng(0))
    for answers in (estimator.answer_spots(spots), estimator.answer_frames(frames)):
        np.testing.assert_array_equal(answers.space_group.argmax(axis=1) + 1, [225, 83])
        np.testing.assert_allclose(answers.crystal_system.sum(axis=1), 1)


def test_damaged_weights_and_unknown_names_are_refused(model, trained):
    card_path = trained.checkpoint_path.parent / "x.lattice.json"
    path = card_path.with_name("x.npz")
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match="must have sha256"):
        LatticeModel(card_path)
    path.write_bytes(content)
    with pytest.raises(UnknownModelError, match="spot lattices must be one of"):
        load_lattice_model("nothing")
