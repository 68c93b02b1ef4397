import re

import pytest
from cif_text import WITH_OCCUPANCY, make_cif, write_cif

from phasepilot.models.errors import CrystalError
from phasepilot.models.identification.cif_library import open_cif_library


def test_every_cif_of_a_folder_becomes_a_phase_named_as_its_file(tmp_path):
    write_cif(tmp_path / "halite.cif", make_cif())
    write_cif(tmp_path / "sylvite.CIF", make_cif(atoms="K1 K 0 0 0\nCl1 Cl 0.5 0.5 0.5"))
    (tmp_path / "readme.txt").write_text("no structure")
    library, problems = open_cif_library(tmp_path)
    found = [(phase.name, phase.formula, phase.space_group_number) for phase in library.phases]
    assert found == [("halite", "NaCl", 225), ("sylvite", "KCl", 225)]
    assert problems == ()


def test_a_broken_file_is_told_and_the_others_are_read(tmp_path):
    write_cif(tmp_path / "a_broken.cif", "data_x\n_cell_length_a")
    write_cif(tmp_path / "halite.cif", make_cif())
    library, problems = open_cif_library(tmp_path)
    assert [phase.name for phase in library.phases] == ["halite"]
    assert len(problems) == 1
    assert re.search(r"a_broken\.cif must be a CIF file", problems[0])


def test_a_disordered_crystal_is_taken_with_the_average_of_its_sites(tmp_path):
    atoms = "Na1 Na 0 0 0 0.5\nK1 K 0 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1"
    write_cif(tmp_path / "mixed.cif", make_cif(columns=WITH_OCCUPANCY, atoms=atoms))
    library, problems = open_cif_library(tmp_path)
    assert problems == ()
    assert library.phases[0].formula == "KNaCl2"


def test_a_path_that_is_no_folder_is_told(tmp_path):
    with pytest.raises(CrystalError, match=r"must be a folder of CIF files, but .*absent is none"):
        open_cif_library(tmp_path / "absent")


def test_a_folder_without_cif_files_is_told(tmp_path):
    with pytest.raises(CrystalError, match=r"must hold CIF files, but .* has none; put one file"):
        open_cif_library(tmp_path)


def test_a_folder_of_broken_files_is_told_with_the_first_reason(tmp_path):
    write_cif(tmp_path / "broken.cif", "data_x\n_cell_length_a")
    with pytest.raises(CrystalError, match=r"1 CIF files .* the first says: .*broken\.cif must"):
        open_cif_library(tmp_path)
