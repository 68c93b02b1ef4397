"""Which atoms a random crystal is made of: occupied Wyckoff positions and their elements."""

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.diffraction.crystals.element_statistics import (
    common_elements,
    element_shares,
)

MOST_ORBITS = 8
MOST_ATOMS = 200
# How many elements the structures of the table hold, in a thousand, from one to six.
_SHARES_OF_ELEMENT_COUNTS = np.array([10, 143, 427, 284, 102, 34]) / 1000
# In 40,000 structures of the table a Wyckoff position is occupied in proportion to
# multiplicity^-1.17 exp(0.93 degrees of freedom), within a factor of 5.
_MULTIPLICITY_EXPONENT = -1.17
_FREEDOM_EXPONENT = 0.93


def occupation_weight(multiplicities: IntArray, degrees_of_freedom: IntArray) -> FloatArray:
    """Return how often Wyckoff positions are occupied, relative to one another, logarithmic."""
    return np.asarray(
        _MULTIPLICITY_EXPONENT * np.log(multiplicities) + _FREEDOM_EXPONENT * degrees_of_freedom
    )


def draw_positions(
    log_weights: FloatArray,
    multiplicities: IntArray,
    is_fixed: BoolArray,
    rng: np.random.Generator,
) -> IntArray:
    """Return the Wyckoff positions that 1 to 8 orbits of each crystal are on, -1 for no more.

    Fixed points are occupied once at most, and a cell holds at most 200 atoms.

    Parameters
    ----------
    log_weights, multiplicities, is_fixed : ndarray, shape (n, n_positions)
        Of the positions that each crystal may occupy.

    Returns
    -------
    ndarray of int, shape (n, 8)
        Indices of positions, rising: special positions come first, because atoms that can move
        make room for those that cannot.
    """
    n, n_positions = log_weights.shape
    n_orbits = rng.integers(1, MOST_ORBITS + 1, size=n)
    room = np.full(n, MOST_ATOMS)
    weights = log_weights.copy()
    positions = np.full((n, MOST_ORBITS), n_positions)
    everyone = np.arange(n)
    for slot in range(MOST_ORBITS):
        # The largest of Gumbel-distributed scores is drawn in proportion to the weights.
        scores = weights + rng.gumbel(size=weights.shape)
        scores[multiplicities > room[:, None]] = -np.inf
        chosen = scores.argmax(axis=1)
        is_added = (slot < n_orbits) & (scores[everyone, chosen] > -np.inf)
        positions[is_added, slot] = chosen[is_added]
        room -= multiplicities[everyone, chosen] * is_added
        is_full = is_added & is_fixed[everyone, chosen]
        weights[is_full, chosen[is_full]] = -np.inf
    positions.sort(axis=1)
    return np.where(positions == n_positions, -1, positions)


def draw_elements(is_occupied: BoolArray, rng: np.random.Generator) -> IntArray:
    """Return the atomic number of each orbit, shape (n, n_slots), 0 where there is none.

    A crystal holds 1 to 6 elements, as many as known crystals do, each drawn as often as these hold
    it, and every one on an orbit at least.
    """
    n, n_slots = is_occupied.shape
    n_most = _SHARES_OF_ELEMENT_COUNTS.size
    n_elements = 1 + rng.choice(n_most, size=n, p=_SHARES_OF_ELEMENT_COUNTS)
    n_elements = np.minimum(n_elements, is_occupied.sum(axis=1))
    scores = np.log(element_shares()) + rng.gumbel(size=(n, common_elements().size))
    elements = common_elements()[np.argsort(-scores, axis=1)[:, :n_most]]
    # In a random order of the orbits, the first ones get an element each, the others any of them.
    order = np.argsort(np.where(is_occupied, rng.random((n, n_slots)), 1.0), axis=1)
    places = np.argsort(order, axis=1)
    any_of_them = rng.integers(0, n_elements[:, None], size=(n, n_slots))
    kinds = np.where(places < n_elements[:, None], places, any_of_them)
    return np.where(is_occupied, np.take_along_axis(elements, kinds, axis=1), 0)
