import gemmi
import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.cell_materials import CELL_MATERIALS, DIAMOND
from phasepilot.models.diffraction.reflections import powder_sticks

AVOGADRO_PER_CUBIC_CENTIMETRE = 0.602214076  # times 1e24 per mole, and 1 cm^3 is 1e24 angstrom^3
# Densities at room temperature in g/cm^3: CRC Handbook of Chemistry and Physics, 95th ed.,
# "Physical Constants of Inorganic Compounds". Austenite: AISI 304, alloyed with lighter elements.
DENSITIES = {"diamond": 3.513, "rhenium": 21.02, "tungsten": 19.3, "gold": 19.3, "steel": 8.0}
# Strong lines in angstrom: ICDD PDF cards 6-675 (C), 5-702 (Re), 4-806 (W), 4-784 (Au).
SPACINGS = {
    "diamond": (2.06, 1.261, 1.0754),
    "rhenium": (2.388, 2.226, 2.105, 1.629, 1.380),
    "tungsten": (2.238, 1.582, 1.292),
    "gold": (2.355, 2.039, 1.442, 1.230),
    "steel": (2.07, 1.795, 1.269),
}
MATERIALS = {material.name: material for material in (DIAMOND, *CELL_MATERIALS)}


def test_every_material_has_a_known_density():
    assert set(MATERIALS) == set(DENSITIES)


@pytest.mark.parametrize("name", DENSITIES)
def test_cells_hold_the_mass_of_the_handbook(name):
    material = MATERIALS[name]
    mass = sum(gemmi.Element(int(number)).weight for number in material.atomic_numbers)
    density = mass / material.volume_cubic_angstrom / AVOGADRO_PER_CUBIC_CENTIMETRE
    assert density == pytest.approx(DENSITIES[name], rel=0.01)


@pytest.mark.parametrize("name", SPACINGS)
def test_strong_lines_lie_at_the_spacings_of_the_powder_diffraction_file(name):
    sticks = powder_sticks(MATERIALS[name], 7.0, b_square_angstrom=0.0)
    is_strong = sticks.structure_factor_squared > 1e-3 * sticks.structure_factor_squared.max()
    found = 2 * np.pi / sticks.q_per_angstrom[is_strong]
    expected = np.array(SPACINGS[name])
    # Steel by its composition: half a per cent.
    tolerance = 6e-3 if name == "steel" else 2e-3
    assert found[: expected.size] == pytest.approx(expected, rel=tolerance)
