from dataclasses import replace

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.protocols import Configurable, Readable, Stageable, Triggerable
from bluesky.utils import FailedStatus
from event_model import DocumentNames, EventModelValidationError, schema_validators

from phasepilot.sim_devices.beamline import simulated_diffractometer
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.counting import SCINTILLATION_COUNTER, counted, recorded_rate
from phasepilot.sim_devices.counting_detector import PointDetector, StripDetector
from phasepilot.sim_devices.faults import CountingFault
from phasepilot.sim_devices.rate_curve import StillSample, rate_curve
from phasepilot.sim_devices.two_theta_arm import TwoThetaArm


def flat_sample(rate_per_s_per_deg):
    edges = np.linspace(0.0, 180.0, 181)
    curve = rate_curve(edges, np.full(180, float(rate_per_s_per_deg)))
    return StillSample(curve, wavelength_angstrom=1.5406)


def make_detector(clock, kind=PointDetector, *, rate_per_s_per_deg=20_000.0, seed=3, **options):
    arm = TwoThetaArm(name="arm", rng=np.random.default_rng(0), clock=clock, start_deg=40.0)
    return kind(
        name="detector",
        arm=arm,
        sample=flat_sample(rate_per_s_per_deg),
        rng=np.random.default_rng(seed),
        clock=clock,
        **options,
    )


def expose(detector, key="detector_counts"):
    detector.trigger().wait(timeout=60)
    return detector.read()[key]["value"]


def events(documents):
    return [doc["data"] for name, doc in documents if name == "event"]


@pytest.mark.parametrize("kind", [PointDetector, StripDetector])
def test_detectors_satisfy_the_protocols_of_bluesky(kind):
    detector = make_detector(SimulatedClock(), kind)
    for protocol in (Readable, Triggerable, Stageable, Configurable):
        assert isinstance(detector, protocol)


def test_counts_are_poisson_about_what_the_slit_lets_through():
    detector = make_detector(SimulatedClock())
    expected = detector.expected_counts(40.0, 1.0)[0]
    assert expected == pytest.approx(20_000 * 0.05 + 0.5)
    counts = np.array([expose(detector) for _ in range(800)])
    # Standard errors: 1 of the mean, 5 % of the variance; dead time takes 1.
    assert counts.mean() == pytest.approx(expected - 1, abs=4)
    assert counts.var() == pytest.approx(expected, rel=0.2)


def test_a_longer_exposure_collects_more_and_takes_longer():
    clock = SimulatedClock()
    detector = make_detector(clock)
    short = expose(detector)
    detector.exposure_s.put(10.0)
    assert expose(detector) == pytest.approx(10 * short, rel=0.15)
    assert clock() == 11.0


def test_a_busy_counter_loses_what_the_formula_says():
    # 5 million a second at 1 us: a sixth is recorded, with a scatter of 0.1 %.
    detector = make_detector(SimulatedClock(), rate_per_s_per_deg=1e8)
    assert expose(detector) == pytest.approx(5e6 / 6, rel=5e-3)


def test_a_counter_never_records_more_than_one_over_its_dead_time():
    assert recorded_rate(np.array([1e12]), 1e-6)[0] == pytest.approx(1e6, rel=1e-5)
    assert recorded_rate(np.array([1e12]), 0.0)[0] == 1e12


def test_a_full_counter_stands_at_its_last_number():
    small = replace(SCINTILLATION_COUNTER, saturation_counts=255.0)
    counts = counted(np.array([1e4, 10.0]), 1.0, counters=small, rng=np.random.default_rng(0))
    assert counts[0] == 255.0
    assert counts[1] < 30


@pytest.mark.parametrize("exposure_s", [0.0, -1.0, np.nan, np.inf])
def test_an_exposure_that_is_no_time_is_refused(exposure_s):
    detector = make_detector(SimulatedClock())
    detector.exposure_s.put(exposure_s)
    with pytest.raises(ValueError, match="detector_exposure_s must be positive, but is"):
        detector.trigger()


def test_a_strip_sees_a_window_of_angles_about_the_arm():
    detector = make_detector(SimulatedClock(), StripDetector, rate_per_s_per_deg=1e5)
    intensity = expose(detector, "detector_intensity")
    angles = detector.read()["detector_two_theta_deg"]["value"]
    assert angles.shape == intensity.shape == (256,)
    assert np.diff(angles) == pytest.approx(0.01)
    assert angles.mean() == pytest.approx(40.0)
    assert intensity.mean() == pytest.approx(1000, rel=0.02)


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (CountingFault.DROPPED_BEAM, lambda counts: counts < 10),
        (CountingFault.ZEROS, lambda counts: counts == 0),
        (CountingFault.NAN, np.isnan),
    ],
)
def test_a_requested_fault_spoils_its_exposures_and_no_others(fault, holds):
    detector = make_detector(SimulatedClock(), fault_at=dict.fromkeys((2, 3), fault))
    counts = [expose(detector) for _ in range(4)]
    assert [bool(holds(value)) for value in counts] == [False, True, True, False]


def test_a_lost_beam_leaves_the_dark_counts():
    detector = make_detector(SimulatedClock(), fault_at={1: CountingFault.DROPPED_BEAM})
    detector.exposure_s.put(1000.0)
    assert expose(detector) == pytest.approx(500, abs=5 * np.sqrt(500))


def test_a_detector_that_fails_fails_its_plan_with_a_sentence(virtual_clock, run_engine):
    detector = make_detector(virtual_clock, fault_at={2: CountingFault.ERROR})
    with pytest.raises(FailedStatus):
        run_engine(bp.count([detector], 3))
    detector.fault_at = {1: CountingFault.ERROR}
    detector.stage()
    with pytest.raises(RuntimeError, match="should have counted for 1 s, but does not answer"):
        detector.trigger().wait(timeout=60)


def test_a_missing_field_is_refused_by_the_run_engine_itself(virtual_clock, run_engine):
    detector = make_detector(virtual_clock, fault_at={1: CountingFault.MISSING})
    with pytest.raises(EventModelValidationError):
        run_engine(bp.count([detector]))


def test_every_fault_has_a_test_of_its_own():
    # The three of the table above, ERROR and MISSING: a new fault needs a new row.
    assert len(CountingFault) == 5


def test_exposures_are_counted_from_the_start_of_each_run(virtual_clock, run_engine, documents):
    detector = make_detector(virtual_clock, fault_at={2: CountingFault.ZEROS})
    run_engine(bp.count([detector], 2))
    run_engine(bp.count([detector], 2))
    assert [event["detector_counts"] > 0 for event in events(documents)] == [True, False] * 2


def test_a_scan_grows_the_pattern_of_the_sample(virtual_clock, run_engine, documents):
    beamline = simulated_diffractometer(
        {"rutile": 0.7, "anatase": 0.3}, seed=4, clock=virtual_clock
    )
    run_engine(bp.scan([beamline.detector, beamline.time], beamline.arm, 24.0, 30.0, 241))
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)
    angles = np.array([event["arm_two_theta_deg"] for event in events(documents)])
    counts = np.array([event["detector_counts"] for event in events(documents)])
    true = np.array([beamline.detector.expected_counts(angle, 1.0)[0] for angle in angles])
    expected = recorded_rate(true, beamline.detector.counters.dead_time_s)
    # chi^2 a point of 241 draws: 1 +- 0.09.
    assert ((counts - expected) ** 2 / expected).mean() == pytest.approx(1.0, abs=0.35)
    # Anatase 101 and rutile 110, by Bragg's law from a = 3.785, c = 9.514 and a = 4.594 angstrom.
    assert angles[np.argmax(counts * (angles < 26))] == pytest.approx(25.30, abs=0.05)
    assert angles[np.argmax(counts * (angles > 26))] == pytest.approx(27.44, abs=0.05)
    assert events(documents)[-1]["beamline_time_s"] == pytest.approx(virtual_clock())


def test_the_configuration_tells_the_wavelength_and_the_slit(virtual_clock, run_engine, documents):
    run_engine(bp.count([make_detector(virtual_clock)]))
    (descriptor,) = [doc for name, doc in documents if name == "descriptor"]
    settings = descriptor["configuration"]["detector"]["data"]
    assert settings["detector_wavelength_angstrom"] == 1.5406
    assert settings["detector_window_deg"] == 0.05
    assert descriptor["data_keys"]["detector_counts"]["units"] == "counts"


def test_two_detectors_count_at_the_same_time(virtual_clock, run_engine):
    point, strip = make_detector(virtual_clock), make_detector(virtual_clock, StripDetector)
    strip.exposure_s.put(3.0)

    def plan():
        yield from bps.trigger(point, group="both")
        yield from bps.trigger(strip, group="both")
        yield from bps.wait("both")

    run_engine(plan())
    assert virtual_clock() == pytest.approx(3.05)


def test_the_same_seed_gives_the_same_counts():
    first, second = (make_detector(SimulatedClock(), seed=11) for _ in range(2))
    assert [expose(first) for _ in range(3)] == [expose(second) for _ in range(3)]


def test_a_phase_without_a_crystal_is_refused():
    with pytest.raises(ValueError, match=r"phases must be among the crystals.*'brookite'"):
        simulated_diffractometer({"brookite": 1.0}, seed=0)
