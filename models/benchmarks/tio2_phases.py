"""The phases of the post on titanium oxides, and those that its samples are mixed with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from phasepilot.models.benchmarks.held_out_patterns import structure_table
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.structure_selection import (
    Wanted,
    read_selected,
    select_rows,
)
from phasepilot.models.identification.known_structures import (
    index_of_crystals,
    open_known_structures,
)
from phasepilot.models.identification.search_index import SearchIndex

# Rows of the structure table. The post takes COD 9009086, 9015662, 8104269, 1528778 and 1530026;
# the first three of ours are refined from measurements, the last two calculated (DFT), of which
# there is no measured row.
POLYMORPHS = {
    "anatase": "oc-TiO2-Anatase",
    "rutile": "oc-TiO2-Rutile",
    "brookite": "oc-TiO2-Brookite",
    "beta-TiO2": "mp-554278",
    "TiO2-II": "mp-1439",
}
# With what titanium oxides are mixed.
COMPANIONS = {
    "hematite": "jreal-Fe2O3_167",
    "NiO": "oc-NiO-Bunsenite",
    "Li2CO3": "oc-Li2CO3-Zabuyelite",
    "ZnO": "oc-ZnO-Zincite",
    "V2O5": "oc-V2O5-Shcherbinaite",
}


@dataclass(frozen=True, slots=True)
class TitaniaPhases:
    """What a network is trained on and patterns are matched with.

    Attributes
    ----------
    polymorphs : SearchIndex
        The classes.
    extended : SearchIndex
        The same, and companions behind them.
    source : str
        Where the polymorphs come from, for people to read.
    problems : tuple of str
        Files that could not be read.
    """

    polymorphs: SearchIndex
    extended: SearchIndex
    source: str
    problems: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the classes."""
        return [str(name) for name in self.polymorphs.labels.name]


def phases_of_table(structures: Path | None) -> TitaniaPhases:
    """Return the phases of these rows of the structure table.

    Raises
    ------
    CrystalError
        If there is no table, or it lacks a row.
    """
    crystals = _crystals(structure_table(structures), {**POLYMORPHS, **COMPANIONS})
    polymorphs = [(name, crystals[name]) for name in POLYMORPHS]
    listed = ", ".join(f"{name} {row}" for name, row in POLYMORPHS.items())
    return TitaniaPhases(
        index_of_crystals(polymorphs), index_of_crystals(list(crystals.items())), f"rows {listed}"
    )


def phases_of_folder(folder: Path) -> TitaniaPhases:
    """Return the phases of the CIF files of a folder, each a class; companions are not added.

    Raises
    ------
    CrystalError
        If none can be read.
    """
    index, problems = open_known_structures(folder)
    return TitaniaPhases(index, index, f"CIF files of {folder}", problems)


def _crystals(table: Path, rows: Mapping[str, str]) -> dict[str, Crystal]:
    numbers = select_rows(table, Wanted(identifiers=frozenset(rows.values())))
    found = {row.identifier: row.crystal for row in read_selected(table, numbers)}
    return {name: found[identifier] for name, identifier in rows.items()}
