"""Titanium oxides from crystal structures to measured patterns, and what a softmax cannot do.

The post "Training a neural network for the classification of TiO2 XRD patterns" (Schuetzke): for
each seed its network is trained on patterns simulated of five polymorphs, by the recipe
`tio2-post`, and then shown measured patterns. Beside it answers the agent with the same structures
as its library, of which nothing is trained. Both are then shown what the post lists as its limits:
mixtures, and samples that hold none of the five.
"""

from collections.abc import Iterator, Sequence
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
from phasepilot.models.benchmarks.measured_files import KnownSample
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
    MixedPattern,
    NamedPattern,
    SortedSamples,
    rruff_patterns,
    sorted_samples,
)
from phasepilot.models.pattern import Pattern

# Of a pattern of RRUFF-908 nothing is known but the space group: it is taken for the polymorph of
# that space group if this alone explains it and its lattice, fitted freely, is so near.
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
    parts = _Parts(phases, samples, _Networks(phases, options.n_seeds, progress), progress)
    told = _told(options, phases, parts.matching)
    parts.validation()
    parts.single("measured", samples.single)
    parts.single("told", told)
    mixtures = parts.simulated_mixtures(options.n_seeds)
    parts.measured_mixtures()
    parts.strangers()
    return BenchmarkResult(
        f"titanium oxides: the post's network, {options.n_seeds} seeds, beside library matching",
        tuple(parts.figures),
        tuple(parts.items),
        _notes(phases, samples, told),
        sheets=(_overlays(phases, samples, mixtures),),
    )


class _Parts:
    """What both say of each kind of pattern, as figures and items."""

    def __init__(
        self, phases: TitaniaPhases, samples: SortedSamples, networks: _Networks, progress: Progress
    ) -> None:
        self._phases, self._samples = phases, samples
        self._networks, self._progress = networks, progress
        self.matching = LibraryMatching(phases.polymorphs)
        self.figures: list[Figure] = []
        self.items: list[dict[str, Any]] = []

    def validation(self) -> None:
        """Ask about simulated patterns of one class, unseen."""
        self.figures += _validation_figures(self._networks, self.matching, self._progress)

    def single(self, kind: str, group: tuple[NamedPattern, ...]) -> None:
        """Ask about measured patterns of one class."""
        if not group:
            return
        probabilities = self._networks.probabilities([one.pattern for one in group])
        said = [self.matching.say(one.pattern) for one in group]
        self.figures += _single_figures(kind, group, probabilities, said, self._phases.names)
        answers = probabilities.argmax(axis=2)
        self.items += [
            {
                "kind": kind,
                "sample": named.name,
                "phase": named.phase,
                "network": [self._phases.names[answer] for answer in answers[:, k]],
                "probability": probabilities[:, k].max(axis=1).tolist(),
                **_fields(one),
            }
            for k, (named, one) in enumerate(zip(group, said, strict=True))
        ]

    def simulated_mixtures(self, n_seeds: int) -> list[MixtureAnswers]:
        """Return what is said of two phases in known amounts."""
        names = self._phases.extended.labels.name
        answers = [
            mixture_answers(
                pair, self._phases, self._networks.probabilities, n_seeds, self._progress
            )
            for pair in PAIRS
            if pair.first in names and pair.second in names
        ]
        for found in answers:
            self.figures += simulated_mixture_figures(found.pair, found)
            self.items += _mixture_items(found)
        return answers

    def measured_mixtures(self) -> None:
        """Ask about classes in amounts that nobody states, then about weighed mixtures."""
        several, weighed = self._samples.several, self._samples.weighed
        said = self._said("two phases", several)
        if several:
            probabilities = self._networks.probabilities([one.pattern for one in several])
            self.figures += measured_mixture_figures(
                several, said, probabilities, self._phases.names
            )
        extended = LibraryMatching(self._phases.extended)
        with_all = extended.say_all([one.pattern for one in weighed], self._progress, "weighed")
        alone = self._said("weighed, only the classes in the library", weighed)
        self.figures += weighed_figures(weighed, with_all, alone, self._phases)
        self.items += _said_items("weighed", [one.name for one in weighed], with_all)
        self._said("unstated", self._samples.unstated)

    def strangers(self) -> None:
        """Tell samples that hold none of the classes from measured ones of the classes."""
        strange = self._samples.others
        patterns = [one.pattern for one in self._samples.single]
        patterns += [one.pattern for one in self._samples.several]
        if not strange or not patterns:
            return
        detected = DetectedStrangers(
            self._said("other", strange),
            self.matching.say_all(patterns, self._progress, "titanium oxides"),
            self._networks.probabilities([one.pattern for one in strange]),
            self._networks.probabilities(patterns),
        )
        self.figures += stranger_figures(detected)

    def _said(
        self, kind: str, samples: Sequence[KnownSample] | Sequence[MixedPattern]
    ) -> list[Said]:
        """Return what matching says of these, and keep it."""
        said = self.matching.say_all([one.pattern for one in samples], self._progress, kind)
        self.items += _said_items(kind, [one.name for one in samples], said)
        return said


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
    probabilities: FloatArray,
    said: list[Said],
    names: list[str],
) -> Iterator[Figure]:
    about = (
        f"{len(group)} measured patterns of one polymorph"
        if kind == "measured"
        else f"{len(group)} RRUFF-908 patterns whose space group and lattice tell the polymorph"
    )
    truth = np.array([names.index(one.phase) for one in group])
    yield figure_of_items(
        f"network_{kind}_accuracy",
        probabilities.argmax(axis=2) == truth,
        f"share of {about} that the post's network names rightly",
        anchor="11 of 11, 4 of them calculated" if kind == "measured" else "",
    )
    if kind == "told":
        # Matching told them: that it names them says nothing.
        return
    yield figure_of_items(
        f"matching_{kind}_accuracy",
        [one.main == named.phase for one, named in zip(said, group, strict=True)],
        f"share of {about} whose main phase library matching names rightly",
    )
    yield figure_of_items(
        f"matching_{kind}_called_unknown",
        [not one.is_known for one in said],
        f"share of {about} that the agent calls unknown",
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
    phases: TitaniaPhases, samples: SortedSamples, answers: Sequence[MixtureAnswers]
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
        for found in answers
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
        f"told by space group and lattice: {', '.join(one.name for one in told) or 'none'}.",
        f"{len(samples.several)} patterns of two polymorphs in amounts that nobody states;"
        f" weighed: {', '.join(weighed) or 'none'}; {len(samples.others)} of other phases.",
    )
