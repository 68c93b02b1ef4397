"""Titanium oxides from crystal structures to measured patterns, and what a softmax cannot do.

The post "Training a neural network for the classification of TiO2 XRD patterns" (Schuetzke): for
each seed its network is trained on patterns simulated of five polymorphs, by the recipe
`tio2-post`, and then shown measured patterns. Beside it answers the agent with the same structures
as its library, of which nothing is trained. Both are then shown what the post lists as its limits:
mixtures, and samples that hold none of the five.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    Progress,
    Sheet,
)
from phasepilot.models.benchmarks.metrics import figure_of_items
from phasepilot.models.benchmarks.tio2_figures import (
    DetectedStrangers,
    measured_mixture_figures,
    simulated_mixture_figures,
    stranger_figures,
    weighed_figures,
)
from phasepilot.models.benchmarks.tio2_matching import LibraryMatching, Said, overlay
from phasepilot.models.benchmarks.tio2_mixtures import PAIRS, MixtureAnswers, mixture_answers
from phasepilot.models.benchmarks.tio2_phases import (
    TitaniaPhases,
    phases_of_folder,
    phases_of_table,
)
from phasepilot.models.benchmarks.tio2_samples import (
    POST_SAMPLES,
    NamedPattern,
    SortedSamples,
    rruff_patterns,
    sorted_samples,
)
from phasepilot.models.pattern import Pattern

# Of a pattern of RRUFF-908 nothing is known but the space group: it is taken for the polymorph of
# that space group whose lattice, fitted freely, is this near.
_SAME_LATTICE_WITHIN = 0.005
_N_STRANGERS_DRAWN = 1


class _Networks:
    """The post's network, once a seed."""

    def __init__(self, phases: TitaniaPhases, n_seeds: int, progress: Progress) -> None:
        # torch takes a second to import, and is in the train extra.
        from phasepilot.models.benchmarks.tio2_network import trained_network

        self.trained = []
        for seed in range(n_seeds):
            progress("training the post's network", seed, n_seeds)
            self.trained.append(trained_network(phases.polymorphs, seed))
        progress("training the post's network", n_seeds, n_seeds)

    def probabilities(self, patterns: list[Pattern]) -> FloatArray:
        """Return what each says of each pattern, shape (n_seeds, n_patterns, n_classes)."""
        return np.array([network.probabilities(patterns) for network in self.trained])


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return what the post's network and the agent say of titanium oxides, and of other samples.

    Raises
    ------
    CrystalError
        If there are neither CIF files nor a structure table.
    ModelsError, PatternError
        If there are no measured patterns.
    """
    progress("structures", 0, 1)
    phases = (
        phases_of_table(options.structures)
        if options.library is None
        else phases_of_folder(options.library)
    )
    samples = sorted_samples(options.measured(), phases.polymorphs)
    networks = _Networks(phases, options.n_seeds, progress)
    matching = LibraryMatching(phases.polymorphs)
    told = _told(options, phases, matching)
    figures: list[Figure] = []
    items: list[dict[str, Any]] = []

    figures += _validation_figures(networks, matching, progress)
    for kind, group in (("measured", samples.single), ("told", told)):
        figures += _single_figures(kind, group, networks, matching, phases, items)

    answers = {
        pair: mixture_answers(pair, phases, networks.probabilities, options.n_seeds, progress)
        for pair in PAIRS
        if all(name in phases.extended.labels.name for name in (pair.first, pair.second))
    }
    for pair, found in answers.items():
        figures += simulated_mixture_figures(pair, found)
        items += _mixture_items(found)

    several = matching.say_all([one.pattern for one in samples.several], progress, "two phases")
    if several:
        probabilities = networks.probabilities([one.pattern for one in samples.several])
        figures += measured_mixture_figures(samples.several, several, probabilities, phases.names)
    extended = LibraryMatching(phases.extended)
    weighed = extended.say_all([one.pattern for one in samples.weighed], progress, "weighed")
    alone = matching.say_all([one.pattern for one in samples.weighed], progress, "weighed, alone")
    figures += weighed_figures(samples.weighed, weighed, alone, phases)

    strangers = [one.pattern for one in samples.others]
    usual = [one.pattern for one in (*samples.single, *samples.several)]
    if strangers and usual:
        said = matching.say_all(strangers, progress, "other samples")
        usual_said = [matching.say(one.pattern) for one in samples.single] + several
        detected = DetectedStrangers(
            said, usual_said, networks.probabilities(strangers), networks.probabilities(usual)
        )
        figures += stranger_figures(detected)
        items += _said_items("other", [one.name for one in samples.others], said)
    items += _said_items("two phases", [one.name for one in samples.several], several)
    items += _said_items("weighed", [one.name for one in samples.weighed], weighed)
    unstated = matching.say_all([one.pattern for one in samples.unstated], progress, "unstated")
    items += _said_items("unstated", [one.name for one in samples.unstated], unstated)
    return BenchmarkResult(
        f"titanium oxides: the post's network, {options.n_seeds} seeds, beside library matching",
        tuple(figures),
        tuple(items),
        _notes(phases, samples, told),
        sheets=(_overlays(phases, samples, answers),),
    )


def _told(
    options: BenchmarkOptions, phases: TitaniaPhases, matching: LibraryMatching
) -> tuple[NamedPattern, ...]:
    """Return the patterns of RRUFF-908 that space group and lattice tell to be of a class."""
    numbers = phases.polymorphs.sticks.space_group_number.tolist()
    labelled = rruff_patterns(options.measured(), numbers)
    if labelled is None:
        return ()
    found = []
    for pattern, number, name in zip(
        labelled.patterns, labelled.space_group_number.tolist(), labelled.name, strict=True
    ):
        phase = matching.phase_of_lattice(pattern, number, _SAME_LATTICE_WITHIN)
        if phase:
            found.append(NamedPattern(name, pattern, phase))
    return tuple(found)


def _validation_figures(
    networks: _Networks, matching: LibraryMatching, progress: Progress
) -> Iterator[Figure]:
    right = [
        network.probabilities(list(network.validation)).argmax(axis=1) == network.truth
        for network in networks.trained
    ]
    yield figure_of_items(
        "network_validation_accuracy",
        np.array(right),
        "share of the post's kind of simulated patterns, unseen, that its network names rightly",
        anchor="1.00",
    )
    names = matching.names
    said = [
        matching.say_all(network.validation, progress, "simulated") for network in networks.trained
    ]
    right = [
        np.array([one.main == names[k] for one, k in zip(row, network.truth, strict=True)])
        for row, network in zip(said, networks.trained, strict=True)
    ]
    yield figure_of_items(
        "matching_validation_accuracy",
        np.array(right),
        "share of the same whose main phase library matching names rightly",
    )


def _single_figures(
    kind: str,
    group: tuple[NamedPattern, ...],
    networks: _Networks,
    matching: LibraryMatching,
    phases: TitaniaPhases,
    items: list[dict[str, Any]],
) -> Iterator[Figure]:
    if not group:
        return
    probabilities = networks.probabilities([one.pattern for one in group])
    answers = probabilities.argmax(axis=2)
    truth = np.array([phases.names.index(one.phase) for one in group])
    about = (
        "measured patterns of one polymorph"
        if kind == "measured"
        else "RRUFF-908 patterns whose space group and lattice tell the polymorph"
    )
    yield figure_of_items(
        f"network_{kind}_accuracy",
        answers == truth,
        f"share of {len(group)} {about} that the post's network names rightly",
        anchor="11 of 11, 4 of them calculated" if kind == "measured" else "",
    )
    said = [matching.say(one.pattern) for one in group]
    yield figure_of_items(
        f"matching_{kind}_accuracy",
        [one.main == named.phase for one, named in zip(said, group, strict=True)],
        f"share of {len(group)} {about} whose main phase library matching names rightly",
    )
    yield figure_of_items(
        f"matching_{kind}_called_unknown",
        [not one.is_known for one in said],
        f"share of {len(group)} {about} that the agent calls unknown",
    )
    for k, (named, one) in enumerate(zip(group, said, strict=True)):
        items.append(
            {
                "kind": kind,
                "sample": named.name,
                "phase": named.phase,
                "network": [phases.names[answer] for answer in answers[:, k]],
                "probability": probabilities[:, k].max(axis=1).tolist(),
                **_fields(one),
            }
        )


def _fields(said: Said) -> dict[str, Any]:
    return {
        "weight_fractions": said.weight,
        "explained": said.explained,
        "novelty": said.novelty,
        "is_known": said.is_known,
    }


def _said_items(kind: str, names: list[str], said: list[Said]) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "sample": name, **_fields(one)}
        for name, one in zip(names, said, strict=True)
    ]


def _mixture_items(answers: MixtureAnswers) -> list[dict[str, Any]]:
    return [
        {
            "kind": f"simulated, {recipe}",
            "phases": [answers.pair.first, answers.pair.second],
            "second_weight": weight,
            **_fields(one),
        }
        for recipe, part in answers.by_recipe.items()
        for weight, one in zip(part.second_weight.tolist(), part.said, strict=True)
    ]


def _overlays(
    phases: TitaniaPhases, samples: SortedSamples, answers: dict[Any, MixtureAnswers]
) -> Sheet:
    charts = [
        overlay(phases.polymorphs, one.pattern, f"{one.name}: {one.phase}")
        for one in samples.single
    ]
    charts += [
        overlay(phases.polymorphs, one.pattern, f"{one.name}: two polymorphs")
        for one in samples.several[:1]
    ]
    charts += [
        overlay(phases.extended, found.example, f"simulated: {found.example_name}")
        for found in answers.values()
    ]
    charts += [
        overlay(phases.extended, one.pattern, one.name)
        for one in sorted(samples.weighed, key=lambda one: len(one.phases))[:1]
    ]
    charts += [
        overlay(phases.polymorphs, one.pattern, f"{one.name}: none of the library")
        for one in samples.others[:_N_STRANGERS_DRAWN]
    ]
    return Sheet("overlays", tuple(charts))


def _notes(
    phases: TitaniaPhases, samples: SortedSamples, told: tuple[NamedPattern, ...]
) -> tuple[str, ...]:
    names = [one.name for one in samples.single]
    of_post = [sample for sample in POST_SAMPLES if any(sample in name for name in names)]
    weighed = sorted({one.name.rsplit("--", 1)[0] for one in samples.weighed})
    return (
        f"structures: {phases.source}.",
        *phases.problems,
        f"measured, one polymorph: {', '.join(names) or 'none'}; of the post's 11 samples there is"
        f" {', '.join(of_post) or 'none'}.",
        f"told by space group and lattice: {', '.join(one.name for one in told) or 'none'}; that"
        " matching names these is how they were found, and proves nothing.",
        f"{len(samples.several)} patterns of two polymorphs in amounts that nobody states;"
        f" weighed: {', '.join(weighed) or 'none'}; {len(samples.others)} of other phases.",
    )
