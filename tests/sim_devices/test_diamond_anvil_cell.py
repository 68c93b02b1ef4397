import threading

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.protocols import Checkable, Movable, Readable, Stoppable
from bluesky.utils import FailedStatus
from event_model import DocumentNames, schema_validators
from ophyd.utils.errors import LimitError

from phasepilot.models.diffraction.pressure.materials import FE, KCL
from phasepilot.sim_devices.diamond_anvil_cell import DiamondAnvilCell
from phasepilot.sim_devices.faults import MoveFault
from phasepilot.sim_devices.sample import Sample


def make_cell(clock, *, material=KCL, sleep=None, **options):
    return DiamondAnvilCell(
        name="cell",
        sample=Sample(material),
        rng=np.random.default_rng(7),
        clock=clock,
        sleep=sleep or clock.sleep,
        **options,
    )


@pytest.fixture
def never_arrive():
    """A `sleep` that lasts until the test is over: a move stays under way."""
    test_is_over = threading.Event()
    yield lambda seconds: test_is_over.wait()
    test_is_over.set()


def test_the_cell_satisfies_the_protocols_of_bluesky(clock):
    cell = make_cell(clock)
    assert isinstance(cell, Movable)
    assert isinstance(cell, Readable)
    assert isinstance(cell, Stoppable)
    assert isinstance(cell, Checkable)


def test_a_move_ends_exactly_on_the_set_point(clock):
    cell = make_cell(clock)
    cell.set(1.5).wait(timeout=60)
    assert cell.position == 1.5
    assert cell.sample.pressure_gpa == 1.5


def test_a_move_takes_as_long_as_the_approach(clock):
    cell = make_cell(clock, time_constant_s=3.0, tolerance_gpa=0.01)
    before = clock()
    cell.set(1.2).wait(timeout=60)
    assert clock() - before == pytest.approx(3.0 * np.log(1.0 / 0.01))


def test_the_sample_follows_the_true_pressure_during_a_move(clock, never_arrive):
    cell = make_cell(clock, time_constant_s=1.0, sleep=never_arrive)
    start_gpa = cell.position
    cell.set(2.0)
    clock.sleep(0.5)
    expected_gpa = 2.0 + (start_gpa - 2.0) * np.exp(-0.5)
    assert cell.position == pytest.approx(expected_gpa)
    assert cell.sample.pressure_gpa == pytest.approx(expected_gpa)


def test_compression_and_decompression_leave_a_partial_loop(clock):
    cell = make_cell(clock, material=FE)
    cell.set(14.0).wait(timeout=60)
    cell.set(12.5).wait(timeout=60)
    assert cell.sample.high_pressure_fraction == pytest.approx(0.5)


@pytest.mark.parametrize("pressure_gpa", [-0.1, 30.1, np.nan])
def test_a_set_point_outside_the_limits_is_refused(clock, pressure_gpa):
    with pytest.raises(LimitError, match="cell may be set from 0 to 30 GPa, but was asked for"):
        make_cell(clock).set(pressure_gpa)


def test_stopping_holds_the_pressure_and_fails_the_move(clock, never_arrive):
    cell = make_cell(clock, time_constant_s=1.0, sleep=never_arrive)
    status = cell.set(2.0)
    clock.sleep(0.3)
    cell.stop()
    held_gpa = cell.position
    clock.sleep(10.0)
    assert KCL.scan_start_gpa < held_gpa < 2.0
    assert cell.position == cell.setpoint_gpa == held_gpa
    with pytest.raises(RuntimeError, match="cell was stopped at"):
        status.wait(timeout=60)


def test_stopping_with_success_ends_the_move_well(clock, never_arrive):
    cell = make_cell(clock, sleep=never_arrive)
    status = cell.set(2.0)
    cell.stop(success=True)
    status.wait(timeout=60)
    assert status.success


def test_stopping_at_rest_changes_nothing(clock):
    cell = make_cell(clock)
    cell.set(1.0).wait(timeout=60)
    cell.stop()
    assert cell.setpoint_gpa == 1.0


def test_a_new_set_point_fails_the_move_under_way(clock, never_arrive):
    cell = make_cell(clock, sleep=never_arrive)
    first = cell.set(1.0)
    cell.set(2.0)
    with pytest.raises(RuntimeError, match="was set to 2 GPa before it had arrived"):
        first.wait(timeout=60)


def test_the_gauge_scatters_about_the_true_pressure(clock):
    cell = make_cell(clock, gauge_noise_gpa=0.02)
    readings = [cell.read()["cell_pressure_gpa"]["value"] for _ in range(2000)]
    assert np.mean(readings) == pytest.approx(cell.position, abs=0.002)
    assert np.std(readings) == pytest.approx(0.02, rel=0.1)


def test_a_gauge_without_noise_reads_the_true_pressure(clock):
    cell = make_cell(clock, gauge_noise_gpa=0.0)
    assert cell.read()["cell_pressure_gpa"]["value"] == cell.position


def test_a_scan_emits_valid_documents_along_the_set_points(clock, run_engine, documents):
    cell = make_cell(clock)
    run_engine(bp.scan([], cell, 0.5, 3.0, 6))
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)
    events = [document["data"] for name, document in documents if name == "event"]
    set_points = [data["cell_setpoint_gpa"] for data in events]
    assert set_points == pytest.approx(np.linspace(0.5, 3.0, 6))
    assert [d["cell_pressure_gpa"] for d in events] == pytest.approx(set_points, abs=0.05)


def test_data_keys_state_units_type_and_limits(clock, run_engine, documents):
    run_engine(bp.count([make_cell(clock)]))
    descriptor = next(document for name, document in documents if name == "descriptor")
    key = descriptor["data_keys"]["cell_pressure_gpa"]
    assert (key["units"], key["dtype"], key["dtype_numpy"], key["shape"]) == (
        "GPa",
        "number",
        "<f8",
        [],
    )
    assert key["limits"]["control"] == {"low": 0.0, "high": 30.0}
    assert descriptor["hints"]["cell"]["fields"] == ["cell_pressure_gpa"]


def test_best_effort_callback_prints_a_column_for_the_gauge(clock, run_engine, capsys):
    best_effort = BestEffortCallback()
    best_effort.disable_plots()
    run_engine.subscribe(best_effort)
    run_engine(bp.scan([], make_cell(clock), 0.5, 1.0, 2))
    assert "cell_pressure_gpa" in capsys.readouterr().out


def test_a_relative_move_starts_from_the_true_pressure(clock, run_engine):
    cell = make_cell(clock)
    run_engine(bps.mv(cell, 1.0))
    run_engine(bps.mvr(cell, 0.25))
    assert cell.position == pytest.approx(1.25)


def test_a_plan_beyond_the_limits_fails_before_the_cell_moves(clock, run_engine):
    cell = make_cell(clock)
    with pytest.raises(LimitError, match="check the scan"):
        run_engine(bps.mv(cell, 99.0))
    assert cell.position == KCL.scan_start_gpa


def test_a_move_that_is_stopped_fails_its_plan(clock, run_engine, never_arrive):
    cell = make_cell(clock, sleep=never_arrive)

    def stop_on_the_way():
        yield from bps.abs_set(cell, 2.0, group="move")
        cell.stop()
        yield from bps.wait("move")

    with pytest.raises(FailedStatus):
        run_engine(stop_on_the_way())


def test_a_stuck_membrane_fails_the_move_and_leaves_the_pressure(clock):
    cell = make_cell(clock, timeout_s=20.0, fault_at={1: MoveFault.STUCK})
    with pytest.raises(TimeoutError, match="should have arrived at 3 GPa within 20 s, but stands"):
        cell.set(3.0).wait(timeout=60)
    assert cell.position == KCL.scan_start_gpa
    cell.set(3.0).wait(timeout=60)
    assert cell.position == 3.0
