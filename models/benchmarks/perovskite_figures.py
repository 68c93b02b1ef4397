"""The numbers and pictures of the B-VGGNet paper, from answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import Chart, Curve, Figure, Sheet
from phasepilot.models.benchmarks.metrics import (
    area_under_roc,
    figure_of_items,
    two_sample_interval,
)
from phasepilot.models.uncertainty.entropy import entropy_bits
from phasepilot.models.uncertainty.temperature import expected_calibration_error, log_loss

if TYPE_CHECKING:
    from phasepilot.models.benchmarks.perovskite_cases import (
        ExplainedPattern,
        HotNovelty,
        HotStructure,
        LibraryAnswers,
        MeasuredMineral,
    )
    from phasepilot.models.benchmarks.perovskite_networks import Doubt
    from phasepilot.models.benchmarks.perovskite_sets import Abx3Structures
    from phasepilot.models.benchmarks.perovskite_ter import Size

# The classical methods of the paper's figure 3a, by their names in `film_methods`.
CLASSICAL = (
    *("naive_bayes", "random_forest", "logistic_regression", "support_vector_machine"),
    *("nearest_neighbours", "decision_tree", "dense_network"),
)
# Of the agent's networks, in place of a training set.
OURS, OURS_NEW = "agent", "agent_unseen_families"
_CONDITIONS = {
    "vss": "trained on virtual patterns",
    "vss_without_ter": "trained on patterns of relaxed structures, no element replaced",
    "vss_and_rss": "trained on virtual patterns and half of the real structures",
    "syn": "trained on mixtures of virtual and half of the real ones",
    "syn_without_ter": "trained on mixtures, no element replaced",
    OURS: "by the agent's network, whose training had most of these very structures",
    OURS_NEW: "by the agent's network, of families that it was not trained on",
}
# What the text says of figures 3 and 4.
_ANCHORS = {
    ("type", "vss"): "extremely low",
    ("type", "syn"): "above 0.80, forest and neighbours above 0.90",
    ("space_group", "syn_without_ter"): "slightly less than with",
}
_BEST_SHARE = "share_70"
_EVEN = 0.5
# Of one training: seed, structures, their classes, and those that were said.
Said = tuple[int, list[str], NDArray[np.str_], NDArray[np.str_]]


@dataclass(frozen=True, slots=True)
class DoubtOfMethod:
    """Answers with doubt of one network for real patterns it was not trained on."""

    truth: IntArray
    said: "Doubt"
    training_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was answered.

    Attributes
    ----------
    answers : dict
        By kind of classes, condition and method; an entry a training.
    doubts : dict
        By method; an entry a training.
    library, explained, hot : list
        An entry a seed.
    hot_novelty : dict
        By network of the agent; an entry a seed.
    measured : list
    """

    data: "Abx3Structures"
    answers: dict[tuple[str, str, str], list[Said]] = field(default_factory=dict)
    doubts: dict[str, list[DoubtOfMethod]] = field(default_factory=dict)
    library: "list[LibraryAnswers]" = field(default_factory=list)
    explained: "list[list[ExplainedPattern]]" = field(default_factory=list)
    hot: "list[list[HotStructure]]" = field(default_factory=list)
    hot_novelty: "dict[str, list[list[HotNovelty]]]" = field(default_factory=dict)
    measured: "list[MeasuredMineral]" = field(default_factory=list)

    def add(self, what: str, condition: str, method: str, said: Said) -> None:
        """Add the answers after one training."""
        self.answers.setdefault((what, condition, method), []).append(said)

    def add_doubt(self, method: str, truth: IntArray, said: "Doubt", training_s: float) -> None:
        """Add the answers of a Bayesian network."""
        entry = DoubtOfMethod(truth, said, training_s)
        self.doubts.setdefault(method, []).append(entry)

    def is_right(self, what: str, condition: str, method: str) -> FloatArray:
        """Return 1 for each right answer, trainings one behind the other."""
        rows = self.answers[what, condition, method]
        return np.concatenate([truth == said for _, _, truth, said in rows]).astype(np.float64)


def perovskite_figures(found: Found) -> Iterator[Figure]:
    """Yield the paper's numbers: figures 3 to 6, and what the text says."""
    for (what, condition, method), _ in found.answers.items():
        if condition in _CONDITIONS:
            yield figure_of_items(
                f"{what}_{condition}_{method}",
                found.is_right(what, condition, method),
                f"real structures whose {_spoken(what)} is answered rightly,"
                f" {_CONDITIONS[condition]}",
                anchor=_ANCHORS.get((what, condition), ""),
            )
    for (what, condition, method), _ in found.answers.items():
        if condition.startswith("share"):
            yield figure_of_items(
                f"{what}_syn_{condition}_percent_{method}",
                found.is_right(what, condition, method),
                "the others of the real structures that are answered rightly, when so many of them"
                " are mixed into the training set",
                anchor="the best share" if condition == _BEST_SHARE else "",
            )
    for method, entries in found.doubts.items():
        yield from _doubt_figures(method, entries)
    if found.library:
        yield from _library_figures(found.library)
    yield from _explanation_figures(found)
    yield from _hot_figures(found.hot)
    for network, novelties in found.hot_novelty.items():
        yield from _novelty_figures(network, novelties)
    if found.measured:
        yield figure_of_items(
            "measured_minerals",
            [one.truth == one.answer for one in found.measured],
            "measured minerals with the formula ABX3 whose space group is answered rightly",
            anchor="0.75 of 4 perovskites",
        )


def perovskite_sheets(found: Found) -> Iterator[Sheet]:
    """Yield the paper's figures 3b, 4b, 5 and 6."""
    shares = sorted(
        (int(condition.split("_")[1]), found.is_right(what, condition, method).mean())
        for what, condition, method in found.answers
        if condition.startswith("share")
    )
    charts = []
    if shares:
        x, y = np.array(shares).T
        curve = Curve("B-VGGNet", x / 100, y)
        title = "space group by the share of real structures in SYN"
        charts.append(Chart("share of real structures", "accuracy", (curve,), title))
    charts += _library_charts(found.library)
    if charts:
        yield Sheet("sets", tuple(charts))
    if found.doubts:
        yield Sheet("doubt", tuple(_doubt_charts(found.doubts)))
    if found.explained:
        yield Sheet("shapley", tuple(_explanation_charts(found)))


def perovskite_items(found: Found) -> Iterator[dict[str, Any]]:
    """Yield the real structures, every answer, and the single cases."""
    for one in found.data.real:
        yield {
            "real": one.identifier,
            "formula": one.crystal.name,
            "space_group": one.space_group_number,
            "structure_type": one.structure_type,
        }
    for (what, condition, method), rows in found.answers.items():
        about = {"what": what, "condition": condition, "method": method}
        for seed, names, truth, said in rows:
            for name, true, answer in zip(names, truth.tolist(), said.tolist(), strict=True):
                yield {**about, "seed": seed, "structure": name, "truth": true, "answer": answer}
    for mineral in found.measured:
        yield {"measured": mineral.name, "truth": mineral.truth, "answer": mineral.answer}
    for cases in found.hot:
        for case in cases:
            yield {"hot_perovskite_relaxed_by": case.relaxed_by, "answer": case.answer}


def perovskite_notes(found: Found, size: "Size") -> tuple[str, ...]:
    """Return what a reader must know to compare with the paper."""
    data, schedule = found.data, size.schedule
    length = "batches" if schedule.n_batches else f"{schedule.n_epochs} epochs in batches"
    return (
        f"RSS: {len(data.real)} different structures in {data.n_real_rows} experimental rows of the"
        f" table (paper: 1894 patterns of the ICSD); listed with --results. Templates: the smallest"
        f" of each structure type of the Materials Project; {len(data.compositions())} compositions"
        " of the real ones are put on them (paper: 53 on 93 templates).",
        f"{size.n_patterns} patterns a training set (paper: 24,645), widths of VGG divided by"
        f" {size.narrower_by}; {schedule.n_batches or ''} {length} of {schedule.batch_size}.",
        "Space groups and structure types with two or more real structures are asked for, half of"
        " them at a time; the other half is mixed into SYN or added to VSS.",
    )


def _doubt_figures(method: str, entries: Sequence[DoubtOfMethod]) -> Iterator[Figure]:
    probabilities, truth, deviation = _pooled(entries)
    answer = probabilities.argmax(axis=1)
    places = np.arange(answer.size)
    start = "Bayesian networks trained on SYN, real structures:"
    for name, scores, meaning in (
        ("accuracy", answer == truth, "share answered rightly"),
        ("probability", probabilities[places, answer], "mean probability of the answer"),
        ("deviation", deviation, "its standard deviation over drawn weights"),
        ("entropy_bits", entropy_bits(probabilities), "mean entropy of the answer in bits"),
    ):
        yield figure_of_items(f"{method}_{name}", np.asarray(scores, float), f"{start} {meaning}")
    yield Figure(
        f"{method}_calibration_error",
        expected_calibration_error(probabilities, truth),
        f"{start} expected calibration error",
    )
    yield Figure(f"{method}_log_loss", log_loss(probabilities, truth), f"{start} log loss")
    for name, values, meaning in (
        ("ms_a_pattern", [one.said.ms_per_pattern for one in entries], "time of an answer in ms"),
        ("training_s", [one.training_s for one in entries], "time of training in s"),
    ):
        yield Figure(f"{method}_{name}", float(np.mean(values)), f"{start} {meaning}")


def _library_figures(library: "Sequence[LibraryAnswers]") -> Iterator[Figure]:
    from sklearn.metrics import average_precision_score

    probability, is_inside, is_seen = _joined_library(library)
    yield figure_of_items(
        "in_library_accuracy",
        ((probability > _EVEN) == is_inside)[is_seen],
        "crystals of trained types, not trained on, that are rightly told to be of the library's 30"
        " structure types or not",
        anchor="0.973",
    )
    for name, rows, anchor in (("", is_seen, "0.98"), ("_new_types", is_inside | ~is_seen, "")):
        told = probability[rows & is_inside], probability[rows & ~is_inside]
        interval = two_sample_interval(area_under_roc, *told)
        other = "others of trained types" if not name else "others of types never trained on"
        yield Figure(
            f"in_library_roc_area{name}",
            area_under_roc(*told),
            f"area under the ROC curve: the library's types against {other}",
            interval.low,
            interval.high,
            anchor=anchor,
        )
        yield Figure(
            f"in_library_average_precision{name}",
            float(average_precision_score(is_inside[rows], probability[rows])),
            f"average precision: the library's types against {other}",
            anchor="0.97" if not name else "",
        )


def _explanation_figures(found: Found) -> Iterator[Figure]:
    entries = [one for seed in found.explained for one in seed]
    if not entries:
        return
    shares = np.array([one.share_on_lines() for one in entries])
    yield figure_of_items(
        "shapley_on_lines",
        shares[:, 0],
        "part of the Shapley values' size in degrees that hold a line, mean over real patterns",
    )
    yield figure_of_items(
        "shapley_on_lines_by_chance", shares[:, 1], "part of the degrees that hold a line"
    )


def _hot_figures(hot: "Sequence[Sequence[HotStructure]]") -> Iterator[Figure]:
    for cases in zip(*hot, strict=True):
        name = f"hot_perovskite_{cases[0].relaxed_by * 100:.0f}_percent"
        for end, values, meaning in (
            ("right", [float(one.answer == "62") for one in cases], "is answered 62"),
            ("entropy_bits", [one.entropy_bits for one in cases], "entropy of the answer"),
            ("distance", [one.distance for one in cases], "1 - cosine to the nearest real pattern"),
            (
                "farther_than",
                [one.share_nearer for one in cases],
                "share of real structures that are nearer to their nearest",
            ),
        ):
            yield Figure(
                f"{name}_{end}",
                float(np.mean(values)),
                f"CaTiO3 so far on its way to the cubic structure: {meaning}",
            )


def _novelty_figures(network: str, entries: "Sequence[Sequence[HotNovelty]]") -> Iterator[Figure]:
    for cases in zip(*entries, strict=True):
        name = f"agent_{network}_hot_perovskite_{cases[0].relaxed_by * 100:.0f}_percent"
        for end, values, meaning in (
            ("novelty", [one.novelty for one in cases], "novelty"),
            ("more_novel_than", [one.share_less for one in cases], "share of real structures less"),
        ):
            yield Figure(
                f"{name}_{end}",
                float(np.mean(values)),
                f"CaTiO3 so far on its way to the cubic structure, to the agent: {meaning}",
            )


def _library_charts(library: "Sequence[LibraryAnswers]") -> Iterator[Chart]:
    if not library:
        return
    from sklearn.metrics import precision_recall_curve, roc_curve

    probability, is_inside, is_seen = _joined_library(library)
    curves: dict[str, list[Curve]] = {"roc": [], "precision": []}
    for name, rows in (("trained types", is_seen), ("new types", is_inside | ~is_seen)):
        false, true, _ = roc_curve(is_inside[rows], probability[rows])
        precision, recall, _ = precision_recall_curve(is_inside[rows], probability[rows])
        curves["roc"].append(Curve(name, false, true))
        curves["precision"].append(Curve(name, recall, precision))
    yield Chart(
        "false positives", "true positives", tuple(curves["roc"]), "in the library or not: ROC"
    )
    yield Chart("recall", "precision", tuple(curves["precision"]), "in the library or not")


def _doubt_charts(doubts: dict[str, list[DoubtOfMethod]]) -> Iterator[Chart]:
    bins = np.linspace(0, 3, 13)
    middles = (bins[1:] + bins[:-1]) / 2
    means, entropies = [], []
    for method, entries in doubts.items():
        probabilities, truth, deviation = _pooled(entries)
        classes = np.unique(truth)
        best = probabilities.max(axis=1)
        by_class = np.array([best[truth == one].mean() for one in classes])
        spread = np.array([deviation[truth == one].mean() for one in classes])
        means.append(Curve(method, classes.astype(np.float64), by_class, spread))
        counts, _ = np.histogram(np.minimum(entropy_bits(probabilities), bins[-1]), bins)
        entropies.append(Curve(method, middles, counts / counts.sum()))
    title = "mean probability of the answer; bars: deviation over drawn weights"
    yield Chart("class (space groups in rising order)", "probability", tuple(means), title)
    yield Chart("entropy (bits)", "share of patterns", tuple(entropies), "entropy of answers")


def _explanation_charts(found: Found) -> Iterator[Chart]:
    entries = [one for seed in found.explained for one in seed]
    for label in sorted({one.label for one in entries}):
        those = [one for one in entries if one.label == label]
        values = np.mean([np.abs(one.values) for one in those], axis=0)
        pattern = np.mean([one.pattern for one in those], axis=0)
        degrees = 10.5 + np.arange(values.size)
        curves = (
            Curve("mean pattern", np.linspace(10, 80, pattern.size), pattern),
            Curve("mean |Shapley value|, highest = 1", degrees, values / max(values.max(), 1e-12)),
        )
        title = f"class {label} (space groups in rising order), {len(those)} real structures"
        yield Chart("2theta (degree)", "", curves, title)


def _pooled(entries: Sequence[DoubtOfMethod]) -> tuple[FloatArray, IntArray, FloatArray]:
    """Return mean probabilities, truth, and the deviation of the answer's probability."""
    probabilities = np.concatenate([one.said.probabilities for one in entries])
    truth = np.concatenate([one.truth for one in entries])
    deviation = [
        np.take_along_axis(
            one.said.drawn.std(axis=0), one.said.probabilities.argmax(axis=1)[:, None], axis=1
        )[:, 0]
        for one in entries
    ]
    return probabilities, truth, np.concatenate(deviation)


def _joined_library(library: "Sequence[LibraryAnswers]") -> tuple[FloatArray, Any, Any]:
    return (
        np.concatenate([one.probability for one in library]),
        np.concatenate([one.is_inside for one in library]),
        np.concatenate([one.is_seen for one in library]),
    )


def _spoken(what: str) -> str:
    return "structure type" if what == "type" else what.replace("_", " ")
