import json

import numpy as np
import pytest

from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    no_progress,
    write_result,
)
from phasepilot.models.benchmarks.compression_baselines import BASELINES
from phasepilot.models.benchmarks.compression_runs import null_run, transition_run
from phasepilot.models.benchmarks.series import run as run_series


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
    assert first.new_mass_fraction[0] == 0.0
    assert (np.diff(first.new_mass_fraction) >= 0).all()
    without = null_run(np.random.default_rng(3), n_frames=20)
    assert without.first_frame_with(1e-9) is None


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
