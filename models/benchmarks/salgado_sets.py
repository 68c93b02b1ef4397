"""Patterns as Salgado et al. simulate them, of rows of the structure table in place of the ICSD."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from phasepilot.models.arrays import Float32Array, IntArray
from phasepilot.models.benchmarks.held_out_patterns import (
    is_held_out,
    structure_table,
    write_random_rows,
)
from phasepilot.models.benchmarks.lattice_scaling import stretched
from phasepilot.models.benchmarks.measured_files import LabelledPatterns
from phasepilot.models.diffraction.crystals.structure_table import count_structures, read_structures
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import Recipe, named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import StickStore, open_stick_store, stick_store
from phasepilot.models.errors import CrystalError
from phasepilot.models.pattern import two_theta_from_q

BASELINE, MIXED = "salgado-1", "salgado-mixed"
DATA_SETS = tuple(f"salgado-{number}" for number in range(1, 8))
TRAINING_SETS = ("baseline", "mixed", "large", "souped")
WAVELENGTH_ANGSTROM = 1.5418
_STEP_DEG = 0.01
_MAXIMUM = 1000.0
# Cells stretched to 120 % bring lines from beyond 90 degree into view.
_Q_MAX_PER_ANGSTROM = 7.0
_MAX_ATOMS = 200
# About one structure of twenty is of a held-out family, and some rows cannot be simulated.
_ROWS_PER_STRUCTURE = 1.3
# Patterns drawn at once: their arrays stay in the processor's cache.
_BLOCK = 64
# Two bytes a number: the large set of the paper takes 20 GB.
HalfArray = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class DrawnStructures:
    """Structures to train on, and others of families that none of these belongs to.

    Attributes
    ----------
    store : StickStore
    trained, held_out : ndarray of int
        Numbers in the store.
    """

    store: StickStore
    trained: IntArray
    held_out: IntArray

    def space_group_index(self, chosen: IntArray) -> IntArray:
        """Return the space group number less 1 of some of them."""
        return np.asarray(self.store.space_group_number[chosen] - 1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class TrainingSets:
    """The paper's training sets, parts of one array.

    Attributes
    ----------
    patterns : ndarray of float16, shape (n_patterns, n_points)
    space_group_index : ndarray of int, shape (n_patterns,)
    rows : dict of str to slice
        Where each of `TRAINING_SETS` is.
    """

    patterns: HalfArray
    space_group_index: IntArray
    rows: dict[str, slice]


def draw_structures(
    structures: Path | None, n_trained: int | None, rng: Generator
) -> DrawnStructures:
    """Return random structures as common as they are in the table; all of them without a number.

    Parameters
    ----------
    structures : Path or None
        Structure table; or folder that holds structures.parquet; or folder of stick lists, which is
        faster.

    Raises
    ------
    CrystalError
        If there is no table, or it holds fewer structures to train on.
    """
    if structures is not None and (structures / "offsets.npy").exists():
        store = open_stick_store(structures)
        is_test = store.is_held_out
    else:
        store, is_test = _read_at_random(structure_table(structures), n_trained, rng)
    trained, held_out = rng.permutation(np.flatnonzero(~is_test)), np.flatnonzero(is_test)
    if (n_trained is not None and trained.size < n_trained) or not held_out.size:
        raise CrystalError(
            f"{n_trained} structures to train on and others of held-out families are needed, but"
            f" {structures} gave {trained.size} and {held_out.size}; give a larger table with"
            " --structures."
        )
    # As many as the rows of a table would bring, where all of a store are at hand.
    n_held_out = None if n_trained is None else max(1, n_trained // 10)
    return DrawnStructures(store, trained[:n_trained], rng.permutation(held_out)[:n_held_out])


def _read_at_random(
    table: Path, n_trained: int | None, rng: Generator
) -> tuple[StickStore, NDArray[np.bool_]]:
    n_rows = count_structures(table)
    if n_trained is not None:
        n_rows = min(n_rows, int(_ROWS_PER_STRUCTURE * n_trained))
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "structures.parquet"
        write_random_rows(table, part, n_rows, rng, range(1, 231))
        rows = list(read_structures(part, max_atoms=_MAX_ATOMS))
    is_test = np.array([is_held_out(row) for row in rows], dtype=bool)
    return stick_store([row.crystal for row in rows], _Q_MAX_PER_ANGSTROM), is_test


@contextmanager
def training_sets(
    drawn: DrawnStructures, souped: tuple[HalfArray, IntArray], *, every: int, rng: Generator
) -> Iterator[TrainingSets]:
    """Give the paper's training sets, in a file that is deleted afterwards.

    Parameters
    ----------
    souped : tuple
        Measured patterns, and their space groups, that follow the large set.
    every : int
        Points of the paper's axis that are one here.
    """
    n, (measured, groups) = drawn.trained.size, souped
    recipes = (BASELINE, MIXED, *DATA_SETS[1:])
    n_large = len(DATA_SETS) * n
    with tempfile.TemporaryDirectory() as folder:
        shape = (n + n_large + len(measured), two_theta_deg(every).size)
        path = Path(folder) / "patterns.npy"
        patterns = np.lib.format.open_memmap(path, "w+", np.float16, shape)
        # The mixed set lies first, so that the baseline set begins the large one.
        for number, recipe in enumerate((MIXED, BASELINE, *DATA_SETS[1:])):
            rows = slice(number * n, (number + 1) * n)
            simulate_into(patterns[rows], drawn, drawn.trained, recipe=recipe, rng=rng)
        patterns[len(recipes) * n :] = measured
        known = np.tile(drawn.space_group_index(drawn.trained), len(recipes))
        yield TrainingSets(
            patterns,
            np.concatenate([known, groups]),
            {
                "baseline": slice(n, 2 * n),
                "mixed": slice(0, n),
                "large": slice(n, n + n_large),
                "souped": slice(n, None),
            },
        )


def simulated(
    drawn: DrawnStructures,
    chosen: IntArray,
    *,
    recipe: str,
    every: int,
    rng: Generator,
    scale: float = 1.0,
) -> HalfArray:
    """Return one pattern of each structure, from 0 to 1, its lattice scaled in length."""
    patterns = np.empty((chosen.size, two_theta_deg(every).size), dtype=np.float16)
    simulate_into(patterns, drawn, chosen, recipe=recipe, rng=rng, scale=scale)
    return patterns


def simulate_into(
    patterns: HalfArray,
    drawn: DrawnStructures,
    chosen: IntArray,
    *,
    recipe: str,
    rng: Generator,
    scale: float = 1.0,
) -> None:
    """Write one pattern of each structure into the rows of an array."""
    simulator = PatternSimulator(drawn.store, NumpyBackend(rng))
    coarse = _coarser(named_recipe(recipe), patterns.shape[1])
    for start in range(0, chosen.size, _BLOCK):
        rows = chosen[start : start + _BLOCK]
        settings = coarse.draw(rows.size, rng)
        if scale != 1.0:
            settings = stretched(settings, scale)
        found = simulator.simulate_unchecked(rows, settings)
        patterns[start : start + _BLOCK] = np.asarray(found.intensity) / _MAXIMUM


def on_axis(measured: LabelledPatterns, every: int) -> HalfArray:
    """Return measured patterns on the axis of the simulated ones, from 0 to 1.

    Other wavelengths are brought to the angles of the paper's.
    """
    fine = two_theta_deg(1)
    rows = []
    for one in measured.patterns:
        angle = two_theta_from_q(one.q_per_angstrom, WAVELENGTH_ANGSTROM)
        rows.append(np.interp(fine, angle, one.intensity, left=0.0, right=0.0))
    coarse = np.array(rows).reshape(len(rows), -1, every).mean(axis=2)
    return np.asarray(coarse / coarse.max(axis=1, keepdims=True), dtype=np.float16)


def two_theta_deg(every: int) -> Float32Array:
    """Return the paper's axis, or the middles of so many neighbouring points of it.

    Examples
    --------
    >>> two_theta_deg(1).size, two_theta_deg(4).size
    (8500, 2125)
    """
    fine = 5.0 + _STEP_DEG * np.arange(8500)
    return np.asarray(fine.reshape(-1, every).mean(axis=1))


def _coarser(recipe: Recipe, n_points: int) -> Recipe:
    axis = recipe.axis.model_copy(update={"n_bins": n_points})
    return recipe.model_copy(update={"axis": axis})
