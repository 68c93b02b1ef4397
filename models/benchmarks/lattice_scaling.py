"""Whether the answer survives stretching the lattice: held-out cubic structures, 80 to 120 %.

Each seed takes other structures of families that no network was trained on and simulates each at 21
lengths of its lattice, in steps of 2 %, with the recipe `ideal` (Cu K-alpha1, 5 to 90 degree, no
noise, no texture). The strengths of lines are those of the unstretched crystal. A *flip* is an
answer that differs from the one at 100 %.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Chart,
    Curve,
    Estimator,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.held_out_patterns import (
    HeldOut,
    held_out_structures,
    simulated_patterns,
)
from phasepilot.models.benchmarks.metrics import figure_of_seeds
from phasepilot.models.benchmarks.predictions import predictions
from phasepilot.models.benchmarks.symmetry_figures import crystal_system_level
from phasepilot.models.diffraction.powder.recipe import Settings, named_recipe
from phasepilot.models.networks.symmetry_levels import SYSTEM_OF_SPACE_GROUP

RECIPE = "ideal"
SCALES = np.arange(80, 121, 2) / 100
CUBIC = range(195, 231)
_UNSTRETCHED = int(np.flatnonzero(SCALES == 1.0)[0])


@dataclass(frozen=True, slots=True)
class ScaledAnswers:
    """What was said of each structure at each scale.

    Attributes
    ----------
    truth : ndarray of int, shape (n_structures,)
        Index of the space group.
    space_group, crystal_system : ndarray of int, shape (n_structures, n_scales)
        Indices that were answered.
    """

    truth: IntArray
    space_group: IntArray
    crystal_system: IntArray

    def is_right(self, level: str) -> FloatArray:
        """Return 1 where the answer is right, shape (n_structures, n_scales)."""
        truth = SYSTEM_OF_SPACE_GROUP[self.truth] if level == "crystal_system" else self.truth
        return np.asarray(getattr(self, level) == truth[:, None], dtype=np.float64)

    def flips(self, level: str) -> FloatArray:
        """Return the share of stretched patterns with another answer, shape (n_structures,)."""
        answers = getattr(self, level)
        is_other = answers != answers[:, [_UNSTRETCHED]]
        return np.asarray(is_other.sum(axis=1) / (SCALES.size - 1))


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how right the estimators stay when lattices are stretched.

    Raises
    ------
    CrystalError
        If there is no structure table, or too few held-out cubic structures in it.
    """
    progress("held-out structures", 0, 1)
    rng = np.random.default_rng(0)
    held_out = held_out_structures(
        options.structures,
        options.n_simulated * options.n_seeds,
        rng,
        space_groups=CUBIC,
    )
    seeds = [
        HeldOut(held_out.store, chosen) for chosen in np.split(held_out.chosen, options.n_seeds)
    ]
    figures: list[Figure] = []
    items: list[dict[str, Any]] = []
    curves: list[Curve] = []
    for name, estimator in options.estimators.items():
        answers = [
            scaled_answers(estimator, part, progress, f"{name}, seed {seed}")
            for seed, part in enumerate(seeds)
        ]
        figures += scaling_figures(answers, options.prefix(name))
        items += _items(answers, seeds, name)
        curves.append(Curve(name, SCALES, _mean_over_structures(answers, "crystal_system")))
    title = f"lattice scaling of {held_out.chosen.size} held-out cubic structures, recipe {RECIPE}"
    notes = (
        f"Figures without a prefix are those of {options.judged!r}.",
        "Anchors are for structures that were trained on; these were not.",
    )
    chart = Chart("lattice against the true one", "share of right systems", tuple(curves))
    return BenchmarkResult(title, tuple(figures), tuple(items), notes, chart)


def stretched(settings: Settings, scale: float) -> Settings:
    """Return the settings with every lattice at this multiple of its length."""
    strain = np.full((settings.n_patterns, 1), scale - 1.0)
    columns = {**settings.columns, "isotropic_strain": strain}
    return Settings(
        settings.recipe, settings.axis_start, settings.axis_stop, columns, settings.seed
    )


def scaled_answers(
    estimator: Estimator, held_out: HeldOut, progress: Progress, step: str
) -> ScaledAnswers:
    """Return what an estimator says of these structures at every scale."""
    rng = np.random.default_rng(0)
    settings = named_recipe(RECIPE).draw(held_out.chosen.size, rng)
    groups, systems = [], []
    for scale in SCALES:
        patterns = simulated_patterns(held_out, stretched(settings, float(scale)), rng)
        said = predictions(
            estimator, patterns, progress=progress, step=f"{step}, lattice at {scale:.0%}"
        )
        groups.append(said.space_groups.argmax(axis=1))
        systems.append(crystal_system_level(said.space_groups, held_out.space_group_index).answer)
    return ScaledAnswers(
        held_out.space_group_index, np.stack(groups, axis=1), np.stack(systems, axis=1)
    )


def scaling_figures(answers: list[ScaledAnswers], prefix: str) -> list[Figure]:
    """Return accuracy and flips of both levels, one entry of answers a seed."""
    figures = []
    for level, accuracy_goal, flip_goal in (
        ("crystal_system", "floor 0.95, goal 0.99", "floor 0.03, goal 0.005"),
        ("space_group", "goal 0.97", ""),
    ):
        spoken = level.replace("_", " ")
        anchor = "NPCNN 0.94 at 80 %, trained on" if level == "crystal_system" else ""
        right = [one.is_right(level) for one in answers]
        figures += [
            figure_of_seeds(
                f"{prefix}{level}_accuracy",
                [seed.mean(axis=1) for seed in right],
                f"most probable {spoken} is the true one, mean over scales",
                anchor=anchor,
                goal=accuracy_goal,
            ),
            figure_of_seeds(
                f"{prefix}{level}_flips",
                [one.flips(level) for one in answers],
                f"stretched patterns whose {spoken} differs from the answer at 100 %",
                goal=flip_goal,
            ),
        ]
        figures += [
            figure_of_seeds(
                f"{prefix}{level}_accuracy_at_{scale * 100:.0f}_percent",
                [seed[:, k] for seed in right],
                f"most probable {spoken} is the true one, lattice at {scale:.0%}",
            )
            for k, scale in enumerate(SCALES)
        ]
    return figures


def _mean_over_structures(answers: list[ScaledAnswers], level: str) -> FloatArray:
    return np.asarray(np.concatenate([one.is_right(level) for one in answers]).mean(axis=0))


def _items(
    answers: list[ScaledAnswers], seeds: Iterable[HeldOut], name: str
) -> list[dict[str, Any]]:
    return [
        {
            "estimator": name,
            "seed": seed,
            "structure": str(held_out.store.identifier[held_out.chosen[k]]),
            "space_group_number": int(one.truth[k]) + 1,
            "scales": SCALES.tolist(),
            "answer_space_group_numbers": (one.space_group[k] + 1).tolist(),
            "answer_crystal_system_indices": one.crystal_system[k].tolist(),
        }
        for seed, (one, held_out) in enumerate(zip(answers, seeds, strict=True))
        for k in range(one.truth.size)
    ]
