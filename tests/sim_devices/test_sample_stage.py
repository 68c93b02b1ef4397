import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.protocols import Movable, Readable, Stageable, Stoppable
from bluesky.utils import FailedStatus
from event_model import DocumentNames, schema_validators
from ophyd.utils.errors import LimitError

from phasepilot.sim_devices.beamline import simulated_sample_library
from phasepilot.sim_devices.faults import CountingFault, MoveFault
from phasepilot.sim_devices.sample_library import SampleCondition, sample_library


@pytest.fixture(scope="module")
def library():
    return sample_library(np.random.default_rng(0), n_columns=6, n_rows=3, n_bad_of_each=1)


@pytest.fixture
def beamline(library, virtual_clock):
    return simulated_sample_library(seed=0, library=library, clock=virtual_clock)


def events(documents):
    return [doc["data"] for name, doc in documents if name == "event"]


def test_the_stage_satisfies_the_protocols_of_bluesky(beamline):
    for protocol in (Movable, Readable, Stageable, Stoppable):
        assert isinstance(beamline.stage, protocol)


def test_going_to_a_sample_by_name_brings_it_into_the_beam(beamline, run_engine, documents):
    names = ["A01", "C04", "B06"]
    run_engine(bp.list_scan([beamline.strip, beamline.time], beamline.stage, names))
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)
    assert [event["stage_sample"] for event in events(documents)] == names
    assert events(documents)[1]["stage_x_mm"] == 15.0
    assert events(documents)[1]["stage_y_mm"] == 10.0


def test_a_wafer_is_scanned_along_its_axes_too(beamline, run_engine, documents):
    stage = beamline.stage
    run_engine(bp.grid_scan([stage], stage.y, 0.0, 10.0, 3, stage.x, 0.0, 25.0, 6))
    assert tuple(event["stage_sample"] for event in events(documents)) == beamline.library.names


def test_both_axes_move_at_once(beamline, run_engine, virtual_clock):
    run_engine(bps.mv(beamline.stage, "C04"))
    assert virtual_clock() == 15.0 / 5.0 + 0.5


def test_the_detector_counts_what_the_sample_in_the_beam_scatters(beamline, run_engine, documents):
    library = beamline.library
    good = next(s for s in library.samples if s.condition is SampleCondition.GOOD)
    empty = next(s for s in library.samples if s.condition is SampleCondition.EMPTY)
    curve = library.rate_curve_at(good.x_mm, good.y_mm)
    angles = np.linspace(12.0, 98.0, 4000)
    top_deg = float(angles[curve.in_windows(angles, 0.05).argmax()])
    run_engine(bps.mv(beamline.arm, top_deg))
    names = [good.name, empty.name]
    run_engine(bp.list_scan([beamline.detector], beamline.stage, names))
    expected = [
        library.rate_curve_at(sample.x_mm, sample.y_mm).in_windows(np.array([top_deg]), 0.05)[0]
        for sample in (good, empty)
    ]
    counts = [event["detector_counts"] for event in events(documents)]
    for seen, mean in zip(counts, expected, strict=True):
        assert abs(seen - mean - 0.5) < 6 * np.sqrt(mean + 0.5)
    assert counts[0] > 5 * counts[1]


def test_between_samples_the_name_is_empty(beamline, run_engine):
    run_engine(bps.mv(beamline.stage.x, 2.5))
    assert beamline.stage.position == ""
    assert beamline.stage.read()["stage_sample"]["value"] == ""


def test_a_sample_that_is_not_there_is_refused(beamline, run_engine):
    with pytest.raises(ValueError, match="no sample 'A99'"):
        run_engine(bps.mv(beamline.stage, "A99"))


def test_an_axis_beyond_its_limits_is_refused(beamline, run_engine):
    with pytest.raises(LimitError, match="stage_x may be set from -5 to 30 mm, but was asked for"):
        run_engine(bps.mv(beamline.stage.x, 31.0))


def test_a_stuck_axis_fails_the_way_to_a_sample(beamline, run_engine):
    beamline.stage.y.fault_at = {1: MoveFault.STUCK}
    with pytest.raises(FailedStatus):
        run_engine(bps.mv(beamline.stage, "C04"))
    assert beamline.stage.x.position == 15.0
    assert beamline.stage.y.position == 0.0


def test_stopping_the_stage_stops_both_axes(beamline, run_engine):
    def plan():
        yield from bps.abs_set(beamline.stage, "C04", group="move")
        yield from bps.sleep(1.0)
        beamline.stage.stop()
        yield from bps.wait("move")

    with pytest.raises(FailedStatus):
        run_engine(plan())
    assert (beamline.stage.x.position, beamline.stage.y.position) == (5.0, 5.0)


def test_a_beam_lost_on_some_samples_leaves_the_others_as_they_are(beamline, run_engine, documents):
    beamline.strip.fault_at = {2: CountingFault.DROPPED_BEAM}
    run_engine(bp.list_scan([beamline.strip], beamline.stage, ["A01", "A02", "A03"]))
    totals = [event["strip_intensity"].sum() for event in events(documents)]
    assert totals[1] < 0.2 * min(totals[0], totals[2])
