import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.preprocessors import run_wrapper
from bluesky.protocols import Movable, Readable, Stageable, Stoppable
from bluesky.utils import FailedStatus
from event_model import DocumentNames, schema_validators
from ophyd.utils.errors import LimitError

from phasepilot.models.diffraction.pressure.materials import MaterialError
from phasepilot.sim_devices.beamline import simulated_furnace
from phasepilot.sim_devices.faults import MoveFault
from phasepilot.sim_devices.thermal_materials import (
    BARIUM_TITANATE,
    THERMAL_MATERIALS,
    ZIRCONIA,
    thermal_material_named,
)

EVERY_MATERIAL = pytest.mark.parametrize(
    "material", THERMAL_MATERIALS.values(), ids=THERMAL_MATERIALS
)


@pytest.fixture
def zirconia(virtual_clock):
    return simulated_furnace("ZrO2", seed=0, clock=virtual_clock)


@pytest.fixture
def titanate(virtual_clock):
    return simulated_furnace("BaTiO3", seed=0, clock=virtual_clock)


def events(documents):
    return [doc["data"] for name, doc in documents if name == "event"]


def test_the_furnace_satisfies_the_protocols_of_bluesky(zirconia):
    for protocol in (Movable, Readable, Stageable, Stoppable):
        assert isinstance(zirconia.furnace, protocol)


def test_a_scan_emits_valid_documents_and_passes_the_transition(zirconia, run_engine, documents):
    run_engine(bp.scan([zirconia.detector, zirconia.time], zirconia.furnace, 1100.0, 1600.0, 6))
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)
    seen = [event["furnace_temperature_k"] for event in events(documents)]
    assert seen == pytest.approx(np.linspace(1100, 1600, 6), abs=0.5)
    assert zirconia.sample.high_temperature_fraction == 1.0
    # 500 K at 0.5 K/s, and six exposures.
    assert events(documents)[-1]["beamline_time_s"] > 1000.0


def test_a_transition_comes_back_later_than_it_went(zirconia, run_engine):
    fractions = {}

    def there_and_back():
        for branch, way in (("up", (1373.0,)), ("down", (1600.0, 1373.0, 1133.0, 1000.0))):
            for temperature_k in way:
                yield from bps.mv(zirconia.furnace, temperature_k)
                fractions[branch, temperature_k] = zirconia.sample.high_temperature_fraction

    run_engine(there_and_back())
    assert fractions["up", 1373.0] == pytest.approx(0.5)
    assert fractions["down", 1373.0] == 1.0
    assert fractions["down", 1133.0] == pytest.approx(0.5)
    assert fractions["down", 1000.0] == 0.0


def test_a_move_takes_the_ramp_and_the_lag(zirconia, run_engine, virtual_clock):
    zirconia.furnace.ramp_rate_k_per_s.put(2.0)
    run_engine(bps.mv(zirconia.furnace, 1300.0))
    # A lag of 40 K falls to 0.1 K in 20 s x ln 400.
    assert virtual_clock() == pytest.approx(100.0 + 20.0 * np.log(400), rel=0.01)


def test_the_detector_sees_the_temperature_of_the_moment_during_a_ramp(zirconia, run_engine):
    seen = []

    def count_on_the_way():
        yield from bps.abs_set(zirconia.furnace, 1600.0, group="ramp")
        for _ in range(4):
            yield from bps.sleep(200.0)
            yield from bps.trigger_and_read([zirconia.detector])
            seen.append(zirconia.sample.temperature_k)
        yield from bps.wait("ramp")

    run_engine(run_wrapper(count_on_the_way()))
    assert np.diff(seen) == pytest.approx(0.5 * 201.05, abs=0.1)


def test_lines_of_a_tetragonal_pair_close_up_and_merge(titanate, run_engine):
    gaps = []

    def measured_gap():
        curve = titanate.furnace.rate_curve()
        angles = np.arange(44.0, 46.5, 0.005)
        rate = curve.in_windows(angles, 0.05)
        is_top = (rate[1:-1] > rate[:-2]) & (rate[1:-1] >= rate[2:]) & (rate[1:-1] > 60)
        tops = angles[1:-1][is_top]
        return tops[-1] - tops[0]

    for temperature_k in (300.0, 380.0, 400.0):
        run_engine(bps.mv(titanate.furnace, temperature_k))
        gaps.append(measured_gap())
    # 002 and 200 of a = 3.994, c = 4.038 angstrom.
    assert gaps[0] == pytest.approx(0.52, abs=0.03)
    assert gaps[1] < 0.7 * gaps[0]
    assert gaps[2] == 0.0


def test_a_stuck_furnace_fails_its_plan(zirconia, run_engine):
    zirconia.furnace.fault_at = {1: MoveFault.STUCK}
    with pytest.raises(FailedStatus):
        run_engine(bps.mv(zirconia.furnace, 1300.0))
    assert zirconia.sample.temperature_k == 1100.0


def test_a_noisy_thermocouple_does_not_heat_the_sample(zirconia):
    zirconia.furnace.fault_at = {1: MoveFault.NOISY_READBACK}
    zirconia.furnace.set(1200.0).wait(timeout=60)
    readings = [zirconia.furnace.read()["furnace_temperature_k"]["value"] for _ in range(300)]
    assert np.std(readings) == pytest.approx(5.0, rel=0.2)
    assert zirconia.sample.temperature_k == 1200.0


def test_a_temperature_outside_the_limits_is_refused(zirconia, run_engine):
    with pytest.raises(LimitError, match="furnace may be set from 80 to 1900 K, but was asked"):
        run_engine(bps.mv(zirconia.furnace, 2000.0))


def test_a_ramp_rate_that_is_none_is_refused(zirconia, run_engine):
    zirconia.furnace.ramp_rate_k_per_s.put(0.0)
    with pytest.raises(ValueError, match="furnace_ramp_rate_k_per_s must be positive, but is 0"):
        run_engine(bps.mv(zirconia.furnace, 1200.0))


def test_a_material_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(MaterialError, match=r"there are \['BaTiO3', 'ZrO2'\]. Did you mean 'ZrO2'"):
        thermal_material_named("ZrO")


@EVERY_MATERIAL
def test_expansion_obeys_the_symmetry(material):
    for phase in (material.low_temperature, material.high_temperature):
        a, b, c, *_ = phase.crystal.cell
        grown = phase.crystal_at(phase.reference_temperature_k + 100.0).cell
        assert (a == b) == (grown[0] == grown[1])
        assert (b == c) == (grown[1] == grown[2])


@EVERY_MATERIAL
def test_the_scan_has_room_on_both_sides_of_the_transition(material):
    assert material.scan_start_k < material.transition_temperature_k
    assert material.scan_stop_k > material.loop.rise_end


def test_zirconia_shrinks_on_heating_through_its_transition():
    # By 4 to 5 %, as is well known of it; here at 1373 K.
    low = ZIRCONIA.low_temperature.crystal_at(1373.0).volume_cubic_angstrom / 4
    high = ZIRCONIA.high_temperature.crystal_at(1373.0).volume_cubic_angstrom / 2
    assert 0.02 < 1 - high / low < 0.06


def test_tetragonality_of_barium_titanate_falls_before_the_transition():
    ratios = [
        crystal.cell[2] / crystal.cell[0]
        for crystal in map(BARIUM_TITANATE.low_temperature.crystal_at, (298.0, 393.0))
    ]
    assert ratios == pytest.approx([1.011, 1.006], abs=5e-4)
