"""Calibration: an honest and a boastful estimator, and sets that follow a drift."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from benchmark_cases import make_estimate, write_diamonds, write_rruff

from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, no_progress
from phasepilot.models.benchmarks.calibration import run
from phasepilot.models.benchmarks.drifting_stream import drift_figures
from phasepilot.models.benchmarks.symmetry_figures import Level
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.pattern import Pattern


class OneAnswer:
    """Always says space group 225, and how sure it is."""

    def __init__(self, sure: float) -> None:
        self._sure = sure

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        return make_estimate(225, sure=self._sure)

    def predict_many(self, patterns: Sequence[Pattern]) -> list[PhaseEstimate]:
        return [self.predict(pattern) for pattern in patterns]


def test_who_is_right_as_often_as_stated_has_no_calibration_error(tmp_path: Path) -> None:
    # A third of the measured patterns is of space group 225.
    options = BenchmarkOptions(
        estimators={"boast": OneAnswer(0.99), "honest": OneAnswer(1 / 3)},
        data=write_rruff(tmp_path / "minerals.npz"),
        structures=write_diamonds(tmp_path / "structures.parquet", 5),
        n_seeds=1,
        n_simulated=5,
    )
    result = run(options, no_progress)
    numbers = result.flat()
    # Twelve patterns in fifteen bins: each is a bin, so the error is 2 p (1 - p) of the honest.
    assert numbers["space_group_ece"] == pytest.approx(4 / 9)
    assert numbers["boast_space_group_ece"] == pytest.approx(0.99 * 8 / 12 + 0.01 * 4 / 12)
    assert numbers["space_group_set_coverage"] == pytest.approx(1 / 3)
    assert numbers["space_group_set_mean_size"] == 1.0
    # Nobody measured enough of a system to tell how it is covered.
    assert "crystal_system_set_lowest_coverage" not in numbers
    # The held-out structures of the table are of space group 227.
    assert numbers["simulated_space_group_set_coverage"] == 0.0
    (meaning,) = [one.meaning for one in result.figures if one.name == "space_group_set_coverage"]
    assert meaning.endswith("stated for 0.9 of patterns")
    assert len(result.items) == 2 * 12
    assert result.items[0]["space_group_set"] == [225]
    assert result.chart is not None
    assert [curve.name for curve in result.chart.curves] == ["boast", "honest", "as stated"]


def level(n_items: int, share_right: float, rng: np.random.Generator) -> Level:
    """Returns answers of two classes, sure of the right one in some share of the items."""
    truth = rng.integers(2, size=n_items)
    sure = rng.uniform(0.6, 1.0, n_items)
    is_right = rng.random(n_items) < share_right
    of_truth = np.where(is_right, sure, 1 - sure)
    probabilities = np.where(
        truth[:, None] == np.arange(2), of_truth[:, None], 1 - of_truth[:, None]
    )
    return Level("crystal_system", probabilities, truth)


def test_adaptive_sets_hold_their_level_where_fixed_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    simulated, measured = level(2000, 0.95, rng), level(1500, 0.6, rng)
    fixed, adaptive = drift_figures(simulated, measured, prefix="", n_seeds=3)
    assert fixed.name == "stream_fixed_set_coverage"
    assert fixed.value < 0.8
    assert adaptive.value == pytest.approx(0.9, abs=0.03)


def test_without_a_drift_fixed_sets_hold_too() -> None:
    rng = np.random.default_rng(0)
    simulated, measured = level(2000, 0.8, rng), level(1500, 0.8, rng)
    fixed, adaptive = drift_figures(simulated, measured, prefix="", n_seeds=3)
    assert fixed.value == pytest.approx(0.9, abs=0.03)
    assert adaptive.value == pytest.approx(0.9, abs=0.03)
