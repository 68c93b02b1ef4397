"""CIF files that come back as the crystal they were written from, here and in pymatgen."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure
from structure_rows import STRUCTURES, write_table

from phasepilot.models.diffraction.crystals.cif import Disorder, read_cif
from phasepilot.models.diffraction.crystals.cif_writer import cif_text
from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.errors import CrystalError


@pytest.fixture(scope="module")
def crystals(tmp_path_factory: pytest.TempPathFactory) -> list[Crystal]:
    table = write_table(tmp_path_factory.mktemp("table") / "table.parquet", STRUCTURES)
    return [row.crystal for row in read_structures(table)]


def test_what_is_written_diffracts_as_before(crystals: list[Crystal], tmp_path: Path) -> None:
    for number, one in enumerate(crystals):
        path = tmp_path / f"{number}.cif"
        path.write_text(cif_text(one, one.name))
        again = read_cif(path)
        assert again.space_group_number == one.space_group_number
        before, after = (powder_sticks(each, 5.0, b_square_angstrom=1.0) for each in (one, again))
        np.testing.assert_allclose(after.q_per_angstrom, before.q_per_angstrom, atol=1e-5)
        np.testing.assert_allclose(
            after.structure_factor_squared,
            before.structure_factor_squared,
            rtol=2e-3,
            atol=2e-3 * before.structure_factor_squared.max(),
        )


def test_pymatgen_reads_the_same_cell_and_atoms(crystals: list[Crystal]) -> None:
    for one in crystals:
        with warnings.catch_warnings():
            # It wonders about coordinates near a third, and mends them.
            warnings.simplefilter("ignore", UserWarning)
            structure = Structure.from_str(cif_text(one, one.name), fmt="cif")
        assert len(structure) == one.atomic_numbers.size
        assert structure.lattice.parameters == pytest.approx(one.cell, abs=1e-5)
        assert sorted(structure.atomic_numbers) == sorted(one.atomic_numbers.tolist())


def test_occupancies_and_terms_of_use_are_kept(tmp_path: Path) -> None:
    half = crystal(
        "half",
        hall_number=523,
        cell=(5.64, 5.64, 5.64, 90.0, 90.0, 90.0),
        atomic_numbers=np.array([11, 17]),
        fractional=np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
        occupancies=np.array([0.5, 1.0]),
    )
    text = cif_text(half, "half a salt", licence="CC0\nof a kind")
    assert text.splitlines()[:2] == ["# Terms of use: CC0 of a kind", "data_half_a_salt"]
    path = tmp_path / "half.cif"
    path.write_text(text)
    again = read_cif(path, disorder=Disorder.AVERAGE)
    assert sorted(set(again.occupancies.tolist())) == [0.5, 1.0]
    assert again.name == "NaCl2"


def test_atoms_on_top_of_each_other_are_refused() -> None:
    crowded = crystal(
        "crowded",
        hall_number=1,
        cell=(5.0, 5.0, 5.0, 90.0, 90.0, 90.0),
        atomic_numbers=np.array([11, 11]),
        fractional=np.array([[0.0, 0.0, 0.0], [0.06, 0.0, 0.0]]),
    )
    with pytest.raises(CrystalError, match=r"must keep its atoms at least 0\.5 angstrom apart"):
        cif_text(crowded, "crowded")
