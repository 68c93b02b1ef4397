import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.protocols import Configurable, Readable, Stageable, Triggerable
from event_model import DocumentNames, EventModelValidationError, schema_validators

from phasepilot.models.diffraction.pressure.materials import KCL
from phasepilot.sim_devices.powder_detector import Fault, PowderDetector
from phasepilot.sim_devices.sample import Sample


def make_detector(clock, *, seed=3, **options):
    return PowderDetector(
        name="detector",
        sample=options.pop("sample", None) or Sample(KCL),
        rng=np.random.default_rng(seed),
        clock=clock,
        sleep=clock.sleep,
        **options,
    )


def expose(detector):
    detector.trigger().wait(timeout=60)
    return detector.read()["detector_intensity"]["value"]


def test_the_detector_satisfies_the_protocols_of_bluesky(clock):
    detector = make_detector(clock)
    assert isinstance(detector, Readable)
    assert isinstance(detector, Triggerable)
    assert isinstance(detector, Stageable)
    assert isinstance(detector, Configurable)


def test_counts_are_poisson_about_the_expected_ones(clock):
    detector = make_detector(clock)
    expected = detector.sample.expected_counts()
    frames = np.array([expose(detector) for _ in range(60)])
    # chi^2 per point of 60 x 2751 draws: 1 +- sqrt(2 / 165,000) = 0.0035.
    assert ((frames - expected) ** 2 / expected).mean() == pytest.approx(1.0, abs=0.02)
    assert (frames == np.round(frames)).all()


def test_the_same_seed_gives_the_same_frames(clock):
    first, second = (make_detector(clock, seed=11) for _ in range(2))
    assert (expose(first) == expose(second)).all()
    assert (expose(first) == expose(second)).all()


def test_two_frames_differ(clock):
    detector = make_detector(clock)
    assert (expose(detector) != expose(detector)).any()


def test_a_longer_exposure_collects_more_and_takes_longer(clock):
    detector = make_detector(clock)
    short = expose(detector).sum()
    detector.exposure_s.put(1.0)
    before = clock()
    long = expose(detector).sum()
    assert long / short == pytest.approx(10, rel=0.02)
    assert clock() - before == pytest.approx(1.0)


@pytest.mark.parametrize("exposure_s", [0.0, -1.0, np.nan, np.inf])
def test_an_exposure_that_is_not_positive_is_refused(clock, exposure_s):
    detector = make_detector(clock)
    detector.exposure_s.put(exposure_s)
    with pytest.raises(ValueError, match="detector_exposure_s must be positive"):
        detector.trigger()


def test_an_error_in_the_physics_reaches_the_status(clock):
    detector = make_detector(clock)
    detector.sample.move_to(-1.0)
    with pytest.raises(ValueError, match="pressure_gpa must lie in"):
        detector.trigger().wait(timeout=60)


def test_before_the_first_exposure_nothing_is_measured(clock):
    assert np.isnan(make_detector(clock).read()["detector_intensity"]["value"]).all()


def test_documents_are_valid_and_carry_axis_and_wavelength(clock, run_engine, documents):
    run_engine(bp.count([make_detector(clock)], 2))
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)
    descriptor = next(document for name, document in documents if name == "descriptor")
    configuration = descriptor["configuration"]["detector"]
    key = descriptor["data_keys"]["detector_intensity"]
    assert (key["dtype"], key["dtype_numpy"], key["units"]) == ("array", "<f8", "counts")
    assert key["shape"] == list(configuration["data"]["detector_two_theta_deg"].shape) == [2751]
    assert configuration["data"]["detector_wavelength_angstrom"] == 0.41328
    assert configuration["data_keys"]["detector_two_theta_deg"]["units"] == "deg"


def test_events_carry_the_exposure_they_were_taken_with(clock, run_engine, documents):
    detector = make_detector(clock)

    def expose_twice():
        yield from bps.open_run()
        yield from bps.trigger_and_read([detector])
        yield from bps.mv(detector.exposure_s, 0.5)
        yield from bps.trigger_and_read([detector])
        yield from bps.close_run()

    run_engine(expose_twice())
    events = [document["data"] for name, document in documents if name == "event"]
    assert [data["detector_exposure_s"] for data in events] == [0.1, 0.5]
    assert events[1]["detector_intensity"].sum() > 4 * events[0]["detector_intensity"].sum()


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (Fault.NAN, lambda frame, counts: np.isnan(frame).all()),
        (Fault.ZEROS, lambda frame, counts: not frame.any()),
        (Fault.INFINITE, lambda frame, counts: np.isinf(frame).all()),
        (Fault.SHORT, lambda frame, counts: frame.size == counts.size // 2),
        (Fault.NEGATIVE, lambda frame, counts: (frame == -counts).all()),
        (Fault.COMPLEX, lambda frame, counts: np.iscomplexobj(frame)),
        (Fault.TEXT, lambda frame, counts: isinstance(frame, str)),
        (Fault.DEAD_PIXELS, lambda frame, counts: 0.03 < np.isnan(frame).mean() < 0.07),
        (Fault.BEAM_LOSS, lambda frame, counts: 0 < frame.sum() < 0.01 * counts.sum()),
    ],
)
def test_a_requested_fault_spoils_its_frame_and_no_other(clock, fault, holds):
    sound = make_detector(clock)
    failing = make_detector(clock, fault_at={2: fault})
    assert (expose(failing) == expose(sound)).all()
    assert holds(expose(failing), expose(sound))
    third = expose(failing)
    assert third.shape == (2751,)
    assert np.isfinite(third).all()


def test_a_missing_field_is_absent_from_the_reading_and_returns_with_the_next(clock):
    detector = make_detector(clock, fault_at={1: Fault.MISSING})
    detector.trigger().wait(timeout=60)
    assert "detector_intensity" not in detector.read()
    assert expose(detector).shape == (2751,)


def test_every_fault_has_a_test_of_its_own():
    # The nine of the table above and MISSING: a new fault needs a new row.
    assert len(Fault) == 10


def test_frames_are_counted_from_the_start_of_each_run(clock, run_engine, documents):
    detector = make_detector(clock, fault_at={2: Fault.ZEROS})
    run_engine(bp.count([detector], 2))
    run_engine(bp.count([detector], 2))
    frames = [d["data"]["detector_intensity"] for name, d in documents if name == "event"]
    assert [bool(frame.any()) for frame in frames] == [True, False, True, False]


def test_data_keys_do_not_change_under_a_fault(clock):
    detector = make_detector(clock, fault_at={1: Fault.SHORT})
    before = detector.describe()
    expose(detector)
    assert detector.describe() == before


def test_a_frame_of_text_reaches_the_subscribers(clock, run_engine, documents):
    detector = make_detector(clock, fault_at={1: Fault.TEXT})
    run_engine(bp.count([detector]))
    event = next(document for name, document in documents if name == "event")
    assert event["data"]["detector_intensity"] == "acquisition failed"


def test_a_missing_field_is_refused_by_the_run_engine_itself(clock, run_engine):
    detector = make_detector(clock, fault_at={1: Fault.MISSING})
    with pytest.raises(EventModelValidationError):
        run_engine(bp.count([detector]))
