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
from phasepilot.models.diffraction.images.zone_spots import SpotLists, zone_spots
from phasepilot.models.errors import PatternError, TrainingError, UnknownModelError, WeightsError
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
SMALL = LatticeTraining(n_patterns=16_000, widths=(128,), dropout=0.0, batch_size=64)


N_CALIBRATING = 6


def make_store(*family_hashes):
    crystals = [COPPER, IRON, RUTILE_LIKE, DIAMOND] + [COPPER, IRON, RUTILE_LIKE] * N_CALIBRATING
    return replace(reflection_store(crystals), family_hash=np.array(family_hashes))


# Diamond is held out; the last calibrate, families of even and odd tens.
STORE = make_store(2, 3, 4, 10, *[1 + 10 * n for n in range(3 * N_CALIBRATING)])


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
    np.testing.assert_array_equal(trained.calibration_structures, np.arange(4, 22))


def test_a_store_of_held_out_families_alone_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="all 22 in the store are"):
        LatticeTrainer(SMALL, make_store(*[10] * 22), tmp_path, name="x")


def test_it_learns_three_crystals_in_directions_that_it_never_saw(model):
    # Not along [131]: spots of both cubic lattices are alike there, but for their size.
    spots = zone_spots(STORE, np.arange(3), directions(3, UNSEEN_AXES[1]))
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
    logits, embedding = model.weights.outputs(features)
    np.testing.assert_allclose(logits, wanted, atol=0.02)
    np.testing.assert_array_equal(logits, rounded_weights(trained.network).outputs(features)[0])
    assert embedding.shape == (3, SMALL.widths[-1])


def test_turning_a_pattern_changes_no_answer(model):
    axes = directions(4, (1, 2, 3))
    angles = np.array([0.0, 33.0, 120.0, 281.0])
    said = model.probabilities(zone_spots(STORE, np.full(4, 2), axes, angles))
    np.testing.assert_allclose(said, said[:1].repeat(4, axis=0), atol=1e-5)


def test_estimates_are_of_the_probabilities_and_several_directions_fuse(model):
    patterns = [
        zone_spots(STORE, np.array([2]), directions(1, axis)) for axis in training_axes()[:3]
    ]
    estimates = [model.estimate(spots) for spots in patterns]
    for estimate, spots in zip(estimates, patterns, strict=True):
        said = model.probabilities(spots)[0]
        np.testing.assert_allclose(estimate.space_group_probabilities, said)
        assert 0 <= estimate.epistemic_bits <= estimate.entropy_bits + 1e-9
        assert 0 <= estimate.novelty <= 1
    fused = model.fuse(estimates)
    assert fused.space_group_number == 83
    np.testing.assert_allclose(
        fused.space_group_probabilities,
        np.exp(
            model.calibration.fused_log_probabilities(
                np.array([one.space_group_probabilities for one in estimates])
            )
        ),
    )
    with pytest.raises(PatternError, match="estimate a frame first"):
        model.fuse([])


def test_what_a_spot_adds_is_what_is_lost_without_it_and_its_mate(model):
    spots = zone_spots(STORE, np.array([2]), directions(1, (0, 0, 1)))
    added = model.attribution(spots, 83)
    chosen = int(np.abs(added).argmax())
    place = np.stack([spots.x_per_angstrom, spots.y_per_angstrom], axis=1)
    is_left = np.ones(len(place), dtype=bool)
    is_left[chosen] = is_left[np.linalg.norm(place + place[chosen], axis=1).argmin()] = False
    left = SpotLists(
        np.array([0, is_left.sum()]),
        *place[is_left].T,
        spots.intensity[is_left],
    )
    before, after = (model.probabilities(one)[0, 82] for one in (spots, left))
    assert added[chosen] == pytest.approx(np.log(before / after), rel=1e-4)
    assert added[chosen] != 0


def test_one_pattern_at_a_time_is_estimated(model):
    with pytest.raises(PatternError, match="but are of 2"):
        model.estimate(zone_spots(STORE, np.array([0, 2]), directions(2, (0, 0, 1))))


def test_the_estimator_answers_spots_and_frames_alike(model):
    estimator = LatticeEstimator(model)
    assert isinstance(estimator, FusingEstimator)
    # Along [110], where the cubic lattices differ by more than their size.
    spots = zone_spots(STORE, np.array([0, 2]), directions(2, (1, 1, 0)))
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
