"""The background below a pattern's lines, by the method that a configuration names."""

import warnings

import numpy as np
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.configuration import (
    Background,
    PenalisedBackground,
    RollingMinimumBackground,
    SnipBackground,
    n_bins_of,
    odd_n_bins_of,
)
from phasepilot.models.preprocessing.gaps import bridged, bridged_between_ends, with_ends_held
from phasepilot.models.preprocessing.snip import snip

# Fewer nodes have no second difference to penalise.
_MIN_BENDING = 3


def background_below(
    intensity: FloatArray, is_measured: BoolArray, method: Background, grid: LogQGrid
) -> FloatArray:
    """Return the background in every bin; where nothing was measured, what its neighbours suggest.

    Parameters
    ----------
    intensity : ndarray, shape (n_patterns, n_bins)
        float32 or float64; 0 where unmeasured.
    is_measured : ndarray of bool, shape (n_patterns, n_bins)
        Each row measured somewhere.

    Returns
    -------
    ndarray, shape (n_patterns, n_bins)
        Of the same type.
    """
    if isinstance(method, RollingMinimumBackground):
        return _rolling_minimum(bridged(intensity, is_measured), method, grid)
    n_step = n_bins_of(method.node_step_log_q, grid)
    nodes = _node_means(intensity, is_measured, n_step)
    below = (
        snip(
            nodes,
            method.half_window_nodes(grid),
            filter_order=method.filter_order,
            windows=method.windows,
            ends=method.ends,
        )
        if isinstance(method, SnipBackground)
        else _penalised(nodes, method, n_step * grid.bin_width)
    )
    return _joined(with_ends_held(below), n_step, grid.n_bins)


def _rolling_minimum(
    intensity: FloatArray, method: RollingMinimumBackground, grid: LogQGrid
) -> FloatArray:
    window = odd_n_bins_of(method.window_log_q, grid)
    smoothing = odd_n_bins_of(method.smoothing_log_q, grid)
    smooth = uniform_filter1d(intensity, smoothing, axis=-1, mode="nearest")
    lower = minimum_filter1d(smooth, window, axis=-1, mode="nearest")
    return np.asarray(uniform_filter1d(lower, window, axis=-1, mode="nearest"))


def _node_means(intensity: FloatArray, is_measured: BoolArray, n_step: int) -> FloatArray:
    """Return the mean of every `n_step` bins, of those that were measured.

    Shape (n_patterns, n_nodes); gaps are bridged, NaN before the first and after the last.
    """
    n_patterns, n_bins = intensity.shape
    n_nodes = -(-n_bins // n_step)
    if n_nodes * n_step > n_bins:
        beyond = ((0, 0), (0, n_nodes * n_step - n_bins))
        intensity, is_measured = np.pad(intensity, beyond), np.pad(is_measured, beyond)
    # Unlike a matrix product, einsum sums a row in the same order whatever rows come with it.
    total, n_measured = (
        np.einsum("pnb->pn", values.reshape(n_patterns, n_nodes, n_step))
        for values in (intensity, is_measured.astype(intensity.dtype))
    )
    means = total / np.maximum(n_measured, 1)
    return bridged_between_ends(means, n_measured > 0)


def _penalised(
    nodes: FloatArray, method: PenalisedBackground, node_distance_log_q: float
) -> FloatArray:
    # pybaselines loads several scientific packages, and only these slow methods need it.
    from pybaselines import Baseline
    from pybaselines.utils import ParameterWarning

    penalty = (method.stiffness_log_q / node_distance_log_q) ** 4
    below = np.full_like(nodes, np.nan)
    for row, values in zip(below, nodes, strict=True):
        is_known = ~np.isnan(values)
        if is_known.sum() < _MIN_BENDING:
            row[is_known] = np.nanmin(values)
            continue
        fit = getattr(Baseline(check_finite=False), method.method)
        with warnings.catch_warnings():
            # A fit that gives up early is still a smooth line below most of the pattern.
            warnings.simplefilter("ignore", ParameterWarning)
            row[is_known] = fit(values[is_known], lam=penalty)[0]
    return below


def _joined(nodes: FloatArray, n_step: int, n_bins: int) -> FloatArray:
    """Return straight lines between nodes that stand in the middle of every `n_step` bins."""
    if n_step == 1:
        return nodes
    # The first node stands (n_step - 1) / 2 bins in; a node repeated before it carries the start.
    skipped = n_step // 2
    fraction = (np.arange(n_step) + (n_step + 1) / 2 - skipped) / n_step
    left = np.concatenate([nodes[:, :1], nodes], axis=1)
    rise = np.diff(left, axis=1, append=left[:, -1:])
    lines = rise[:, :, None] * fraction.astype(nodes.dtype)
    lines += left[:, :, None]
    return lines.reshape(nodes.shape[0], -1)[:, skipped : skipped + n_bins]
