import pytest

from phasepilot.models.diffraction.crystals.formula import (
    atomic_number,
    formula_amounts,
    reduced_formula,
)


@pytest.mark.parametrize(
    ("amounts", "formula"),
    [
        ({17: 4, 11: 4}, "NaCl"),
        ({8: 8, 14: 4}, "SiO2"),
        ({8: 16, 15: 4, 26: 4, 3: 4}, "LiFePO4"),
        ({1: 12, 6: 6}, "CH2"),
        ({26: 2}, "Fe"),
        ({35: 3, 82: 1, 55: 1}, "CsPbBr3"),
        ({26: 3.8, 8: 4}, "Fe0.95O"),
        ({38: 2, 32: 4, 46: 3.96, 47: 0.04}, "SrPd1.98Ag0.02Ge2"),
        ({26: 0.5, 28: 1.5}, "FeNi3"),
        ({14: 2.9997, 8: 6.0003}, "SiO2"),
    ],
)
def test_formulas_are_reduced_and_written_from_metal_to_nonmetal(
    amounts: dict[int, float], formula: str
) -> None:
    assert reduced_formula(amounts) == formula
    assert reduced_formula(dict(sorted(amounts.items()))) == formula


@pytest.mark.parametrize("formula", ["NaCl", "SiO2", "Fe0.95O", "C9H8O4", "Mo S2", "K1 Cl1"])
def test_a_formula_is_read_back_as_it_was_written(formula: str) -> None:
    assert reduced_formula(formula_amounts(formula)) == reduced_formula(
        formula_amounts(formula.replace(" ", ""))
    )


def test_isotopes_of_hydrogen_are_hydrogen() -> None:
    assert formula_amounts("D1.5 H0.5 O") == {1: 2.0, 8: 1.0}


@pytest.mark.parametrize("text", ["", "?", "(Na,K)Cl", "Na Cl, H2 O", "Xx2", "Ca2+", "na", "Fe."])
def test_what_is_no_plain_formula_states_nothing(text: str) -> None:
    assert formula_amounts(text) == {}


@pytest.mark.parametrize(
    ("symbol", "number"), [("Cf", 98), ("T", 1), ("fe", 0), ("Feo", 0), ("", 0)]
)
def test_only_symbols_as_chemists_write_them_are_elements(symbol: str, number: int) -> None:
    assert atomic_number(symbol) == number
