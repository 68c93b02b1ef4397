import pytest

from phasepilot.models.errors import PatternError
from phasepilot.models.identification.element_filter import allowed_elements, is_made_of


@pytest.mark.parametrize("text", ["Ca,Ti,O", "Ca Ti O", " Ca; Ti ,O,", "Ca,Ca,Ti,O"])
def test_elements_are_read_however_they_are_separated(text):
    assert allowed_elements(text) == {20, 22, 8}


@pytest.mark.parametrize("text", ["", " , "])
def test_an_empty_list_of_elements_is_told(text):
    with pytest.raises(PatternError, match="elements must be symbols such as 'Ca,Ti,O'"):
        allowed_elements(text)


@pytest.mark.parametrize("wrong", ["ca", "Tio", "Xx"])
def test_a_symbol_that_is_none_is_told(wrong):
    with pytest.raises(PatternError, match=f"with '{wrong}' among them; write each element"):
        allowed_elements(f"O,{wrong}")


def test_hydrogen_is_not_implied_and_deuterium_is_hydrogen():
    assert not is_made_of("CaO2H2", allowed_elements("Ca,O"))
    assert is_made_of("CaO2H2", allowed_elements("Ca,O,D"))


def test_not_all_elements_need_be_there():
    assert is_made_of("CaO", allowed_elements("Ca,Ti,O"))
    assert not is_made_of("CaO", allowed_elements("Ti,O"))


def test_a_formula_that_cannot_be_read_is_made_of_nothing():
    assert not is_made_of("(Ca,Mg)O", allowed_elements("Ca,Mg,O"))
    assert not is_made_of("", allowed_elements("O"))
