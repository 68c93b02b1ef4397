"""Virtual, real and synthetic patterns of ABX3, as the B-VGGNet paper makes them.

*Real structures* (RSS) are the rows of the table that an experiment determined, in place of the
ICSD's; *templates* are relaxed structures of the Materials Project, one for each structure type.
*Template element replacement* (TER) puts the elements of the real compositions on the sites of the
templates. A structure type is a space group, an anonymous formula and the occupied Wyckoff sites.
"""

import re
from collections import Counter
from dataclasses import astuple, dataclass
from pathlib import Path

import gemmi
import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.held_out_patterns import is_held_out_family, structure_table
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.oxidation_states import AbX3, abx3_of
from phasepilot.models.diffraction.crystals.stated_formula import stated_amounts
from phasepilot.models.diffraction.crystals.structure_selection import read_selected
from phasepilot.models.diffraction.crystals.structure_table import TableRow, count_structures
from phasepilot.models.diffraction.crystals.substitution import abx3_replacements
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.pattern_augmentation import rescale_min_max
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.errors import CrystalError

VIRTUAL_RECIPE, REAL_RECIPE = "bvggnet-vss", "bvggnet-rss"
TWO_THETA_DEG: FloatArray = np.linspace(10.0, 80.0, 700)
N_TYPES = 30
_RELAXED = "Materials Project"
# Beginnings of `source` of rows that come from measurements.
_MEASURED = (
    *("AdvancedPhoton", "CPrescher", "DanPorter", "Jason050413", "LaurentRDC", "NRC-Mila"),
    *("OpenChemistry", "SHDShim", "WPEM", "cod-developers", "maffettone", "mtex", "njszym"),
    *("pymatgen wheel", "qzhu2017", "quantumbeam"),
)
# Of one of these sources, structures that a program made up.
_GENERATED = "jgen-"
# Cells that agree so well, in angstrom, are of one structure that stands in the table twice.
_SAME_CELL_ANGSTROM = 0.02
_MAX_ATOMS = 80
_Q_MAX_PER_ANGSTROM = 5.6
_THREE_ELEMENTS = re.compile(r"^([A-Z][a-z]?[\d.]*\s*){3}$")


@dataclass(frozen=True, slots=True)
class Abx3Structure:
    """A structure with the formula of a perovskite.

    Attributes
    ----------
    identifier : str
        Of its row.
    structure_type : str
    composition : AbX3
    crystal : Crystal
    """

    identifier: str
    structure_type: str
    composition: AbX3
    crystal: Crystal

    @property
    def space_group_number(self) -> int:
        """1 to 230."""
        return self.crystal.space_group_number


@dataclass(frozen=True, slots=True)
class Abx3Structures:
    """What the table holds of ABX3.

    Attributes
    ----------
    real : tuple of Abx3Structure
        Experimental rows, each structure once.
    n_real_rows : int
        Rows of these, twins counted.
    relaxed : tuple of Abx3Structure
        Of the Materials Project.
    """

    real: tuple[Abx3Structure, ...]
    n_real_rows: int
    relaxed: tuple[Abx3Structure, ...]

    def types(self) -> list[str]:
        """Return the structure types of the relaxed ones, the commonest first."""
        counts = Counter(one.structure_type for one in self.relaxed)
        return sorted(counts, key=lambda name: (-counts[name], name))

    def template(self, structure_type: str) -> Abx3Structure:
        """Return the relaxed structure of the smallest cell of a type."""
        those = [one for one in self.relaxed if one.structure_type == structure_type]
        return min(those, key=lambda one: (one.crystal.atomic_numbers.size, one.identifier))

    def is_of_unseen_family(self, identifiers: tuple[str, ...]) -> BoolArray:
        """Return which of these real structures no network of ours was trained on the like of."""
        families = {one.identifier: one.structure_type for one in self.real}
        return np.array([is_held_out_family(families[one]) for one in identifiers], dtype=bool)

    def compositions(self) -> list[AbX3]:
        """Return the compositions of the real ones, in place of the paper's 53."""
        return list(dict.fromkeys(one.composition for one in self.real))


@dataclass(frozen=True, slots=True)
class VirtualCrystals:
    """Crystals to simulate virtual patterns of, and the type of each."""

    crystals: tuple[Crystal, ...]
    structure_type: tuple[str, ...]

    @property
    def space_group_number(self) -> IntArray:
        """1 to 230, shape (n_crystals,)."""
        return np.array([one.space_group_number for one in self.crystals])


def abx3_structures(structures: Path | None) -> Abx3Structures:
    """Return the structures of the table with the formula ABX3.

    Raises
    ------
    CrystalError
        If there is no table, or it holds no ABX3.
    """
    table = structure_table(structures)
    count_structures(table)  # Says what is wrong with a file that is no table.
    import pyarrow.parquet

    columns = pyarrow.parquet.read_table(table, columns=["id", "formula", "source", "mineral"])
    names = columns.to_pydict()
    rows = np.flatnonzero([_composition(text) is not None for text in names["formula"]])
    found = [(row.identifier, row) for row in read_selected(table, rows)]
    source = dict(zip(names["id"], names["source"], strict=True))
    mineral = dict(zip(names["id"], names["mineral"], strict=True))
    real, relaxed = [], []
    for identifier, row in found:
        entry = _entry(row)
        if entry is None:
            continue
        if (source[identifier] or "").startswith(_RELAXED):
            relaxed.append(entry)
        elif not identifier.startswith(_GENERATED) and (
            mineral[identifier] or (source[identifier] or "").startswith(_MEASURED)
        ):
            real.append(entry)
    if not real or not relaxed:
        raise CrystalError(
            f"{table} must hold ABX3 of experiments and of the {_RELAXED}, but holds {len(real)}"
            f" and {len(relaxed)}; give a larger table with --structures."
        )
    return Abx3Structures(_each_once(real), len(real), tuple(relaxed))


def replaced(
    data: Abx3Structures, types: list[str], n_each: int, rng: Generator
) -> VirtualCrystals:
    """Return so many random compositions on the template of each type: with TER."""
    compositions = data.compositions()
    crystals: list[Crystal] = []
    for name in types:
        template = data.template(name).crystal
        chosen = rng.permutation(len(compositions))[:n_each]
        crystals += abx3_replacements(template, [compositions[k] for k in chosen])
    n_of_type = min(n_each, len(compositions))
    return VirtualCrystals(tuple(crystals), tuple(np.repeat(types, n_of_type).tolist()))


def unchanged(
    data: Abx3Structures, types: list[str], n_each: int, rng: Generator
) -> VirtualCrystals:
    """Return at most so many relaxed structures of each type as they are: without TER."""
    crystals: list[Crystal] = []
    names: list[str] = []
    for name in types:
        those = [one.crystal for one in data.relaxed if one.structure_type == name]
        chosen = rng.permutation(len(those))[:n_each]
        crystals += [those[k] for k in chosen]
        names += [name] * len(chosen)
    return VirtualCrystals(tuple(crystals), tuple(names))


def simulated_patterns(
    crystals: tuple[Crystal, ...], chosen: IntArray, *, recipe: str, rng: Generator
) -> FloatArray:
    """Return one pattern, from 0 to 1, of each of the chosen crystals, shape (n_chosen, 700)."""
    store = stick_store(crystals, _Q_MAX_PER_ANGSTROM)
    settings = named_recipe(recipe).draw(chosen.size, rng)
    impurities = rng.integers(len(crystals), size=chosen.size)
    found = PatternSimulator(store, NumpyBackend(rng)).simulate_unchecked(
        chosen, settings, impurities
    )
    return rescale_min_max(np.asarray(found.intensity, dtype=np.float64))


def _composition(formula: str) -> AbX3 | None:
    # Whoever asks a hundred thousand formulas for their charges waits for minutes.
    if not _THREE_ELEMENTS.match(formula):
        return None
    amounts = {gemmi.Element(z).name: n for z, n in stated_amounts(formula).items()}
    return abx3_of(amounts) if len(amounts) == len(astuple(AbX3("", "", ""))) else None


def _entry(row: TableRow) -> Abx3Structure | None:
    composition = _composition(row.crystal.name)
    is_usable = composition is not None and row.crystal.atomic_numbers.size <= _MAX_ATOMS
    if composition is None or not is_usable:
        return None
    return Abx3Structure(row.identifier, row.family, composition, row.crystal)


def _each_once(entries: list[Abx3Structure]) -> tuple[Abx3Structure, ...]:
    kept: list[Abx3Structure] = []
    for one in entries:
        if not any(_is_twin(one, other) for other in kept):
            kept.append(one)
    return tuple(kept)


def _is_twin(one: Abx3Structure, other: Abx3Structure) -> bool:
    return (
        one.structure_type == other.structure_type
        and one.composition == other.composition
        and np.allclose(one.crystal.cell, other.crystal.cell, atol=_SAME_CELL_ANGSTROM)
    )
