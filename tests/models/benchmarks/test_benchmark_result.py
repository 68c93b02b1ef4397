"""Results: flat numbers named as the figures, items beside them; and what is judged."""

import json
from pathlib import Path

import pytest
from benchmark_cases import Librarian

from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    write_result,
)
from phasepilot.models.benchmarks.registry import BENCHMARKS, benchmark_named
from phasepilot.models.errors import ModelsError

FIGURES = (
    Figure("accuracy", 0.5, "share right", low=0.4, high=0.6),
    Figure("flips", 0.01, "share of others", spread=0.002),
)


def test_a_figure_gives_only_the_numbers_that_are_known() -> None:
    assert BenchmarkResult("a test", FIGURES, ()).flat() == {
        "accuracy": 0.5,
        "accuracy_low": 0.4,
        "accuracy_high": 0.6,
        "flips": 0.01,
        "flips_spread": 0.002,
    }


def test_results_are_one_flat_object_and_one_line_an_item(tmp_path: Path) -> None:
    result = BenchmarkResult("a test", FIGURES, ({"pattern": "a"}, {"pattern": "b"}))
    items = write_result(result, tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text()) == result.flat()
    assert items == tmp_path / "run.items.jsonl"
    assert [json.loads(line) for line in items.read_text().splitlines()] == list(result.items)


def test_results_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"run.json cannot .*give another path with --results"):
        write_result(BenchmarkResult("a test", (), ()), tmp_path / "none" / "run.json")


def test_the_last_estimator_is_judged_and_has_no_prefix() -> None:
    nobody = Librarian([], [])
    options = BenchmarkOptions(estimators={"network": nobody, "npcnn-v1": nobody, "all": nobody})
    assert options.judged == "all"
    prefixes = [options.prefix(name) for name in options.estimators]
    assert prefixes == ["network_", "npcnn_v1_", ""]


def test_missing_patterns_are_asked_for() -> None:
    options = BenchmarkOptions(estimators={})
    with pytest.raises(ModelsError, match=r"needs measured patterns.*--data, or set PHASEPILOT"):
        options.measured()


def test_an_unknown_benchmark_is_met_with_the_nearest_name() -> None:
    with pytest.raises(ModelsError, match=r"but is 'rruff980'.*Did you mean 'rruff908'"):
        benchmark_named("rruff980")


def test_every_benchmark_says_in_a_line_what_it_measures() -> None:
    for benchmark in BENCHMARKS.values():
        assert 20 < len(benchmark.description) < 100
        assert "\n" not in benchmark.description
