"""The patterns that the zone-axis benchmark shows for one seed; everybody is shown the same."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.zone_changes import (
    BODY_CENTRED,
    FACE_CENTRED,
    can_be_depleted,
    crystals_of_rows,
    depleted,
    stretched,
    substituted,
)
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.unit_cell import (
    space_group_number_within,
    unit_cell_of,
)
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore, reflection_store
from phasepilot.models.diffraction.images.zone_spots import SpotLists, zone_spots
from phasepilot.models.errors import CrystalError
from phasepilot.models.training.zone_axes import AXES, UNSEEN_AXES, ZoneAxis

# Crystals that are changed are shown along these, as in the paper.
CHANGED_AXES: tuple[ZoneAxis, ...] = ((1, 0, 0), (1, 1, 1))
STRAINS = (-0.10, -0.05, 0.0, 0.05, 0.10)
SUBSTITUTED = (0.0, 0.01, 0.02, 0.05, 0.10, 0.25, 0.50)
DEPLETED = (0.0, 0.25, 0.50, 0.75, 1.0)
LATTICES = {"bcc": BODY_CENTRED, "fcc": FACE_CENTRED}
# So that one of a hundred is an atom.
_LEAST_ATOMS = 100
# What spglib takes for the same place in crystals with vacancies; nothing in them has moved.
_TOLERANCE_ANGSTROM = 1e-3
_MOST_DEPLETED = 20
# Axes of each structure that the detector sees.
DETECTOR_AXES = 2


@dataclass(frozen=True, slots=True)
class PatternSet:
    """Patterns and the space groups that they show.

    Attributes
    ----------
    spots : SpotLists
        Structure after structure, and of each axis after axis.
    truth : ndarray of int, shape (n_patterns,)
        Index of the space group.
    """

    spots: SpotLists
    truth: IntArray


@dataclass(frozen=True, slots=True)
class SeedSets:
    """All patterns of one seed.

    Attributes
    ----------
    seen, unseen : PatternSet
        Along the 20 axes of model-4, and the four others.
    rotated : PatternSet
        Those along the first axis, turned about the beam at random.
    detector : PatternSet
        Ideal spots of what the detector sees.
    detector_seed : int
        Of its noise and masks.
    strained, substituted : mapping of float to PatternSet
    depleted : mapping of (name of the lattice, share) to PatternSet
        The truth is what spglib finds.
    """

    seen: PatternSet
    unseen: PatternSet
    rotated: PatternSet
    detector: PatternSet
    detector_seed: int
    strained: dict[float, PatternSet]
    substituted: dict[float, PatternSet]
    depleted: dict[tuple[str, float], PatternSet]


class ZoneStructures:
    """Structures of held-out families, and the patterns that seeds show of them.

    Parameters
    ----------
    table : Path
        The structure table that the reflections were computed from.
    store : ReflectionStore
    """

    def __init__(self, table: Path, store: ReflectionStore) -> None:
        self._table, self._store = table, store
        self.held_out = np.flatnonzero(store.is_held_out)

    @cached_property
    def _crystals(self) -> dict[int, Crystal]:
        return crystals_of_rows(self._table, self._store, self.held_out)

    def parts(self, n_structures: int, n_seeds: int) -> list[IntArray]:
        """Return the structures of each seed, none of them twice.

        Raises
        ------
        CrystalError
            If there are fewer.
        """
        n_all = n_structures * n_seeds
        if self.held_out.size < n_all:
            raise CrystalError(
                f"the test needs {n_all} structures of held-out families, but the store has"
                f" {self.held_out.size}; take fewer with --simulated or --seeds."
            )
        order = np.random.default_rng(0).permutation(self.held_out)
        return np.split(order[:n_all], n_seeds)

    def sets(self, structures: IntArray, seed: int) -> SeedSets:
        """Return what is shown of these structures; crystals to change are drawn from all."""
        rng = np.random.default_rng([seed, structures.size])
        axes = rng.permuted(np.tile(np.arange(len(AXES)), (structures.size, 1)), axis=1)
        n_changed = max(1, structures.size // 2)
        return SeedSets(
            seen=_patterns(self._store, structures, AXES),
            unseen=_patterns(self._store, structures, UNSEEN_AXES),
            rotated=_patterns(
                self._store, structures, AXES[:1], rng.uniform(0, 360, structures.size)
            ),
            detector=self._along(structures, axes[:, :DETECTOR_AXES]),
            detector_seed=seed,
            strained=self._strained(n_changed, rng),
            substituted=self._substituted(n_changed, rng),
            depleted=self._depleted(rng),
        )

    def _along(self, structures: IntArray, axes: IntArray) -> PatternSet:
        every = np.repeat(structures, axes.shape[1])
        spots = zone_spots(self._store, every, np.array(AXES)[axes.ravel()])
        return PatternSet(spots, np.asarray(self._store.space_group_number[every]) - 1)

    def _strained(self, n_most: int, rng: Generator) -> dict[float, PatternSet]:
        cubic = [one for one in self._crystals.values() if one.crystal_system == "cubic"]
        chosen = _some(cubic, n_most, rng)
        return {strain: _changed([stretched(one, strain) for one in chosen]) for strain in STRAINS}

    def _substituted(self, n_most: int, rng: Generator) -> dict[float, PatternSet]:
        large = [one for one in self._crystals.values() if one.atomic_numbers.size >= _LEAST_ATOMS]
        chosen = _some(large, n_most, rng)
        truth = np.array([one.space_group_number for one in chosen]) - 1
        return {
            share: _changed([substituted(one, share, rng) for one in chosen], truth)
            for share in SUBSTITUTED
        }

    def _depleted(self, rng: Generator) -> dict[tuple[str, float], PatternSet]:
        sets = {}
        for name, lattice in LATTICES.items():
            candidates = [one for one in self._crystals.values() if can_be_depleted(one, lattice)]
            chosen = _some(candidates, _MOST_DEPLETED, rng)
            for share in DEPLETED if chosen else ():
                left = [depleted(one, lattice, share, rng) for one in chosen]
                truth = (
                    np.array(
                        [
                            space_group_number_within(unit_cell_of(one), _TOLERANCE_ANGSTROM)
                            for one in left
                        ]
                    )
                    - 1
                )
                sets[name, share] = _changed(left, truth)
        return sets


def _found(reduced: Crystal) -> int:
    return space_group_number_within(unit_cell_of(reduced), _TOLERANCE_ANGSTROM)


def _some(crystals: list[Crystal], n_most: int, rng: Generator) -> list[Crystal]:
    return [crystals[place] for place in rng.permutation(len(crystals))[:n_most]]


def _changed(crystals: list[Crystal], truth: IntArray | None = None) -> PatternSet:
    """Return patterns of changed crystals along `CHANGED_AXES`."""
    if not crystals:
        empty = np.zeros(0)
        return PatternSet(SpotLists(np.zeros(1, dtype=int), empty, empty, empty), empty.astype(int))
    store = reflection_store(crystals)
    found = _patterns(store, np.arange(len(crystals)), CHANGED_AXES)
    if truth is None:
        return found
    return PatternSet(found.spots, np.repeat(truth, len(CHANGED_AXES)))


def _patterns(
    store: ReflectionStore,
    structures: IntArray,
    axes: tuple[ZoneAxis, ...],
    angle_deg: FloatArray | None = None,
) -> PatternSet:
    every = np.repeat(structures, len(axes))
    spots = zone_spots(store, every, np.tile(np.array(axes), (structures.size, 1)), angle_deg)
    return PatternSet(spots, np.asarray(store.space_group_number[every]) - 1)
