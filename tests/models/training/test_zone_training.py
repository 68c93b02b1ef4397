from dataclasses import replace

import numpy as np
import pytest
import torch

from phasepilot.models.diffraction.crystals.cell_materials import DIAMOND
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.images.reflection_store import reflection_store
from phasepilot.models.errors import TrainingError
from phasepilot.models.training.zone_axes import AXES
from phasepilot.models.training.zone_training import TrainedVgg, ZoneTrainer, ZoneTraining

COPPER = crystal_from_sites("Cu", "F m -3 m", (3.6,) * 3 + (90.0,) * 3, [("Cu", (0, 0, 0))])
IRON = crystal_from_sites("Fe", "I m -3 m", (2.9,) * 3 + (90.0,) * 3, [("Fe", (0, 0, 0))])
RUTILE_LIKE = crystal_from_sites(
    "X", "P 4/m", (4.5, 4.5, 3.0, 90, 90, 90), [("Ti", (0.2, 0.1, 0)), ("O", (0.4, 0.3, 0.5))]
)
SMALL = ZoneTraining(n_axes=2, n_images=320, width=1 / 16, shape=(32, 32), batch_size=16)


def make_store(*family_hashes):
    store = reflection_store([COPPER, IRON, RUTILE_LIKE, DIAMOND])
    return replace(store, family_hash=np.array(family_hashes))


STORE = make_store(1, 2, 3, 10)


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads of a network this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.network.parameters()])


def no_report(done, total, loss):
    """Report nothing."""


def test_held_out_families_are_never_drawn(tmp_path):
    trainer = ZoneTrainer(SMALL, STORE, tmp_path, name="x")
    drawn = np.concatenate([trainer.batch(number).space_group_index for number in range(20)])
    assert set(drawn + 1) == {225, 229, 83}


def test_a_network_learns_three_crystals_and_its_file_answers(tmp_path):
    training = replace(SMALL, n_images=16 * 60, learning_rate=1e-2)
    trainer = ZoneTrainer(training, STORE, tmp_path, name="x")
    trainer.run(no_report)
    trained = TrainedVgg(tmp_path / "x.pt")
    assert trained.n_images == training.n_images
    batch = trainer.batch(10**6)
    found = trained.probabilities(batch.images)
    assert (found.space_group.argmax(axis=1) == batch.space_group_index).mean() > 0.9
    np.testing.assert_allclose(found.crystal_system.sum(axis=1), 1.0, atol=1e-5)
    assert (tmp_path / "x.csv").read_text().startswith("batch,loss,")


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path):
    training = replace(SMALL, n_images=16 * 120)

    def interrupt(done, total, loss):
        if done == 100:
            raise KeyboardInterrupt

    ticks = iter(range(0, 10**6, 100))
    whole = ZoneTrainer(training, STORE, tmp_path, name="whole")
    whole.run(no_report)
    # The clock moves 100 s at each look, so that every point is a checkpoint.
    broken = ZoneTrainer(training, STORE, tmp_path, name="broken", clock=lambda: next(ticks))
    with pytest.raises(KeyboardInterrupt):
        broken.run(interrupt)
    resumed = ZoneTrainer(training, STORE, tmp_path, name="broken")
    assert resumed.n_done == 100
    resumed.run(no_report)
    torch.testing.assert_close(weights(resumed), weights(whole))


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    ZoneTrainer(replace(SMALL, n_images=16), STORE, tmp_path, name="x").run(no_report)
    with pytest.raises(TrainingError, match="must be of the training"):
        ZoneTrainer(replace(SMALL, n_images=32), STORE, tmp_path, name="x")


def test_a_store_of_held_out_families_alone_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="not held out"):
        ZoneTrainer(SMALL, make_store(0, 10, 20, 30), tmp_path, name="x")


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match=r"x\.pt must be a checkpoint"):
        TrainedVgg(tmp_path / "x.pt")


def test_more_axes_bring_other_patterns(tmp_path):
    one = ZoneTrainer(replace(SMALL, n_axes=1), STORE, tmp_path, name="x").batch(0)
    all_axes = ZoneTrainer(replace(SMALL, n_axes=len(AXES)), STORE, tmp_path, name="x").batch(0)
    np.testing.assert_array_equal(one.space_group_index, all_axes.space_group_index)
    assert not np.array_equal(one.images, all_axes.images)
