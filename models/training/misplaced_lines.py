"""Tells lines that lie where no usual cell puts them, by what a trained network says of them.

A wrong wavelength in a header moves all lines in ln q by the same amount: cells come out too large
or too small. A linear layer on embedding and log probabilities of the network tells.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from sklearn.linear_model import LogisticRegression

from phasepilot.models.arrays import BoolArray, Float32Array
from phasepilot.models.networks.network_session import NetworkSession
from phasepilot.models.networks.novelty_net import NoveltyNet
from phasepilot.models.training.mixture_patterns import MixtureSource

# K-alpha of Mo, Cu, Co and Fe.
_TUBES = np.array([0.7107, 1.5418, 1.7903, 1.9374])
_SMALLEST_CHANGE = 0.1
# Wrong headers are rarer than mixtures; our choice.
_PER_MIXTURE = 0.2
# Of patterns that are moved out of the grid too few bins are left to say anything.
_FEWEST_BINS = 300
_REGULARISATION = 0.001
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class PlacedPatterns:
    """Inputs of usual patterns and of misplaced ones, shape (n_patterns, 2, n_bins).

    Attributes
    ----------
    inputs : ndarray, shape (n_patterns, 2, n_bins)
    is_misplaced : ndarray of bool, shape (n_patterns,)
    """

    inputs: Float32Array
    is_misplaced: BoolArray


def placed_patterns(source: MixtureSource, n_patterns: int, rng: Generator) -> PlacedPatterns:
    """Return half usual patterns and half misplaced ones, the ranges of both alike.

    Both are seen through the ranges of misplaced ones, so that a range tells nothing: a scan that
    has only begun is not misplaced.
    """
    drawn = source.draw_usual(n_patterns, rng)
    half = n_patterns // 2
    moved = _moved(drawn[:half], source.preprocessing.grid.grid().bin_width, rng)
    usual = _seen_through(drawn[half : 2 * half], moved[rng.permutation(half), 1])
    inputs = np.concatenate([usual, _seen_through(moved, np.ones_like(moved[:, 1]))])
    is_misplaced = np.arange(2 * half) >= half
    shows = (inputs[:, 1].sum(axis=1) >= min(_FEWEST_BINS, inputs.shape[2] // 4)) & (
        inputs[:, 0].max(axis=1) > 0
    )
    return PlacedPatterns(inputs[shows], is_misplaced[shows])


def fit_misplaced(
    network: NoveltyNet, beside: NetworkSession, source: MixtureSource, n: int, rng: Generator
) -> None:
    """Fit the layer of the network that tells misplaced lines, in place."""
    patterns = placed_patterns(source, n, rng)
    said = torch.from_numpy(said_of(beside, patterns.inputs))
    scaled = ((said - network.said_mean) / network.said_scale).numpy()
    fit = LogisticRegression(C=_REGULARISATION, max_iter=300).fit(scaled, patterns.is_misplaced)
    with torch.no_grad():
        network.misplaced.weight[:] = torch.from_numpy(fit.coef_)
        network.misplaced.bias[:] = float(fit.intercept_[0]) + float(np.log(_PER_MIXTURE))


def said_of(beside: NetworkSession, inputs: Float32Array) -> Float32Array:
    """Return what a network says of many patterns, block by block."""
    parts = range(0, inputs.shape[0], _BLOCK)
    return np.concatenate([beside.run(inputs[start : start + _BLOCK]).said for start in parts])


def _moved(inputs: Float32Array, bin_width: float, rng: Generator) -> Float32Array:
    """Return patterns as they come out with the wavelength of another tube."""
    result = np.zeros_like(inputs)
    n_bins = inputs.shape[2]
    for row in range(inputs.shape[0]):
        true = _wavelength(rng)
        others = _TUBES[np.abs(_TUBES / true - 1) > _SMALLEST_CHANGE]
        shift = int(np.rint(np.log(true / rng.choice(others)) / bin_width))
        first, last = max(shift, 0), n_bins + min(shift, 0)
        if first < last:
            result[row, :, first:last] = inputs[row, :, first - shift : last - shift]
    return result


def _wavelength(rng: Generator) -> float:
    """Return that of a tube, Cu mostly, or of a synchrotron, in angstrom."""
    if rng.random() < 0.6:
        return float(rng.choice(_TUBES, p=[0.2, 0.6, 0.2, 0.0]))
    return float(np.exp(rng.uniform(np.log(0.2), np.log(1.1))))


def _seen_through(inputs: Float32Array, masks: Float32Array) -> Float32Array:
    """Return patterns as far as masks let them be seen, their highest bins 1."""
    mask = inputs[:, 1] * masks
    root = inputs[:, 0] * mask
    highest = root.max(axis=1, keepdims=True)
    return np.stack([root / np.where(highest > 0, highest, 1), mask], axis=1)
