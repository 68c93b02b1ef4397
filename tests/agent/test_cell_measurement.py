from pathlib import Path
from typing import Any

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine
from cif_text import make_cif, write_cif
from experiment import ManualClock, configuration, make_beamline

from phasepilot.agent.cell_measurement import CellMeasurement, CellMemory, lattice_text
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.run_history import RunReport
from phasepilot.models.benchmarks.transition_samples import FITTED_ON
from phasepilot.models.diffraction.pressure.compressed_powder import (
    Diffractometer,
    counts_of_lines,
    phase_lines,
    sticks_in_view,
)
from phasepilot.models.diffraction.pressure.further_materials import NACL
from phasepilot.models.diffraction.pressure.markers import MARKERS, marker_crystal
from phasepilot.models.diffraction.pressure.materials import Material, Phase
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern
from phasepilot.models.tracking.lattice import Lattice
from phasepilot.sim_devices.beamline import SimulatedBeamline
from phasepilot.sim_devices.diamond_anvil_cell import DiamondAnvilCell
from phasepilot.sim_devices.powder_detector import PowderDetector
from phasepilot.sim_devices.sample import Sample


def salt_in_cell(material: Material) -> SimulatedBeamline:
    """Return a beamline with any material, its pressure the middle of its scan's reach."""
    clock = ManualClock()
    sample = Sample(material, peak_counts=5000.0)
    timing = {"sample": sample, "clock": clock, "sleep": clock.sleep}
    gauge_rng, counting_rng = np.random.default_rng(0).spawn(2)
    cell = DiamondAnvilCell(name="cell", rng=gauge_rng, **timing)
    detector = PowderDetector(name="detector", rng=counting_rng, cell=cell, **timing)
    return SimulatedBeamline(material, sample, cell, detector)


def followed_salt(
    run_engine: RunEngine,
    folder: Path,
    beamline: SimulatedBeamline,
    reach_gpa: tuple[float, float],
    **options: Any,
) -> tuple[RunReport, Phase]:
    phase = beamline.material.low_pressure
    name = beamline.material.name
    atoms = f"{name[:-2]}1 {name[:-2]} 0 0 0\nCl1 Cl 0.5 0.5 0.5"
    write_cif(folder / f"{name}.cif", make_cif(cell=phase.crystal.cell, atoms=atoms))
    agent = PhaseAgent(configuration(library=str(folder), **options))
    token = run_engine.subscribe(agent)
    run_engine(bp.scan([beamline.detector], beamline.cell, *reach_gpa, 12))
    run_engine.unsubscribe(token)
    assert agent.wait(60.0)
    return agent.report(), phase


def test_tells_the_volume_of_the_known_phase_and_its_equation_of_state(
    run_engine: RunEngine, tmp_path: Path
) -> None:
    report, truth = followed_salt(
        run_engine, tmp_path, make_beamline(), (0.4, 1.7), axis_quantity="pressure_gpa"
    )
    for advice in report.advice:
        volume = truth.crystal.volume_cubic_angstrom * truth.volume_ratio(advice.axis_value)
        assert advice.lattice.startswith("KCl a=6.")
        error = abs(advice.volume_angstrom3 - volume)
        # The gauge has a scatter of its own.
        assert error < 4 * advice.volume_uncertainty_angstrom3 + 1e-3 * volume
        assert 0 < advice.volume_uncertainty_angstrom3 < 2e-3 * volume
        assert np.isnan(advice.pressure_gpa)
    (fit,) = report.compression
    assert fit.phase == "KCl"
    assert fit.n_frames == 12
    volume, modulus = truth.crystal.volume_cubic_angstrom, truth.equation_of_state.bulk_modulus_gpa
    assert abs(fit.volume_angstrom3 - volume) < 3 * fit.volume_uncertainty_angstrom3
    assert abs(fit.bulk_modulus_gpa - modulus) < 3 * fit.bulk_modulus_uncertainty_gpa


def test_a_marker_tells_the_pressure(run_engine: RunEngine, tmp_path: Path) -> None:
    beamline = salt_in_cell(NACL)
    report, truth = followed_salt(run_engine, tmp_path, beamline, (15.0, 26.0), marker="NaCl")
    found = np.array([advice.pressure_gpa for advice in report.advice])
    gauge = np.array([advice.axis_value for advice in report.advice])
    np.testing.assert_allclose(found, gauge, atol=0.05)
    # Of the volume alone; what background and overlaps do to a line's centre is not in it.
    assert all(0 < advice.pressure_uncertainty_gpa < 0.05 for advice in report.advice)
    for advice in report.advice:
        volume = truth.crystal.volume_cubic_angstrom * truth.volume_ratio(advice.axis_value)
        assert abs(advice.volume_angstrom3 / volume - 1) < 1e-3
    # A marker that is the sample tells nothing of the sample's equation of state.
    assert report.compression == ()


@pytest.mark.parametrize("sample_share", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("marker", ["Au", "NaCl", "MgO"])
def test_pressures_of_a_marker_beside_a_sample_are_off_by_what_they_say(
    marker: str, sample_share: float
) -> None:
    rng = np.random.default_rng(3)
    cells, pulls = CellMeasurement(None, marker), []
    for pressure in np.linspace(0.1, 0.7, 8) * MARKERS[marker].highest_gpa:
        mixed = marker_and_titania(rng, marker, pressure, sample_share)
        told, _ = cells.measure(CellMemory(), mixed, None)
        if told:
            uncertainty = float(str(told["pressure_uncertainty_gpa"]))
            pulls.append(abs(float(str(told["pressure_gpa"])) - pressure) / uncertainty)
    assert np.sum(np.array(pulls) > 2) <= 1
    # Where the sample hides it, it is better not told than told wrongly.
    assert len(pulls) >= (8 if sample_share == 0 else 2)


def marker_and_titania(
    rng: np.random.Generator, marker: str, pressure_gpa: float, sample_share: float
) -> PreparedPattern:
    beam = Diffractometer()
    gold_like = Phase(marker, marker_crystal(marker), MARKERS[marker].equation_of_state)
    titania = next(one.low_pressure for one in FITTED_ON.compressed if one.name == "TiO2")
    total = np.full(beam.n_points, 0.05 * max(1.0, sample_share))
    for phase, share, at_gpa in ((gold_like, 1.0, pressure_gpa), (titania, sample_share, 5.0)):
        lines = phase_lines(phase, sticks_in_view(phase, beam), at_gpa, beam)
        heights = lines.strength * np.exp(rng.normal(0, 0.2, lines.strength.size))
        drawn = counts_of_lines(lines.two_theta_deg, heights, beam, crystallite_size_nm=50.0)
        total += share * drawn / drawn.max()
    counts = rng.poisson(5000 * total).astype(float)
    pattern = Pattern.from_two_theta(
        beam.two_theta_deg, counts, wavelength_angstrom=beam.wavelength_angstrom
    )
    return prepare_pattern(pattern, Preprocessing())


def test_a_cell_is_told_with_its_uncertainties() -> None:
    lattice = Lattice(
        (5.1505, 5.2116, 5.3173, 90.0, 99.23, 90.0),
        (0.0002, 0.0004, 0.0012, 0.0, 0.013, 0.0),
        140.9,
        0.1,
        9,
        np.eye(3),
    )
    assert lattice_text(lattice) == "a=5.1505(2) b=5.2116(4) c=5.317(1) beta=99.23(1)"
