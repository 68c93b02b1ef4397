import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.crystal import crystal, crystal_from_sites
from phasepilot.models.diffraction.crystals.supercell import supercell
from phasepilot.models.diffraction.crystals.unit_cell import space_group_number_within, unit_cell_of
from phasepilot.models.errors import CrystalError

QUARTZ_CELL = (4.913, 4.913, 5.405, 90.0, 90.0, 120.0)


def make_quartz():
    sites = [("Si", (0.4697, 0.0, 1 / 3)), ("O", (0.4133, 0.2672, 0.2145))]
    return crystal_from_sites("SiO2", "P 31 2 1", QUARTZ_CELL, sites)


def test_one_cell_holds_every_atom_as_a_site_of_its_own():
    quartz = make_quartz()
    whole = supercell(quartz)
    assert whole.space_group_number == 1
    assert whole.cell == quartz.cell
    assert whole.site_atomic_numbers.size == quartz.atomic_numbers.size == 9
    assert space_group_number_within(unit_cell_of(whole), 1e-5) == 152


@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 3, 2)])
def test_repeated_cells_are_the_same_crystal(repeats):
    whole = supercell(make_quartz(), repeats)
    assert whole.cell[:3] == pytest.approx(np.array(QUARTZ_CELL[:3]) * repeats)
    assert whole.atomic_numbers.size == 9 * np.prod(repeats)
    assert space_group_number_within(unit_cell_of(whole), 1e-4) == 152


def test_occupancies_are_kept():
    vacant = crystal(
        "Fe0.9O",
        hall_number=523,
        cell=(4.3, 4.3, 4.3, 90.0, 90.0, 90.0),
        atomic_numbers=np.array([26, 8]),
        fractional=np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
        occupancies=np.array([0.9, 1.0]),
    )
    whole = supercell(vacant, (2, 1, 1))
    assert whole.site_occupancies[whole.site_atomic_numbers == 26] == pytest.approx(0.9)
    assert whole.site_occupancies[whole.site_atomic_numbers == 8] == pytest.approx(1.0)


def test_a_cell_that_is_repeated_no_times_is_refused():
    with pytest.raises(CrystalError, match=r"repeats of SiO2 are \(2, 0, 1\)"):
        supercell(make_quartz(), (2, 0, 1))
