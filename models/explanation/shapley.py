"""Shapley values of the parts of a pattern: what each adds to an answer, on average over orders."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import FloatArray

# From patterns (n_patterns, n_points) to one number each.
Answer = Callable[[FloatArray], FloatArray]


def shapley_values(
    answer: Answer,
    pattern: FloatArray,
    background: FloatArray,
    *,
    n_parts: int,
    n_orders: int,
    rng: Generator,
) -> FloatArray:
    """Return what each part of a pattern adds to the answer, shape (n_parts,).

    The pattern is put into a pattern of the background part by part, in random order; a part's
    value is the mean change of the answer when it comes. The values add up to the answer for the
    pattern less the mean answer for the background patterns that were drawn.

    Parameters
    ----------
    pattern : ndarray, shape (n_points,)
    background : ndarray, shape (n_background, n_points)
        What a pattern without the part looks like.
    n_parts : int
        Neighbouring points are taken together into so many parts, as even as can be.
    n_orders : int
        Random orders, each with a pattern of the background.

    References
    ----------
    Strumbelj & Kononenko, J. Mach. Learn. Res. 11, 1 (2010), algorithm 1, for the sum over subsets
    of Shapley, equation 3 of doi:10.1038/s41524-025-01743-x.

    Examples
    --------
    Of a sum each point adds what it has above the background:

    >>> values = shapley_values(
    ...     lambda rows: rows.sum(axis=1), np.array([3.0, 1.0]), np.ones((1, 2)),
    ...     n_parts=2, n_orders=3, rng=np.random.default_rng(0),
    ... )
    >>> values
    array([2., 0.])
    """
    parts = np.array_split(np.arange(pattern.size), n_parts)
    total = np.zeros(n_parts)
    for _ in range(n_orders):
        order = rng.permutation(n_parts)
        rows = np.tile(background[rng.integers(len(background))], (n_parts + 1, 1))
        for place, part in enumerate(order, start=1):
            rows[place:, parts[part]] = pattern[parts[part]]
        total[order] += np.diff(answer(rows))
    return total / n_orders
