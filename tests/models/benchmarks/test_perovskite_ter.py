"""Virtual, real and synthetic patterns of ABX3."""

import os
from pathlib import Path

import numpy as np
import pytest

from phasepilot.models.benchmarks.perovskite_cases import towards_cubic
from phasepilot.models.benchmarks.perovskite_sets import abx3_structures, replaced, unchanged
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites

needs_data = pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ, reason="PHASEPILOT_DATA does not name the folder with data"
)


def test_perovskite_that_relaxes_comes_to_the_cubic_lattice() -> None:
    sites = [
        *(("Ca", (0.536, 0.25, 0.507)), ("Ti", (0.5, 0.0, 0.0))),
        *(("O", (0.484, 0.25, 0.071)), ("O", (0.2888, 0.0373, 0.7112))),
    ]
    cold = crystal_from_sites("CaTiO3", "P n m a", (5.44, 7.64, 5.38, 90.0, 90.0, 90.0), sites)
    assert np.allclose(towards_cubic(cold, 0.0).site_fractional, cold.site_fractional)
    hot = towards_cubic(cold, 0.999)
    a, b, c = hot.cell[:3]
    assert a == pytest.approx(c, rel=1e-3)
    assert b == pytest.approx(np.sqrt(2) * a, rel=1e-3)
    assert np.abs(4 * hot.site_fractional - np.round(4 * hot.site_fractional)).max() < 1e-2
    assert hot.volume_cubic_angstrom > cold.volume_cubic_angstrom


@pytest.mark.slow
@needs_data
def test_templates_get_the_elements_of_real_compositions() -> None:
    data = abx3_structures(Path(os.environ["PHASEPILOT_DATA"]))
    assert len(data.real) < data.n_real_rows
    types = data.types()[:3]
    made = replaced(data, types, 4, np.random.default_rng(0))
    assert len(made.crystals) == 12
    real = {frozenset(one.crystal.atomic_numbers.tolist()) for one in data.real}
    assert {frozenset(one.atomic_numbers.tolist()) for one in made.crystals} <= real
    as_they_are = unchanged(data, types, 4, np.random.default_rng(0))
    assert {frozenset(one.atomic_numbers.tolist()) for one in as_they_are.crystals} - real
