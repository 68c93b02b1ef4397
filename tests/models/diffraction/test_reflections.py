import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.reflections import form_factors, powder_sticks
from phasepilot.models.errors import CrystalError

B_SQUARE_ANGSTROM = 0.6


def make_gemmi_structure(space_group, cell, sites):
    structure = gemmi.SmallStructure()
    structure.cell = gemmi.UnitCell(*cell)
    structure.spacegroup = gemmi.find_spacegroup_by_name(space_group)
    for number, (element, position) in enumerate(sites):
        site = gemmi.SmallStructure.Site()
        site.label = f"{element}{number}"
        site.type_symbol = element
        site.element = gemmi.Element(element)
        site.fract = gemmi.Fractional(*position)
        site.occ = 1.0
        site.u_iso = B_SQUARE_ANGSTROM / (8 * np.pi**2)
        structure.add_site(site)
    structure.setup_cell_images()
    structure.change_occupancies_to_crystallographic()
    return structure


def gemmi_lines(structure, q_max):
    """Return the sum of |F|^2 of each line by its q, over every hkl, from gemmi's calculator."""
    calculator = gemmi.StructureFactorCalculatorX(structure.cell)
    reach = [int(np.ceil(edge * q_max / (2 * np.pi))) for edge in structure.cell.parameters[:3]]
    squared = {}
    for h in range(-reach[0], reach[0] + 1):
        for k in range(-reach[1], reach[1] + 1):
            for m in range(-reach[2], reach[2] + 1):
                if h == k == m == 0:
                    continue
                q = 2 * np.pi / structure.cell.calculate_d([h, k, m])
                if q <= q_max:
                    amplitude = calculator.calculate_sf_from_small_structure(structure, [h, k, m])
                    key = round(q, 8)
                    squared[key] = squared.get(key, 0.0) + abs(amplitude) ** 2
    return squared


@pytest.mark.parametrize(
    ("space_group", "cell", "sites"),
    [
        ("F m -3 m", (6.295,) * 3 + (90.0,) * 3, [("K", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5))]),
        ("F d -3 m:2", (5.4316,) * 3 + (90.0,) * 3, [("Si", (0.125, 0.125, 0.125))]),
        ("I 41/a m d:1", (4.648, 4.648, 2.56, 90.0, 90.0, 90.0), [("Si", (0, 0, 0))]),
        ("P 63/m m c", (2.53, 2.53, 4.05, 90.0, 90.0, 120.0), [("Fe", (1 / 3, 2 / 3, 0.25))]),
        ("P -1", (5.0, 6.0, 7.0, 80.0, 95.0, 105.0), [("Si", (0.1, 0.2, 0.3)), ("O", (0.4, 0, 0))]),
    ],
    ids=["KCl", "Si-I", "Si-II", "Fe", "triclinic"],
)
def test_sticks_agree_with_gemmi(space_group, cell, sites):
    sticks = powder_sticks(
        crystal_from_sites("crystal", space_group, cell, sites),
        4.5,
        b_square_angstrom=B_SQUARE_ANGSTROM,
    )
    expected = gemmi_lines(make_gemmi_structure(space_group, cell, sites), 4.5)
    found = dict.fromkeys(expected, 0.0)
    for q, squared in zip(sticks.q_per_angstrom, sticks.structure_factor_squared, strict=True):
        found[min(expected, key=lambda other, q=q: abs(other - q))] += squared
    # Phases are in float32: extinct lines are zero to 1e-6 of the strongest.
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5 * max(expected.values()))


def test_a_primitive_cube_has_the_textbook_multiplicities():
    # One atom: |F|^2 = f^2 on every line, so line strength over f^2 is the multiplicity.
    cube = crystal_from_sites("Po", "P m -3 m", (3.36,) * 3 + (90.0,) * 3, [("Po", (0, 0, 0))])
    sticks = powder_sticks(cube, 2 * np.pi / 3.36 * 2.9, b_square_angstrom=0.0)
    s_squared = (sticks.q_per_angstrom / (4 * np.pi)) ** 2
    factor = form_factors(np.array([84]), s_squared)[:, 0]
    # 100 110 111 200 210 211 220
    expected = np.array([6, 12, 8, 6, 24, 24, 12])
    assert sticks.multiplicity[:7].tolist() == expected.tolist()
    assert sticks.structure_factor_squared[:7] == pytest.approx(expected * factor[:7] ** 2)


def test_diamond_shows_no_200_line():
    silicon = crystal_from_sites(
        "Si", "F d -3 m:2", (5.43,) * 3 + (90.0,) * 3, [("Si", (0.125, 0.125, 0.125))]
    )
    sticks = powder_sticks(silicon, 4.1)
    # 222 is allowed by the space group and extinct by the atoms' positions.
    assert {tuple(sorted(abs(hkl))) for hkl in sticks.hkl} == {
        (1, 1, 1),
        (0, 2, 2),
        (1, 1, 3),
        (2, 2, 2),
    }
    strength = dict(zip(map(sum, abs(sticks.hkl)), sticks.structure_factor_squared, strict=True))
    assert strength[6] < 1e-6 * max(strength.values())


def test_families_that_share_a_line_stay_apart():
    cube = crystal_from_sites("Po", "P m -3 m", (3.36,) * 3 + (90.0,) * 3, [("Po", (0, 0, 0))])
    sticks = powder_sticks(cube, 2 * np.pi / 3.36 * 3.01)
    families = {
        tuple(sorted(abs(hkl)))
        for hkl in sticks.hkl[np.isclose(sticks.q_per_angstrom, 2 * np.pi / 3.36 * 3)]
    }
    assert families == {(0, 0, 3), (1, 2, 2)}


def test_dispersion_changes_intensity_near_an_edge_and_not_far_from_it():
    iron = crystal_from_sites("Fe", "I m -3 m", (2.866,) * 3 + (90.0,) * 3, [("Fe", (0, 0, 0))])
    plain = powder_sticks(iron, 5.0, b_square_angstrom=0.0)
    far = powder_sticks(iron, 5.0, b_square_angstrom=0.0, anomalous_at_angstrom=0.2)
    near = powder_sticks(iron, 5.0, b_square_angstrom=0.0, anomalous_at_angstrom=1.5406)
    assert far.structure_factor_squared == pytest.approx(plain.structure_factor_squared, rel=0.02)
    # International Tables C, table 4.2.6.8: f' = -1.13 and f'' = 3.20 for iron at Cu K-alpha1.
    f = np.sqrt(plain.structure_factor_squared / plain.multiplicity) / 2
    expected = 4 * near.multiplicity * ((f - 1.13) ** 2 + 3.20**2)
    assert near.structure_factor_squared == pytest.approx(expected, rel=0.01)


def test_a_range_or_wavelength_of_nothing_is_refused():
    cube = crystal_from_sites("Po", "P m -3 m", (3.36,) * 3 + (90.0,) * 3, [("Po", (0, 0, 0))])
    with pytest.raises(CrystalError, match="q_max_per_angstrom must be a positive number"):
        powder_sticks(cube, 0.0)
    with pytest.raises(CrystalError, match="anomalous_at_angstrom must be a positive wavelength"):
        powder_sticks(cube, 4.0, anomalous_at_angstrom=0.0)


@settings(max_examples=25, deadline=None)
@given(volume_ratio=st.floats(0.7, 1.2))
def test_compression_moves_every_line_by_the_same_factor(volume_ratio):
    iron = crystal_from_sites(
        "Fe", "P 63/m m c", (2.53, 2.53, 4.05, 90.0, 90.0, 120.0), [("Fe", (1 / 3, 2 / 3, 0.25))]
    )
    stretch = volume_ratio ** (-1 / 3)
    before = powder_sticks(iron, 5.0).q_per_angstrom
    after = powder_sticks(iron.scaled_to_volume_ratio(volume_ratio), 5.0 * stretch * 1.000001)
    assert after.q_per_angstrom[: before.size] == pytest.approx(stretch * before, rel=1e-9)


def test_form_factors_begin_at_the_number_of_electrons():
    numbers = np.array([8, 14, 19, 26])
    assert form_factors(numbers, np.array([0.0]))[0] == pytest.approx(numbers, rel=5e-3)


def test_a_q_range_below_the_first_line_gives_no_lines():
    cube = crystal_from_sites("Po", "P m -3 m", (3.36,) * 3 + (90.0,) * 3, [("Po", (0, 0, 0))])
    assert powder_sticks(cube, 1.0).q_per_angstrom.size == 0


def test_a_cell_with_too_many_lines_is_refused():
    giant = crystal_from_sites("giant", "P 1", (300.0,) * 3 + (90.0,) * 3, [("C", (0, 0, 0))])
    with pytest.raises(CrystalError, match="at most 3,000,000 reflections"):
        powder_sticks(giant, 8.0)
