"""The benchmark on a small file of its format: who knows all, and who always says the same."""

import numpy as np
import pytest
from benchmark_cases import Librarian, write_rruff

from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    no_progress,
)
from phasepilot.models.benchmarks.measured_files import read_rruff
from phasepilot.models.benchmarks.rruff908 import run


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkResult:
    """Two estimators: one calls everything 225, the judged one holds a pattern of each mineral."""
    path = write_rruff(tmp_path_factory.mktemp("data") / "minerals.npz")
    patterns = read_rruff(path).patterns
    estimators = {
        "one answer": Librarian(patterns[:1], [225]),
        "all": Librarian(patterns[::4], [225, 62, 14]),
    }
    return run(BenchmarkOptions(estimators=estimators, data=path, n_seeds=2), no_progress)


def test_an_estimator_that_knows_all_scores_one(result: BenchmarkResult) -> None:
    numbers = result.flat()
    for name in ("crystal_system", "space_group", "extinction_class"):
        assert numbers[f"{name}_accuracy"] == 1.0
    assert numbers["space_group_top_3_accuracy"] == 1.0
    assert numbers["space_group_macro_f1"] == 1.0
    assert numbers["space_group_accuracy_at_half_coverage"] == 1.0
    assert numbers["space_group_aurc"] == 0.0


def test_always_one_answer_is_right_for_a_third(result: BenchmarkResult) -> None:
    numbers = result.flat()
    assert numbers["one_answer_space_group_accuracy"] == pytest.approx(1 / 3)
    # F1 of the only class that is answered is 2 * 4 / (4 + 12), of the two others 0.
    assert numbers["one_answer_space_group_macro_f1"] == pytest.approx(0.5 / 3)
    assert numbers["majority_space_group_accuracy"] == pytest.approx(1 / 3)


def test_intervals_hold_their_figure(result: BenchmarkResult) -> None:
    for figure in result.figures:
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high


def test_only_what_is_random_has_a_spread(result: BenchmarkResult) -> None:
    spreads = {figure.name for figure in result.figures if figure.spread is not None}
    assert spreads == {figure.name for figure in result.figures if "souped" in figure.name}


def test_names_are_used_once(result: BenchmarkResult) -> None:
    names = [figure.name for figure in result.figures]
    assert len(set(names)) == len(names)


def test_every_pattern_has_its_answers_among_the_items(result: BenchmarkResult) -> None:
    zero_shot = [item for item in result.items if item["protocol"] == "zero_shot"]
    assert len(zero_shot) == 2 * 12
    judged = [item for item in zero_shot if item["estimator"] == "all"]
    assert {item["answer_space_group_number"] for item in judged} == {225, 62, 14}
    assert judged[0]["pattern"] == "rruff908-100"
    assert judged[0]["crystal_system"] == judged[0]["answer_crystal_system"] == "cubic"
    asked = [item for item in result.items if item["protocol"] == "souped_by_group"]
    # Nearest neighbour and two estimators, two seeds, all patterns.
    assert len(asked) == 3 * 2 * 12


def test_the_chart_ends_at_the_accuracy_of_all_patterns(result: BenchmarkResult) -> None:
    assert result.chart is not None
    ends = {curve.name: curve.y[-1] for curve in result.chart.curves}
    assert ends == {"one answer": pytest.approx(1 / 3), "all": 1.0}
    assert all(np.all(np.diff(curve.x) > 0) for curve in result.chart.curves)
