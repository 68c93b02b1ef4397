import numpy as np
import pytest
from structure_rows import STRUCTURES, write_table

from phasepilot.models.diffraction.crystals.cell_materials import DIAMOND
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.images.reflection_store import (
    MOST_REFLECTIONS,
    REACH_PER_ANGSTROM,
    build_reflection_store,
    crystal_reflections,
    open_reflection_store,
)
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.errors import CrystalError, StickStoreError

HELD_OUT = {"Si", "Ge"}
LICENCES = ("COD CC0",)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    write_table(folder / "structures.parquet")
    build_reflection_store(
        folder / "structures.parquet", folder / "reflections", licences=LICENCES, n_workers=1
    )
    return folder


def test_half_of_the_sphere_has_half_of_the_intensity_of_the_powder_lines():
    sticks = powder_sticks(DIAMOND, 2 * np.pi * REACH_PER_ANGSTROM)
    found = crystal_reflections(DIAMOND)
    assert found.intensity.sum() == pytest.approx(sticks.structure_factor_squared.sum() / 2)
    assert (
        found.intensity.size == sticks.multiplicity[sticks.structure_factor_squared > 1].sum() / 2
    )


def test_no_reflection_comes_with_its_friedel_mate():
    triclinic = crystal_from_sites(
        "X", "P 1", (5.0, 6.0, 7.0, 80.0, 95.0, 103.0), [("Fe", (0, 0, 0)), ("O", (0.2, 0.3, 0.1))]
    )
    hkl = crystal_reflections(triclinic).hkl.astype(int)
    both = np.concatenate([hkl, -hkl])
    assert np.unique(both, axis=0).shape == both.shape
    assert not (both == 0).all(axis=1).any()


def test_only_the_strongest_of_a_large_cell_are_kept():
    large = crystal_from_sites("X", "P 1", (16.0,) * 3 + (90.0,) * 3, [("Fe", (0.1, 0.2, 0.3))])
    assert crystal_reflections(large).intensity.size == MOST_REFLECTIONS


def test_a_cell_too_long_for_its_indices_is_refused():
    long = crystal_from_sites("X", "P 1", (3, 3, 120.0, 90, 90, 90), [("Fe", (0, 0, 0))])
    with pytest.raises(CrystalError, match="edges below 101"):
        crystal_reflections(long)


def test_the_store_holds_what_each_crystal_gives(directory):
    store = open_reflection_store(directory / "reflections")
    assert 1 < store.n_structures <= len(STRUCTURES)
    table = {row.identifier: row for row in read_structures(directory / "structures.parquet")}
    for number, identifier in enumerate(store.identifier):
        row = table[str(identifier)]
        expected = crystal_reflections(row.crystal)
        found = store.reflections(number)
        np.testing.assert_array_equal(found.hkl, expected.hkl)
        np.testing.assert_array_equal(found.intensity, expected.intensity)
        assert store.row[number] == row.number
        assert store.space_group_number[number] == row.crystal.space_group_number


def test_families_are_held_out_as_for_powder_patterns(directory):
    store = open_reflection_store(directory / "reflections")
    table = {row.identifier: row for row in read_structures(directory / "structures.parquet")}
    for identifier, is_held_out in zip(store.identifier, store.is_held_out, strict=True):
        assert (table[str(identifier)].crystal.name in HELD_OUT) == is_held_out


def test_a_store_of_other_rows_is_not_taken_for_this_one(directory):
    with pytest.raises(StickStoreError, match="differs in max_per_space_group"):
        build_reflection_store(
            directory / "structures.parquet",
            directory / "reflections",
            licences=LICENCES,
            max_per_space_group=1,
        )


def test_a_folder_that_holds_no_store_is_named(tmp_path):
    with pytest.raises(StickStoreError, match="reflection store"):
        open_reflection_store(tmp_path)
