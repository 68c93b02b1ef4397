"""The tables of Salgado et al., at toy size."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phasepilot.models.benchmarks import salgado
from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, no_progress
from phasepilot.models.benchmarks.salgado_sets import (
    TRAINING_SETS,
    draw_structures,
    simulated,
    training_sets,
    two_theta_deg,
)

needs_data = pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ, reason="PHASEPILOT_DATA does not name the folder with data"
)


@pytest.mark.slow
@needs_data
def test_sets_hold_what_the_paper_says_and_held_out_structures_are_in_none() -> None:
    rng = np.random.default_rng(0)
    drawn = draw_structures(Path(os.environ["PHASEPILOT_DATA"]), 40, rng)
    assert not set(drawn.trained.tolist()) & set(drawn.held_out.tolist())
    measured = np.zeros((3, two_theta_deg(4).size), np.float16), np.array([1, 2, 3])
    with training_sets(drawn, measured, every=4, rng=rng) as sets:
        sizes = {name: len(sets.patterns[rows]) for name, rows in sets.rows.items()}
        assert sizes == {"baseline": 40, "mixed": 40, "large": 280, "souped": 283}
        assert sets.space_group_index[-3:].tolist() == [1, 2, 3]
        again = simulated(drawn, drawn.trained, recipe="salgado-1", every=4, rng=rng)
        # Set 1 has no noise: the same patterns as the baseline's.
        assert np.array_equal(sets.patterns[sets.rows["baseline"]], again)


@pytest.mark.slow
@needs_data
def test_every_network_answers_after_every_set(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = replace(salgado.SMALL.schedule, n_batches=1)
    size = replace(
        salgado.SMALL, n_structures=60, narrower_by=20, n_stretched=3, n_shown=9, schedule=schedule
    )
    monkeypatch.setattr(salgado, "SMALL", size)
    data = Path(os.environ["PHASEPILOT_DATA"])
    options = BenchmarkOptions(estimators={}, data=data, structures=data, n_seeds=1)
    result = salgado.run(options, no_progress)
    figures = result.flat()
    for name in salgado.NETWORKS:
        for one in TRAINING_SETS:
            assert 0 <= figures[f"{name}_{one}_crystal_system_rruff"] <= 1
    asked = {(item["trained_on"], item["pattern"]) for item in result.items}
    n_souped = sum(one == "souped" for one, _ in asked)
    assert n_souped == pytest.approx(sum(one == "large" for one, _ in asked) / 2, abs=1)
    assert [sheet.name for sheet in result.sheets] == [
        *("accuracy", "confusion", "stretched", "counts")
    ]
