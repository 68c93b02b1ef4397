"""The tables of Salgado et al., npj Comput. Mater. 9, 214 (2023), doi:10.1038/s41524-023-01164-8.

Three networks (NPCNN, SCNN, MLP), each trained for 7 crystal systems and again for 230 space groups
on four sets of simulated patterns (baseline, mixed, large, and the large one with half of the
measured minerals, "souped"), asked about measured minerals, about simulated structures of families
that nobody trained on, and about cubic crystals whose lattice is stretched. The agent's network is
asked about the same minerals and the same structures of unseen families.

The default is small, so that two cores need about an hour: fewer structures, every fourth
point, networks of a quarter of the width, fewer batches. Its numbers compare the networks and sets
with each other; they are not the paper's. `--full-size` is as large as the paper.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator, default_rng
from torch import nn

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Progress,
)
from phasepilot.models.benchmarks.classifier_training import (
    Schedule,
    class_probabilities,
    train_classifier,
)
from phasepilot.models.benchmarks.lattice_scaling import CUBIC, SCALES
from phasepilot.models.benchmarks.measured_files import LabelledPatterns, read_rruff
from phasepilot.models.benchmarks.predictions import predictions
from phasepilot.models.benchmarks.salgado_figures import (
    OURS,
    Answers,
    Asked,
    salgado_figures,
    salgado_sheets,
)
from phasepilot.models.benchmarks.salgado_sets import (
    BASELINE,
    TRAINING_SETS,
    WAVELENGTH_ANGSTROM,
    DrawnStructures,
    HalfArray,
    TrainingSets,
    draw_structures,
    on_axis,
    simulated,
    training_sets,
    two_theta_deg,
)
from phasepilot.models.benchmarks.souped import random_half
from phasepilot.models.networks.mlp import Mlp
from phasepilot.models.networks.npcnn import Npcnn
from phasepilot.models.networks.scnn import Scnn
from phasepilot.models.networks.symmetry_levels import SYSTEM_OF_SPACE_GROUP
from phasepilot.models.pattern import Pattern

NETWORKS = {"npcnn": Npcnn, "scnn": Scnn, "mlp": Mlp}
LEVELS = {"crystal_system": 7, "space_group": 230}
# The paper shows these two on stretched lattices.
STRETCHED = ("npcnn", "mlp")


@dataclass(frozen=True, slots=True)
class Size:
    """How large the benchmark is.

    Attributes
    ----------
    n_structures : int or None
        To train on; None takes the whole table.
    every : int
        Points of the paper's axis that are one here.
    narrower_by : int
        What widths of the networks are divided by.
    schedule : Schedule
    n_stretched : int
        Cubic crystals that are stretched, of those that were trained on and of others.
    n_shown : int
        Trained structures whose patterns tell how well the network knows what it was shown.
    """

    n_structures: int | None
    every: int
    narrower_by: int
    schedule: Schedule
    n_stretched: int
    n_shown: int


SMALL = Size(
    n_structures=2000,
    every=4,
    narrower_by=4,
    schedule=Schedule(n_epochs=1000, batch_size=64, n_batches=4000, precision="auto"),
    n_stretched=100,
    n_shown=500,
)
# The paper does not say for how many epochs it trains.
FULL = Size(
    n_structures=None,
    every=1,
    narrower_by=1,
    schedule=Schedule(n_epochs=30, batch_size=256, precision="auto"),
    n_stretched=2000,
    n_shown=5000,
)


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how the paper's networks do on the paper's training sets.

    Raises
    ------
    CrystalError
        If there is no structure table.
    ModelsError
        If there are no measured minerals, or they cannot be read.
    """
    size = FULL if options.is_full_size else SMALL
    measured = read_rruff(options.measured())
    answers: list[Answers] = []
    for seed in range(options.n_seeds):
        progress(f"seed {seed + 1} of {options.n_seeds}: structures", 0, 1)
        rng = default_rng(seed)
        drawn = draw_structures(options.structures, size.n_structures, rng)
        answers.append(_answers(drawn, measured, size, rng, seed, progress))
        _add_ours(answers[-1], options, measured, progress)
    first = answers[0]
    return BenchmarkResult(
        f"Salgado et al. 2023 on {first.n_trained} structures of the table,"
        f" {options.n_seeds} seed(s)",
        tuple(salgado_figures(answers)),
        tuple(item for seed, one in enumerate(answers) for item in one.items(seed, measured.name)),
        _notes(first, size),
        sheets=tuple(salgado_sheets(first)),
    )


def _answers(
    drawn: DrawnStructures,
    measured: LabelledPatterns,
    size: Size,
    rng: Generator,
    seed: int,
    progress: Progress,
) -> Answers:
    """Return what all networks of one seed say."""
    patterns = on_axis(measured, size.every)
    (split,) = random_half(measured.group, rng)
    asked = _asked(drawn, patterns, measured, size, rng, progress)
    found = Answers.empty(asked, drawn, split.test)
    progress("simulating the training sets", 0, 1)
    souped = (patterns[split.train], measured.space_group_index[split.train])
    with training_sets(drawn, souped, every=size.every, rng=rng) as sets:
        runs = [
            (name, one, level) for name in NETWORKS for one in TRAINING_SETS for level in LEVELS
        ]
        for number, (name, one, level) in enumerate(runs):
            progress(f"seed {seed + 1}: {name}, {one}, {level}", number, len(runs))
            network = _trained(name, sets, one, level, size, seed)
            for place, (inputs, _) in asked.items():
                if _is_asked(place, name, one):
                    said = _classes(network, inputs)
                    found.add(name, one, level, place, said)
    return found


def _add_ours(
    found: Answers, options: BenchmarkOptions, measured: LabelledPatterns, progress: Progress
) -> None:
    """Add what the agent's networks say, of minerals as measured and of structures as simulated."""
    rows = found.held_out_patterns
    angle = two_theta_deg(two_theta_deg(1).size // rows.shape[1]).astype(np.float64)
    simulated_ones = tuple(
        Pattern.from_two_theta(angle, row, wavelength_angstrom=WAVELENGTH_ANGSTROM)
        for row in rows.astype(np.float64)
    )
    places = {"rruff": measured.patterns, "held_out": simulated_ones}
    for name, estimator in options.estimators.items():
        for place, patterns in places.items():
            said = predictions(estimator, patterns, progress=progress, step=f"{name}, {place}")
            systems = said.crystal_systems.argmax(axis=1)
            found.add(name, OURS, "crystal_system", place, systems)
            found.add(name, OURS, "space_group", place, said.space_groups.argmax(axis=1))


def _trained(
    name: str, sets: TrainingSets, one: str, level: str, size: Size, seed: int
) -> nn.Module:
    rows = sets.rows[one]
    patterns, classes = sets.patterns[rows], _of_level(sets.space_group_index[rows], level)
    return train_classifier(
        lambda: NETWORKS[name](patterns.shape[1], 1, LEVELS[level], size.narrower_by),
        patterns,
        classes,
        schedule=size.schedule,
        seed=seed,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )


def _asked(
    drawn: DrawnStructures,
    measured: HalfArray,
    labels: LabelledPatterns,
    size: Size,
    rng: Generator,
    progress: Progress,
) -> Asked:
    """Return patterns to ask about, and their space groups, by what they are."""
    shown = drawn.trained[: size.n_shown]
    cubic = {
        "trained": _cubic(drawn, drawn.trained)[: size.n_stretched],
        "held_out": _cubic(drawn, drawn.held_out)[: size.n_stretched],
    }
    asked: Asked = {
        "rruff": (measured, labels.space_group_index),
        "trained": _drawn(drawn, shown, size, rng),
        "held_out": _drawn(drawn, drawn.held_out, size, rng),
    }
    for number, scale in enumerate(SCALES.tolist()):
        progress(f"lattices at {scale:.0%}", number, SCALES.size)
        for kind, chosen in cubic.items():
            if chosen.size:
                place = f"cubic_{kind}_at_{scale * 100:.0f}_percent"
                asked[place] = _drawn(drawn, chosen, size, rng, scale=scale)
    return asked


def _drawn(
    drawn: DrawnStructures, chosen: IntArray, size: Size, rng: Generator, *, scale: float = 1.0
) -> tuple[HalfArray, IntArray]:
    patterns = simulated(drawn, chosen, recipe=BASELINE, every=size.every, rng=rng, scale=scale)
    return patterns, drawn.space_group_index(chosen)


def _cubic(drawn: DrawnStructures, chosen: IntArray) -> IntArray:
    return np.asarray(chosen[np.isin(drawn.store.space_group_number[chosen], list(CUBIC))])


def _is_asked(place: str, name: str, one: str) -> bool:
    return not place.startswith("cubic") or (name in STRETCHED and one == "souped")


def _classes(network: nn.Module, inputs: HalfArray) -> IntArray:
    said: FloatArray = class_probabilities(network, inputs)
    return np.asarray(said.argmax(axis=1))


def _of_level(space_group_index: IntArray, level: str) -> IntArray:
    is_coarse = level == "crystal_system"
    return SYSTEM_OF_SPACE_GROUP[space_group_index] if is_coarse else space_group_index


def _notes(answers: Answers, size: Size) -> tuple[str, ...]:
    schedule = size.schedule
    length = "batches" if schedule.n_batches else f"{schedule.n_epochs} epochs in batches"
    trained = f"{schedule.n_batches or ''} {length} of {schedule.batch_size}".strip()
    return (
        f"{answers.n_trained} structures of the table (paper: 171,006 of the ICSD), as common as"
        f" they are there; {answers.n_held_out} of families that none of these belongs to stand in"
        " for the paper's set from the Materials Project.",
        f"Points 0.0{size.every} degree apart (paper: 0.01), widths divided by"
        f" {size.narrower_by}; {trained}.",
        "Networks for 7 and for 230 classes are trained apart, as in the paper. Of measured"
        " minerals all are asked but for the souped set, where the half is asked that is not in"
        " it.",
        "Figures of the agent are of its network alone, trained by `phasepilot train` on more"
        " structures and longer, on none of these minerals and none of the unseen families.",
    )
