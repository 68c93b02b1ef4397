"""The numbers and pictures of Oviedo et al., from answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import Chart, Curve, Figure, Sheet
from phasepilot.models.benchmarks.film_views import STEP_DEG, TWO_THETA_DEG
from phasepilot.models.benchmarks.halide_films import LabelledFilms
from phasepilot.models.benchmarks.metrics import figure_of_items, figure_of_seeds, macro_f1

if TYPE_CHECKING:
    from phasepilot.models.benchmarks.autoxrd_paper import CaseAnswers
    from phasepilot.models.benchmarks.film_networks import ExplainedFilms

# Table 1: cases 1 to 3, and the macro F1 of case 3; dimensionality/space group.
_TABLE = {
    "naive_bayes": ("84.9/81.2", "66.7/25.5", "83.3/60.5", "0.830/0.433"),
    "nearest_neighbours": ("95.1/93.2", "68.3/21.2", "83.3/74.5", "0.820/0.621"),
    "nearest_neighbours_dtw": ("96.0/94.1", "75.3/78.5", "86.6/80.1", "0.836/0.645"),
    "logistic_regression": ("92/82.3", "68.3/13.9", "91.7/76.6", "0.847/0.601"),
    "random_forest": ("93.8/81.6", "63.3/56.2", "83.3/82.1", "0.827/0.597"),
    "decision_tree": ("87.1/80.7", "45.2/31.2", "81.7/69.1", "0.793/0.550"),
    "support_vector_machine": ("94.4/93.7", "67.1/67.3", "88.1/78.5", "0.805/0.659"),
    "gradient_boosting": ("96.2/92.1", "62.1/62.1", "89.7/81.1", "0.866/0.653"),
    "dense_network": ("99.2/98.1", "84/75.4", "92.1/84.1", "0.858/0.695"),
    "acnn": ("99.1/99.1", "83.7/80.2", "92.9/89.3", "0.859/0.714"),
}
_COLUMN = {"dimensionality": 0, "space_group": 1}
_MACRO_F1 = 3


@dataclass(frozen=True, slots=True)
class MapFigures:
    """Explained answers of one fold.

    Attributes
    ----------
    explained : ExplainedFilms
    truth : ndarray of int, shape (n_films,)
    film : ndarray of int, shape (n_films,)
        Numbers of the films.
    seed : int
    """

    explained: "ExplainedFilms"
    truth: IntArray
    film: IntArray
    seed: int


Answers = Mapping[tuple[Any, ...], "CaseAnswers"]


def case_figures(what: str, films: LabelledFilms, answers: Answers) -> Iterator[Figure]:
    """Yield Table 1: accuracy of the three cases and macro F1, by method."""
    spoken = what.replace("_", " ")
    counts = np.bincount(films.measured_class, minlength=len(films.classes))
    yield Figure(
        f"{what}_ceiling",
        float((counts[films.measured_class] > 1).mean()),
        f"share of films whose {spoken} another film has too",
    )
    meanings = (
        f"{spoken}, simulated patterns only: share right",
        f"{spoken}, trained on simulated patterns: share of films right",
        f"{spoken}, trained on simulated patterns and four of five films: share of films right",
    )
    for name in _TABLE:
        for number, meaning in enumerate(meanings, start=1):
            yield figure_of_seeds(
                f"{what}_case_{number}_{name}",
                answers[what, f"case {number}", name].is_right(),
                meaning,
                anchor=_anchor(name, number - 1, what),
            )
        case = answers[what, "case 3", name]
        scores = [
            macro_f1(truth, answer) for truth, answer in zip(case.truth, case.answer, strict=True)
        ]
        yield Figure(
            f"{what}_case_3_macro_f1_{name}",
            float(np.mean(scores)),
            f"{spoken}, the same: mean F1 of the classes",
            spread=_spread(scores),
            anchor=_anchor(name, _MACRO_F1, what),
        )


def augmentation_figures(
    what: str, answers: Answers, numbers: Sequence[tuple[int, int]]
) -> Iterator[Figure]:
    """Yield what changed copies do for the a-CNN in case 3, and noise in their place."""
    spoken = what.replace("_", " ")
    yield figure_of_items(
        f"{what}_acnn_noise",
        answers[what, "noise"].is_right(),
        f"a-CNN, case 3, {spoken}: noisy copies in place of changed ones",
        anchor="physics better by more than 12 points",
    )
    for n_films, n_powders in numbers:
        yield figure_of_items(
            f"{what}_acnn_{n_films}_of_films_{n_powders}_of_powders",
            _of_numbers(answers, what, n_films, n_powders).is_right(),
            f"a-CNN, case 3, {spoken}, by the number of changed copies",
            anchor="below 0.5 to 0.7" if (n_films, n_powders) == (0, 0) else "",
        )


def step_figures(
    what: str, films: LabelledFilms, answers: Answers, coarser_by: Sequence[int]
) -> Iterator[Figure]:
    """Yield the accuracy of the a-CNN in case 3 against the step."""
    for every in coarser_by:
        step = every * films.step_deg
        yield figure_of_items(
            f"{what}_acnn_step_{step:.2f}".replace(".", "_"),
            _at_step(answers, what, every).is_right(),
            f"a-CNN, case 3, {what.replace('_', ' ')}, trained and tested at coarser steps",
            anchor="above 0.85 to 0.16 degree" if every == 4 else "",
        )


def map_figures(maps: Sequence[MapFigures]) -> Iterator[Figure]:
    """Yield whether class activation maps explain what was answered, as in the paper's figure 5."""
    own, rows = [], []
    for one in maps:
        likeness = np.nan_to_num(one.explained.likeness(), nan=-1.0)
        answer = one.explained.answer
        films = np.arange(answer.size)
        is_right = answer == one.truth
        own += (likeness.argmax(axis=1) == answer)[is_right].tolist()
        nearer = likeness[films, answer] > likeness[films, one.truth]
        rows += nearer[~is_right].tolist()
    if own:
        yield figure_of_items(
            "maps_of_right_answers_like_their_class",
            own,
            "share of rightly named films whose activation map is most like their class's average",
        )
    if rows:
        yield figure_of_items(
            "maps_of_wrong_answers_like_the_answer",
            rows,
            "share of wrongly named films whose map is more like the average of what was answered"
            " than of the truth",
        )


def notes(asked: Mapping[str, LabelledFilms], n_changed: int) -> tuple[str, ...]:
    """Return what a reader must know to compare with the paper."""
    lines = []
    for what, films in asked.items():
        n_classes = len(films.classes)
        of_powders = np.bincount(films.simulated_class, minlength=n_classes).tolist()
        of_films = np.bincount(films.measured_class, minlength=n_classes).tolist()
        shares = ", ".join(
            f"{name}: {one} and {other}"
            for name, one, other in zip(films.classes, of_powders, of_films, strict=True)
        )
        lines.append(f"{what.replace('_', ' ')}, simulated compounds and films: {shares}.")
    return (
        *lines,
        f"{n_changed} changed copies of simulated and as many of measured patterns (paper: 2000);"
        " simulated ones are of the structure table, listed with --results.",
        "case 1 has copies of one compound in training and test, as in the paper.",
        "with one label a film, the micro F1 is the accuracy.",
    )


def sheets(
    asked: Mapping[str, LabelledFilms],
    answers: Answers,
    maps: Sequence[MapFigures],
    numbers: Sequence[tuple[int, int]],
    coarser_by: Sequence[int],
) -> Iterator[Sheet]:
    """Yield the paper's figures 3, 4 and 5."""
    charts = []
    for what in asked:
        curves = []
        for n_powders in sorted({one for _, one in numbers}):
            of_films = [one for one, other in numbers if other == n_powders]
            cases = [_of_numbers(answers, what, one, n_powders) for one in of_films]
            curves.append(_curve(f"{n_powders} of powders", np.array(of_films), cases))
        title = f"a-CNN, case 3, {what.replace('_', ' ')}"
        charts.append(Chart("changed copies of films", "accuracy", tuple(curves), title))
    steps = np.array(coarser_by) * STEP_DEG
    curves = [
        _curve(what.replace("_", " "), steps, [_at_step(answers, what, k) for k in coarser_by])
        for what in asked
    ]
    charts.append(Chart("step (degree)", "accuracy", tuple(curves), "a-CNN, case 3, by step"))
    yield Sheet("accuracy", tuple(charts))
    if maps:
        yield _sheet_of_maps(asked["space_group"], maps)


def _sheet_of_maps(films: LabelledFilms, maps: Sequence[MapFigures]) -> Sheet:
    """Return average maps, a film that is named rightly and one that is not, from one fold."""
    wrong = [one for one in maps if (one.explained.answer != one.truth).any()]
    fold = (wrong or list(maps))[0]
    average = fold.explained.average
    curves = [
        Curve(name, TWO_THETA_DEG, _scaled(row))
        for name, row in zip(films.classes, average, strict=True)
        if np.isfinite(row).all()
    ]
    charts = [Chart("2theta (degree)", "average map", tuple(curves), "average maps by space group")]
    is_right = fold.explained.answer == fold.truth
    for chosen in (np.flatnonzero(is_right)[:1], np.flatnonzero(~is_right)[:1]):
        for row in chosen.tolist():
            answer, truth = int(fold.explained.answer[row]), int(fold.truth[row])
            shown = {answer: "answered", truth: "true"}
            curves = [
                Curve("film", TWO_THETA_DEG, films.measured[fold.film[row]]),
                Curve("its map", TWO_THETA_DEG, _scaled(fold.explained.maps[row])),
            ]
            curves += [
                Curve(f"average map of {films.classes[k]} ({name})", TWO_THETA_DEG, _scaled(mean))
                for k, name in shown.items()
                if np.isfinite(mean := average[k]).all()
            ]
            title = (
                f"{films.film[fold.film[row]]}: {films.classes[truth]},"
                f" named {films.classes[answer]}"
            )
            charts.append(Chart("2theta (degree)", "highest = 1", tuple(curves), title))
    return Sheet("maps", tuple(charts))


def _scaled(row: FloatArray) -> FloatArray:
    row = row[: TWO_THETA_DEG.size]
    return row / max(float(np.abs(row).max()), 1e-12)


def _of_numbers(answers: Answers, what: str, n_films: int, n_powders: int) -> "CaseAnswers":
    key = (what, "number", n_films, n_powders)
    return answers[key] if key in answers else answers[what, "case 3", "acnn"]


def _at_step(answers: Answers, what: str, every: int) -> "CaseAnswers":
    return answers[(what, "case 3", "acnn") if every == 1 else (what, "step", every)]


def _curve(name: str, x: FloatArray | IntArray, cases: "Sequence[CaseAnswers]") -> Curve:
    means = np.array([[row.mean() for row in case.is_right()] for case in cases])
    spread = means.std(axis=1, ddof=1) if means.shape[1] > 1 else None
    return Curve(name, x.astype(np.float64), means.mean(axis=1), spread)


def _spread(scores: Sequence[float]) -> float | None:
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else None


def _anchor(name: str, column: int, what: str) -> str:
    text = _TABLE[name][column].split("/")[_COLUMN[what]]
    return text if column == _MACRO_F1 else f"{float(text) / 100:.3f}"
