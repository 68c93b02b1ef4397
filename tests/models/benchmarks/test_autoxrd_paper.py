"""The tables of Oviedo et al., on simulated films whose answer is known."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structure_rows import cubic, make_row, write_table

from phasepilot.models.benchmarks import autoxrd_paper, autoxrd_paper_figures, film_networks
from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, no_progress
from phasepilot.models.benchmarks.film_methods import METHODS
from phasepilot.models.benchmarks.film_networks import (
    ExplainedFilms,
    explained_films,
    film_inputs,
    trained_acnn,
)
from phasepilot.models.benchmarks.film_training_sets import measured, powders
from phasepilot.models.benchmarks.halide_films import (
    DIMENSIONALITIES,
    LabelledFilms,
    halide_crystals,
)
from phasepilot.models.errors import CrystalError
from phasepilot.models.networks.registry import load_model

LINES_DEG = ((9.0, 18.1, 27.3), (12.7, 25.6, 38.0), (14.2, 20.1, 28.6))


def make_patterns(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Films of three classes; lines have random heights, as texture makes them."""
    angles = 5.0 + 0.04 * np.arange(1200)
    lines = np.array(LINES_DEG)[classes][:, :, None]
    heights = rng.uniform(0.3, 1.0, lines.shape)
    drawn = (heights * np.exp(-(((angles - lines) / 0.12) ** 2))).sum(axis=1)
    return drawn / drawn.max(axis=1, keepdims=True)


def make_films(n_measured: int = 30) -> LabelledFilms:
    rng = np.random.default_rng(0)
    known, seen = np.array([0, 1, 2, 2, 2, 2]), np.arange(n_measured) % 3
    return LabelledFilms(
        DIMENSIONALITIES,
        make_patterns(known, rng),
        known,
        make_patterns(seen, rng),
        seen,
        tuple(f"row {k}" for k in range(known.size)),
        tuple(f"film {k}" for k in range(n_measured)),
    )


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = replace(film_networks.SCHEDULE, n_batches=500)
    monkeypatch.setattr(film_networks, "SCHEDULE", schedule)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_learns_what_is_easy(name: str) -> None:
    films = make_films(12)
    train = powders(films, 60, np.random.default_rng(1))
    answer = METHODS[name](train.patterns, train.classes, films.measured, films.step_deg, 0)
    # A rare bad tree is no mistake; naive Bayes knows only heights at points.
    assert (answer == films.measured_class).mean() >= (0.6 if "tree" in name else 0.8)


def test_copies_come_from_all_classes_alike_and_behind_the_originals() -> None:
    films = make_films()
    found = powders(films, 600, np.random.default_rng(0))
    assert np.array_equal(found.patterns[:6], films.simulated)
    counts = np.bincount(found.classes[6:])
    assert counts.min() > 150
    noisy = powders(films, 5, np.random.default_rng(0), change="noise")
    # Noise leaves no point as it was, but for the lowest and the highest.
    assert (noisy.patterns[6:] > 0).sum() == 5 * 1199


def test_only_films_of_the_training_folds_are_copied() -> None:
    films = make_films()
    rows = np.flatnonzero(films.measured_class != 1)
    found = measured(films, rows, 100, np.random.default_rng(0))
    assert set(found.classes.tolist()) == {0, 2}
    assert found.patterns.shape == (rows.size + 100, 1200)


def test_a_coarser_step_leaves_every_kth_point_from_0_to_1() -> None:
    coarse = make_films().coarser(24)
    assert coarse.measured.shape == (30, 50)
    assert coarse.step_deg == pytest.approx(0.96)
    assert np.allclose(coarse.measured.max(axis=1), 1)
    # The network sees a place of 120 points.
    assert film_inputs(coarse.measured).shape == (30, 120)


def test_maps_add_up_to_the_logits_and_explain_the_answer() -> None:
    films = make_films()
    train = powders(films, 600, np.random.default_rng(0))
    network = trained_acnn(train.patterns, train.classes, seed=0)
    found = explained_films(network, train.patterns, train.classes, films.measured)
    assert (found.answer == films.measured_class).mean() > 0.8
    import torch

    with torch.inference_mode():
        logits = network(torch.from_numpy(film_inputs(films.measured)[:, None]))
    chosen = logits[torch.arange(30), torch.from_numpy(found.answer)]
    bias = network.class_layer.bias.detach()[found.answer]
    np.testing.assert_allclose(found.maps.sum(axis=1), (chosen - bias).numpy(), rtol=1e-4)
    assert found.average.shape == (3, 1200)


def test_a_class_without_patterns_has_no_average_map() -> None:
    average = np.array([[1.0, 2.0, 4.0], [np.nan] * 3])
    likeness = ExplainedFilms(np.array([0]), np.array([[2.0, 3.0, 5.0]]), average).likeness()
    assert likeness[0, 0] == pytest.approx(1.0)
    assert np.isnan(likeness[0, 1])


def test_a_table_without_a_class_is_refused(tmp_path: Path) -> None:
    row = make_row(
        "CsPbBr3",
        (221, 517),
        cubic(5.87),
        [(55, (0.5, 0.5, 0.5), 1), (82, (0.0, 0.0, 0.0), 1), (35, (0.5, 0.0, 0.0), 3)],
    )
    table = write_table(tmp_path / "structures.parquet", (row,))
    with pytest.raises(CrystalError, match=r"has none of \[7, 14, 140, 164, 194, 225\]; give"):
        halide_crystals(table)


@pytest.fixture
def a_short_run() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        names = ("nearest_neighbours", "acnn")
        patch.setattr(autoxrd_paper, "METHODS", {name: METHODS[name] for name in names})
        table = {name: autoxrd_paper_figures._TABLE[name] for name in names}
        patch.setattr(autoxrd_paper_figures, "_TABLE", table)
        patch.setattr(autoxrd_paper, "N_CHANGED", 30)
        patch.setattr(autoxrd_paper, "COARSER_BY", (1, 24))
        schedule = film_networks.Schedule(n_epochs=2, batch_size=64)
        patch.setattr(film_networks, "SCHEDULE", schedule)
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("a_short_run")
@pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ, reason="PHASEPILOT_DATA does not name the folder with data"
)
def test_the_tables_are_filled_and_every_film_is_answered() -> None:
    data = Path(os.environ["PHASEPILOT_DATA"])
    ours = {"network": load_model()}
    options = BenchmarkOptions(estimators=ours, data=data, structures=data, n_seeds=1)
    result = autoxrd_paper.run(options, no_progress)
    figures = result.flat()
    for what in ("space_group", "dimensionality"):
        for case in (1, 2, 3):
            assert 0 <= figures[f"{what}_case_{case}_acnn"] <= 1
        # Neighbours need no epochs.
        assert figures[f"{what}_case_3_nearest_neighbours"] > 0.6
        assert f"{what}_acnn_step_0_96" in figures
        # Trained on films, and on none.
        assert figures[f"agent_films_{what}"] > 0.85
        assert figures[f"agent_network_{what}"] < figures[f"agent_films_{what}"]
    assert figures["space_group_ceiling"] < 1
    answered = [item for item in result.items if item.get("condition") == "case 3 acnn"]
    assert len(answered) == 46 + 41
    assert [sheet.name for sheet in result.sheets] == ["accuracy", "maps"]
