"""What the agent's matching with a library says of patterns, and pictures of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import Chart, Curve, Progress
from phasepilot.models.benchmarks.tio2_patterns import WAVELENGTH_ANGSTROM
from phasepilot.models.errors import PatternError
from phasepilot.models.identification.known_structures import library_of
from phasepilot.models.identification.pattern_match import match_library
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.identification.weight_fractions import weight_fractions
from phasepilot.models.networks.registry import load_model
from phasepilot.models.pattern import Pattern, two_theta_from_q
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import prepare_pattern


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of one pattern.

    Attributes
    ----------
    weight : dict of str to float
        Weight fractions of the phases that were found, the largest share of intensity first.
    explained : float
        Share of the intensity above background that they explain.
    novelty : float
    is_known : bool
        Whether the pattern was taken for one that the library explains, at the level of the agent.
    """

    weight: dict[str, float]
    explained: float
    novelty: float
    is_known: bool

    @property
    def main(self) -> str:
        """The phase with the largest share of the intensity; empty if none was found."""
        return next(iter(self.weight), "")


class LibraryMatching:
    """The agent with these phases as its library; nothing is trained."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        self._model = load_model(index=index)

    @property
    def names(self) -> list[str]:
        """Of the phases of the library."""
        return [str(name) for name in self._index.labels.name]

    def phase_of_lattice(self, pattern: Pattern, space_group_number: int, within: float) -> str:
        """Return the phase that alone explains a pattern, if space group and lattice agree.

        Parameters
        ----------
        within : float
            Largest relative difference of the lattice, on average.

        Returns
        -------
        str
            Its name, empty if there is none.
        """
        estimate = self._model.predict(pattern)
        if len(estimate.phases) != 1 or not estimate.verdict.is_known:
            return ""
        (only,) = estimate.phases
        is_same = only.space_group_number == space_group_number and abs(only.strain) <= within
        return only.name if is_same else ""

    def say(self, pattern: Pattern) -> Said:
        """Return what is said of one pattern; one that the agent refuses is unknown."""
        try:
            estimate = self._model.predict(pattern)
        except PatternError:
            return Said({}, 0.0, 1.0, False)
        return Said(
            weight_fractions(self._index, estimate.phases, pattern) if estimate.phases else {},
            float(sum(phase.explained for phase in estimate.phases)),
            estimate.novelty,
            estimate.verdict.is_known,
        )

    def say_all(self, patterns: Sequence[Pattern], progress: Progress, step: str) -> list[Said]:
        """Return what is said of each pattern."""
        said = []
        for k, pattern in enumerate(patterns):
            progress(f"matching: {step}", k, len(patterns))
            said.append(self.say(pattern))
        return said


def overlay(index: SearchIndex, pattern: Pattern, title: str) -> Chart:
    """Return a pattern above its background, and what each phase that was found contributes.

    Roots of intensities, against the angle of Cu K-alpha.
    """
    prepared = prepare_pattern(pattern, Preprocessing())
    library = library_of(index, np.arange(index.n_structures))
    match = match_library(prepared, pattern.wavelength_angstrom, library)
    angle = two_theta_from_q(prepared.grid.q_per_angstrom, WAVELENGTH_ANGSTROM)
    shown = prepared.is_measured & np.isfinite(angle)

    def curve(name: str, intensity: FloatArray) -> Curve:
        root = np.sqrt(np.maximum(intensity[shown], 0) / prepared.signal.max())
        return Curve(name, angle[shown], root)

    curves = [curve("measured", prepared.signal)]
    curves += [
        curve(f"{phase.name}, {phase.fraction:.0%} of the intensity", row)
        for phase, row in zip(match.phases, match.calculated, strict=True)
    ]
    title = f"{title}; unexplained {match.unexplained:.0%}"
    return Chart("2θ of Cu Kalpha (degree)", "root of intensity", tuple(curves), title)
