from pathlib import Path

import numpy as np
import pytest
from structure_rows import BADDELEYITE, NACL, SI, STRUCTURES, make_row, write_table

from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.diffraction.stick_store import (
    MAX_LINES,
    StickStore,
    build_stick_store,
    open_stick_store,
)
from phasepilot.models.diffraction.structure_table import read_structures
from phasepilot.models.errors import CrystalError, TrainingError

# Diamond, CsCl, rutile, ZnS and hcp Mg; Ge has the family of Si.
HELD_OUT = {"Si", "Ge", "CsCl", "TiO2", "ZnS", "Mg"}


def test_every_structure_of_the_table_is_in_the_store(store: StickStore) -> None:
    numbers = [row["sg"] for row in STRUCTURES]
    assert store.n_structures == len(STRUCTURES)
    assert store.space_group_number.tolist() == numbers
    assert store.offsets[0] == 0
    assert store.offsets[-1] == store.q_per_angstrom.size == store.strength.size
    assert isinstance(store.q_per_angstrom, np.memmap)


def test_lines_are_those_that_can_be_seen_and_the_strongest_is_one(
    store: StickStore, store_directory: Path
) -> None:
    crystals = [
        row.crystal for row in read_structures(store_directory.parent / "structures.parquet")
    ]
    for number, crystal in enumerate(crystals):
        lines = slice(store.offsets[number], store.offsets[number + 1])
        q, strength = store.q_per_angstrom[lines], store.strength[lines]
        assert 0 < q.size <= MAX_LINES
        assert (np.diff(q) >= 0).all()
        assert strength.max() == 1.0
        all_lines = powder_sticks(crystal, 6.8)
        assert np.isin(q, all_lines.q_per_angstrom.astype(np.float32)).all()


def test_the_lines_of_rock_salt_are_all_even_or_all_odd(store: StickStore) -> None:
    q = store.q_per_angstrom[store.offsets[0] : store.offsets[1]]
    sums = np.round((q * NACL["a"] / (2 * np.pi)) ** 2, 2)
    assert sums.tolist()[:7] == [3, 4, 8, 11, 12, 16, 19]


def test_families_are_held_out_as_a_whole(store: StickStore) -> None:
    held_out = {row["formula"] for row in np.array(STRUCTURES)[store.is_held_out]}
    assert held_out == HELD_OUT
    families = {
        family: set(store.is_held_out[store.family_hash == family].tolist())
        for family in store.family_hash.tolist()
    }
    assert all(len(sides) == 1 for sides in families.values())


def test_other_licences_large_cells_and_later_rows_are_left_out(tmp_path: Path) -> None:
    rows = (
        {**NACL, "licence": "all rights reserved"},
        {**NACL, "licence": None},
        BADDELEYITE,
        SI,
        make_row("Fe", (229, 529), (2.866,) * 3 + (90.0,) * 3, [(26, (0.0, 0.0, 0.0), 2)]),
    )
    progress: list[tuple[int, int]] = []
    store = build_stick_store(
        write_table(tmp_path / "structures.parquet", rows),
        tmp_path / "sticks",
        licences=("COD CC0",),
        q_max_per_angstrom=6.0,
        max_atoms=10,
        max_rows=4,
        n_workers=2,
        progress=lambda done, total: progress.append((done, total)),
    )
    assert store.space_group_number.tolist() == [SI["sg"]]
    assert progress == [(4, 4)]


def test_building_from_a_file_that_is_no_table_says_so(tmp_path: Path) -> None:
    path = tmp_path / "structures.parquet"
    path.write_text("id,formula\n")
    with pytest.raises(CrystalError, match="must be a Parquet table"):
        build_stick_store(
            path,
            tmp_path / "sticks",
            licences=(),
            q_max_per_angstrom=6.0,
            max_atoms=10,
            n_workers=1,
        )


def test_a_store_built_before_is_opened_again_and_only_for_the_same_run(
    store_directory: Path, store: StickStore
) -> None:
    options = {"licences": ("COD CC0",), "q_max_per_angstrom": 6.8, "max_atoms": 50}
    table = store_directory.parent / "structures.parquet"
    again = build_stick_store(table, store_directory, **options)
    assert again.offsets.tolist() == store.offsets.tolist()
    changes = {"licences": ("COD CC0", "MIT"), "max_atoms": 60}
    with pytest.raises(TrainingError, match=r"differs in licences, max_atoms; use another work"):
        build_stick_store(table, store_directory, **{**options, **changes})


def test_a_store_whose_building_was_killed_is_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "structures.parquet")
    (tmp_path / "sticks").mkdir()
    with pytest.raises(TrainingError, match=r"about\.json .* delete the folder"):
        build_stick_store(
            path, tmp_path / "sticks", licences=(), q_max_per_angstrom=6.0, max_atoms=10
        )


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("")])
def test_a_store_that_is_not_whole_is_refused(tmp_path: Path, store: StickStore, spoil) -> None:
    for name in ("q_per_angstrom", "strength", "offsets", "space_group_number", "family_hash"):
        np.save(tmp_path / f"{name}.npy", getattr(store, name))
    spoil(tmp_path / "offsets.npy")
    with pytest.raises(TrainingError, match=r"a stick store must hold .* delete the folder"):
        open_stick_store(tmp_path)
