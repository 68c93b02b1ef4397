import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.equation_of_state import Vinet
from phasepilot.models.diffraction.crystals.strain import strained
from phasepilot.models.diffraction.pressure.further_materials import ZR, ZRO2
from phasepilot.models.diffraction.pressure.markers import MARKERS, marker_pressure
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.errors import CrystalError, ModelsError
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.tracking.compression_fit import fitted_compression
from phasepilot.models.tracking.lattice import known_lines, refined_cell

GRID = LogQGrid(0.35, 6.3, 4096)


def drawn(crystal) -> np.ndarray:
    """Return the lines of a crystal on the grid, 4 bins wide."""
    sticks = powder_sticks(crystal, GRID.q_max_per_angstrom)
    bins = np.arange(GRID.n_bins)
    log_edge = np.log(GRID.q_per_angstrom[0])
    total = np.zeros(GRID.n_bins)
    heights = sticks.structure_factor_squared / sticks.q_per_angstrom**2
    for q, height in zip(sticks.q_per_angstrom, heights / heights.max(), strict=True):
        if height > 1e-3:
            place = (np.log(q) - log_edge) / GRID.bin_width
            total += 5000 * height * np.exp(-4 * np.log(2) * ((bins - place) / 4) ** 2)
    return total


@pytest.mark.parametrize(
    ("crystal", "strains"),
    [
        (ZR.low_pressure.crystal, {"a": -0.002, "c": 0.001}),
        (ZRO2.low_pressure.crystal, {"a": -0.001, "b": 0.0005, "c": -0.002}),
    ],
    ids=["hexagonal", "monoclinic"],
)
def test_finds_each_axis_of_a_known_crystal(crystal, strains):
    rng = np.random.default_rng(0)
    true = strained(crystal, strains)
    signal = np.maximum(rng.poisson(drawn(true) + 20.0) - 20.0, 0.0)
    found = refined_cell(known_lines(crystal, GRID), signal, GRID)
    assert found.is_refined
    assert np.allclose(found.cell[:3], true.cell[:3], rtol=2e-4)
    assert found.volume_angstrom3 == pytest.approx(true.volume_cubic_angstrom, rel=5e-4)


def test_an_empty_frame_has_no_lattice():
    lines = known_lines(ZR.low_pressure.crystal, GRID)
    assert not refined_cell(lines, np.zeros(GRID.n_bins), GRID).is_refined


def test_symmetry_is_kept():
    crystal = ZR.low_pressure.crystal
    found = refined_cell(known_lines(crystal, GRID), drawn(strained(crystal, {"a": -0.001})), GRID)
    a, b, _, alpha, beta, gamma = found.cell
    assert a == pytest.approx(b, rel=1e-9)
    assert (alpha, beta, gamma) == pytest.approx((90.0, 90.0, 120.0), abs=1e-6)


@pytest.mark.parametrize("name", MARKERS)
def test_a_marker_gives_back_the_pressure_of_its_volume(name):
    marker = MARKERS[name]
    volume = marker.volume_cubic_angstrom * marker.equation_of_state.volume_ratio(20.0)
    found = marker_pressure(name, volume, 0.01)
    assert found.pressure_gpa == pytest.approx(20.0, abs=1e-3)
    assert 0 < found.uncertainty_gpa < 0.2


def test_an_unknown_marker_is_named_with_those_there_are():
    with pytest.raises(CrystalError, match="must be one of Au, MgO, NaCl, Pt, W, but is 'Cu'"):
        marker_pressure("Cu", 40.0, 0.1)


@pytest.mark.parametrize("equation", ["birch-murnaghan", "vinet"])
def test_fits_the_equation_of_state_that_a_run_follows(equation):
    rng = np.random.default_rng(1)
    true = Vinet(bulk_modulus_gpa=17.1, bulk_modulus_derivative=5.5)
    pressure = np.linspace(0.0, 3.0, 40)
    volume = 249.4 * np.array([true.volume_ratio(one) for one in pressure])
    found = fitted_compression(pressure + rng.normal(0, 0.005, 40), volume, equation=equation)
    assert found.volume == pytest.approx(249.4, rel=2e-3)
    assert found.bulk_modulus_gpa == pytest.approx(17.1, rel=0.05)


def test_too_few_volumes_are_refused():
    with pytest.raises(ModelsError, match="at least 5 volumes at known pressures"):
        fitted_compression(np.arange(3.0), np.array([10.0, 9.9, 9.8]))
