"""Known structures from wherever the user keeps them: a search index, or a folder of CIF files."""

from pathlib import Path

import numpy as np

from phasepilot.models.arrays import IntArray
from phasepilot.models.diffraction.crystals.cif import Disorder, read_cif
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.formula import reduced_formula
from phasepilot.models.diffraction.crystals.unit_cell import amounts, unit_cell_of
from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.errors import CrystalError
from phasepilot.models.identification.known_phase import stored_phase
from phasepilot.models.identification.phase_library import PhaseLibrary, phase_library
from phasepilot.models.identification.search_index import (
    Q_MAX_PER_ANGSTROM,
    SearchIndex,
    open_search_index,
    search_index,
)
from phasepilot.models.identification.structure_labels import StructureLabels, element_bits

_MARK_OF_INDEX = "templates.npy"


def open_known_structures(folder: Path) -> tuple[SearchIndex, tuple[str, ...]]:
    """Return the structures of a folder ready to be searched, and what is wrong with its files.

    Parameters
    ----------
    folder : Path
        A search index as `phasepilot library build` writes it, or a folder of CIF files. A phase
        of a file is called as the file, without its ending; disordered crystals are taken with the
        average of their sites.

    Returns
    -------
    SearchIndex
    tuple of str
        A sentence for each file that is left out.

    Raises
    ------
    CrystalError
        If the folder holds neither.
    """
    if (folder / _MARK_OF_INDEX).exists():
        return open_search_index(folder), ()
    if not folder.is_dir():
        raise CrystalError(
            f"a library must be a folder of CIF files or one that `phasepilot library build` wrote,"
            f" but {folder} is no folder; give the folder that holds them."
        )
    named: list[tuple[str, Crystal]] = []
    problems: list[str] = []
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".cif")
    for file in files:
        try:
            named.append((file.stem, read_cif(file, disorder=Disorder.AVERAGE)))
        except CrystalError as error:
            problems.append(str(error))
    if not named:
        why = f": {problems[0]}" if problems else ""
        raise CrystalError(
            f"a library must hold a CIF file that can be read, but none of the {len(files)} in"
            f" {folder} can{why or '; put one file (.cif) for each known phase into it.'}"
        )
    return index_of_crystals(named), tuple(problems)


def index_of_crystals(named: list[tuple[str, Crystal]]) -> SearchIndex:
    """Return the index of a few crystals in standard settings, under the names given."""
    contents = [amounts(unit_cell_of(crystal)) for _, crystal in named]
    labels = StructureLabels(
        name=np.array([name for name, _ in named]),
        formula=np.array([reduced_formula(content) for content in contents]),
        elements=np.array([element_bits(set(content)) for content in contents]),
        n_atoms=np.array([round(sum(content.values())) for content in contents]),
    )
    return search_index(stick_store([one for _, one in named], Q_MAX_PER_ANGSTROM), labels)


def library_of(index: SearchIndex, structures: IntArray) -> PhaseLibrary:
    """Return some structures of an index ready to be matched."""
    return phase_library(
        [
            stored_phase(
                index.sticks,
                number,
                name=str(index.labels.name[number]),
                formula=str(index.labels.formula[number]),
            )
            for number in structures.tolist()
        ]
    )
