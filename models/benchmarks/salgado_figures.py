"""The numbers and pictures of Salgado et al., from answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import Chart, Curve, Figure, Matrix, Sheet
from phasepilot.models.benchmarks.lattice_scaling import SCALES
from phasepilot.models.benchmarks.metrics import figure_of_items, figure_of_seeds, macro_f1
from phasepilot.models.benchmarks.salgado_sets import TRAINING_SETS, DrawnStructures, HalfArray
from phasepilot.models.networks.symmetry_levels import SYSTEM_OF_SPACE_GROUP
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

# Patterns to ask about and their space groups, by what they are.
Asked = dict[str, tuple[HalfArray, IntArray]]
_NETWORKS = ("npcnn", "scnn", "mlp")
_LEVELS = ("crystal_system", "space_group")
# Accuracies on the measured minerals that the text names (its figure 4).
_RRUFF = {
    ("scnn", "baseline"): ("0.12", "0.12"),
    ("mlp", "baseline"): ("0.22", "0.17"),
    ("scnn", "mixed"): ("0.35", "0.22"),
    ("mlp", "mixed"): ("0.64", "0.53"),
    ("scnn", "large"): ("0.40", "0.28"),
    ("mlp", "large"): ("0.67", ""),
    ("npcnn", "large"): ("0.74", "0.66"),
    ("npcnn", "souped"): ("0.86", "0.77"),
}
# Of the set from the Materials Project, by networks trained on the souped set (figure 6).
_HELD_OUT = {"mlp": ("0.54", "0.25"), "scnn": ("0.75", "0.45"), "npcnn": ("0.67", "0.36")}
# Patterns like those trained on.
_TRAINED = {("scnn", "baseline"): ("0.96", "0.94"), ("mlp", "baseline"): ("0.96", "0.94")}
_F1 = {"npcnn": "0.859", "mlp": "0.753", "scnn": "0.568"}
_STRETCHED = {("mlp", 80): "0.88", ("npcnn", 80): "0.94"}
# In place of a training set: the agent's networks, trained on their own.
OURS = "ours"
# So many of the commonest space groups stand for "frequent".
_N_FREQUENT = 5
_N_SHOWN = 19
_COUNT_EDGES = (0, 1, 3, 10, 30, 100, 10**9)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the networks of one seed say.

    Attributes
    ----------
    truth : dict of str to ndarray of int
        Space group less 1 of the patterns of each place.
    said : dict
        Class, by network, training set, level and place.
    trained_count : ndarray of int, shape (230,)
        Trained structures of each space group.
    held_out_patterns : ndarray of float16, shape (n_held_out, n_points)
    asked_of_souped : ndarray of int
        Measured minerals that are not in the souped set.
    """

    truth: dict[str, IntArray]
    trained_count: IntArray
    held_out_patterns: HalfArray
    asked_of_souped: IntArray
    said: dict[tuple[str, str, str, str], IntArray] = field(default_factory=dict)

    @classmethod
    def empty(cls, asked: Asked, drawn: DrawnStructures, asked_of_souped: IntArray) -> "Answers":
        """Return those of nobody yet."""
        counts = np.bincount(drawn.space_group_index(drawn.trained), minlength=230)
        truth = {place: groups for place, (_, groups) in asked.items()}
        return cls(truth, counts, asked["held_out"][0], asked_of_souped)

    def add(self, name: str, one: str, level: str, place: str, said: IntArray) -> None:
        """Add what a network says of the patterns of a place."""
        self.said[name, one, level, place] = said

    @property
    def n_trained(self) -> int:
        """Structures that were trained on."""
        return int(self.trained_count.sum())

    @property
    def n_held_out(self) -> int:
        """Structures of unseen families."""
        return len(self.held_out_patterns)

    @property
    def ours(self) -> list[str]:
        """The agent's networks that were asked."""
        return sorted({name for name, one, _, _ in self.said if one == OURS})

    def pair(self, name: str, one: str, level: str, place: str) -> tuple[IntArray, IntArray]:
        """Return truth and answer, of those patterns that were to be asked."""
        truth, said = self.truth[place], self.said[name, one, level, place]
        if level == "crystal_system":
            truth = SYSTEM_OF_SPACE_GROUP[truth]
        if place == "rruff" and one == "souped":
            truth, said = truth[self.asked_of_souped], said[self.asked_of_souped]
        return truth, said

    def is_right(self, name: str, one: str, level: str, place: str) -> FloatArray:
        """Return 1 for each right answer."""
        truth, said = self.pair(name, one, level, place)
        return np.asarray(truth == said, dtype=np.float64)

    def items(self, seed: int, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield what was said of each measured mineral."""
        for (name, one, level, place), said in self.said.items():
            if place != "rruff":
                continue
            rows = self.asked_of_souped if one == "souped" else np.arange(said.size)
            for row in rows.tolist():
                truth, answer = int(self.truth[place][row]), int(said[row])
                is_coarse = level == "crystal_system"
                yield {
                    "network": name,
                    "trained_on": one,
                    "seed": seed,
                    "pattern": names[row],
                    "space_group_number": truth + 1,
                    f"answer_{level}": CRYSTAL_SYSTEMS[answer] if is_coarse else answer + 1,
                }


def salgado_figures(answers: Sequence[Answers]) -> Iterator[Figure]:
    """Yield the paper's numbers: figures 4 to 9, and what the text says of them."""
    for column, level in enumerate(_LEVELS):
        for one in TRAINING_SETS:
            for name in _NETWORKS:
                anchor = _RRUFF.get((name, one), ("", ""))[column]
                yield _accuracy(answers, name, one, level, "rruff", anchor)
    for column, level in enumerate(_LEVELS):
        for name in _NETWORKS:
            anchor = _TRAINED.get((name, "baseline"), ("", ""))[column]
            yield _accuracy(answers, name, "baseline", level, "trained", anchor)
        for name in _NETWORKS:
            yield _accuracy(answers, name, "souped", level, "held_out", _HELD_OUT[name][column])
    for level in _LEVELS:
        for name in answers[0].ours:
            for place in ("rruff", "held_out"):
                yield _accuracy(answers, name, OURS, level, place, "")
    yield from _ablation_figures(answers)
    yield from _f1_figures(answers)
    yield from _bias_figures(answers)
    yield from _stretched_figures(answers)


def salgado_sheets(answers: Answers) -> Iterator[Sheet]:
    """Yield the paper's figures 4, 5, 7 and 9 of one seed."""
    sets = np.arange(len(TRAINING_SETS), dtype=np.float64)
    labels = ", ".join(f"{k} {name}" for k, name in enumerate(TRAINING_SETS))
    charts = [
        Chart(
            f"training set: {labels}",
            "accuracy",
            (
                *(Curve(name, sets, _means(answers, name, level, "rruff")) for name in _NETWORKS),
                *(
                    Curve(f"agent, {name}", sets, np.full(sets.size, _ours(answers, name, level)))
                    for name in answers.ours
                ),
            ),
            f"measured minerals, {level.replace('_', ' ')}",
        )
        for level in _LEVELS
    ]
    yield Sheet("accuracy", tuple(charts))
    groups = tuple(map(str, range(1, _N_SHOWN + 1)))
    yield Sheet(
        "confusion",
        tuple(
            Matrix(
                f"NPCNN, souped, {spoken}: space groups 1 to {_N_SHOWN}",
                groups,
                _confusion(*answers.pair("npcnn", "souped", "space_group", place)),
            )
            for place, spoken in (("rruff", "measured"), ("held_out", "held-out families"))
        ),
    )
    yield Sheet("stretched", tuple(_stretched_charts(answers)))
    yield Sheet("counts", (_count_chart(answers),))


def _accuracy(
    answers: Sequence[Answers], name: str, one: str, level: str, place: str, anchor: str
) -> Figure:
    meanings = {
        "rruff": "measured minerals whose {} is answered rightly, by network and training set",
        "trained": "patterns of trained structures whose {} is answered rightly",
        "held_out": "simulated structures of families that nobody trained on whose {} is answered"
        " rightly",
    }
    return figure_of_seeds(
        f"agent_{name}_{level}_{place}" if one == OURS else f"{name}_{one}_{level}_{place}",
        [each.is_right(name, one, level, place) for each in answers],
        meanings[place].format(level.replace("_", " ")),
        anchor=anchor,
    )


def _ablation_figures(answers: Sequence[Answers]) -> Iterator[Figure]:
    for level, anchor in zip(_LEVELS, ("0.34", "0.38"), strict=True):
        # The same minerals in every seed, so that differences are taken one by one.
        gains = [
            each.is_right("npcnn", "large", level, "rruff")
            - each.is_right("scnn", "large", level, "rruff")
            for each in answers
        ]
        yield figure_of_items(
            f"pooling_ablation_{level}",
            np.array(gains),
            f"NPCNN less SCNN, both trained on the large set: {level.replace('_', ' ')} of measured"
            " minerals",
            anchor=anchor,
        )


def _f1_figures(answers: Sequence[Answers]) -> Iterator[Figure]:
    for level in _LEVELS:
        for place in ("rruff", "held_out"):
            for name in _NETWORKS:
                scores = [macro_f1(*each.pair(name, "souped", level, place)) for each in answers]
                is_quoted = level == "crystal_system" and place == "rruff"
                yield Figure(
                    f"{name}_souped_{level}_{place}_macro_f1",
                    float(np.mean(scores)),
                    f"F1 of the {level.replace('_', ' ')}, mean over those that occur: networks"
                    f" trained on the souped set, {place.replace('_', ' ')}",
                    spread=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
                    anchor=_F1[name] if is_quoted else "",
                )


def _bias_figures(answers: Sequence[Answers]) -> Iterator[Figure]:
    """Yield how much wrong answers lean towards what was common in training, figures 5 and 9."""
    for name in _NETWORKS:
        for place in ("rruff", "held_out"):
            leaning, expected = [], []
            for each in answers:
                frequent = np.argsort(-each.trained_count, kind="stable")[:_N_FREQUENT]
                truth, said = each.pair(name, "souped", "space_group", place)
                is_wrong = truth != said
                leaning.append(np.isin(said[is_wrong], frequent).astype(np.float64))
                expected.append(np.isin(truth[is_wrong], frequent).astype(np.float64))
            for kind, scores, meaning in (
                ("answers", leaning, "name one of"),
                ("truths", expected, "are in truth of"),
            ):
                if all(one.size for one in scores):
                    yield figure_of_seeds(
                        f"{name}_souped_wrong_{place}_frequent_{kind}",
                        scores,
                        f"wrongly answered patterns that {meaning} the {_N_FREQUENT} space groups"
                        " commonest in training",
                    )
    correlations = [_count_correlation(each) for each in answers]
    yield Figure(
        "scnn_souped_held_out_accuracy_against_count",
        float(np.mean(correlations)),
        "rank correlation over space groups of the share answered rightly with the trained"
        " structures of that group",
        spread=float(np.std(correlations, ddof=1)) if len(correlations) > 1 else None,
    )


def _count_correlation(answers: Answers) -> float:
    truth, said = answers.pair("scnn", "souped", "space_group", "held_out")
    groups = np.unique(truth)
    shares = [float((said[truth == group] == group).mean()) for group in groups]
    if np.ptp(shares) == 0 or np.ptp(answers.trained_count[groups]) == 0:
        return float("nan")
    return float(spearmanr(shares, answers.trained_count[groups]).statistic)


def _stretched_figures(answers: Sequence[Answers]) -> Iterator[Figure]:
    for kind in ("trained", "held_out"):
        for name in ("mlp", "npcnn"):
            for scale in (80, 90, 100, 110, 120):
                place = f"cubic_{kind}_at_{scale}_percent"
                if place not in answers[0].truth:
                    continue
                yield figure_of_seeds(
                    f"{name}_souped_{place}",
                    [each.is_right(name, "souped", "crystal_system", place) for each in answers],
                    f"cubic crystals, {kind.replace('_', ' ')}, that are called cubic at a multiple"
                    " of their lattice",
                    anchor=_STRETCHED.get((name, scale), "") if kind == "trained" else "",
                )


def _stretched_charts(answers: Answers) -> Iterator[Chart]:
    for kind in ("trained", "held_out"):
        places = [f"cubic_{kind}_at_{scale * 100:.0f}_percent" for scale in SCALES]
        if places[0] not in answers.truth:
            continue
        curves = tuple(
            Curve(
                f"{name}, {level.replace('_', ' ')}",
                SCALES,
                np.array([answers.is_right(name, "souped", level, one).mean() for one in places]),
            )
            for name in ("npcnn", "mlp")
            for level in _LEVELS
        )
        title = f"cubic crystals, {kind.replace('_', ' ')}"
        yield Chart("lattice against the true one", "share answered rightly", curves, title)


def _count_chart(answers: Answers) -> Chart:
    curves = []
    for name in _NETWORKS:
        truth, said = answers.pair(name, "souped", "space_group", "held_out")
        counts = answers.trained_count[truth]
        middles, shares = [], []
        for low, high in pairwise(_COUNT_EDGES):
            is_in = (counts >= low) & (counts < high)
            if is_in.any():
                middles.append(np.log10(1 + counts[is_in].mean()))
                shares.append(float((truth == said)[is_in].mean()))
        curves.append(Curve(name, np.array(middles), np.array(shares)))
    return Chart(
        "log10(1 + trained structures of the space group)",
        "share answered rightly",
        tuple(curves),
        "held-out families by how common their space group was in training",
    )


def _confusion(truth: IntArray, said: IntArray) -> IntArray:
    counts = np.zeros((_N_SHOWN, _N_SHOWN), dtype=np.int64)
    is_shown = (truth < _N_SHOWN) & (said < _N_SHOWN)
    np.add.at(counts, (truth[is_shown], said[is_shown]), 1)
    return counts


def _means(answers: Answers, name: str, level: str, place: str) -> FloatArray:
    return np.array([answers.is_right(name, one, level, place).mean() for one in TRAINING_SETS])


def _ours(answers: Answers, name: str, level: str) -> float:
    return float(answers.is_right(name, OURS, level, "rruff").mean())
