from dataclasses import replace

import numpy as np
import pytest
import torch
from training_run import Configure

from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.training.pattern_stream import (
    batches_ahead,
    calibration_batches,
    trained_batches,
    training_stream,
    validation_batches,
)
from phasepilot.models.training.structure_choice import held_out_structures


def test_a_batch_depends_on_its_number_alone(configure: Configure, store: StickStore) -> None:
    one, other = (training_stream(configure(), store, range(1)) for _ in range(2))
    assert torch.equal(one[3].inputs, other[3].inputs)
    assert torch.equal(one[3].space_group_index, other[3].space_group_index)
    assert not torch.equal(one[3].inputs, one[4].inputs)


def test_patterns_are_root_intensities_and_masks_in_half_precision(
    configure: Configure, store: StickStore
) -> None:
    batch = training_stream(configure(), store, range(1))[0]
    assert batch.inputs.shape == (8, 2, 1024)
    assert batch.inputs.dtype == torch.float16
    assert batch.inputs[:, 0].amax(dim=1).tolist() == [1.0] * 8
    assert set(batch.inputs[:, 1].unique().tolist()) <= {0.0, 1.0}


def test_parts_make_the_same_batch_whoever_draws_them(
    configure: Configure, store: StickStore
) -> None:
    configuration = configure(batch_parts=4)
    whole = training_stream(configuration, store, range(4))[2]
    halves = [training_stream(configuration, store, part)[2] for part in (range(2), range(2, 4))]
    assert torch.equal(whole.inputs, torch.cat([half.inputs for half in halves]))
    labels = torch.cat([half.space_group_index for half in halves])
    assert torch.equal(whole.space_group_index, labels)


def test_parts_of_different_batches_differ(configure: Configure, store: StickStore) -> None:
    stream = training_stream(configure(batch_parts=2), store, range(2))
    parts = [part.tobytes() for k in range(3) for part in np.split(stream[k].inputs.numpy(), 2)]
    assert len(set(parts)) == 6


@pytest.mark.slow
def test_another_process_hands_over_the_same_batches_in_order(
    configure: Configure, store: StickStore
) -> None:
    stream = training_stream(configure(), store, range(1))
    here = list(batches_ahead(stream, range(2, 10), 0))
    elsewhere = list(batches_ahead(stream, range(2, 10), 1))
    assert len(here) == len(elsewhere) == 8
    for one, other in zip(here, elsewhere, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.space_group_index, other.space_group_index)


def test_no_batches_are_simulated_for_an_empty_range(
    configure: Configure, store: StickStore
) -> None:
    assert list(batches_ahead(training_stream(configure(), store, range(1)), range(4, 4), 1)) == []


def test_drawing_batches_leaves_the_random_numbers_of_dropout_alone(
    configure: Configure, store: StickStore
) -> None:
    before = torch.get_rng_state()
    list(batches_ahead(training_stream(configure(), store, range(1)), range(2), 0))
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_is_of_held_out_families(configure: Configure, store: StickStore) -> None:
    held_out = held_out_structures(configure(), store).space_group_index
    batches = list(validation_batches(configure(), store, n_patterns=300))
    assert [batch.inputs.shape[0] for batch in batches] == [256, 44]
    labels = torch.cat([batch.space_group_index for batch in batches])
    assert set(labels.tolist()) == set(held_out.tolist())


def test_a_smaller_validation_is_the_beginning_of_a_larger_one(
    configure: Configure, store: StickStore
) -> None:
    (few,) = validation_batches(configure(), store, n_patterns=20)
    first, _ = validation_batches(configure(), store, n_patterns=260)
    assert torch.equal(few.inputs, first.inputs[:20])


def test_training_and_validation_draw_from_different_streams(
    configure: Configure, store: StickStore
) -> None:
    trained = training_stream(configure(), store, range(1))[0]
    (validated,) = validation_batches(configure(), store, n_patterns=8)
    assert not torch.equal(trained.inputs, validated.inputs)


def test_calibration_takes_structures_as_often_as_the_table_has_them(
    configure: Configure, store: StickStore
) -> None:
    # Four structures of space group 225 and one of 152; training would draw both groups alike.
    is_chosen = np.isin(store.space_group_number, [225, 152])
    chosen = replace(store, family_hash=np.where(is_chosen, 0, 1).astype(np.uint64))
    (batch,) = calibration_batches(configure(class_exponent=0.0), chosen, n_patterns=250)
    is_cubic = (batch.space_group_index == 224).numpy()
    assert set(batch.space_group_index.tolist()) == {224, 151}
    # Three standard deviations of a binomial share.
    assert is_cubic.mean() == pytest.approx(4 / 5, abs=3 * np.sqrt(0.8 * 0.2 / 250))


def test_calibration_has_a_recipe_of_its_own(configure: Configure, store: StickStore) -> None:
    def inputs(**recipes: str) -> torch.Tensor:
        (batch,) = calibration_batches(configure(**recipes), store, n_patterns=4)
        return batch.inputs

    assert torch.equal(inputs(), inputs(recipe="ideal"))
    assert not torch.equal(inputs(), inputs(calibration_recipe="ideal"))


def test_what_was_trained_on_is_the_beginning_of_the_training_stream(
    configure: Configure, store: StickStore
) -> None:
    configuration = configure(batch_parts=2)
    stream = training_stream(configuration, store, range(2))
    first, second = trained_batches(configuration, store, n_patterns=11)
    assert torch.equal(first.inputs, stream[0].inputs)
    assert torch.equal(second.inputs, stream[1].inputs[:3])
    assert torch.equal(second.space_group_index, stream[1].space_group_index[:3])


@pytest.mark.parametrize("n_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_failure_while_simulating_is_not_swallowed(
    configure: Configure, store: StickStore, n_workers: int
) -> None:
    stream = training_stream(configure(), store, range(1))
    strength = stream.sticks / "strength.npy"
    content = strength.read_bytes()
    np.save(strength, np.load(strength)[:10])
    try:
        with pytest.raises(IndexError):
            list(batches_ahead(stream, range(8), n_workers))
    finally:
        strength.write_bytes(content)
