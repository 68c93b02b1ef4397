"""A simulated library of samples with a hidden map of phases, and exact likelihoods of its labels.

The label of a sample is its main phase. Six phases that look alike are drawn from a structure
table; smooth random fields decide which of them grow where, at most two together. A few samples are
empty, glassy, or almost gone.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.steering_scan_lookalikes import Pool
from phasepilot.models.steering.sample_belief import SampleSite

N_ROWS, N_COLUMNS, PITCH_MM = 10, 20, 5.0
N_PHASES = 6
NOTHING = "nothing"
# What is alike to more than this, counts of minutes do not tell apart.
_MOST_ALIKE = 0.9
_N_CELLS = 256
# Fields of the map change over so many samples, and phases mix over about one at their borders.
_FIELD_SAMPLES = 3.0
_SHARPNESS = 12.0
# Less of a phase than this is left out.
_LEAST_FRACTION = 0.05
_N_BAD_OF_EACH = 3
_SPILLED_SHARE = 0.05
_AMOUNT_SPREAD = 0.15
# Shares of the lesser phase, and amounts of powder, that likelihoods are averaged over.
_LESSER = (0.1, 0.25, 0.4, 0.48)
_AMOUNTS = (0.05, 0.75, 1.0, 1.3)


@dataclass(frozen=True, slots=True)
class Templates:
    """What every label may look like.

    Attributes
    ----------
    labels : tuple of str
    label : ndarray of int, shape (n_templates,)
    log_rate : ndarray, shape (n_templates, n_cells)
        Of counts a second in each cell.
    total_per_s : ndarray, shape (n_templates,)
        Counts a second in all cells.
    log_weight : ndarray, shape (n_templates,)
        Of each template among those of its label.
    """

    labels: tuple[str, ...]
    label: IntArray
    log_rate: FloatArray
    total_per_s: FloatArray
    log_weight: FloatArray

    def probabilities(self, counts: FloatArray, exposure_s: float) -> FloatArray:
        """Return the probability of each label, all equal before; exact for Poisson counts."""
        log_likelihood = self.log_rate @ counts - exposure_s * self.total_per_s
        joint = log_likelihood + self.log_weight
        shares = np.bincount(self.label, np.exp(joint - joint.max()), len(self.labels))
        return np.asarray(shares / shares.sum())


@dataclass(frozen=True, slots=True)
class ScreenedLibrary:
    """Samples, what each truly is, and what it scatters.

    Attributes
    ----------
    sites : tuple of SampleSite
        Back and forth along the rows.
    truth : tuple of str
    fractions : ndarray, shape (n_samples, n_phases)
    rate_per_s : ndarray, shape (n_samples, n_cells)
    templates : Templates
    """

    sites: tuple[SampleSite, ...]
    truth: tuple[str, ...]
    fractions: FloatArray
    rate_per_s: FloatArray
    templates: Templates


def screened_library(pool: Pool, lines_per_s: float, rng: Generator) -> ScreenedLibrary:
    """Return a random library in a beam that gives so many counts of a full sample.

    The background gives as many.
    """
    lines = lines_per_s * _lookalike_lines(pool, rng)
    background = np.full(lines.shape[1], lines_per_s / lines.shape[1])
    glass = lines_per_s * _halo(lines.shape[1])
    fractions = _snake(_random_fractions(rng))
    amounts = np.exp(_AMOUNT_SPREAD * rng.standard_normal(len(fractions)))
    scattered = amounts[:, None] * (fractions @ lines)
    names = [f"phase {k + 1}" for k in range(N_PHASES)]
    truth = [names[int(k)] for k in fractions.argmax(axis=1)]
    bad = rng.permutation(len(fractions))[: 3 * _N_BAD_OF_EACH].reshape(3, _N_BAD_OF_EACH)
    for row in bad[0]:
        scattered[row], truth[row] = 0.0, NOTHING
    for row in bad[1]:
        scattered[row], truth[row] = glass, NOTHING
    scattered[bad[2]] *= _SPILLED_SHARE
    return ScreenedLibrary(
        _sites(),
        tuple(truth),
        fractions,
        scattered + background,
        _templates(lines, glass, background, names),
    )


def _lookalike_lines(pool: Pool, rng: Generator) -> FloatArray:
    """Return the lines of a random structure and of those most like it, each adding up to 1."""
    cosine = pool.roots @ pool.roots[rng.integers(len(pool.roots))]
    order = np.argsort(-cosine)
    chosen = [int(order[0])]
    for row in order[1:]:
        # Alike to the first, and not too much to any.
        if (pool.roots[chosen] @ pool.roots[row]).max() <= _MOST_ALIKE:
            chosen.append(int(row))
        if len(chosen) == N_PHASES:
            break
    drawn = (pool.roots[chosen] ** 2).reshape(N_PHASES, _N_CELLS, -1).sum(axis=2)
    return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))


def _halo(n_cells: int) -> FloatArray:
    humps = np.exp(-(((np.arange(n_cells) - 0.3 * n_cells) / (0.06 * n_cells)) ** 2) / 2)
    return np.asarray(humps / humps.sum())


def _random_fractions(rng: Generator) -> FloatArray:
    """Return the fractions of the phases, shape (n_rows, n_columns, n_phases)."""
    fields = rng.standard_normal((N_PHASES, N_ROWS, N_COLUMNS))
    fields = gaussian_filter(fields, (0, _FIELD_SAMPLES, _FIELD_SAMPLES), mode="nearest")
    fields /= fields.std()
    weights = np.exp(_SHARPNESS * (fields - fields.max(axis=0)))
    weights[weights < np.sort(weights, axis=0)[-2]] = 0.0
    fractions = weights / weights.sum(axis=0)
    fractions[fractions < _LEAST_FRACTION] = 0.0
    return np.asarray(np.moveaxis(fractions / fractions.sum(axis=0), 0, -1))


def _snake(of_grid: FloatArray) -> FloatArray:
    """Return rows of samples back and forth, shape (n_samples, ...)."""
    turned = [row if k % 2 == 0 else row[::-1] for k, row in enumerate(of_grid)]
    return np.concatenate(turned)


def _sites() -> tuple[SampleSite, ...]:
    rows, columns = np.mgrid[:N_ROWS, :N_COLUMNS]
    places = _snake(np.stack([columns, rows], axis=-1))
    return tuple(
        SampleSite(f"r{int(row)}c{int(column)}", (PITCH_MM * column, PITCH_MM * row))
        for column, row in places.tolist()
    )


def _templates(
    lines: FloatArray, glass: FloatArray, background: FloatArray, names: list[str]
) -> Templates:
    pairs = list(permutations(range(len(lines)), 2))
    powders = [*lines]
    label = [*range(len(lines))]
    # Half of the samples of a phase are pure, as likely as all mixtures together.
    weight = [0.5] * len(lines)
    for main, other in pairs:
        for share in _LESSER:
            powders.append((1 - share) * lines[main] + share * lines[other])
            label.append(main)
            weight.append(0.5 / (len(lines) - 1) / len(_LESSER))
    rates = [amount * powder + background for amount in _AMOUNTS for powder in powders]
    rates += [background, glass + background]
    labels = np.array(label * len(_AMOUNTS) + [len(names)] * 2, dtype=np.int64)
    # Few samples are almost gone.
    of_amount = np.array([0.02, *[0.98 / (len(_AMOUNTS) - 1)] * (len(_AMOUNTS) - 1)])
    weights = np.append(np.outer(of_amount, weight).ravel(), [0.5, 0.5])
    rate = np.array(rates)
    return Templates((*names, NOTHING), labels, np.log(rate), rate.sum(axis=1), np.log(weights))
