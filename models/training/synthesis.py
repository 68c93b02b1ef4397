"""Batches of simulated patterns for training: measured on an angle axis, binned as real ones."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.powder.axis import Axis, two_theta_of_q
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import Recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import prepared

# Patterns that are drawn at once: their arrays stay in the processor's cache.
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """Network inputs and their labels.

    Attributes
    ----------
    inputs : ndarray, shape (n_patterns, 2, n_bins)
    space_group_index : ndarray of int, shape (n_patterns,)
        Space group number less 1.
    """

    inputs: Float32Array
    space_group_index: IntArray


def sampling_weights(space_group_number: IntArray, exponent: float) -> FloatArray:
    """Return the probability of drawing each structure, when classes are drawn as n^exponent.

    An exponent of 1 keeps the table's own frequencies, 0 makes all space groups equally common.
    """
    counts = np.bincount(space_group_number, minlength=231).astype(np.float64)
    weights = counts[space_group_number] ** (exponent - 1)
    return np.asarray(weights / weights.sum())


def synthesise(
    store: StickStore,
    chosen: IntArray,
    impurities: IntArray,
    *,
    recipe: Recipe,
    preprocessing: Preprocessing,
    rng: Generator,
) -> Batch:
    """Return one simulated measurement of each chosen structure.

    Parameters
    ----------
    chosen : ndarray of int, shape (n_patterns,)
        Structures of the store.
    impurities : ndarray of int, shape (n_patterns,)
        A second phase for each; the recipe says how much of it.
    """
    simulator = PatternSimulator(store, NumpyBackend(rng))
    inputs = []
    for start in range(0, chosen.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        settings = recipe.draw(chosen[block].size, rng)
        patterns = simulator.simulate_unchecked(chosen[block], settings, impurities[block])
        intensity, is_measured = on_log_q(
            patterns.intensity, patterns.is_covered, patterns.axis, preprocessing.grid.grid()
        )
        inputs.append(prepared(intensity, is_measured, preprocessing))
    return Batch(np.concatenate(inputs), np.asarray(store.space_group_number[chosen]) - 1)


def on_log_q(
    intensity: Float32Array, is_covered: BoolArray, axis: Axis, grid: LogQGrid
) -> tuple[FloatArray, BoolArray]:
    """Return the mean intensity in each bin of the grid, and which bins were measured.

    The same as `phasepilot.models.log_q.to_log_q` for a batch on uniform axes: single bins that
    were not measured are bridged.

    Returns
    -------
    ndarray, shape (n_patterns, n_bins)
        0 where not measured.
    ndarray of bool, shape (n_patterns, n_bins)
    """
    edges = two_theta_of_q(np.exp(grid.log_edges)[None, :], axis.wavelength_angstrom)
    rows = np.repeat(np.arange(axis.n_patterns), edges.shape[1])
    places = axis.bins_of(edges.ravel(), rows).reshape(edges.shape)
    first = is_covered.argmax(axis=1)[:, None]
    last = is_covered.shape[1] - is_covered[:, ::-1].argmax(axis=1)[:, None]
    bridged = _bridged(intensity, is_covered)
    cumulative = np.zeros((intensity.shape[0], intensity.shape[1] + 1))
    np.cumsum(bridged, axis=1, out=cumulative[:, 1:])
    inside = np.clip(places, first, last)
    left = np.minimum(inside.astype(np.int64), intensity.shape[1] - 1)
    part = inside - left
    integral = np.take_along_axis(cumulative, left, axis=1)
    integral += part * np.take_along_axis(bridged, left, axis=1)
    is_measured = (places[:, :-1] >= first) & (places[:, 1:] <= last)
    spans = np.diff(inside, axis=1)
    mean = np.diff(integral, axis=1) / np.where(spans > 0, spans, 1.0)
    return np.where(is_measured, mean, 0.0), is_measured


def _bridged(intensity: Float32Array, is_covered: BoolArray) -> Float32Array:
    """Return intensities with straight lines across bins that were not measured."""
    result = intensity
    bins = np.arange(intensity.shape[1])
    for row in np.flatnonzero(~is_covered.all(axis=1)):
        if result is intensity:
            result = intensity.copy()
        known = is_covered[row]
        result[row, ~known] = np.interp(bins[~known], bins[known], intensity[row, known])
    return result
