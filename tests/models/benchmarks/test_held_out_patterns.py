"""Held-out structures: only families that are never trained on, from a table or from its sticks."""

from pathlib import Path

import numpy as np
import pytest
from benchmark_cases import DIAMOND_GROUP, write_diamonds

from phasepilot.models.benchmarks.held_out_patterns import (
    HeldOut,
    held_out_structures,
    simulated_patterns,
)
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.stick_store import build_stick_store
from phasepilot.models.errors import CrystalError

CUBIC = range(195, 231)
N_DIAMONDS = 70
DIAMOND_INDEX = DIAMOND_GROUP - 1


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More structures than are simulated at once."""
    return write_diamonds(tmp_path_factory.mktemp("table") / "structures.parquet", N_DIAMONDS)


@pytest.fixture(scope="module")
def sticks(table: Path) -> Path:
    build_stick_store(
        table,
        table.parent / "sticks",
        licences=None,
        q_max_per_angstrom=7.0,
        max_atoms=200,
        n_workers=1,
    )
    return table.parent / "sticks"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def lengths(held_out: HeldOut) -> np.ndarray:
    identifiers = held_out.store.identifier[held_out.chosen]
    return np.array([float(str(name).removeprefix("test-")) for name in identifiers])


@pytest.mark.parametrize("space_groups", [CUBIC, range(1, 231)])
def test_only_held_out_families_of_a_table_are_taken(
    table: Path, rng: np.random.Generator, space_groups: range
) -> None:
    held_out = held_out_structures(table, 8, rng, space_groups=space_groups)
    assert held_out.space_group_index.tolist() == [DIAMOND_INDEX] * 8
    assert np.unique(lengths(held_out)).size == 8


def test_sticks_of_the_table_give_held_out_structures_too(
    sticks: Path, rng: np.random.Generator
) -> None:
    held_out = held_out_structures(sticks, N_DIAMONDS, rng, space_groups=range(1, 231))
    assert set(held_out.space_group_index) == {DIAMOND_INDEX}
    assert np.unique(lengths(held_out)).size == N_DIAMONDS


def test_a_folder_that_holds_the_table_will_do(table: Path, rng: np.random.Generator) -> None:
    assert held_out_structures(table.parent, 2, rng, space_groups=CUBIC).chosen.size == 2


def test_too_few_held_out_structures_are_said_so(table: Path, rng: np.random.Generator) -> None:
    with pytest.raises(CrystalError, match=r"71 structures of held-out .* gave 70; give a larger"):
        held_out_structures(table, N_DIAMONDS + 1, rng, space_groups=CUBIC)


def test_no_table_is_said_so(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(CrystalError, match=r"needs a structure table, but none is given; name it"):
        held_out_structures(None, 1, rng, space_groups=CUBIC)
    with pytest.raises(CrystalError, match=r"one file structures.parquet, but holds 0; give"):
        held_out_structures(tmp_path, 1, rng, space_groups=CUBIC)
    (tmp_path / "no.parquet").write_text("text")
    with pytest.raises(CrystalError, match=r"structures must be a Parquet table"):
        held_out_structures(tmp_path / "no.parquet", 1, rng, space_groups=CUBIC)


def test_each_structure_gives_its_own_pattern(table: Path, rng: np.random.Generator) -> None:
    held_out = held_out_structures(table, N_DIAMONDS, rng, space_groups=CUBIC)
    settings = named_recipe("ideal").draw(N_DIAMONDS, rng)
    patterns = simulated_patterns(held_out, settings, rng)
    assert patterns[0].wavelength_angstrom == pytest.approx(1.54060, abs=1e-4)
    # 111 is the strongest line of diamond structures: q = 2 pi sqrt(3) / a.
    highest = [one.q_per_angstrom[one.intensity.argmax()] for one in patterns]
    expected = 2 * np.pi * np.sqrt(3) / lengths(held_out)
    np.testing.assert_allclose(highest, expected, rtol=0.001)


def test_points_that_were_not_measured_are_not_in_the_pattern(
    table: Path, rng: np.random.Generator
) -> None:
    held_out = held_out_structures(table, 4, rng, space_groups=CUBIC)
    recipe = named_recipe("ideal")
    settings = recipe.draw(4, rng)
    settings.columns["coarsening"][:] = 4
    assert all(
        pattern.q_per_angstrom.size == recipe.axis.n_bins // 4
        for pattern in simulated_patterns(held_out, settings, rng)
    )
