import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from structure_rows import BADDELEYITE, NACL, SI, STRUCTURES, make_row, write_table

from phasepilot.models.diffraction import stick_store as module
from phasepilot.models.diffraction.crystals.cell_materials import DIAMOND
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.reflections import form_factors, powder_sticks
from phasepilot.models.diffraction.stick_store import (
    MAX_LINES,
    StickStore,
    build_stick_store,
    open_stick_store,
    stick_store,
)
from phasepilot.models.errors import CrystalError, StickStoreError

# Of the families of these rows only the one of diamond is held out.
HELD_OUT = {"Si", "Ge"}
OPTIONS = {"licences": ("COD CC0",), "q_max_per_angstrom": 6.8, "max_atoms": 50}
ARRAYS = tuple(StickStore.__slots__)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """One store for all tests: building it starts processes."""
    folder = tmp_path_factory.mktemp("store")
    table = write_table(folder / "structures.parquet")
    build_stick_store(table, folder / "sticks", **OPTIONS, n_workers=1)
    return folder / "sticks"


@pytest.fixture
def store(directory) -> StickStore:
    return open_stick_store(directory)


@pytest.fixture
def copy(directory, tmp_path) -> Path:
    """A store that a test may spoil, beside the table it was built from."""
    shutil.copy(directory.parent / "structures.parquet", tmp_path)
    return Path(shutil.copytree(directory, tmp_path / "sticks"))


def table_of(folder: Path) -> Path:
    return folder.parent / "structures.parquet"


def lines_of(store, number):
    return slice(store.offsets[number], store.offsets[number + 1])


def assert_same(one, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_every_structure_of_the_table_is_in_the_store(store):
    assert store.n_structures == len(STRUCTURES)
    assert store.space_group_number.tolist() == [row["sg"] for row in STRUCTURES]
    assert store.identifier.tolist() == [row["id"] for row in STRUCTURES]
    assert store.offsets[0] == 0
    n_lines = store.offsets[-1]
    assert n_lines == store.q_per_angstrom.size == store.strength.size == store.multiplicity.size
    assert store.hkl.shape == (n_lines, 3)
    assert store.reciprocal.shape == (len(STRUCTURES), 3, 3)


def test_a_store_is_mapped_and_not_read(store):
    for name in ARRAYS:
        assert isinstance(getattr(store, name), np.memmap), name


def test_q_is_the_length_of_h_a_star_and_so_on(store):
    for number in range(store.n_structures):
        lines = lines_of(store, number)
        vectors = store.hkl[lines] @ store.reciprocal[number]
        expected = 2 * np.pi * np.linalg.norm(vectors, axis=1)
        assert store.q_per_angstrom[lines] == pytest.approx(expected, rel=1e-6)
        assert (np.diff(store.q_per_angstrom[lines]) >= 0).all()
        assert store.q_per_angstrom[lines].max() <= 6.8


def test_lines_are_the_strongest_that_can_be_seen(directory, store):
    crystals = [row.crystal for row in read_structures(table_of(directory))]
    for number, crystal in enumerate(crystals):
        held = {tuple(hkl) for hkl in store.hkl[lines_of(store, number)].tolist()}
        sticks = powder_sticks(crystal, 6.8, b_square_angstrom=0.0)
        height = sticks.structure_factor_squared / sticks.q_per_angstrom**2
        is_held = np.array([tuple(hkl) in held for hkl in sticks.hkl.tolist()])
        assert 0 < is_held.sum() == len(held) <= MAX_LINES
        # What is left out is weaker than all that is kept, or below a ten-thousandth.
        lost = height[~is_held].max(initial=0)
        assert lost < max(height[is_held].min(), 1.01e-4 * height.max())


def test_strengths_are_per_square_of_the_volume():
    # One gold atom in a cube, for which |F| is f.
    edge = 3.0
    cube = crystal_from_sites("Au", "P m -3 m", (edge,) * 3 + (90.0,) * 3, [("Au", (0, 0, 0))])
    held = stick_store([cube], 5.0)
    f = form_factors(np.array([79]), (held.q_per_angstrom.astype(float) / (4 * np.pi)) ** 2)[:, 0]
    assert held.strength == pytest.approx(held.multiplicity * f**2 / edge**6, rel=1e-5)
    assert held.multiplicity[:4].tolist() == [6, 12, 8, 6]


def test_doubling_a_cell_changes_neither_lines_nor_strengths():
    # The same crystal, described with a cell of eight times the volume.
    small = crystal_from_sites("Po", "P m -3 m", (3.0,) * 3 + (90.0,) * 3, [("Po", (0, 0, 0))])
    corners = [(x, y, z) for x in (0, 0.5) for y in (0, 0.5) for z in (0, 0.5)]
    sites = [("Po", corner) for corner in corners]
    large = crystal_from_sites("Po8", "P 1", (6.0,) * 3 + (90.0,) * 3, sites)
    sums = []
    for crystal in (small, large):
        held = stick_store([crystal], 5.0)
        q = np.round(held.q_per_angstrom, 3)
        sums.append({one: held.strength[q == one].sum() for one in np.unique(q).tolist()})
    assert sums[0] == pytest.approx(sums[1], rel=1e-4)


def test_the_lines_of_rock_salt_are_all_even_or_all_odd(store):
    q = store.q_per_angstrom[lines_of(store, 0)]
    sums = np.round((q * NACL["a"] / (2 * np.pi)) ** 2, 2)
    assert sums.tolist()[:7] == [3, 4, 8, 11, 12, 16, 19]
    assert store.multiplicity[lines_of(store, 0)].tolist()[:7] == [8, 6, 12, 24, 8, 6, 24]


def test_families_are_held_out_as_a_whole(store):
    assert {row["formula"] for row in np.array(STRUCTURES)[store.is_held_out]} == HELD_OUT
    families = {
        family: set(store.is_held_out[store.family_hash == family].tolist())
        for family in store.family_hash.tolist()
    }
    assert all(len(sides) == 1 for sides in families.values())


def test_a_store_in_memory_holds_what_the_one_on_disk_does(directory, store):
    crystals = [row.crystal for row in read_structures(table_of(directory))]
    in_memory = stick_store(crystals, 6.8)
    assert in_memory.identifier.tolist() == [crystal.name for crystal in crystals]
    for name in set(ARRAYS) - {"identifier", "family_hash"}:
        np.testing.assert_array_equal(getattr(in_memory, name), getattr(store, name))


def test_a_crystal_without_a_line_in_the_range_is_refused():
    with pytest.raises(CrystalError, match="diamond must have a line up to q = 2 1/angstrom"):
        stick_store([DIAMOND], 2.0)


def test_other_licences_large_cells_and_later_rows_are_left_out(tmp_path):
    rows = (
        {**NACL, "licence": "all rights reserved"},
        {**NACL, "licence": None},
        BADDELEYITE,
        SI,
        make_row("Fe", (229, 529), (2.866,) * 3 + (90.0,) * 3, [(26, (0.0, 0.0, 0.0), 2)]),
    )
    progress: list[tuple[int, int]] = []
    built = build_stick_store(
        write_table(tmp_path / "structures.parquet", rows),
        tmp_path / "sticks",
        licences=("COD CC0",),
        q_max_per_angstrom=6.0,
        max_atoms=10,
        max_rows=4,
        progress=lambda done, total: progress.append((done, total)),
    )
    assert built.space_group_number.tolist() == [SI["sg"]]
    assert progress[-1] == (4, 4)


def test_no_licence_asked_for_takes_all(tmp_path):
    rows = ({**NACL, "licence": "all rights reserved"}, {**SI, "licence": None})
    table = write_table(tmp_path / "structures.parquet", rows)
    built = build_stick_store(
        table, tmp_path / "sticks", **{**OPTIONS, "licences": None}, n_workers=1
    )
    assert built.n_structures == 2


def test_a_store_built_before_is_opened_and_not_built_again(copy, store):
    before = (copy / "strength.npy").stat().st_mtime_ns
    assert_same(build_stick_store(table_of(copy), copy, **OPTIONS), store)
    assert (copy / "strength.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize("n_left", [0, 4])
def test_building_goes_on_where_it_was_interrupted(copy, store, n_left):
    """Killed while the parts were joined: parts and the first arrays lie there."""
    parts = copy / "parts"
    parts.mkdir()
    np.savez(parts / "0.npz", **{name: getattr(store, name) for name in ARRAYS})
    for name in ARRAYS[n_left:]:
        (copy / f"{name}.npy").unlink(missing_ok=True)
    # The one array that is written last says that all are there.
    (copy / f"{module._ARRAYS[-1]}.npy").unlink(missing_ok=True)
    done: list[tuple[int, int]] = []
    again = build_stick_store(
        table_of(copy), copy, **OPTIONS, progress=lambda *counts: done.append(counts)
    )
    assert_same(again, store)
    assert done == [(len(STRUCTURES), len(STRUCTURES))]
    assert not parts.exists()


def test_parts_that_were_written_are_taken_up_and_not_computed_again(copy, store):
    """A part of one structure, as no table would give it, shows that it was taken as it was."""
    for name in ARRAYS:
        (copy / f"{name}.npy").unlink()
    (copy / "parts").mkdir()
    one = stick_store([DIAMOND], 6.8)
    np.savez(copy / "parts" / "0.npz", **{name: getattr(one, name) for name in ARRAYS})
    (copy / "parts" / "4000.tmp.npz").write_bytes(b"cut off")
    assert_same(build_stick_store(table_of(copy), copy, **OPTIONS), one)


def test_a_store_of_another_configuration_is_refused(copy):
    changes = {"licences": ("COD CC0", "MIT"), "max_atoms": 60}
    with pytest.raises(
        StickStoreError, match=r"differs in licences, max_atoms; use another folder, or delete that"
    ):
        build_stick_store(table_of(copy), copy, **{**OPTIONS, **changes})
    with pytest.raises(StickStoreError, match="differs in q_max_per_angstrom"):
        build_stick_store(table_of(copy), copy, **{**OPTIONS, "q_max_per_angstrom": 7.0})
    other = Path(shutil.copy(table_of(copy), copy.parent / "others.parquet"))
    with pytest.raises(StickStoreError, match="differs in structures"):
        build_stick_store(other, copy, **OPTIONS)
    with pytest.raises(StickStoreError, match="differs in max_rows"):
        build_stick_store(table_of(copy), copy, **OPTIONS, max_rows=3)


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_folder_that_does_not_say_what_it_holds_is_refused(copy, content):
    about = copy / "about.json"
    about.unlink() if content is None else about.write_text(content)
    with pytest.raises(StickStoreError, match=r"must say in about\.json .* delete the folder"):
        build_stick_store(table_of(copy), copy, **OPTIONS)


def test_the_configuration_is_kept_for_people_to_read(directory):
    about = json.loads((directory / "about.json").read_text())
    assert about["structures"] == "structures.parquet"
    assert about["q_max_per_angstrom"] == 6.8
    assert about["licences"] == ["COD CC0"]


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("")])
@pytest.mark.parametrize("name", ["offsets", "reciprocal"])
def test_a_store_that_is_not_whole_is_refused(copy, spoil, name):
    spoil(copy / f"{name}.npy")
    with pytest.raises(StickStoreError, match=r"a stick store must hold .* delete the folder"):
        open_stick_store(copy)


def test_building_from_a_file_that_is_no_table_says_so(tmp_path):
    path = tmp_path / "structures.parquet"
    path.write_text("id,formula\n")
    with pytest.raises(CrystalError, match="must be a Parquet table"):
        build_stick_store(path, tmp_path / "sticks", **OPTIONS, n_workers=1)


def test_parts_are_joined_in_the_order_of_the_table(copy, store, monkeypatch):
    monkeypatch.setattr(module, "_ROWS_PER_PART", 5)
    progress: list[int] = []
    built = build_stick_store(
        table_of(copy),
        copy.parent / "in parts",
        **OPTIONS,
        progress=lambda done, _: progress.append(done),
    )
    assert_same(built, store)
    assert progress == [0, 5, 10, 15, 16]


def test_a_table_of_which_nothing_is_left_makes_an_empty_store(tmp_path):
    table = write_table(tmp_path / "structures.parquet", ({**NACL, "licence": "none"},))
    built = build_stick_store(table, tmp_path / "sticks", **OPTIONS, n_workers=1)
    assert built.n_structures == 0
    assert built.offsets.tolist() == [0]


def test_an_empty_table_is_refused(tmp_path):
    import pyarrow.parquet

    table = write_table(tmp_path / "structures.parquet", STRUCTURES[:1])
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(table).slice(0, 0), table)
    with pytest.raises(StickStoreError, match="must have rows"):
        build_stick_store(
            table, tmp_path / "sticks", licences=None, q_max_per_angstrom=6.0, max_atoms=10
        )


@pytest.mark.parametrize(
    ("space_group", "cell"),
    [
        ("P 1 1 2/m", (4.0, 5.0, 6.0, 90.0, 90.0, 100.0)),
        ("R -3 m:R", (5.0, 5.0, 5.0, 70.0, 70.0, 70.0)),
    ],
)
def test_crystals_with_other_axes_than_the_standard_setting_s_are_refused(space_group, cell):
    # Strain and texture go by the standard axes: they would split families here.
    crystal = crystal_from_sites("odd", space_group, cell, [("Si", (0.0, 0.0, 0.0))])
    with pytest.raises(CrystalError, match="odd must be in the standard setting"):
        stick_store([crystal], 6.0)
