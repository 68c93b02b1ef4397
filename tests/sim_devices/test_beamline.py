import bluesky.plans as bp
import numpy as np
import pytest

from phasepilot.models.diffraction.pressure.materials import MATERIALS, MaterialError
from phasepilot.sim_devices.beamline import (
    simulated_beamline,
    simulated_diffractometer,
    simulated_sample_library,
)
from phasepilot.sim_devices.clock import SimulatedClock


def make_beamline(clock, material_name="KCl", *, seed=5, **options):
    return simulated_beamline(material_name, seed=seed, clock=clock, sleep=clock.sleep, **options)


def scanned_frames(run_engine, beamline, *, stop_gpa=3.0, n_frames=6):
    frames = []

    def keep(name, document):
        if name == "event":
            frames.append(document["data"])

    plan = bp.scan([beamline.detector], beamline.cell, 1.0, stop_gpa, n_frames)
    run_engine(plan, keep)
    return frames


@pytest.mark.parametrize("material_name", MATERIALS)
def test_a_scan_of_the_material_passes_its_transition(clock, run_engine, material_name):
    beamline = make_beamline(clock, material_name)
    material = beamline.material
    assert beamline.sample.high_pressure_fraction == 0
    plan = bp.scan(
        [beamline.detector], beamline.cell, material.scan_start_gpa, material.scan_stop_gpa, 4
    )
    run_engine(plan)
    assert beamline.sample.high_pressure_fraction == 1


def test_the_same_seed_gives_the_same_run_to_the_bit(clock, run_engine):
    first, second = (scanned_frames(run_engine, make_beamline(clock)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert (one["detector_intensity"] == other["detector_intensity"]).all()
        assert one["cell_pressure_gpa"] == other["cell_pressure_gpa"]


def test_another_seed_gives_another_run(clock, run_engine):
    first, second = (
        scanned_frames(run_engine, make_beamline(clock, seed=seed), n_frames=1) for seed in (1, 2)
    )
    assert (first[0]["detector_intensity"] != second[0]["detector_intensity"]).any()


def test_real_time_gives_the_same_frames_as_a_manual_clock(clock, run_engine):
    real = simulated_beamline("KCl", seed=5, exposure_s=0.001, time_constant_s=0.001)
    manual = make_beamline(clock, exposure_s=0.001)
    pairs = zip(
        scanned_frames(run_engine, real, n_frames=3),
        scanned_frames(run_engine, manual, n_frames=3),
        strict=True,
    )
    for one, other in pairs:
        assert (one["detector_intensity"] == other["detector_intensity"]).all()


def test_lines_move_outward_under_compression(clock, run_engine):
    beamline = make_beamline(clock)
    frames = scanned_frames(run_engine, beamline, stop_gpa=2.0, n_frames=3)
    angles = beamline.sample.diffractometer.two_theta_deg
    strongest = [angles[np.argmax(frame["detector_intensity"])] for frame in frames]
    assert strongest[0] < strongest[1] < strongest[2]


def test_exposure_and_peak_counts_are_taken_over(clock):
    beamline = make_beamline(clock, exposure_s=0.2, peak_counts=100.0)
    assert beamline.detector.exposure_s.get() == 0.2
    pattern = beamline.sample.expected_counts() - beamline.sample.pattern.background_counts
    assert pattern.max() == pytest.approx(100.0)


def test_an_unknown_material_is_refused(clock):
    with pytest.raises(MaterialError, match="no material 'Unobtainium'"):
        make_beamline(clock, "Unobtainium")


def test_a_scan_under_pressure_runs_in_virtual_time_too(virtual_clock, run_engine):
    beamline = simulated_beamline(
        "KCl", seed=5, exposure_s=60.0, clock=virtual_clock, sleep=virtual_clock.sleep
    )
    run_engine(bp.scan([beamline.detector], beamline.cell, 1.0, 3.0, 5))
    assert 300.0 < virtual_clock() < 305.0


def test_the_same_seed_gives_the_same_library_and_counts(run_engine):
    runs = []
    for _ in range(2):
        clock = SimulatedClock()
        clock.follow(run_engine)
        library = simulated_sample_library(seed=7, clock=clock)
        events = []

        def keep(name, document, events=events):
            if name == "event":
                events.append(document["data"])

        plan = bp.list_scan([library.strip, library.time], library.stage, ["A01", "J20", "E10"])
        run_engine(plan, keep)
        runs.append(events)
    for one, other in zip(*runs, strict=True):
        assert (one["strip_intensity"] == other["strip_intensity"]).all()
        assert one["beamline_time_s"] == other["beamline_time_s"]


def test_the_strip_sees_only_what_is_known_of_the_sample(run_engine):
    beamline = simulated_diffractometer({"rutile": 1.0}, seed=0, clock=SimulatedClock())
    assert beamline.arm.limits == (10.0, 100.0)
    for end_deg in beamline.arm.limits:
        expected = beamline.strip.expected_counts(end_deg, 1.0)
        assert expected.min() > 2 * beamline.strip.counters.dark_rate_per_s


def test_real_time_is_the_default(run_engine):
    beamline = simulated_diffractometer({"rutile": 1.0}, seed=0)
    beamline.detector.exposure_s.put(0.01)
    run_engine(bp.scan([beamline.detector], beamline.arm, 10.0, 10.01, 2))
    assert beamline.arm.position == 10.01
