"""Figures of what a softmax over five classes cannot say: mixtures, and samples of other phases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import Figure
from phasepilot.models.benchmarks.measured_files import KnownSample
from phasepilot.models.benchmarks.metrics import (
    area_under_roc,
    figure_of_items,
    two_sample_interval,
)
from phasepilot.models.benchmarks.tio2_matching import Said
from phasepilot.models.benchmarks.tio2_mixtures import MixtureAnswers, Pair, RecipeAnswers
from phasepilot.models.benchmarks.tio2_phases import TitaniaPhases
from phasepilot.models.benchmarks.tio2_samples import MixedPattern
from phasepilot.models.diffraction.crystals.stated_formula import stated_reduced_formula
from phasepilot.models.uncertainty.novelty import FALSE_ALARM_RATE

# A class that is held more probable than this is an answer that nobody would doubt.
_SURE = 0.9


def simulated_mixture_figures(pair: Pair, answers: MixtureAnswers) -> Iterator[Figure]:
    """Yield how often both phases of simulated mixtures are found, and in what amounts."""
    for recipe, part in answers.by_recipe.items():
        end = "" if recipe.startswith("tio2") else "_laboratory"
        what = f"simulated {pair.first} with {pair.second} (recipe {recipe})"
        minor = np.minimum(part.second_weight, 1 - part.second_weight)
        both = np.array([{pair.first, pair.second} <= set(one.weight) for one in part.said])
        for weight in np.unique(minor.round(6)):
            yield figure_of_items(
                f"{pair.name}_both_found_at_{100 * weight:.0f}_percent{end}",
                both[np.isclose(minor, weight)],
                f"share of {what}, {weight:.0%} of the lesser one by weight, in which matching"
                " finds both",
            )
        wrong = [bool(set(one.weight) - {pair.first, pair.second}) for one in part.said]
        yield figure_of_items(
            f"{pair.name}_wrong_phases{end}", wrong, f"share of {what} with a phase too many"
        )
        yield figure_of_items(
            f"{pair.name}_weight_error{end}",
            _weight_errors(pair, part),
            f"mean absolute error of the weight fraction of {pair.second} in {what}",
        )
        yield from _network_figures(pair, answers, part, end, what)


def _weight_errors(pair: Pair, part: RecipeAnswers) -> FloatArray:
    said = np.array([one.weight.get(pair.second, 0.0) for one in part.said])
    return np.asarray(np.abs(said - part.second_weight))


def _network_figures(
    pair: Pair, answers: MixtureAnswers, part: RecipeAnswers, end: str, what: str
) -> Iterator[Figure]:
    best = part.probabilities.argmax(axis=1)
    is_one_of_both = [answers.names[k] in (pair.first, pair.second) for k in best]
    yield figure_of_items(
        f"{pair.name}_network_names_one{end}",
        is_one_of_both,
        f"share of {what} for which the post's network names one of what is there",
    )
    yield figure_of_items(
        f"{pair.name}_network_is_sure{end}",
        part.probabilities.max(axis=1) > _SURE,
        f"share of {what} for which its one answer has a probability above {_SURE:g}",
    )
    if pair.second not in answers.names[: part.probabilities.shape[1]]:
        for name, chosen in (("", part.second_weight >= 0.25), ("little_", None)):
            rows = np.flatnonzero(part.second_weight < 0.25 if chosen is None else chosen)
            about = "25 % or more" if chosen is not None else "10 % or less"
            yield figure_of_items(
                f"{pair.name}_{name}called_unknown{end}",
                [not part.classes_said[k].is_known for k in rows],
                f"share of {what}, {about} of it, that the agent calls unknown without"
                f" {pair.second} in its library",
            )


def measured_mixture_figures(
    samples: Sequence[MixedPattern],
    said: Sequence[Said],
    probabilities: FloatArray,
    names: Sequence[str],
) -> Iterator[Figure]:
    """Yield what is said of measured mixtures of classes in amounts that nobody states."""
    found = [set(one.weight) == sample.phases for one, sample in zip(said, samples, strict=True)]
    yield figure_of_items(
        "measured_mixtures_named",
        found,
        f"share of {len(said)} measured mixtures of polymorphs in which matching finds these and"
        " no other",
    )
    for name in sorted(frozenset[str]().union(*(sample.phases for sample in samples))):
        weights = np.array([one.weight.get(name, 0.0) for one in said])
        yield Figure(
            f"measured_mixtures_{name}_weight",
            float(weights.mean()),
            f"weight fraction of {name} in them, mean and deviation; nobody states the truth",
            spread=float(weights.std(ddof=1)) if weights.size > 1 else None,
        )
        yield figure_of_items(
            f"measured_mixtures_network_says_{name}",
            probabilities.argmax(axis=2) == list(names).index(name),
            f"share of them for which the post's network says {name}, and nothing else",
        )
    yield figure_of_items(
        "measured_mixtures_called_unknown",
        [not one.is_known for one in said],
        "share of them that the agent calls unknown",
    )


def weighed_figures(
    samples: Sequence[KnownSample],
    said: Sequence[Said],
    classes_said: Sequence[Said],
    phases: TitaniaPhases,
) -> Iterator[Figure]:
    """Yield the weight of the classes in weighed mixtures, found against known.

    Parameters
    ----------
    said, classes_said : sequence of Said
        With companions in the library, and with the classes alone.
    """
    if not samples:
        return
    formulas = {str(formula) for formula in phases.extended.labels.formula}
    classes = set(phases.names)
    errors, is_found, is_unknown = [], [], []
    for sample, one, alone in zip(samples, said, classes_said, strict=True):
        is_found.append(bool(classes & set(alone.weight)))
        is_unknown.append(not alone.is_known)
        if {stated_reduced_formula(phase.formula) for phase in sample.phases} <= formulas:
            known = sum(
                phase.weight_fraction or 0.0
                for phase in sample.phases
                if stated_reduced_formula(phase.formula)
                in {str(formula) for formula in phases.polymorphs.labels.formula}
            )
            weight = sum(value for name, value in one.weight.items() if name in classes)
            errors.append(abs(weight - known))
    yield figure_of_items(
        "weighed_found", is_found, f"share of {len(said)} weighed mixtures whose TiO2 is found"
    )
    yield figure_of_items(
        "weighed_called_unknown",
        is_unknown,
        "share of them that the agent calls unknown when only the polymorphs are in its library",
    )
    if errors:
        yield figure_of_items(
            "weighed_weight_error",
            errors,
            f"mean absolute error of the weight fraction of TiO2 in {len(errors)} of them, all"
            " phases in the library",
        )


@dataclass(frozen=True, slots=True)
class DetectedStrangers:
    """What is said of samples without any class, and of measured ones of the classes.

    Attributes
    ----------
    strange, usual : list of Said
    network_strange, network_usual : ndarray, shape (n_seeds, n_patterns, n_classes)
    """

    strange: list[Said]
    usual: list[Said]
    network_strange: FloatArray
    network_usual: FloatArray


def stranger_figures(detected: DetectedStrangers) -> Iterator[Figure]:
    """Yield how well samples of other phases are told from those of the classes."""
    yield _roc(
        "unknown_auroc",
        _values(detected.strange, "novelty"),
        _values(detected.usual, "novelty"),
        "how often another sample is more novel than one of TiO2, by the agent",
    )
    yield _roc(
        "unknown_auroc_unexplained",
        1 - _values(detected.strange, "explained"),
        1 - _values(detected.usual, "explained"),
        "how often phases leave more of another sample's intensity unexplained",
    )
    strange, usual = (
        1 - rows.max(axis=2) for rows in (detected.network_strange, detected.network_usual)
    )
    areas = [area_under_roc(one, other) for one, other in zip(strange, usual, strict=True)]
    yield Figure(
        "unknown_auroc_network",
        float(np.mean(areas)),
        "how often the post's network is less sure of another sample than of one of TiO2",
        spread=float(np.std(areas, ddof=1)) if len(areas) > 1 else None,
    )
    yield figure_of_items(
        "unknown_network_is_sure",
        1 - strange > _SURE,
        f"share of other samples that the post's network names with more than {_SURE:g}",
    )
    yield figure_of_items(
        "unknown_called_unknown",
        [not one.is_known for one in detected.strange],
        f"share of {len(detected.strange)} other samples that the agent calls unknown, at its level"
        f" of {FALSE_ALARM_RATE:.0%} false alarms",
    )
    yield figure_of_items(
        "usual_called_unknown",
        [not one.is_known for one in detected.usual],
        f"share of {len(detected.usual)} measured TiO2 patterns that it calls unknown",
    )


def _values(said: Sequence[Said], name: str) -> FloatArray:
    return np.array([getattr(one, name) for one in said])


def _roc(name: str, strange: FloatArray, usual: FloatArray, meaning: str) -> Figure:
    interval = two_sample_interval(area_under_roc, strange, usual)
    return Figure(name, area_under_roc(strange, usual), meaning, interval.low, interval.high)
