"""Symmetry of single crystals from one zone-axis pattern: the protocol of the 2D paper, and ours.

Structures are of prototype families that no network saw, and patterns are drawn as the paper draws
them; each seed takes other structures, in-plane rotations, elements, vacancies and noise. Answers
are judged by the space group that the crystal has, and for crystals with vacancies by the one that
spglib finds. What the paper does with structures of its training set is done with held-out ones
here.

The networks model-1 to model-4 are the paper's, narrower and on 64 x 64 pixels. Others can be put
beside them: `compared` takes whoever satisfies `zone_patterns.ZoneEstimator`.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phasepilot.models.arrays import IntArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    Progress,
    figure_prefix,
)
from phasepilot.models.benchmarks.held_out_patterns import structure_table
from phasepilot.models.benchmarks.metrics import figure_of_seeds
from phasepilot.models.diffraction.array_folder import ABOUT

if TYPE_CHECKING:
    from phasepilot.models.benchmarks.zone_patterns import ZoneEstimator
    from phasepilot.models.benchmarks.zone_scores import Scores
    from phasepilot.models.diffraction.images.reflection_store import ReflectionStore

REFLECTIONS = "reflections"
_LEVELS = ("space_group", "crystal_system")
# Without a folder of networks: what a minute or two on two cores allow.
_SMALL_PER_SPACE_GROUP = 20
_SMALL_IMAGES = 20_000
# What `phasepilot train-zone-axes` does unless told otherwise.
PER_SPACE_GROUP = 250
N_IMAGES = 300_000

_PAPER = {
    "seen_crystal_system": "0.83, paper on ICSD",
    "seen_space_group": "0.60, paper on ICSD",
    "unseen_211_crystal_system": "0.60 to 0.65, paper",
    "unseen_011_crystal_system": "0.60 to 0.65, paper",
    "unseen_120_crystal_system": "0.60 to 0.65, paper",
    "unseen_211_space_group": "0.37 to 0.39, paper",
    "unseen_011_space_group": "0.37 to 0.39, paper",
    "unseen_120_space_group": "0.37 to 0.39, paper",
    "compressed_10_100_crystal_system": "0.944, paper on trained structures",
    "compressed_10_100_space_group": "0.766, paper on trained structures",
    "expanded_0_100_crystal_system": "0.990, paper on trained structures",
    "expanded_0_100_space_group": "0.943, paper on trained structures",
    "expanded_10_100_crystal_system": "0.954, paper on trained structures",
    "expanded_10_100_space_group": "0.810, paper on trained structures",
}
_GOALS = {
    "unseen_drop": "at most 0.05",
    "unseen_drop_131": "at most 0.08",
    "detector_drop": "at most 0.05",
    "rotation_flips": "at most 0.005",
    "compressed_10_flips": "at most 0.03",
    "expanded_10_flips": "at most 0.03",
    "three_fused_gain": "at least 0.10",
}
_MEANINGS = (
    ("drop", "share of right answers on the seen axes (or ideal spots) less that here"),
    ("gain", "share of right answers less that of single ones of the same three directions"),
    ("flips", "share of answers that differ from that to the unchanged pattern"),
    ("mirror_image", "of answers within an enantiomorphic pair, the share that names the mate"),
    ("centrosymmetric", "share of such crystals with the right presence of a centre in the first"),
    ("top3", "share of patterns with the right one among the three most probable"),
    ("", "share of patterns with the right one most probable"),
)


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how right the paper's networks are; trained first unless `options.weights` has them.

    Raises
    ------
    CrystalError
        If there is no structure table, or too few held-out structures in it.
    """
    # torch and numba take seconds to import and are only in the train extra.
    from phasepilot.models.benchmarks.zone_lattices import LatticeEstimator
    from phasepilot.models.benchmarks.zone_networks import VggEstimator, trained_networks
    from phasepilot.models.estimation.lattice_model import (
        DEFAULT_LATTICE_MODEL,
        load_lattice_model,
    )

    table = structure_table(options.structures)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.weights or Path(scratch)
        is_small = options.weights is None
        per_group = _SMALL_PER_SPACE_GROUP if is_small else PER_SPACE_GROUP
        store = reflections(table, folder, max_per_space_group=per_group, progress=progress)
        networks = trained_networks(
            store, folder, n_images=_SMALL_IMAGES if is_small else N_IMAGES, progress=progress
        )
        papers = {name: VggEstimator(network) for name, network in networks.items()}
        few = {name: papers[name] for name in list(papers)[:-1]}
        last = list(papers)[-1]
        estimators: dict[str, ZoneEstimator] = {
            last: papers[last],
            DEFAULT_LATTICE_MODEL: LatticeEstimator(load_lattice_model()),
        }
        result = compared(options, store, estimators, few_axes=few, progress=progress)
    trained = ", ".join(f"{name} {one.n_images:,}" for name, one in networks.items())
    size = networks[last].training
    note = (
        f"The networks are the paper's at {size.width:g} of its width, on {size.shape[0]} x"
        f" {size.shape[1]} pixels; images trained on: {trained} (the paper: 73 million for"
        " model-4)."
    )
    return BenchmarkResult(result.title, result.figures, result.items, (*result.notes, note))


def compared(
    options: BenchmarkOptions,
    store: "ReflectionStore",
    estimators: "Mapping[str, ZoneEstimator]",
    *,
    few_axes: "Mapping[str, ZoneEstimator]",
    progress: Progress,
) -> BenchmarkResult:
    """Return the figures of whoever answers, all on the same patterns; the last is judged.

    Parameters
    ----------
    few_axes : mapping of str to ZoneEstimator
        Tested on seen axes only, as the paper tests its first models.
    """
    from phasepilot.models.benchmarks.zone_scores import all_scores, few_axes_scores
    from phasepilot.models.benchmarks.zone_sets import ZoneStructures

    structures = ZoneStructures(structure_table(options.structures), store)
    parts = structures.parts(options.n_simulated, options.n_seeds)
    scores: dict[str, list[Scores]] = {}
    items: list[dict[str, Any]] = []
    everybody = {**few_axes, **estimators}
    for seed, part in enumerate(parts):
        sets = structures.sets(part, seed)
        for number, (name, estimator) in enumerate(everybody.items()):
            n_done = seed * len(everybody) + number
            progress(f"{name}, seed {seed}", n_done, len(parts) * len(everybody))
            if name in few_axes:
                found = few_axes_scores(estimator, sets)
            else:
                found = all_scores(estimator, sets)
                items += _items(name, seed, store, part, found)
            scores.setdefault(name, []).append(found)
    judged = list(estimators)[-1]
    figures = [
        figure
        for name, of_seeds in scores.items()
        for figure in _figures("" if name == judged else figure_prefix(name), of_seeds)
    ]
    title = (
        f"zone-axis patterns of {options.n_simulated} held-out structures for each of"
        f" {options.n_seeds} seeds"
    )
    notes = (
        f"Figures without a prefix are those of {judged!r}.",
        "Seeds vary the test: structures, rotations, elements, vacancies, noise; networks are"
        " trained once.",
        "The paper counts its space groups 1, 3-9, 16-46, ... as centrosymmetric: it means the"
        " others.",
    )
    return BenchmarkResult(title, tuple(figures), tuple(items), notes)


def reflections(
    table: Path, folder: Path, *, max_per_space_group: int, progress: Progress
) -> "ReflectionStore":
    """Return the reflections in that folder, computed from the table unless they are there."""
    from phasepilot.models.diffraction.images.reflection_store import (
        build_reflection_store,
        open_reflection_store,
    )
    from phasepilot.models.training.configuration import OPEN_LICENCES

    if (folder / REFLECTIONS / ABOUT).exists():
        return open_reflection_store(folder / REFLECTIONS)
    return build_reflection_store(
        table,
        folder / REFLECTIONS,
        licences=OPEN_LICENCES,
        max_per_space_group=max_per_space_group,
        progress=lambda done, total: progress("reflections", done, total),
    )


def _items(
    name: str, seed: int, store: "ReflectionStore", structures: IntArray, scores: "Scores"
) -> list[dict[str, Any]]:
    """Return for each structure the share of its axes along which the answer is right."""
    kinds = [f"{kind}_{level}" for kind in ("seen", "unseen") for level in _LEVELS]
    return [
        {
            "estimator": name,
            "seed": seed,
            "identifier": str(store.identifier[structure]),
            "space_group_number": int(store.space_group_number[structure]),
            **{kind: float(scores[kind][place]) for kind in kinds},
        }
        for place, structure in enumerate(structures)
    ]


def _figures(prefix: str, scores: "list[Scores]") -> list[Figure]:
    figures = []
    for name in scores[0]:
        # A seed may have no pattern of a kind, such as a rare pair.
        of_seeds = [one[name] for one in scores if name in one and one[name].size]
        if of_seeds:
            figures.append(
                figure_of_seeds(
                    prefix + name,
                    [np.asarray(values, dtype=np.float64) for values in of_seeds],
                    next(text for part, text in _MEANINGS if part in name),
                    anchor=_PAPER.get(name, ""),
                    goal=_goal(name),
                )
            )
    return figures


def _goal(name: str) -> str:
    for level in _LEVELS:
        if name.endswith(f"_{level}"):
            return _GOALS.get(name.removesuffix(f"_{level}"), "")
    return ""
