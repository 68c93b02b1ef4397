"""To and from pymatgen's structures."""

import sys

import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.cif import Disorder
from phasepilot.models.diffraction.crystals.crystal import crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.pymatgen_structure import (
    crystal_from_pymatgen,
    pymatgen_from_crystal,
)
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.errors import CrystalError

pymatgen_core = pytest.importorskip("pymatgen.core")
Lattice, Structure = pymatgen_core.Lattice, pymatgen_core.Structure

QUARTZ = crystal_from_sites(
    "SiO2",
    "P 32 2 1",
    (4.913, 4.913, 5.405, 90.0, 90.0, 120.0),
    [("Si", (0.4697, 0.0, 2 / 3)), ("O", (0.4133, 0.2672, 0.7855))],
)


def make_alloy(occupancies: dict[str, float]):
    return Structure(Lattice.cubic(2.9), [occupancies], [[0, 0, 0]])


def test_a_primitive_cell_of_ions_becomes_the_conventional_crystal() -> None:
    sites = [[0, 0, 0], [0.5, 0.5, 0.5]]
    rock_salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na+", "Cl-"], sites)
    found = crystal_from_pymatgen(rock_salt.get_primitive_structure())
    assert found.name == "NaCl"
    assert found.space_group_number == 225
    assert found.cell == pytest.approx((5.64,) * 3 + (90.0,) * 3)
    assert sorted(found.multiplicities) == [4, 4]


# spglib 2.8 warns of its own error handling, which pymatgen's question for the space group meets.
@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
def test_a_crystal_goes_to_pymatgen_and_back() -> None:
    structure = pymatgen_from_crystal(QUARTZ)
    assert structure.get_space_group_info(symprec=0.01) == ("P3_221", 154)
    assert structure.composition.reduced_formula == "SiO2"
    assert structure.lattice.parameters == pytest.approx(QUARTZ.cell)
    again = crystal_from_pymatgen(structure)
    assert again.hall_number == QUARTZ.hall_number
    assert again.cell == pytest.approx(QUARTZ.cell)
    here, there = (powder_sticks(one, 5.0).structure_factor_squared for one in (QUARTZ, again))
    np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-3 * here.max())


def test_a_mixed_site_keeps_its_occupancies_both_ways_if_asked_for() -> None:
    found = crystal_from_pymatgen(make_alloy({"Fe": 0.6, "Co": 0.3}), disorder=Disorder.AVERAGE)
    assert found.site_atomic_numbers.tolist() == [26, 27]
    assert found.site_occupancies == pytest.approx([0.6, 0.3])
    (site,) = pymatgen_from_crystal(found)
    assert {one.symbol: amount for one, amount in site.species.items()} == {"Fe": 0.6, "Co": 0.3}


@pytest.mark.parametrize("occupancies", [{"Fe": 0.6, "Co": 0.4}, {"Fe": 0.9}])
def test_a_disordered_structure_is_refused(occupancies: dict[str, float]) -> None:
    with pytest.raises(CrystalError, match=r"must be an ordered crystal, but its site Fe.* is not"):
        crystal_from_pymatgen(make_alloy(occupancies))


def test_deuterium_is_hydrogen() -> None:
    assert crystal_from_pymatgen(make_alloy({"D": 1.0})).name == "H"


def test_a_site_without_an_element_is_refused() -> None:
    with pytest.raises(CrystalError, match=r"must be made of elements, but holds X0\+; replace"):
        crystal_from_pymatgen(make_alloy({"X0+": 1.0}))


def test_an_empty_structure_is_refused() -> None:
    with pytest.raises(CrystalError, match=r"must have atoms, but has none; add some"):
        crystal_from_pymatgen(Structure(Lattice.cubic(3.0), [], []))


def test_atoms_on_top_of_each_other_are_refused() -> None:
    crowded = crystal(
        "iron",
        hall_number=1,
        cell=(3.0,) * 3 + (90.0,) * 3,
        atomic_numbers=np.array([26, 26]),
        fractional=np.array([[0, 0, 0], [0, 0, 0.1]]),
    )
    with pytest.raises(CrystalError, match=r"iron must keep .* Fe and Fe are 0\.30 angstrom apart"):
        pymatgen_from_crystal(crowded)


def test_without_pymatgen_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in the place of a module makes its import fail as if it were not installed.
    monkeypatch.setitem(sys.modules, "pymatgen.core.lattice", None)
    with pytest.raises(CrystalError, match=r"install .* pip install 'phasepilot\[train\]'"):
        pymatgen_from_crystal(QUARTZ)
