"""A crystal that is turned before an area detector."""

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.protocols import Configurable, Readable, Stageable, Triggerable

from phasepilot.models.diffraction.images.rotating_crystal import turned_about_axis
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.crystal_beamline import (
    simulated_compressed_crystal,
    simulated_crystal,
)
from phasepilot.sim_devices.faults import CountingFault
from phasepilot.sim_devices.library_crystals import CORUNDUM, RUTILE


def exposed(beamline, omega_deg):
    beamline.omega.set(omega_deg).wait(timeout=5)
    beamline.detector.trigger().wait(timeout=5)
    return beamline.detector.read()["detector_image"]["value"]


def test_the_detector_satisfies_the_protocols_of_bluesky():
    detector = simulated_crystal(RUTILE, seed=0, clock=SimulatedClock()).detector
    for protocol in (Readable, Triggerable, Stageable, Configurable):
        assert isinstance(detector, protocol)
    (key,) = (key for key in detector.describe() if key.endswith("image"))
    assert detector.describe()[key]["shape"] == list(detector.read()[key]["value"].shape)


def test_the_same_seed_gives_the_same_frames():
    one, other = (simulated_crystal(RUTILE, seed=3, clock=SimulatedClock()) for _ in range(2))
    np.testing.assert_array_equal(exposed(one, 10.0), exposed(other, 10.0))


def test_counts_are_poisson_about_the_expected_image_and_gaps_are_marked():
    beamline = simulated_crystal(RUTILE, seed=1, clock=SimulatedClock())
    image = exposed(beamline, 20.0)
    expected = beamline.detector.expected_image(20.0, 1.0)
    is_measured = image >= 0
    assert 0.9 < is_measured.mean() < 1
    pulls = (image - expected)[is_measured] / np.sqrt(expected[is_measured])
    assert pulls.std() == pytest.approx(1.0, abs=0.02)


def test_half_a_turn_shows_the_mirror_image_by_friedels_law():
    detector = simulated_crystal(CORUNDUM, seed=2, clock=SimulatedClock()).detector
    one, other = detector.expected_image(25.0, 1.0), detector.expected_image(205.0, 1.0)
    np.testing.assert_allclose(other, one[::-1], rtol=1e-3, atol=1e-2)


def test_a_full_turn_is_none_and_quarter_turns_add_up():
    turned = turned_about_axis(turned_about_axis(np.eye(3), 90.0), 270.0)
    np.testing.assert_allclose(turned, np.eye(3), atol=1e-12)


def test_a_scan_takes_the_time_of_its_moves_and_exposures(run_engine, virtual_clock, documents):
    beamline = simulated_crystal(RUTILE, seed=0, clock=virtual_clock)
    run_engine(bp.scan([beamline.detector], beamline.omega, 0, 40, 5))
    events = [doc for name, doc in documents if name == "event"]
    assert [round(doc["data"]["omega_angle_deg"]) for doc in events] == [0, 10, 20, 30, 40]
    # Four moves of half a second at 20 degree a second, settled, and five exposures read out.
    assert virtual_clock() == pytest.approx(4 * (0.5 + 0.3) + 5 * 1.1)


def test_a_beam_that_drops_leaves_an_image_without_counts():
    beamline = simulated_crystal(RUTILE, seed=0, clock=SimulatedClock())
    beamline.detector.fault_at = {1: CountingFault.DROPPED_BEAM, 2: CountingFault.NAN}
    assert exposed(beamline, 0.0).max() == 0
    assert exposed(beamline, 0.0).max() == -1


def test_a_pressed_crystal_changes_its_phase(run_engine, virtual_clock):
    pressed = simulated_compressed_crystal("KCl", seed=4, clock=virtual_clock)
    material = pressed.sample.material
    before = pressed.sample.grains()
    run_engine(bps.mv(pressed.cell, material.scan_stop_gpa))
    after = pressed.sample.grains()
    assert [grain.crystal.name for grain in before] == [material.low_pressure.crystal.name]
    assert [grain.crystal.name for grain in after] == [material.high_pressure.crystal.name]
    reference = material.high_pressure.crystal.volume_cubic_angstrom
    ratio = material.high_pressure.volume_ratio(material.scan_stop_gpa)
    assert after[0].crystal.volume_cubic_angstrom == pytest.approx(reference * ratio, rel=1e-6)


def test_a_rocking_crystal_shows_the_mean_of_the_angles_that_it_passes():
    detector = simulated_crystal(CORUNDUM, seed=2, clock=SimulatedClock()).detector
    angles = np.arange(15.0, 35.1, 0.1)
    passed = np.mean([detector.expected_image(angle, 1.0) for angle in angles], axis=0)
    detector.rocking_deg = 20.0
    rocked = detector.expected_image(25.0, 1.0)
    # Whole spots: single pixels of few counts differ.
    assert rocked.sum() == pytest.approx(passed.sum(), rel=0.03)
    assert np.corrcoef(rocked.ravel(), passed.ravel())[0, 1] > 0.98
