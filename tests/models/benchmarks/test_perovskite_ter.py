"""Virtual, real and synthetic patterns of ABX3."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phasepilot.models.benchmarks import perovskite_cases, perovskite_ter
from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, no_progress
from phasepilot.models.benchmarks.classifier_training import Schedule
from phasepilot.models.benchmarks.perovskite_cases import library_split, towards_cubic
from phasepilot.models.benchmarks.perovskite_figures import Found
from phasepilot.models.benchmarks.perovskite_networks import METHODS, Training
from phasepilot.models.benchmarks.perovskite_sets import (
    Abx3Structures,
    abx3_structures,
    replaced,
    unchanged,
)
from phasepilot.models.benchmarks.perovskite_ter import SMALL, Problem, Runs, Size
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.powder.pattern_augmentation import LabelledPatterns
from phasepilot.models.networks.registry import load_model

needs_data = pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ, reason="PHASEPILOT_DATA does not name the folder with data"
)


def test_perovskite_that_relaxes_comes_to_the_cubic_lattice() -> None:
    sites = [
        *(("Ca", (0.536, 0.25, 0.507)), ("Ti", (0.5, 0.0, 0.0))),
        *(("O", (0.484, 0.25, 0.071)), ("O", (0.2888, 0.0373, 0.7112))),
    ]
    cold = crystal_from_sites("CaTiO3", "P n m a", (5.44, 7.64, 5.38, 90.0, 90.0, 90.0), sites)
    assert np.allclose(towards_cubic(cold, 0.0).site_fractional, cold.site_fractional)
    hot = towards_cubic(cold, 0.999)
    a, b, c = hot.cell[:3]
    assert a == pytest.approx(c, rel=1e-3)
    assert b == pytest.approx(np.sqrt(2) * a, rel=1e-3)
    assert np.abs(4 * hot.site_fractional - np.round(4 * hot.site_fractional)).max() < 1e-2
    assert hot.volume_cubic_angstrom > cold.volume_cubic_angstrom


@pytest.mark.slow
@needs_data
def test_templates_get_the_elements_of_real_compositions() -> None:
    data = abx3_structures(Path(os.environ["PHASEPILOT_DATA"]))
    assert len(data.real) < data.n_real_rows
    types = data.types()[:3]
    made = replaced(data, types, 4, np.random.default_rng(0))
    assert len(made.crystals) == 12
    real = {frozenset(one.crystal.atomic_numbers.tolist()) for one in data.real}
    assert {frozenset(one.atomic_numbers.tolist()) for one in made.crystals} <= real
    as_they_are = unchanged(data, types, 4, np.random.default_rng(0))
    assert {frozenset(one.atomic_numbers.tolist()) for one in as_they_are.crystals} - real


def make_problem() -> Problem:
    """Seven real structures of two classes, each told by the place of its line."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    real = LabelledPatterns(np.eye(7, 40), labels)
    virtual = LabelledPatterns(np.eye(2, 40, 20), np.array([0, 1]))
    return Problem(("62", "221"), real, tuple("abcdefg"), virtual, virtual)


def make_runs(seed: int) -> Runs:
    found = Found(Abx3Structures((), 0, ()))
    return Runs("space_group", make_problem(), found, SMALL, seed, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_no_structure_is_in_both_halves_and_all_are_asked_once(seed: int) -> None:
    runs = make_runs(seed)
    halves = [runs._half(fold) for fold in (0, 1)]
    assert sorted(np.concatenate([asked for _, asked in halves]).tolist()) == list(range(7))
    for known, asked in halves:
        assert not set(known.intensity.argmax(axis=1).tolist()) & set(asked.tolist())
        assert set(known.labels.tolist()) == {0, 1}


@pytest.mark.parametrize(("share", "n_asked"), [(0.3, 5), (0.5, 3), (0.9, 2)])
def test_what_is_not_mixed_in_is_asked_for(share: float, n_asked: int) -> None:
    known, asked = make_runs(0)._part(share)
    assert sorted([*known.intensity.argmax(axis=1).tolist(), *asked.tolist()]) == list(range(7))
    assert asked.size == n_asked
    assert set(known.labels.tolist()) == {0, 1}


def test_new_types_are_never_trained_on_and_no_crystal_is_trained_on_and_asked() -> None:
    names = [f"type {k // 20}" for k in range(300)]
    split = library_split(names, [f"type {k}" for k in range(5)], np.random.default_rng(0))
    assert not set(split.train.tolist()) & set(split.asked.tolist())
    trained = {names[k] for k in split.train}
    new = {names[k] for k in split.asked[~split.is_seen[split.asked]]}
    assert len(new) == 2
    assert not new & trained
    assert trained | new == set(names)
    assert split.is_seen[split.is_inside].all()


@pytest.mark.parametrize("method", METHODS)
def test_weights_that_are_drawn_differ_and_their_answers_are_averaged(method: str) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=230)
    patterns = rng.random((230, 160)) + labels[:, None]
    how = Training(2, 32, Schedule(n_epochs=1, batch_size=16, n_batches=3), 6, seed=0)
    network = METHODS[method](patterns, labels, how)
    said = network.doubt(patterns[:4])
    assert len({row.tobytes() for row in said.drawn}) > 1
    np.testing.assert_allclose(said.drawn.sum(axis=2), 1)
    np.testing.assert_allclose(said.probabilities, said.drawn.mean(axis=0))
    assert said.probabilities.shape == (4, 2)


@pytest.mark.slow
@needs_data
def test_every_condition_is_answered_for_every_real_structure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = Size(4, 240, 32, replace(SMALL.schedule, n_batches=2), n_draws=2, n_orders=1)
    monkeypatch.setattr(perovskite_ter, "SMALL", size)
    monkeypatch.setattr(perovskite_ter, "CLASSICAL", ("nearest_neighbours",))
    monkeypatch.setattr(perovskite_cases, "N_INSIDE", 100)
    monkeypatch.setattr(perovskite_cases, "N_OUTSIDE", 80)
    data = Path(os.environ["PHASEPILOT_DATA"])
    ours = {"network": load_model()}
    options = BenchmarkOptions(estimators=ours, data=data, structures=data, n_seeds=1)
    result = perovskite_ter.run(options, no_progress)
    asked: dict[tuple[str, str], list[str]] = {}
    for item in result.items:
        if item.get("method") == "nearest_neighbours":
            asked.setdefault((item["what"], item["condition"]), []).append(item["structure"])
    for what in ("space_group", "type"):
        # Both halves together are all that virtual patterns alone are asked about.
        alone = sorted(asked[what, "vss"])
        assert len(alone) == len(set(alone)) > 20
        assert sorted(asked[what, "syn"]) == sorted(asked[what, "vss_and_rss"]) == alone
    figures = result.flat()
    assert {"in_library_roc_area_new_types", "laplace_log_loss", "measured_minerals"} <= set(
        figures
    )
    assert figures["space_group_agent_network"] > 0.8
    assert 0 < figures["agent_network_hot_perovskite_0_percent_novelty"] <= 1
    # Of Shapley values that know nothing, as much lies on lines as lines take up.
    assert 0 < figures["shapley_on_lines_by_chance"] < 0.5
    assert [sheet.name for sheet in result.sheets] == ["sets", "doubt", "shapley"]
