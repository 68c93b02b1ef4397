"""Lattice scaling: what is stretched, what a flip is, and two estimators with known answers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from benchmark_cases import make_estimate, write_diamonds

from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, no_progress
from phasepilot.models.benchmarks.held_out_patterns import held_out_structures, simulated_patterns
from phasepilot.models.benchmarks.lattice_scaling import (
    CUBIC,
    RECIPE,
    SCALES,
    ScaledAnswers,
    run,
    stretched,
)
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.pattern import Pattern


class Ruler:
    """Calls a pattern cubic while its first line lies above a given q, and monoclinic below."""

    def __init__(self, q_per_angstrom: float) -> None:
        self._limit = q_per_angstrom

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        first = pattern.q_per_angstrom[pattern.intensity > 0.2 * pattern.intensity.max()][0]
        return make_estimate(227 if first > self._limit else 14)

    def predict_many(self, patterns: Sequence[Pattern]) -> list[PhaseEstimate]:
        return [self.predict(pattern) for pattern in patterns]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_diamonds(tmp_path_factory.mktemp("table") / "structures.parquet", 4)


def test_scales_run_from_80_to_120_percent_in_steps_of_two() -> None:
    assert SCALES[0] == 0.80
    assert SCALES[-1] == 1.20
    np.testing.assert_allclose(np.diff(SCALES), 0.02)


@pytest.mark.parametrize("scale", [0.8, 1.2])
def test_lines_move_by_the_scale(table: Path, scale: float) -> None:
    rng = np.random.default_rng(0)
    held_out = held_out_structures(table, 2, rng, space_groups=CUBIC)
    settings = named_recipe(RECIPE).draw(2, rng)
    usual = simulated_patterns(held_out, settings, rng)
    scaled = simulated_patterns(held_out, stretched(settings, scale), rng)
    for one, other in zip(usual, scaled, strict=True):
        first, second = (
            pattern.q_per_angstrom[pattern.intensity > 20][0] for pattern in (one, other)
        )
        assert first / second == pytest.approx(scale, rel=0.005)


def test_a_flip_is_an_answer_unlike_that_of_the_unstretched_lattice() -> None:
    groups = np.full((2, SCALES.size), 224)
    groups[0, [0, 20]] = 13
    answers = ScaledAnswers(np.array([224, 13]), groups, np.where(groups == 224, 6, 1))
    np.testing.assert_allclose(answers.flips("space_group"), [2 / 20, 0.0])
    np.testing.assert_allclose(answers.is_right("space_group").mean(axis=1), [19 / 21, 0.0])
    assert answers.is_right("crystal_system")[1].sum() == 0


def test_who_always_says_the_same_never_flips_and_a_ruler_does(table: Path) -> None:
    # The first lines lie from q = 1.67 to 2.42, and at 80 % of the length a quarter higher.
    options = BenchmarkOptions(
        estimators={"ruler": Ruler(2.1), "cubic": Ruler(0.0)},
        structures=table,
        n_seeds=2,
        n_simulated=2,
    )
    result = run(options, no_progress)
    numbers = result.flat()
    for level in ("crystal_system", "space_group"):
        assert numbers[f"{level}_flips"] == 0.0
        assert numbers[f"{level}_accuracy"] == 1.0
    assert numbers["ruler_crystal_system_flips"] > 0.1
    assert (
        numbers["ruler_crystal_system_accuracy_at_80_percent"]
        > numbers["ruler_crystal_system_accuracy_at_120_percent"]
    )
    assert len(result.items) == 2 * 4
    assert len(result.items[0]["answer_space_group_numbers"]) == SCALES.size
    assert len({item["structure"] for item in result.items}) == 4
