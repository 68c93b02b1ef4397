from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from training_run import Configure

from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.errors import TrainingError
from phasepilot.models.training.structure_choice import (
    StructureChoice,
    held_out_structures,
    trained_structures,
)


def add_columns(table: Path, **columns: list[str | None]) -> None:
    content = pq.read_table(table)
    for name, values in columns.items():
        content = content.append_column(name, pa.array(values))
    pq.write_table(content, table)


def test_no_family_is_both_trained_on_and_held_out(configure: Configure, store: StickStore) -> None:
    trained = trained_structures(configure(), store).structures
    held_out = held_out_structures(configure(), store).structures
    assert not set(store.family_hash[trained].tolist()) & set(store.family_hash[held_out].tolist())
    assert sorted([*trained, *held_out]) == list(range(store.n_structures))
    assert (store.family_hash[held_out] % 10 == 0).all()


def test_structures_are_drawn_as_often_as_their_weights_say() -> None:
    choice = StructureChoice(np.array([7, 3, 5]), np.array([0.5, 0.2, 0.3]), np.array([0, 1, 1]))
    drawn = choice.draw(20_000, np.random.default_rng(0))
    share = np.bincount(drawn, minlength=8)[[7, 3, 5]] / drawn.size
    # Three standard deviations of a binomial share.
    np.testing.assert_allclose(share, choice.weights, atol=3 * np.sqrt(0.25 / drawn.size))


def test_every_draw_is_a_structure_however_the_weights_add_up() -> None:
    weights = np.full(10, 0.1)
    assert weights.cumsum()[-1] < 1
    choice = StructureChoice(np.arange(10), weights, np.zeros(10, dtype=int))

    class Highest(np.random.Generator):
        def random(self, size: int) -> np.ndarray:  # type: ignore[override, type-arg]
            return np.full(size, np.nextafter(1, 0))

    assert choice.draw(2, Highest(np.random.PCG64())).tolist() == [9, 9]


def test_frequencies_of_space_groups_are_those_of_the_draws() -> None:
    choice = StructureChoice(np.arange(3), np.array([0.5, 0.2, 0.3]), np.array([0, 1, 1]))
    assert choice.space_group_frequency[:3].tolist() == [0.5, 0.5, 0.0]
    log_frequency = choice.log_space_group_frequency
    assert log_frequency.shape == (230,)
    assert log_frequency.tolist() == [np.log(0.5)] * 230


def test_structures_from_experiments_are_drawn_more_often(
    configure: Configure, store: StickStore
) -> None:
    configuration = configure(
        experimental_weight=4.0, experimental_sources=["cod", "amcsd"], class_exponent=1.0
    )
    n = store.n_structures
    sources: list[str | None] = ["materials project"] * n
    minerals: list[str | None] = [None] * n
    trained = trained_structures(configure(), store).structures
    from_cod, named, unknown = (int(k) for k in trained[:3])
    sources[from_cod], minerals[named], sources[unknown] = "cod-2024", "halite", None
    add_columns(configuration.structures, source=sources, mineral=minerals)
    weights = trained_structures(configuration, store).weights
    assert weights.sum() == pytest.approx(1)
    expected = np.where(np.isin(trained, [from_cod, named]), 4.0, 1.0)
    np.testing.assert_allclose(weights / weights.min(), expected)


def test_a_table_without_origins_cannot_weight_them(
    configure: Configure, store: StickStore
) -> None:
    with pytest.raises(TrainingError, match=r"needs the columns id, source, mineral, but .* lacks"):
        trained_structures(configure(experimental_weight=4.0), store)


def test_origins_need_the_table(configure: Configure, store: StickStore) -> None:
    configuration = configure(experimental_weight=4.0)
    configuration.structures.unlink()
    with pytest.raises(TrainingError, match=r"must be a Parquet table, but .* give the path of"):
        trained_structures(configuration, store)


@pytest.mark.parametrize(
    ("family_hash", "choose", "told"),
    [
        (
            1,
            held_out_structures,
            "validation needs structures of held-out families, but none",
        ),
        (10, trained_structures, "training needs structures of families that are not held out"),
    ],
)
def test_both_kinds_of_families_are_needed(
    configure: Configure, store: StickStore, family_hash: int, choose: object, told: str
) -> None:
    one_kind = replace(store, family_hash=np.full_like(store.family_hash, family_hash))
    with pytest.raises(TrainingError, match=rf"{told}.*; use more rows of the table"):
        choose(configure(), one_kind)  # type: ignore[operator]
