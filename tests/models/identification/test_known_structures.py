"""Known structures of a folder of CIF files, or of an index that was built before."""

from pathlib import Path

import numpy as np
import pytest
from cif_text import WITH_OCCUPANCY, make_cif, write_cif
from search_library import make_crystals, make_index, prepared_pattern

from phasepilot.models.errors import CrystalError, StickStoreError
from phasepilot.models.identification.coarse_search import search
from phasepilot.models.identification.known_phase import known_phase
from phasepilot.models.identification.known_structures import (
    index_of_crystals,
    library_of,
    open_known_structures,
)
from phasepilot.models.identification.search_index import SearchIndex, write_search_index

MIXED = "Na1 Na 0 0 0 0.5\nK1 K 0 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rock salt, one that is broken, one that is disordered, and a note."""
    write_cif(tmp_path / "halite.cif", make_cif())
    write_cif(tmp_path / "broken.cif", "not a crystal")
    write_cif(tmp_path / "mixed.CIF", make_cif(columns=WITH_OCCUPANCY, atoms=MIXED))
    (tmp_path / "README.txt").write_text("where they are from")
    return tmp_path


def test_a_phase_is_called_as_its_file(folder: Path) -> None:
    index, _ = open_known_structures(folder)
    assert index.labels.name.tolist() == ["halite", "mixed"]
    assert index.labels.formula[0] == "NaCl"
    assert index.sticks.space_group_number.tolist() == [225, 225]


def test_a_broken_file_is_left_out_and_named(folder: Path) -> None:
    index, problems = open_known_structures(folder)
    assert index.n_structures == 2
    (sentence,) = problems
    assert sentence.startswith(f"{folder / 'broken.cif'} must be a CIF file, but")


def test_a_disordered_crystal_counts_with_the_average_of_its_sites(folder: Path) -> None:
    index, _ = open_known_structures(folder)
    # In 111 of rock salt f(Cl) is taken from f(cation): K, with 19 electrons, all but cancels it.
    strengths = []
    for number in range(2):
        sticks = index.sticks_of(number)
        lowest = sticks.q_per_angstrom.argsort()[:2]
        strengths.append(sticks.strength[lowest[0]] / sticks.strength[lowest[1]])
    assert strengths[1] < strengths[0] < 0.2


def test_a_folder_with_an_index_is_opened_as_one(tmp_path: Path) -> None:
    made = make_index(tmp_path)
    write_search_index(made.sticks, made.labels, tmp_path / "known", about={})
    index, problems = open_known_structures(tmp_path / "known")
    assert problems == ()
    assert index.labels.formula.tolist() == made.labels.formula.tolist()
    np.testing.assert_array_equal(index.templates, made.templates)


def test_an_unfinished_index_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "templates.npy", np.zeros((1, 1), dtype=np.int8))
    with pytest.raises(StickStoreError, match=r"is not one \(.*about.json.*finish building it"):
        open_known_structures(tmp_path)


def test_a_library_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CrystalError, match=r"but .*none is no folder; give the folder that holds"):
        open_known_structures(tmp_path / "none")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CrystalError, match=r"none of the 0 in .* can; put one file \(\.cif\) for each known phase"
    ):
        open_known_structures(tmp_path)


def test_a_folder_of_broken_files_is_refused_with_what_is_wrong_with_the_first(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        write_cif(tmp_path / f"{name}.cif", "not a crystal")
    with pytest.raises(CrystalError, match=r"none of the 2 in .* can: .*a\.cif must be a CIF file"):
        open_known_structures(tmp_path)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    crystals = make_crystals(tmp_path_factory.mktemp("crystals"))
    return index_of_crystals(list(crystals.items()))


def test_crystals_are_found_under_the_names_given(index: SearchIndex, tmp_path: Path) -> None:
    crystals = make_crystals(tmp_path)
    assert index.labels.name.tolist() == list(crystals)
    assert index.labels.n_atoms.tolist() == [one.atomic_numbers.size for one in crystals.values()]
    found = search(index, prepared_pattern(crystals["ZrO2"]), n_candidates=3)
    assert index.labels.name[found.structure[0]] == "ZrO2"


def test_only_crystals_of_the_elements_are_found(index: SearchIndex, tmp_path: Path) -> None:
    pattern = prepared_pattern(make_crystals(tmp_path)["ZrO2"])
    found = search(index, pattern, n_candidates=30, elements=[8, 14, 22])
    assert set(index.labels.name[found.structure]) == {"Si", "SiO2", "TiO2"}


def test_a_structure_of_an_index_has_the_lines_of_its_crystal(
    index: SearchIndex, tmp_path: Path
) -> None:
    number = index.labels.name.tolist().index("TiO2")
    (stored,) = library_of(index, np.array([number])).phases
    known = known_phase(make_crystals(tmp_path)["TiO2"], "TiO2")
    assert (stored.name, stored.formula, stored.space_group_number) == ("TiO2", "TiO2", 136)
    strongest = np.argsort(-known.strength)[:10]
    for q, strength in zip(known.q_per_angstrom[strongest], known.strength[strongest], strict=True):
        same = int(np.abs(stored.q_per_angstrom - q).argmin())
        assert stored.q_per_angstrom[same] == pytest.approx(q, rel=1e-6)
        ratio = stored.strength[same] / stored.strength.max() / (strength / known.strength.max())
        assert ratio == pytest.approx(1, rel=1e-4)


def test_a_library_holds_its_structures_in_the_order_given(index: SearchIndex) -> None:
    library = library_of(index, np.array([3, 0]))
    assert [phase.name for phase in library.phases] == ["Ge", "NaCl"]
