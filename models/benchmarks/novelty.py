"""Whether frames that no answer should be trusted for stand out by their novelty.

Against usual frames, simulated of held-out structures; and against measured RRUFF patterns, if they
are given. A frame that the estimator refuses counts as fully novel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.held_out_patterns import HeldOut, held_out_structures
from phasepilot.models.benchmarks.measured_files import read_rruff
from phasepilot.models.benchmarks.metrics import (
    area_under_roc,
    false_positive_rate,
    figure_of_items,
    two_sample_interval,
)
from phasepilot.models.benchmarks.predictions import Predictions, predictions
from phasepilot.models.benchmarks.unusual_frames import (
    KINDS,
    RECIPE,
    FrameKind,
    mixture_frames,
    usual_frames,
)
from phasepilot.models.pattern import Pattern

USUAL = "usual"
_SPOKEN = {
    "": "usual simulated",
    "_against_measured": "measured",
    "_against_single_phases": "usual simulated, of one phase alone,",
}


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how well novelty tells unusual frames from usual ones.

    Raises
    ------
    ModelsError
        If there is no structure table, or measured patterns were given that cannot be read.
    """
    progress("held-out structures", 0, 1)
    held_out = held_out_structures(
        options.structures,
        options.n_simulated * options.n_seeds,
        np.random.default_rng(0),
        space_groups=range(1, 231),
    )
    seeds = [
        usual_frames(HeldOut(held_out.store, chosen), np.random.default_rng(seed))
        for seed, chosen in enumerate(np.split(held_out.chosen, options.n_seeds))
    ]
    measured = () if options.data is None else read_rruff(options.data).patterns
    asked = _Asked(options, progress)
    usual = asked.predicted(USUAL, [one.patterns for one in seeds])
    of_measured = asked.predicted("measured", [measured])
    unusual = {
        kind.name: asked.predicted(
            kind.name,
            [kind.frames(one, np.random.default_rng(seed)) for seed, one in enumerate(seeds)],
        )
        for kind in KINDS
    }
    figures: list[Figure] = []
    items: list[dict[str, Any]] = []
    for name in options.estimators:
        prefix = options.prefix(name)
        against = {"": [said.novelty for said in usual[name]]}
        figures.append(_false_alarms(USUAL, usual[name], prefix))
        if measured:
            against["_against_measured"] = [of_measured[name][0].novelty]
            figures.append(_false_alarms("measured", of_measured[name], prefix))
        items += _items(name, USUAL, usual[name])
        single = [
            said.novelty[one.is_single_phase] for said, one in zip(usual[name], seeds, strict=True)
        ]
        for kind in KINDS:
            compared = against
            if kind.frames is mixture_frames and all(one.size for one in single):
                compared = {**against, "_against_single_phases": single}
            figures += _figures_of_kind(kind, unusual[kind.name][name], compared, prefix)
            items += _items(name, kind.name, unusual[kind.name][name])
    n_frames = options.n_simulated * options.n_seeds
    title = f"novelty of frames like those of the recipe {RECIPE}, {n_frames} of each kind"
    notes = (
        f"Figures without a prefix are those of {options.judged!r}.",
        "auroc: probability that an unusual frame is more novel than a usual one; fpr95: usual"
        " frames that raise an alarm when 95 % of the unusual ones do.",
        "A third of the usual frames holds up to a quarter of a second phase, as samples do.",
        "A search whose library holds the structures that were simulated knows the usual frames.",
    )
    return BenchmarkResult(title, tuple(figures), tuple(items), notes)


@dataclass(frozen=True, slots=True)
class _Asked:
    """All estimators, to be asked about the same frames."""

    options: BenchmarkOptions
    progress: Progress

    def predicted(
        self, kind: str, frames_of_seeds: Sequence[Sequence[Pattern]]
    ) -> dict[str, list[Predictions]]:
        """Return by estimator the predictions for frames of one kind, one entry a seed."""
        return {
            name: [
                predictions(
                    estimator, frames, progress=self.progress, step=f"{kind}, {name}, seed {seed}"
                )
                for seed, frames in enumerate(frames_of_seeds)
            ]
            for name, estimator in self.options.estimators.items()
        }


def _false_alarms(kind: str, said: list[Predictions], prefix: str) -> Figure:
    return figure_of_items(
        f"{prefix}{kind}_unknown_share",
        np.concatenate([one.is_unknown for one in said]),
        f'{kind} frames whose verdict is "unknown": false alarms',
    )


def _figures_of_kind(
    kind: FrameKind,
    unusual: list[Predictions],
    against: dict[str, list[FloatArray]],
    prefix: str,
) -> list[Figure]:
    """Return how well frames of a kind stand out against each set of usual ones."""
    novelty = [said.novelty for said in unusual]
    figures = []
    for ending, usual in against.items():
        spoken = _SPOKEN[ending]
        figures += [
            _separation(
                f"{prefix}{kind.name}_auroc{ending}",
                area_under_roc,
                (novelty, usual),
                f"{kind.meaning}: novelty against {spoken} frames",
                goal=kind.goal,
            ),
            _separation(
                f"{prefix}{kind.name}_fpr95{ending}",
                false_positive_rate,
                (novelty, usual),
                f"{kind.meaning}: alarms in {spoken} frames when 95 % are found",
            ),
        ]
    unknown = figure_of_items(
        f"{prefix}{kind.name}_unknown_share",
        np.concatenate([said.is_unknown for said in unusual]),
        f'{kind.meaning}: verdict is "unknown"',
    )
    return [*figures, unknown]


def _separation(
    name: str,
    measure: Callable[[FloatArray, FloatArray], float],
    novelties: tuple[list[FloatArray], list[FloatArray]],
    meaning: str,
    *,
    goal: str = "",
) -> Figure:
    """Return a measure of unusual against usual novelties.

    Parameters
    ----------
    novelties : tuple of two lists
        Unusual ones, an entry a seed; and usual ones, an entry a seed or one for all seeds.
    """
    unusual, usual = novelties
    of_seeds = np.array([measure(one, usual[k % len(usual)]) for k, one in enumerate(unusual)])
    interval = two_sample_interval(measure, np.concatenate(unusual), np.concatenate(usual))
    spread = float(of_seeds.std(ddof=1)) if of_seeds.size > 1 else None
    return Figure(
        name, float(of_seeds.mean()), meaning, interval.low, interval.high, spread, goal=goal
    )


def _items(name: str, kind: str, said: list[Predictions]) -> list[dict[str, Any]]:
    return [
        {
            "estimator": name,
            "kind": kind,
            "seed": seed,
            "novelty": float(novelty),
            "is_unknown": bool(is_unknown),
        }
        for seed, one in enumerate(said)
        for novelty, is_unknown in zip(one.novelty, one.is_unknown, strict=True)
    ]
