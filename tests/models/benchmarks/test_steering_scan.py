import json

import numpy as np
import pytest
from library_samples import CU_ANGSTROM, intensity_of, make_known
from scan_cases import AXIS, BACKGROUND_PER_S, KnownLines, lines_at

from phasepilot.models.benchmarks.steering_scan import (
    THRESHOLDS,
    Points,
    RecordedSample,
    RememberedSource,
    SimulatedSample,
    Step,
    Trace,
    VirtualDiffractometer,
    swept,
    traced,
)
from phasepilot.models.benchmarks.steering_scan_figures import matched_error, speedup
from phasepilot.models.benchmarks.steering_scan_pairs import measured_pairs
from phasepilot.models.errors import PatternError
from phasepilot.models.steering.information_rate import InformationRate, InformationRateSettings
from phasepilot.models.steering.scan import ScanCost
from phasepilot.models.suggestion import Action, Suggestion

A, B = lines_at(30.0, 50.0), lines_at(30.0, 80.0)


def window(start, stop, step, dwell=0.01):
    return Suggestion(
        Action.REFINE, "", step=step, region_start=start, region_stop=stop, dwell_s=dwell
    )


def make_device(sample, **cost):
    return VirtualDiffractometer(sample, ScanCost(**cost), CU_ANGSTROM)


def simulated(rate=A):
    return SimulatedSample(AXIS, rate + BACKGROUND_PER_S, np.random.default_rng(0))


def recorded():
    scans = [np.arange(10.0, 60.0, step) for step in (0.04, 0.01)]
    return RecordedSample(*(Points(a, 100 * a, np.full(a.size, 0.05)) for a in scans))


def test_time_is_moving_settling_and_counting() -> None:
    device = make_device(simulated(), speed_deg_per_s=10.0, settle_s=0.5, readout_s=0.01)
    device.measure(window(20.0, 30.0, 0.1))
    assert device.elapsed_s == pytest.approx(0.5 + 100 * 0.02)
    device.measure(window(50.0, 51.0, 0.1))
    assert device.elapsed_s == pytest.approx(0.5 + 100 * 0.02 + 2.0 + 0.5 + 10 * 0.02)


def test_counts_and_exposures_of_a_point_that_is_measured_twice_add_up() -> None:
    device = make_device(simulated())
    for _ in range(2):
        device.measure(window(18.0, 28.0, 0.1, dwell=1.0))
    sight = device.sight(1)
    assert sight.pattern is not None
    assert sight.exposure_s is not None
    assert sight.pattern.intensity.size == 100
    assert sight.exposure_s.tolist() == [2.0] * 100
    assert sight.pattern.intensity.mean() == pytest.approx(2 * BACKGROUND_PER_S, rel=0.1)


def test_recorded_windows_come_from_the_fast_scan_unless_finer_points_are_asked_for() -> None:
    sample = recorded()
    for step, n_points in ((0.16, 7), (0.04, 26), (0.01, 101)):
        found = sample.count(np.arange(20.0, 21.0, step), 1.0, step)
        assert found.counts.size == pytest.approx(n_points, abs=1)
        np.testing.assert_allclose(found.counts, 100 * found.two_theta_deg)
        assert set(found.exposure_s) == {0.05}


def make_trace(*steps):
    return Trace(tuple(Step(time, doubt, doubt, right) for time, doubt, right in steps))


def test_a_scan_stops_at_the_first_state_that_reaches_the_threshold_else_at_its_last() -> None:
    trace = make_trace((1.0, 0.4, False), (2.0, 0.04, True), (3.0, 0.2, True))
    assert [trace.stopped_at(one).elapsed_s for one in (0.5, 0.1, 0.001)] == [1.0, 2.0, 3.0]


def test_rules_are_compared_where_both_err_as_seldom() -> None:
    slow = swept([[make_trace((40.0, 0.5, False), (80.0, 0.0, True))] * 20])
    fast = swept([[make_trace((10.0, 0.5, False), (20.0, 0.0, True))] * 20])
    assert matched_error(slow, fast) == 0.05
    np.testing.assert_allclose(speedup(slow, fast), [4.0, 4.0])


def test_a_rule_that_never_gets_it_right_is_compared_at_its_own_error() -> None:
    bad = swept([[make_trace((40.0, 0.5, k > 5)) for k in range(20)]])
    good = swept([[make_trace((5.0, 0.5, k > 5), (50.0, 0.0, True)) for k in range(20)]])
    assert matched_error(bad, good) == pytest.approx(0.3)
    # At 30 % errors the better rule may stop at once.
    assert speedup(bad, good)[0] == pytest.approx(8.0)


def test_a_rule_drives_the_diffractometer_to_the_right_answer() -> None:
    source = RememberedSource(KnownLines({"a": A, "b": B}))
    settings = InformationRateSettings(stop_deg=45.0, largest_error=THRESHOLDS[-1])
    device = make_device(simulated())
    trace = traced(
        InformationRate(settings, source),
        source,
        settings,
        device,
        truth="a",
    )
    assert trace.steps[-1].is_right
    assert trace.steps[-1].doubt <= THRESHOLDS[-1]
    assert trace.steps[0].doubt > 0.4
    assert np.diff([step.elapsed_s for step in trace.steps]).min() > 0


def write_pair(folder, *names):
    angles = np.arange(10.0, 99.0, 0.1)
    counts = np.round(1000 * intensity_of(make_known("rutile"), angles) + 5)
    np.savez(
        folder / "measured.npz",
        offsets=np.arange(len(names) + 1) * angles.size,
        two_theta=np.tile(angles, len(names)),
        intensity=np.tile(counts, len(names)),
        wavelength=np.full(len(names), CU_ANGSTROM),
        name=np.array(names),
    )
    entry = {"kind": "mixture", "phases": [{"formula": "TiO2"}, {"formula": "Na Cl"}]}
    (folder / "measured.json").write_text(json.dumps([entry] * len(names)))


def test_pairs_are_scans_of_one_name_and_their_truth_is_reduced_formulas(tmp_path) -> None:
    write_pair(tmp_path, "mix--2min", "mix--8min", "other--2min")
    (pair,) = measured_pairs(tmp_path)
    assert (pair.name, pair.truth) == ("mix", "NaCl + TiO2")
    assert pair.sample.slow.exposure_s.sum() == pytest.approx(480.0)
    assert pair.sample.fast.exposure_s.sum() == pytest.approx(120.0)


def test_measured_files_without_a_pair_are_refused(tmp_path) -> None:
    write_pair(tmp_path, "mix--2min", "other--8min")
    with pytest.raises(PatternError, match="--2min and --8min"):
        measured_pairs(tmp_path)
