"""Formulas as databases write them: the same compound has the same reduced formula."""

import pytest
from pymatgen.core import Composition

from phasepilot.models.diffraction.crystals.formula import atomic_number
from phasepilot.models.diffraction.crystals.stated_formula import (
    stated_amounts,
    stated_reduced_formula,
)


@pytest.mark.parametrize(
    "formula",
    ["KCu24Ag9H48Pb26(Cl31O24)2", "Na4Ce2(CO3)5", "Ca3 Al2 (SiO4)3", "Co0.1 Li1.03 Ni0.87 O2"],
)
def test_amounts_are_those_that_pymatgen_reads(formula: str) -> None:
    expected = {
        atomic_number(element.symbol): amount
        for element, amount in Composition(formula.replace(" ", "")).items()
    }
    assert stated_amounts(formula) == pytest.approx(expected)


def test_nested_brackets_multiply() -> None:
    assert stated_amounts("[Cu(NH3)4]2S") == {29: 2.0, 7: 8.0, 1: 24.0, 16: 1.0}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("O2 Ti", "TiO2"),
        ("Cu1+Fe3+O2", "CuFeO2"),
        ("Pb2+2Pb4+O4", "Pb3O4"),
        ("Ba(SO4)", "BaSO4"),
        ("D2O", "H2O"),
    ],
)
def test_spellings_of_one_compound_are_the_same(one: str, other: str) -> None:
    assert stated_reduced_formula(one) == stated_reduced_formula(other) != ""


def test_members_of_a_solid_solution_differ() -> None:
    assert stated_reduced_formula("Mg1.8Fe0.2SiO4") != stated_reduced_formula("Mg2SiO4")


@pytest.mark.parametrize(
    "unreadable", ["", "None", "(Ca,Mg)O", "CaSO4·2H2O", "Ca(OH", "CaO)", "2(CaO)", "Qq2", "(2CaO)"]
)
def test_what_is_no_plain_formula_has_no_amounts(unreadable: str) -> None:
    assert stated_amounts(unreadable) == {}
    assert stated_reduced_formula(unreadable) == ""
