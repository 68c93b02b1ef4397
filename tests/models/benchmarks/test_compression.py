import json

import numpy as np
import pytest

from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    no_progress,
    write_result,
)
from phasepilot.models.benchmarks.compression_baselines import BASELINES
from phasepilot.models.benchmarks.compression_following import FollowedRun, Task
from phasepilot.models.benchmarks.compression_runs import null_run, transition_run
from phasepilot.models.benchmarks.noticed_changes import NOTICEABLE, noticings
from phasepilot.models.benchmarks.run_courses import FIRST_ORDER, Change, RunKind, changing_course
from phasepilot.models.benchmarks.series import run as run_series
from phasepilot.models.benchmarks.transition_samples import REPORTED


@pytest.mark.parametrize("name", ["cosine", "chi2_cusum"])
def test_a_baseline_scores_a_jump_highest(name):
    rng = np.random.default_rng(0)
    bins = np.arange(1024)
    lines = [np.exp(-(((bins - centre) / 4) ** 2)) for centre in (200, 500, 700)]
    rows = np.stack([lines[0] + (lines[1] if k < 30 else lines[2]) for k in range(60)])
    rows = np.sqrt(rng.poisson(500 * rows + 5))
    score = BASELINES[name](rows.astype(float))
    assert score[:30].max() < score[30:40].max()


def test_runs_repeat_with_their_seed_and_keep_their_truth():
    first, again = (transition_run(np.random.default_rng(3), n_frames=20) for _ in range(2))
    np.testing.assert_array_equal(first.counts, again.counts)
    (change,) = first.course.changes
    assert change.progress[0] == 0.0
    assert (np.diff(change.progress) >= 0).all()
    without = null_run(np.random.default_rng(3), n_frames=20)
    assert without.course.changes == ()


@pytest.mark.parametrize("number", range(10))
def test_every_kind_of_run_begins_unchanged_and_ends_changed(number):
    course = changing_course(np.random.default_rng(number), REPORTED, number, 150)
    for change in course.changes:
        onset = change.first_frame_with(1e-9)
        assert onset is not None
        assert 30 < onset < 130
        assert change.progress.max() > NOTICEABLE[course.kind].progress


def test_a_loop_goes_back_later_than_it_came():
    course = changing_course(np.random.default_rng(0), REPORTED, 3, 150)
    there, back = course.changes
    assert course.kind is RunKind.LOOP
    assert there.onset > back.onset
    assert course.new_mass_fraction.max() == 1.0
    assert course.new_mass_fraction[-1] == 0.0


def test_lines_split_where_the_axes_of_a_phase_part():
    course = changing_course(np.random.default_rng(1), REPORTED, 5, 150)
    hkl = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    before, after = (course.old.q_per_angstrom(hkl, float(course.varied[k])) for k in (0, -1))
    apart = np.ptp(np.log(after / before))
    assert apart == pytest.approx(course.changes[0].progress[-1], rel=1e-9)


def test_an_alarm_counts_for_the_transition_it_comes_in():
    rising = np.clip((np.arange(40) - 10) / 10, 0, 1)
    falling = np.clip((np.arange(40) - 25) / 10, 0, 1)
    scores = np.zeros(40)
    scores[5] = scores[12:20] = scores[31:] = 1.0
    run = FollowedRun(
        task=Task(0, 3, True),
        kind=RunKind.LOOP,
        material="made",
        peak_counts=1.0,
        changes=(Change(rising, 10.0), Change(falling, 25.0)),
        is_lost=np.zeros(40, dtype=bool),
        gauge=np.arange(40.0),
        scores={"any": scores},
        changed_since=np.full(40, -1.0),
        length_error=scores,
        volume_error=scores,
        axis_error=scores,
        cell_volume_error=scores,
    )
    first, second = noticings([run], "any", 0.5, FIRST_ORDER)
    assert (first.alarm, second.alarm) == (12.0, 31.0)
    assert first.is_noticed_at(0.05, 2)
    assert not second.is_noticed_at(0.05, 2)
    assert second.delay_frames(0.05) == 5.0
    assert second.onset_error("any") == 6.0
    # The first alarm was before anything happened: false, and no noticing.
    assert run.alarms("any", 0.5) == [5, 12, 31]


def test_series_write_their_transitions_by_file(tmp_path):
    rng = np.random.default_rng(0)
    q = np.linspace(1.0, 6.0, 1500)
    old, new = (
        sum(1000 * np.exp(-(((q - centre) / 0.01) ** 2)) for centre in centres)
        for centres in ((2.0, 3.2, 4.0), (2.3, 3.5, 4.6))
    )
    rows = [rng.poisson(20 + (old if k < 15 else new)) for k in range(30)]
    np.savez(tmp_path / "made.npz", q_inv_A=q, intensity=np.array(rows, dtype=float))
    result = run_series(BenchmarkOptions(estimators={}, data=tmp_path), no_progress)
    write_result(result, tmp_path / "found.json")
    (transition,) = json.loads((tmp_path / "found.json").read_text())["made"]["transitions"]
    assert transition["frame"] in (15, 16)
    assert transition["varied_value"] == transition["frame"]
