"""Screenings of a simulated library: steered, and as a raster with a fixed exposure."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.screened_library import ScreenedLibrary
from phasepilot.models.steering.sample_belief import SampleEvidence
from phasepilot.models.steering.sample_order import (
    SampleOrder,
    SampleOrderSettings,
    ScreeningCost,
    ScreeningState,
)
from phasepilot.models.suggestion import Action


@dataclass(frozen=True, slots=True)
class Screening:
    """What a screening gave.

    Attributes
    ----------
    is_right, stated_error : ndarray, shape (n_samples,)
        1 where the sample is named as it is, and 1 less the probability of the answer; of samples
        that were not measured, by what their neighbours make of them.
    elapsed_s : float
    exposure_s : ndarray, shape (n_samples,)
        0 where nothing was measured.
    """

    is_right: FloatArray
    stated_error: FloatArray
    elapsed_s: float
    exposure_s: FloatArray

    def right_per_hour(self) -> float:
        """Return the samples named rightly in an hour of beam time, measured or not."""
        return float(self.is_right.sum() / self.elapsed_s * 3600)

    def error(self) -> float:
        """Return the share of wrong names."""
        return float(1 - self.is_right.mean())

    def stated(self) -> float:
        """Return what is stated of that."""
        return float(self.stated_error.mean())

    def inferred_error(self) -> float:
        """Return the share of wrong names among samples that were not measured."""
        return _mean(1 - self.is_right[self.exposure_s == 0])

    def inferred_stated(self) -> float:
        """Return what is stated of that."""
        return _mean(self.stated_error[self.exposure_s == 0])

    def measured(self) -> float:
        """Return the share of samples that were measured."""
        return float((self.exposure_s > 0).mean())


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else float("nan")


def raster(
    library: ScreenedLibrary, exposure_s: float, cost: ScreeningCost, rng: Generator
) -> Screening:
    """Expose every sample for the same time, in the order of the list."""
    n_samples = len(library.sites)
    right, doubt = np.zeros(n_samples), np.zeros(n_samples)
    elapsed_s = 0.0
    for row, site in enumerate(library.sites):
        elapsed_s += cost.move_s(library.sites[row - 1] if row else None, site)
        elapsed_s += exposure_s + cost.readout_s
        counts = rng.poisson(library.rate_per_s[row] * exposure_s).astype(np.float64)
        probability = library.templates.probabilities(counts, exposure_s)
        right[row] = library.templates.labels[int(probability.argmax())] == library.truth[row]
        doubt[row] = 1 - probability.max()
    return Screening(right, doubt, elapsed_s, np.full(n_samples, exposure_s))


@dataclass(slots=True)
class _Loop:
    """A steered screening under way."""

    library: ScreenedLibrary
    settings: SampleOrderSettings
    rng: Generator
    state: ScreeningState
    counts: FloatArray
    rows: dict[str, int] = field(default_factory=dict)

    def go_to(self, target: str) -> None:
        """Leave the present sample and take the first exposure of another."""
        sites, here = self.state.sites, self.state.here
        start = sites[self.rows[here]] if here else None
        move_s = self.settings.cost.move_s(start, sites[self.rows[target]])
        evidence = dict(self.state.evidence)
        if here:
            evidence[here] = replace(evidence[here], is_left=True)
        self.state = replace(
            self.state, evidence=evidence, here=target, elapsed_s=self.state.elapsed_s + move_s
        )
        self.expose(self.settings.first_dwell_s)

    def expose(self, dwell_s: float) -> None:
        """Count on the present sample."""
        here = self.state.here
        row = self.rows[here]
        before = self.state.evidence.get(here, SampleEvidence())
        exposure_s = before.exposure_s + dwell_s
        self.counts[row] += self.rng.poisson(self.library.rate_per_s[row] * dwell_s)
        found = self.library.templates.probabilities(self.counts[row], exposure_s)
        named = dict(zip(self.library.templates.labels, found.tolist(), strict=True))
        evidence = {**self.state.evidence, here: SampleEvidence(named, exposure_s)}
        elapsed_s = self.state.elapsed_s + dwell_s + self.settings.cost.readout_s
        self.state = replace(self.state, evidence=evidence, elapsed_s=elapsed_s)


def steered(library: ScreenedLibrary, settings: SampleOrderSettings, rng: Generator) -> Screening:
    """Follow the rule until it stops."""
    rule = SampleOrder(settings)
    counts = np.zeros_like(library.rate_per_s)
    rows = {site.name: row for row, site in enumerate(library.sites)}
    loop = _Loop(library, settings, rng, ScreeningState(library.sites), counts, rows)
    while True:
        suggestion = rule.advise(loop.state)
        if suggestion.action is Action.END:
            break
        if suggestion.action is Action.MOVE:
            loop.go_to(suggestion.target)
        else:
            loop.expose(suggestion.dwell_s)
    return _screening(library, rule, loop.state)


def _screening(library: ScreenedLibrary, rule: SampleOrder, state: ScreeningState) -> Screening:
    known = rule.known(state)
    answers = [known.answer(row) for row in range(len(state.sites))]
    exposure_s = np.array([state.of(site).exposure_s for site in state.sites])
    pairs = zip(answers, library.truth, strict=True)
    right = np.array([answer == truth for (answer, _), truth in pairs], dtype=np.float64)
    doubt = np.array([1 - probability for _, probability in answers])
    return Screening(right, doubt, state.elapsed_s, exposure_s)
