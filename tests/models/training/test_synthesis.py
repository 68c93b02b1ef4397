import numpy as np
import pytest

from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.preprocessing.configuration import GridConfiguration, Preprocessing
from phasepilot.models.training.synthesis import Batch, sampling_weights, synthesise

RECIPE = named_recipe("laboratory")
PREPROCESSING = Preprocessing(grid=GridConfiguration(n_bins=1024))
GRID = PREPROCESSING.grid.grid()


def make_batch(store: StickStore, seed: int, n_patterns: int = 12) -> Batch:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(store.n_structures, n_patterns)
    return synthesise(
        store,
        chosen,
        rng.choice(store.n_structures, n_patterns),
        recipe=RECIPE,
        preprocessing=PREPROCESSING,
        rng=rng,
    )


def test_the_same_seed_gives_the_same_batch(store: StickStore) -> None:
    one, again, other = (make_batch(store, seed) for seed in (1, 1, 2))
    assert one.inputs.tobytes() == again.inputs.tobytes()
    assert one.space_group_index.tolist() == again.space_group_index.tolist()
    assert one.inputs.tobytes() != other.inputs.tobytes()


@pytest.mark.parametrize("seed", range(4))
def test_batches_are_what_a_network_takes(store: StickStore, seed: int) -> None:
    batch = make_batch(store, seed)
    signal, mask = batch.inputs[:, 0], batch.inputs[:, 1]
    assert batch.inputs.shape == (12, 2, GRID.n_bins)
    assert batch.inputs.dtype == np.float32
    assert np.isfinite(batch.inputs).all()
    assert set(np.unique(mask)) <= {0.0, 1.0}
    assert ((signal >= 0) & (signal <= 1)).all()
    assert signal.max(axis=1).tolist() == [1.0] * 12
    assert (signal[mask == 0] == 0).all()
    assert ((batch.space_group_index >= 0) & (batch.space_group_index < 230)).all()


def test_labels_are_those_of_the_chosen_structures(store: StickStore) -> None:
    chosen = np.arange(store.n_structures)
    batch = synthesise(
        store,
        chosen,
        chosen[::-1],
        recipe=RECIPE,
        preprocessing=PREPROCESSING,
        rng=np.random.default_rng(0),
    )
    assert (batch.space_group_index + 1).tolist() == store.space_group_number.tolist()


def test_the_strongest_line_of_a_cubic_metal_is_where_its_lattice_says(store: StickStore) -> None:
    copper = np.full(32, 4)
    batch = synthesise(
        store,
        copper,
        copper,
        recipe=RECIPE,
        preprocessing=PREPROCESSING,
        rng=np.random.default_rng(0),
    )
    q_of_strongest = GRID.q_per_angstrom[batch.inputs[:, 0].argmax(axis=1)]
    q_111 = 2 * np.pi * np.sqrt(3) / 3.615
    # The strain is drawn from 6 % either way; texture may make another line the strongest.
    is_111 = np.abs(q_of_strongest / q_111 - 1) < 0.07
    assert is_111.mean() > 0.7


def test_an_exponent_of_one_keeps_frequencies_and_zero_evens_classes_out() -> None:
    numbers = np.array([225] * 6 + [62] * 3 + [2])
    as_they_are = sampling_weights(numbers, 1.0)
    even = sampling_weights(numbers, 0.0)
    np.testing.assert_allclose(as_they_are, np.full(10, 0.1))
    for number in (225, 62, 2):
        assert even[numbers == number].sum() == pytest.approx(1 / 3)
