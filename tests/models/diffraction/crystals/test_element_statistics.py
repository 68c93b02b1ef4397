import os
from pathlib import Path

import gemmi
import numpy as np
import pytest
from element_fit import counted_and_fitted

from phasepilot.models.diffraction.crystals.element_statistics import (
    atomic_volumes,
    common_elements,
    element_shares,
)
from phasepilot.models.errors import CrystalError

needs_data = pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ,
    reason="PHASEPILOT_DATA does not name the folder with structures/structures.parquet",
)


@pytest.mark.parametrize(
    ("formula", "volume_cubic_angstrom"),
    [
        # Measured: quartz, forsterite, calcite, fluorite, gallium arsenide.
        ({"Si": 1, "O": 2}, 37.7),
        ({"Mg": 2, "Si": 1, "O": 4}, 72.4),
        ({"Ca": 1, "C": 1, "O": 3}, 61.3),
        ({"Ca": 1, "F": 2}, 40.8),
        ({"Ga": 1, "As": 1}, 45.2),
    ],
)
def test_volumes_of_atoms_add_up_to_that_of_the_cell(formula, volume_cubic_angstrom):
    numbers = np.array([gemmi.Element(symbol).atomic_number for symbol in formula])
    total = atomic_volumes(numbers) @ np.array(list(formula.values()))
    # Atoms of a metal take more room in alloys than in oxides, and one number has to do for both.
    assert total == pytest.approx(volume_cubic_angstrom, rel=0.25)


def test_elements_rise_and_each_has_a_share():
    assert (np.diff(common_elements()) > 0).all()
    assert element_shares().shape == common_elements().shape
    assert (element_shares() > 0).all()


def test_a_rare_element_is_refused():
    with pytest.raises(CrystalError, match="85 whose volume in crystals is known, but He is not"):
        atomic_volumes(np.array([8, 2]))


@needs_data
@pytest.mark.slow
def test_the_table_is_what_the_structures_give():
    table = Path(os.environ["PHASEPILOT_DATA"]) / "structures" / "structures.parquet"
    fitted = counted_and_fitted(table)
    assert list(fitted) == common_elements().tolist()
    volumes, shares = np.array(list(fitted.values())).T
    assert volumes == pytest.approx(atomic_volumes(common_elements()), abs=0.06)
    assert shares == pytest.approx(element_shares(), abs=6e-4)
