"""Compounds named by a search over textbook structures, with the network that ships."""

from pathlib import Path

import pytest
from search_library import make_crystals, make_index, prepared_pattern
from structure_rows import STRUCTURES, cubic, make_row

from phasepilot.models.errors import WeightsError
from phasepilot.models.estimation.calibrated_model import CalibratedModel
from phasepilot.models.estimation.identification import identify
from phasepilot.models.networks.registry import load_model
from phasepilot.models.preprocessing.preparation import PreparedPattern

# The same compound from another source, its lattice a little larger.
OTHER_SALT = make_row(
    "NaCl",
    (225, 523),
    cubic(5.69),
    [(11, (0.0, 0.0, 0.0), 4), (17, (0.5, 0.5, 0.5), 4)],
    id="test-other-NaCl",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("identification")


@pytest.fixture(scope="module")
def prepared(folder: Path) -> PreparedPattern:
    return prepared_pattern(make_crystals(folder)["NaCl"], strain=0.012)


@pytest.fixture(scope="module")
def searching(folder: Path) -> CalibratedModel:
    return load_model(index=make_index(folder))


def test_a_compound_is_named_with_formula_space_group_and_strain(
    searching: CalibratedModel, prepared: PreparedPattern
) -> None:
    best = identify(searching, prepared)[0]
    assert (best.name, best.formula, best.space_group_number) == ("test-NaCl", "NaCl", 225)
    assert best.strain == pytest.approx(0.012, abs=1e-3)
    index = searching.searched_index()
    assert str(index.sticks.identifier[best.structure]) == best.identifier
    assert 0.8 < best.score <= 1


def test_the_most_probable_comes_first_and_all_add_up_to_one(
    searching: CalibratedModel, prepared: PreparedPattern
) -> None:
    found = [one.probability for one in identify(searching, prepared, n_results=30)]
    assert found == sorted(found, reverse=True)
    assert sum(found) == pytest.approx(1)


def test_structures_of_the_same_compound_are_named_once_and_counted_together(
    tmp_path: Path, searching: CalibratedModel, prepared: PreparedPattern
) -> None:
    twice = load_model(index=make_index(tmp_path, (*STRUCTURES, OTHER_SALT)))
    found = identify(twice, prepared, n_results=30)
    compounds = [(one.formula, one.space_group_number) for one in found]
    assert len(compounds) == len(set(compounds)) == len(STRUCTURES)
    assert compounds[0] == ("NaCl", 225)
    assert found[0].probability >= identify(searching, prepared)[0].probability
    assert sum(one.probability for one in found) == pytest.approx(1)


def test_no_more_compounds_are_named_than_asked_for(
    searching: CalibratedModel, prepared: PreparedPattern
) -> None:
    assert len(identify(searching, prepared, n_results=3)) == 3


def test_only_compounds_of_the_elements_given_are_named(
    searching: CalibratedModel, prepared: PreparedPattern
) -> None:
    found = identify(searching, prepared, elements=[17, 19, 55])
    assert {one.formula for one in found} == {"KCl", "CsCl"}
    assert identify(searching, prepared, elements=[2]) == ()


def test_excluded_structures_are_not_named(
    searching: CalibratedModel, prepared: PreparedPattern
) -> None:
    is_salt = searching.searched_index().labels.formula == "NaCl"
    found = identify(searching, prepared, excluded=is_salt, n_results=30)
    assert "NaCl" not in {one.formula for one in found}


@pytest.mark.parametrize("formula", ["TiO2", "SiO2", "ZrO2", "Bi", "KCl"])
def test_textbook_structures_are_named_in_a_wrong_lattice(
    searching: CalibratedModel, folder: Path, formula: str
) -> None:
    pattern = prepared_pattern(make_crystals(folder)[formula], strain=-0.008, seed=1)
    assert identify(searching, pattern)[0].formula == formula


def test_without_an_index_it_is_said_what_to_do(prepared: PreparedPattern) -> None:
    with pytest.raises(WeightsError, match="but there is no index; build one with `phasepilot lib"):
        identify(load_model(), prepared)
