from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_run import training_configuration

from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.errors import TrainingError
from phasepilot.models.networks.npcnn import Npcnn
from phasepilot.models.training.training_loop import Progress, Trainer, validation_batches


def assert_same_weights(one: Npcnn, other: Npcnn) -> None:
    expected = other.state_dict()
    assert one.state_dict().keys() == expected.keys()
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, expected[name]), name


def killed_after(n_batches: int) -> Callable[[Progress], None]:
    def progress(step: Progress) -> None:
        if step.batch == n_batches:
            raise KeyboardInterrupt

    return progress


def test_a_run_that_was_stopped_ends_like_an_unbroken_one(
    tmp_path: Path, store: StickStore
) -> None:
    unbroken = Trainer(training_configuration(tmp_path), store)
    seen: list[Progress] = []
    unbroken.run(seen.append)
    (tmp_path / "stopped").mkdir()
    stopped = training_configuration(tmp_path / "stopped")
    for n_batches in (3, 4):
        with pytest.raises(KeyboardInterrupt):
            Trainer(stopped, store).run(killed_after(n_batches))
    resumed = Trainer(stopped, store)
    resumed_at: list[Progress] = []
    resumed.run(resumed_at.append)
    # Batch 4 was trained, and the kill came before its checkpoint.
    assert [step.batch for step in seen] == [1, 2, 3, 4, 5]
    assert [step.batch for step in resumed_at] == [3, 4, 5]
    assert resumed_at == seen[2:]
    assert_same_weights(resumed.network, unbroken.network)
    assert_same_weights(resumed.averaged, unbroken.averaged)


def test_a_finished_run_is_not_trained_further(tmp_path: Path, store: StickStore) -> None:
    configuration = training_configuration(tmp_path)
    first = Trainer(configuration, store)
    first.run()
    again = Trainer(configuration, store)
    again.run(lambda step: pytest.fail(f"batch {step.batch} was trained again"))
    assert_same_weights(again.averaged, first.averaged)


def test_training_moves_the_weights_and_the_average_follows(
    tmp_path: Path, store: StickStore
) -> None:
    configuration = training_configuration(tmp_path)
    at_start = Trainer(configuration, store).network.state_dict()
    trainer = Trainer(configuration, store)
    trainer.run()
    for name, weights in trainer.network.state_dict().items():
        assert not torch.equal(weights, at_start[name]), name
        assert not torch.equal(trainer.averaged.state_dict()[name], weights), name


def test_another_configuration_on_the_same_checkpoint_is_refused(
    tmp_path: Path, store: StickStore
) -> None:
    Trainer(training_configuration(tmp_path, n_patterns=16), store).run()
    changed = training_configuration(tmp_path, n_patterns=24, learning_rate=0.01)
    with pytest.raises(TrainingError, match=r"differs in n_patterns, learning_rate; use another"):
        Trainer(changed, store).run()


@pytest.mark.parametrize("n_bytes", [0, 100, -100])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, store: StickStore, n_bytes: int) -> None:
    configuration = training_configuration(tmp_path, n_patterns=16)
    trainer = Trainer(configuration, store)
    trainer.run()
    content = trainer.checkpoint_path.read_bytes()
    trainer.checkpoint_path.write_bytes(content[:n_bytes])
    with pytest.raises(TrainingError, match=r"must be a checkpoint .* delete the checkpoint"):
        Trainer(configuration, store).run()


def test_a_failure_while_simulating_is_not_swallowed(tmp_path: Path, store: StickStore) -> None:
    cut = replace(store, strength=store.strength[:10], hkl=store.hkl[:10])
    with pytest.raises(IndexError):
        Trainer(training_configuration(tmp_path), cut).run()


def test_structures_held_out_are_never_trained_on(tmp_path: Path, store: StickStore) -> None:
    configuration = training_configuration(tmp_path)
    trained_on = set(store.space_group_number[~store.is_held_out].tolist())
    held_out = set(store.space_group_number[store.is_held_out].tolist())
    assert not trained_on & held_out
    labels = np.concatenate(
        [batch.space_group_index + 1 for batch in validation_batches(configuration, store)]
    )
    assert labels.size == configuration.n_validation
    assert set(labels.tolist()) <= held_out


def test_validation_is_the_same_every_time(tmp_path: Path, store: StickStore) -> None:
    configuration = training_configuration(tmp_path)
    one, again = (validation_batches(configuration, store, batch_size=40) for _ in range(2))
    assert [batch.inputs.shape[0] for batch in one] == [40, 24]
    for batch, repeated in zip(one, again, strict=True):
        assert batch.inputs.tobytes() == repeated.inputs.tobytes()


def test_validation_needs_families_that_are_held_out(tmp_path: Path, store: StickStore) -> None:
    nothing_held_out = replace(store, family_hash=np.ones_like(store.family_hash))
    with pytest.raises(TrainingError, match=r"none of the 16 in the store is one; use more rows"):
        validation_batches(training_configuration(tmp_path), nothing_held_out)
