"""Which phases grew where on a wafer: a hidden map for screening to find. No device, no clock.

Not thermodynamics, but shaped like what composition spreads show: fields of single phases,
boundaries along which two are mixed, and corners where three meet.
"""

from dataclasses import dataclass

import numpy as np

from phasepilot.sim_devices.sample import FloatArray

# What is less than this is left out: nobody would see it.
LEAST_FRACTION = 0.02
_N_CANDIDATES = 30


@dataclass(frozen=True, slots=True)
class PhaseMap:
    """Volume fractions of phases against position.

    Attributes
    ----------
    phase_names : tuple of str
    centres_mm : ndarray, shape (n_phases, 2)
        Where each phase is purest.
    mixing_length_mm : float
        On the line between two centres, the mixture goes from a tenth to nine tenths over 2.2 times
        this.
    """

    phase_names: tuple[str, ...]
    centres_mm: FloatArray
    mixing_length_mm: float


def phase_fractions(phase_map: PhaseMap, x_mm: float, y_mm: float) -> FloatArray:
    """Return the volume fractions at a position, shape (n_phases,), in the order of the names.

    The share of a phase falls off exponentially with the distance to its centre.

    Examples
    --------
    >>> two = PhaseMap(("a", "b"), np.array([[0.0, 0.0], [40.0, 0.0]]), mixing_length_mm=5.0)
    >>> [phase_fractions(two, x, 0.0).round(2).tolist() for x in (5.0, 20.0, 25.0)]
    [[1.0, 0.0], [0.5, 0.5], [0.12, 0.88]]
    """
    distance_mm = np.hypot(*(phase_map.centres_mm - (x_mm, y_mm)).T)
    weights = np.exp((distance_mm.min() - distance_mm) / phase_map.mixing_length_mm)
    fractions = weights / weights.sum()
    fractions[fractions < LEAST_FRACTION] = 0.0
    return np.asarray(fractions / fractions.sum())


def random_phase_map(
    phase_names: tuple[str, ...],
    *,
    width_mm: float,
    height_mm: float,
    mixing_length_mm: float,
    rng: np.random.Generator,
) -> PhaseMap:
    """Return a map whose centres lie at random, but well apart, on a field from (0, 0)."""
    size_mm = np.array([width_mm, height_mm])
    centres = [rng.random(2) * size_mm]
    while len(centres) < len(phase_names):
        # Of several candidates the one furthest from all: Mitchell, Computer Graphics 25, 157
        # (1991).
        candidates = rng.random((_N_CANDIDATES, 2)) * size_mm
        apart = np.linalg.norm(candidates[:, None] - np.array(centres)[None], axis=2).min(axis=1)
        centres.append(candidates[apart.argmax()])
    return PhaseMap(phase_names, rng.permutation(np.array(centres)), mixing_length_mm)
