"""Films and simulated powders of perovskite-like halides, labelled as Oviedo et al. label theirs.

Their 164 compounds come from a licensed database; in their place stand the rows of the structure
table with these space groups whose formula is that of the structure type: AMX3 (Pm-3m, I4/mcm),
A2MM'X6 (Fm-3m) and A3M2X9 (P-3m1, P2_1/a, P6_3/mmc, Pc), X of Cl, Br or I, M of Sn, Pb, Sb or Bi,
and nothing but these, K, Rb, Cs, Na, Ag, Ca and N (ammonium whose hydrogen the table does not
place).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from scipy.signal import savgol_filter

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.film_views import (
    STEP_DEG,
    TWO_THETA_DEG,
    Films,
    above_background,
    films,
)
from phasepilot.models.benchmarks.held_out_patterns import structure_table
from phasepilot.models.benchmarks.measured_files import (
    read_film_dimensionalities,
    read_thin_films,
)
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.formula import formula_amounts
from phasepilot.models.diffraction.crystals.structure_selection import (
    Wanted,
    read_selected,
    select_rows,
)
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.pattern_augmentation import rescale_min_max
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.errors import CrystalError

RECIPE = "oviedo-thin-film"
# Of each space group: halogens and atoms of its structure type's formula, and how many dimensions
# its framework of octahedra has.
TYPES: Mapping[int, tuple[int, int, str]] = {
    7: (9, 14, "2D"),
    14: (9, 14, "2D"),
    140: (3, 5, "3D"),
    164: (9, 14, "2D"),
    194: (9, 14, "0D"),
    221: (3, 5, "3D"),
    225: (6, 10, "3D"),
}
DIMENSIONALITIES = ("0D", "2D", "3D")
_HALOGENS = frozenset({17, 35, 53})
_METALS = frozenset({50, 51, 82, 83})
_OTHERS = frozenset({7, 11, 19, 20, 37, 47, 55})
_Q_MAX_PER_ANGSTROM = 4.5
# The paper smooths with a Savitzky-Golay filter and gives no numbers; lines are 0.15 degree wide.
_SMOOTHED_POINTS, _SMOOTHED_ORDER = 7, 3


@dataclass(frozen=True, slots=True)
class LabelledFilms:
    """What is to be classified into one kind of classes.

    Attributes
    ----------
    classes : tuple of str
    simulated, measured : ndarray, shape (n_simulated, 1200), (n_measured, 1200)
        From 0 to 1, on `TWO_THETA_DEG`.
    simulated_class, measured_class : ndarray of int
    compound : tuple of str
        Row of the table of each simulated pattern.
    film : tuple of str
        Name of each measured one.
    """

    classes: tuple[str, ...]
    simulated: FloatArray
    simulated_class: IntArray
    measured: FloatArray
    measured_class: IntArray
    compound: tuple[str, ...]
    film: tuple[str, ...]
    step_deg: float = STEP_DEG

    def coarser(self, every: int) -> "LabelledFilms":
        """Return the same with every k-th point alone."""
        return replace(
            self,
            simulated=rescale_min_max(self.simulated[:, ::every]),
            measured=rescale_min_max(self.measured[:, ::every]),
            step_deg=self.step_deg * every,
        )


def halide_films(data: Path, structures: Path | None, rng: Generator) -> dict[str, LabelledFilms]:
    """Return the films by what is asked: ``space_group`` and ``dimensionality``.

    Raises
    ------
    CrystalError
        If there is no structure table, or it lacks rows of a class.
    PatternError
        If there are no films.
    """
    crystals = halide_crystals(structure_table(structures))
    identifiers = tuple(crystals)
    powders = _powders(list(crystals.values()), rng)
    numbers = np.array([crystal.space_group_number for crystal in crystals.values()])
    groups = sorted(TYPES)
    by_group = read_thin_films(data)
    measured_numbers = by_group.space_group_number
    by_dimension = read_film_dimensionalities(data)
    dimensions = [TYPES[int(number)][2] for number in numbers]
    return {
        "space_group": LabelledFilms(
            tuple(map(str, groups)),
            powders,
            np.searchsorted(groups, numbers),
            _lines_of(films(by_group.patterns)),
            np.searchsorted(groups, measured_numbers),
            identifiers,
            by_group.name,
        ),
        "dimensionality": LabelledFilms(
            DIMENSIONALITIES,
            powders,
            np.array([DIMENSIONALITIES.index(one) for one in dimensions]),
            _lines_of(films(by_dimension.patterns)),
            np.array([DIMENSIONALITIES.index(one) for one in by_dimension.dimensionality]),
            identifiers,
            by_dimension.name,
        ),
    }


def halide_crystals(table: Path) -> dict[str, Crystal]:
    """Return the crystals of the rows that stand for the paper's compounds, by identifier.

    Raises
    ------
    CrystalError
        If a space group has no row.
    """
    wanted = Wanted(elements=_HALOGENS | _METALS | _OTHERS, space_group_numbers=frozenset(TYPES))
    rows = read_selected(table, select_rows(table, wanted))
    found = {row.identifier: row.crystal for row in rows if _is_of_type(row.crystal)}
    lacking = sorted(set(TYPES) - {one.space_group_number for one in found.values()})
    if lacking:
        raise CrystalError(
            f"{table} must hold a halide of every space group of the films, but has none of"
            f" {lacking}; give a larger table with --structures."
        )
    return found


def _is_of_type(crystal: Crystal) -> bool:
    amounts = formula_amounts(crystal.name)
    n_halogens, n_atoms, _ = TYPES[crystal.space_group_number]
    return (
        bool(_METALS & set(amounts))
        and sum(amounts.values()) == n_atoms
        and sum(amounts.get(number, 0.0) for number in _HALOGENS) == n_halogens
    )


def _powders(crystals: list[Crystal], rng: Generator) -> FloatArray:
    """Return the powder pattern of each crystal, without the changes that make it a film."""
    recipe = named_recipe(RECIPE).model_copy(update={"thin_film": None})
    settings = recipe.draw(len(crystals), rng)
    simulator = PatternSimulator(stick_store(crystals, _Q_MAX_PER_ANGSTROM), NumpyBackend(rng))
    simulated = simulator.simulate(np.arange(len(crystals)), settings)
    edges = simulated.axis.edges()[0]
    middles = (edges[1:] + edges[:-1]) / 2
    rows = [np.interp(TWO_THETA_DEG, middles, row) for row in np.asarray(simulated.intensity)]
    return rescale_min_max(np.array(rows))


def _lines_of(measured: Films) -> FloatArray:
    """Return films as the paper prepares them: background off, smoothed, from 0 to 1."""
    smooth = savgol_filter(above_background(measured), _SMOOTHED_POINTS, _SMOOTHED_ORDER, axis=1)
    return rescale_min_max(np.maximum(smooth, 0.0) * measured.is_measured)
