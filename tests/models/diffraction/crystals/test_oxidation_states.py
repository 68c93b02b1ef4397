import numpy as np
import pytest

from phasepilot.models.diffraction.crystals import oxidation_states
from phasepilot.models.diffraction.crystals.element_statistics import atomic_volumes
from phasepilot.models.diffraction.crystals.formula import atomic_number
from phasepilot.models.diffraction.crystals.oxidation_states import (
    OXIDATION_STATE_GROUPS,
    AbX3,
    abx3_of,
    neutral_abx3_compositions,
    neutral_oxidation_states,
    volume_ratio,
)


def test_every_state_is_one_that_the_element_has_in_known_crystals():
    core = pytest.importorskip("pymatgen.core")
    charged = {state: group for state, group in OXIDATION_STATE_GROUPS.items() if state}
    for state, group in charged.items():
        assert [s for s in group if state not in core.Element(s).icsd_oxidation_states] == []


def test_the_volume_of_every_element_is_known():
    symbols = sorted({symbol for group in OXIDATION_STATE_GROUPS.values() for symbol in group})
    assert (atomic_volumes(np.array([atomic_number(symbol) for symbol in symbols])) > 0).all()


@pytest.mark.parametrize(
    ("amounts", "states"),
    [
        ({"Na": 4, "Cl": 4}, ({"Na": 1, "Cl": -1},)),
        ({"Si": 1, "O": 2}, ({"Si": 4, "O": -2},)),
        ({"Fe": 2, "O": 3}, ({"Fe": 3, "O": -2},)),
        ({"Ca": 1, "C": 1, "O": 3}, ({"Ca": 2, "C": 4, "O": -2},)),
        ({"Ga": 2, "As": 2}, ({"Ga": 3, "As": -3},)),
        ({"Cu": 3, "Au": 1}, ({"Cu": 0, "Au": 0},)),
        ({"W": 2}, ({"W": 0},)),
    ],
)
def test_textbook_compounds_have_their_textbook_states(amounts, states):
    assert neutral_oxidation_states(amounts) == states


@pytest.mark.parametrize(
    "amounts",
    [{"Fe": 3, "O": 4}, {"H": 2, "O": 1}, {"Fe": 0.95, "O": 1}, {"Na": 1, "Cl": 2}],
    ids=["two states", "hydrogen", "not stoichiometric", "unbalanced"],
)
def test_compositions_without_neutral_states_have_none(amounts):
    assert neutral_oxidation_states(amounts) == ()


def test_every_abx3_is_neutral_by_equation_1():
    for composition in neutral_abx3_compositions():
        amounts = {composition.a: 1, composition.b: 1, composition.x: 3}
        states = neutral_oxidation_states(amounts)
        assert any(
            of[composition.a] + of[composition.b] + 3 * of[composition.x] == 0
            and 0 < of[composition.a] <= of[composition.b]
            for of in states
        )


def test_no_abx3_is_listed_twice():
    sets = [frozenset((c.a, c.b, c.x)) for c in neutral_abx3_compositions()]
    assert len(set(sets)) == len(sets)
    assert {len(elements) for elements in sets} == {3}


def test_known_perovskites_are_listed_with_the_right_element_on_a():
    known = ["Ba Ti O", "Ca Ti O", "Pb Ti O", "La Al O", "K Nb O", "Na Ta O", "Bi Fe O", "Li Nb O"]
    known += ["Cs Pb I", "Cs Sn Br", "K Mg F", "Na Mg F", "Ba Zr S", "Ag Nb O"]
    listed = set(neutral_abx3_compositions())
    assert [names for names in known if AbX3(*names.split()) not in listed] == []


@pytest.mark.parametrize(
    "amounts",
    [{"Ba": 1, "Ti": 1, "O": 2}, {"Ba": 1, "Ti": 3, "O": 1}, {"Ba": 1, "O": 1}, {"Ti": 1}],
)
def test_other_compositions_are_no_abx3(amounts):
    assert abx3_of(amounts) is None


def test_ionic_crystals_grow_with_the_radii_of_their_ions():
    # Shannon's radii: Ba 1.35, Sr 1.18, Ti 0.605, O 1.40 angstrom.
    edges = (1.18 + 0.605 + 3 * 1.40) / (1.35 + 0.605 + 3 * 1.40)
    ratio = volume_ratio({"Ba": 1, "Ti": 1, "O": 3}, {"Ba": "Sr"})
    assert ratio == pytest.approx(edges**3)


def test_an_element_keeps_its_state_where_two_choices_are_neutral():
    # Pb(II)Ti(IV)O3, not Pb(IV)Ti(II)O3, becomes Ba(II)Ti(IV)O3.
    edges = (1.35 + 0.605 + 3 * 1.40) / (1.19 + 0.605 + 3 * 1.40)
    ratio = volume_ratio({"Pb": 1, "Ti": 1, "O": 3}, {"Pb": "Ba"})
    assert ratio == pytest.approx(edges**3)


@pytest.mark.parametrize(
    ("amounts", "mapping"),
    [({"Ni": 3, "Al": 1}, {"Al": "Ga"}), ({"Ga": 1, "As": 1}, {"As": "P"})],
    ids=["alloy", "ion without a radius"],
)
def test_other_crystals_grow_with_the_volumes_of_their_atoms(amounts, mapping):
    numbers, counts = [atomic_number(symbol) for symbol in amounts], np.array([*amounts.values()])
    new_numbers = [atomic_number(mapping.get(symbol, symbol)) for symbol in amounts]
    old, new = (atomic_volumes(np.array(held)) @ counts for held in (numbers, new_numbers))
    assert volume_ratio(amounts, mapping) == pytest.approx(new / old)


def test_radii_are_those_of_shannon():
    core = pytest.importorskip("pymatgen.core")
    for (state, symbol), radius in oxidation_states._IONIC_RADII.items():
        spins = core.Element(symbol).data["Shannon radii"][str(state)]["VI"]
        known = spins["High Spin"] if "High Spin" in spins else spins[""]
        assert known["ionic_radius"] == pytest.approx(radius, abs=1e-9), symbol
