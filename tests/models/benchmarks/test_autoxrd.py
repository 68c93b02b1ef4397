"""The benchmark on thin films, on simulated films whose answer is known."""

import os
from pathlib import Path

import numpy as np
import pytest

from phasepilot.models.benchmarks import autoxrd
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    no_progress,
)
from phasepilot.models.benchmarks.film_classifier import FilmMachine, compared, film_comparison
from phasepilot.models.benchmarks.film_views import films
from phasepilot.models.benchmarks.measured_files import read_thin_films
from phasepilot.models.errors import ModelsError, PatternError

LINES_DEG = {
    221: [14.2, 20.1, 24.7, 28.6, 32.0],
    140: [14.3, 19.9, 25.8, 28.9, 31.1],
    164: [9.1, 12.7, 18.1, 27.3],
}
MEMBERS = (221,) * 9 + (140,) * 3 + (164,) * 3


def write_films(path: Path, members: tuple[int, ...] = MEMBERS, *, seed: int = 0) -> Path:
    """Films whose lines have random heights, as texture makes them; two films are a family."""
    rng = np.random.default_rng(seed)
    angles = np.arange(5.0, 55.0, 0.04)
    rows = []
    for number in members:
        lines = np.array(LINES_DEG.get(number, [40.0]))[:, None] + rng.normal(0, 0.03)
        heights = rng.uniform(0.2, 1.0, lines.shape)
        expected = 200 + 3000 * (heights * np.exp(-0.5 * ((angles - lines) / 0.12) ** 2)).sum(0)
        rows.append(rng.poisson(expected))
    np.savez(
        path,
        offsets=np.arange(len(members) + 1) * angles.size,
        two_theta=np.tile(angles, len(members)),
        intensity=np.concatenate(rows).astype(np.float32),
        wavelength=1.5418,
        space_group=np.array(members),
        family=np.array([f"{number}-{k // 2}" for k, number in enumerate(members)]),
    )
    return path


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkResult:
    data = write_films(tmp_path_factory.mktemp("films") / "films.npz", (*MEMBERS, 194))
    return autoxrd.run(BenchmarkOptions(estimators={}, data=data), no_progress)


def test_films_with_a_like_are_named_and_the_single_one_cannot_be(result: BenchmarkResult) -> None:
    figures = result.flat()
    assert figures["ceiling"] == pytest.approx(15 / 16)
    assert figures["ceiling"] - 0.03 < figures["accuracy"] <= figures["ceiling"]
    assert figures["accuracy_step_0_64"] > 0.85
    assert figures["accuracy_counts_0_1"] > 0.85
    assert figures["majority_accuracy"] == pytest.approx(9 / 16)


def test_every_film_is_answered_once_a_seed_and_condition(result: BenchmarkResult) -> None:
    keys = {(item["film"], item["condition"], item["seed"]) for item in result.items}
    n_films_known_apart = len({item["film"] for item in result.items})
    assert len(keys) == n_films_known_apart * 11 * 20
    assert len(result.items) == 16 * 11 * 20
    assert "194: 1, 221: 9" in result.notes[0]


def test_nothing_of_a_test_film_is_used_to_name_it(tmp_path: Path) -> None:
    labelled = read_thin_films(write_films(tmp_path / "films.npz"))
    measured = films(labelled.patterns)
    comparison = film_comparison(measured, np.random.default_rng(0))
    shown = compared(comparison, measured)
    truth = labelled.space_group_number
    train, test = np.arange(1, truth.size), np.array([0])
    wrong = truth.copy()
    wrong[test] = 140
    for labels in (truth, wrong):
        assert FilmMachine(comparison, labels, train).labels(shown, test).tolist() == [221]


def test_a_machine_that_knows_one_space_group_says_it(tmp_path: Path) -> None:
    labelled = read_thin_films(write_films(tmp_path / "films.npz"))
    measured = films(labelled.patterns)
    comparison = film_comparison(measured, np.random.default_rng(0))
    train = np.flatnonzero(labelled.space_group_number == 140)
    machine = FilmMachine(comparison, labelled.space_group_number, train)
    assert machine.labels(compared(comparison, measured), np.array([0, 14])).tolist() == [140, 140]


def test_fewer_films_than_folds_are_refused(tmp_path: Path) -> None:
    data = write_films(tmp_path / "films.npz", (221, 140, 164))
    with pytest.raises(PatternError, match=r"cross-validation needs at least 5 films, but .* 3"):
        autoxrd.run(BenchmarkOptions(estimators={}, data=data), no_progress)


def test_the_benchmark_needs_data() -> None:
    with pytest.raises(ModelsError, match="needs measured patterns, but none are given"):
        autoxrd.run(BenchmarkOptions(estimators={}), no_progress)


@pytest.mark.slow
@pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ, reason="PHASEPILOT_DATA does not name the folder with data"
)
def test_measured_films_are_named_better_than_by_the_nearest_neighbour() -> None:
    data = Path(os.environ["PHASEPILOT_DATA"]) / "autoxrd"
    figures = autoxrd.run(BenchmarkOptions(estimators={}, data=data), no_progress).flat()
    assert figures["accuracy"] > figures["nearest_neighbour_accuracy"] + 0.01
    assert figures["accuracy_step_0_64"] > figures["ceiling"] - 0.06
