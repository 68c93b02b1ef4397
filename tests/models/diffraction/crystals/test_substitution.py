import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasepilot.models.diffraction.crystals.crystal import crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.oxidation_states import (
    OXIDATION_STATE_GROUPS,
    AbX3,
    abx3_of,
    neutral_abx3_compositions,
    neutral_oxidation_states,
)
from phasepilot.models.diffraction.crystals.substitution import (
    abx3_replacements,
    cell_amounts,
    random_replacement,
    randomly_substituted,
    solid_solution,
    substituted,
)
from phasepilot.models.diffraction.crystals.unit_cell import space_group_number_within, unit_cell_of
from phasepilot.models.errors import CrystalError

SEEDS = st.integers(0, 2**32 - 1)
CUBE = (90.0, 90.0, 90.0)


def make_perovskite(a="Ba", b="Ti", x="O", edge=4.00):
    sites = [(a, (0.0, 0.0, 0.0)), (b, (0.5, 0.5, 0.5)), (x, (0.5, 0.5, 0.0))]
    return crystal_from_sites(f"{a}{b}{x}3", "P m -3 m", (edge, edge, edge, *CUBE), sites)


def make_calcium_titanate():
    cell = (5.4423, 7.6401, 5.3796, *CUBE)
    sites = [
        ("Ca", (0.0359, 0.25, 0.9935)),
        ("Ti", (0.0, 0.0, 0.5)),
        ("O", (0.4839, 0.25, 0.0711)),
        ("O", (0.2897, 0.0371, 0.7111)),
    ]
    return crystal_from_sites("CaTiO3", "P n m a", cell, sites)


def make_nickel_aluminide():
    sites = [("Al", (0.0, 0.0, 0.0)), ("Ni", (0.5, 0.5, 0.0))]
    return crystal_from_sites("Ni3Al", "P m -3 m", (3.57, 3.57, 3.57, *CUBE), sites)


def make_quartz():
    sites = [("Si", (0.4697, 0.0, 1 / 3)), ("O", (0.4133, 0.2672, 0.2145))]
    return crystal_from_sites("SiO2", "P 31 2 1", (4.913, 4.913, 5.405, 90.0, 90.0, 120.0), sites)


def symbols_of(crystal):
    return [gemmi.Element(int(number)).name for number in crystal.site_atomic_numbers]


def amounts_of(crystal):
    return {gemmi.Element(number).name: n for number, n in cell_amounts(crystal).items()}


def test_every_site_of_the_element_is_replaced_and_nothing_moves():
    template = make_calcium_titanate()
    changed = substituted(template, {"Ca": "Sr", "O": "S"})
    assert changed.site_atomic_numbers.tolist() == [38, 22, 16, 16]
    assert (changed.site_fractional == template.site_fractional).all()
    assert changed.name == "SrTiS3"


@pytest.mark.parametrize(
    ("old", "new", "edge"),
    [
        # Measured at room temperature.
        (("Na", "Cl", 5.640), ("K", "Cl"), 6.293),
        (("K", "Cl", 6.293), ("K", "Br"), 6.600),
        (("Ni", "O", 4.177), ("Mg", "O"), 4.211),
    ],
)
def test_the_cell_grows_nearly_as_that_of_known_compounds(old, new, edge):
    sites = [(old[0], (0.0, 0.0, 0.0)), (old[1], (0.5, 0.5, 0.5))]
    crystal = crystal_from_sites("old", "F m -3 m", (old[2],) * 3 + CUBE, sites)
    changed = substituted(crystal, dict(zip(old[:2], new, strict=True)))
    # Radii of ions are additive to a hundredth or so.
    assert changed.cell[0] == pytest.approx(edge, rel=0.015)


def test_replacing_back_restores_the_crystal():
    template = make_calcium_titanate()
    back = substituted(substituted(template, {"Ca": "Ba", "O": "S"}), {"Ba": "Ca", "S": "O"})
    assert back.cell == pytest.approx(template.cell)
    assert back.site_atomic_numbers.tolist() == template.site_atomic_numbers.tolist()


def test_elements_can_be_exchanged():
    changed = substituted(make_perovskite(), {"Ba": "Ti", "Ti": "Ba"})
    assert changed.site_atomic_numbers.tolist() == [22, 56, 8]
    assert changed.cell == pytest.approx(make_perovskite().cell)


def test_an_element_that_is_not_there_is_refused():
    with pytest.raises(CrystalError, match="must be in the crystal, but BaTiO3 has no Sr"):
        substituted(make_perovskite(), {"Sr": "Ca"})


def test_two_elements_do_not_become_one():
    with pytest.raises(CrystalError, match=r"makes one of two of BaTiO3; .*solid_solution"):
        substituted(make_perovskite(), {"Ba": "Ti"})


def test_a_word_that_is_no_element_is_refused():
    with pytest.raises(CrystalError, match="named by their symbols, but 'iron' is none"):
        substituted(make_perovskite(), {"Ba": "iron"})


def test_an_element_of_unknown_volume_is_refused():
    with pytest.raises(CrystalError, match="85 whose volume in crystals is known, but Ne is not"):
        substituted(make_perovskite(), {"Ba": "Ne"})


@pytest.mark.parametrize("make_template", [make_perovskite, make_calcium_titanate])
def test_templates_of_abx3_take_every_composition_and_keep_their_space_group(make_template):
    template, compositions = make_template(), neutral_abx3_compositions()[::250]
    changed = list(abx3_replacements(template, compositions))
    assert [abx3_of(amounts_of(crystal)) for crystal in changed] == list(compositions)
    assert {crystal.hall_number for crystal in changed} == {template.hall_number}


def test_roles_in_the_template_are_kept():
    (changed,) = abx3_replacements(make_calcium_titanate(), [AbX3("Cs", "Pb", "I")])
    assert changed.site_atomic_numbers.tolist() == [55, 82, 53, 53]


def test_a_template_that_is_no_abx3_is_refused():
    with pytest.raises(CrystalError, match=r"must be a neutral ABX3 .* but SiO2 is not"):
        next(abx3_replacements(make_quartz(), [AbX3("Cs", "Pb", "I")]))


@pytest.mark.parametrize(
    "make_template", [make_perovskite, make_calcium_titanate, make_quartz, make_nickel_aluminide]
)
@settings(max_examples=25)
@given(seed=SEEDS)
def test_random_replacement_stays_neutral_and_keeps_the_space_group(make_template, seed):
    template = make_template()
    changed = random_replacement(template, np.random.default_rng(seed))
    assert changed.name != template.name
    assert neutral_oxidation_states(amounts_of(changed))
    found = [space_group_number_within(unit_cell_of(c), 1e-3) for c in (template, changed)]
    assert found[0] == found[1]


def test_random_replacement_draws_from_the_group_of_the_state():
    rng = np.random.default_rng(0)
    drawn = [random_replacement(make_quartz(), rng) for _ in range(300)]
    cations, anions = zip(*(symbols_of(crystal) for crystal in drawn), strict=True)
    assert set(cations) == set(OXIDATION_STATE_GROUPS[4])
    assert set(anions) == set(OXIDATION_STATE_GROUPS[-2])


def test_a_template_without_neutral_states_is_refused():
    sites = [("Na", (0.0, 0.0, 0.0)), ("Cl", (0.25, 0.25, 0.25))]
    odd = crystal_from_sites("NaCl2", "F m -3 m", (5.6,) * 3 + CUBE, sites)
    with pytest.raises(CrystalError, match=r"NaCl2 is not with those .* substituted"):
        random_replacement(odd, np.random.default_rng(0))


@pytest.mark.parametrize(("fraction", "n_replaced"), [(0.01, 1), (0.1, 14), (0.5, 68), (1.0, 135)])
def test_the_fraction_of_atoms_is_replaced_and_the_cell_stays(fraction, n_replaced):
    rng = np.random.default_rng(0)
    whole = make_perovskite()
    changed = randomly_substituted(whole, fraction, rng, repeats=(3, 3, 3))
    original = np.tile(whole.atomic_numbers, 27)
    assert (changed.site_atomic_numbers != original).sum() == n_replaced
    assert changed.cell == (12.0, 12.0, 12.0, *CUBE)
    assert changed.space_group_number == 1


def test_substitutes_come_from_all_of_the_periodic_table():
    rng = np.random.default_rng(0)
    changed = randomly_substituted(make_perovskite(), 1.0, rng, repeats=(8, 8, 8))
    assert np.unique(changed.site_atomic_numbers).tolist() == list(range(1, 99))
    is_oxygen = np.tile(make_perovskite().atomic_numbers, 512) == 8
    assert 8 not in changed.site_atomic_numbers[is_oxygen]


@pytest.mark.parametrize("fraction", [0.0, 0.01, -0.1, 1.1, np.nan])
def test_a_fraction_that_replaces_no_atom_or_too_many_is_refused(fraction):
    with pytest.raises(CrystalError, match="of the 5 atoms of BaTiO3 must be at least one of them"):
        randomly_substituted(make_perovskite(), fraction, np.random.default_rng(0))


def test_a_solid_solution_shares_the_sites_and_keeps_the_space_group():
    mixed = solid_solution(make_calcium_titanate(), "O", "S", 0.25)
    assert mixed.hall_number == make_calcium_titanate().hall_number
    assert cell_amounts(mixed) == pytest.approx({8: 9.0, 16: 3.0, 20: 4.0, 22: 4.0})


@given(fraction=st.floats(0.01, 0.99))
def test_the_volume_of_a_solid_solution_lies_between_its_ends_in_proportion(fraction):
    first = make_perovskite()
    last = substituted(first, {"Ba": "Ca"})
    mixed = solid_solution(first, "Ba", "Ca", fraction)
    expected = np.interp(fraction, [0, 1], [c.volume_cubic_angstrom for c in (first, last)])
    assert mixed.volume_cubic_angstrom == pytest.approx(expected)


def test_partial_occupancies_are_shared_out():
    vacant = crystal(
        "Fe0.9O",
        hall_number=523,
        cell=(4.3, 4.3, 4.3, *CUBE),
        atomic_numbers=np.array([26, 8]),
        fractional=np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
        occupancies=np.array([0.9, 1.0]),
    )
    mixed = solid_solution(vacant, "Fe", "Mg", 0.5)
    assert mixed.site_occupancies == pytest.approx([0.45, 1.0, 0.45])


@pytest.mark.parametrize("fraction", [0.0, 1.0, np.nan])
def test_a_solid_solution_must_hold_both(fraction):
    with pytest.raises(CrystalError, match="fraction must lie between 0 and 1"):
        solid_solution(make_perovskite(), "Ba", "Ca", fraction)


def test_a_solvent_that_is_not_there_is_refused():
    with pytest.raises(CrystalError, match="solvent must be in the crystal, but BaTiO3 has no Pb"):
        solid_solution(make_perovskite(), "Pb", "Ca", 0.5)
