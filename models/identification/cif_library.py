"""A library of known phases from a folder of CIF files."""

from pathlib import Path

from phasepilot.models.diffraction.crystals.cif import Disorder, read_cif
from phasepilot.models.errors import CrystalError
from phasepilot.models.identification.known_phase import KnownPhase, known_phase
from phasepilot.models.identification.phase_library import PhaseLibrary, phase_library


def open_cif_library(folder: Path) -> tuple[PhaseLibrary, tuple[str, ...]]:
    """Return the phases of every CIF file in a folder, and a sentence for each that is left out.

    A phase is called as its file, without the ending. Disordered crystals are taken with the
    average of their sites, as their lines show it.

    Raises
    ------
    CrystalError
        If the folder holds no CIF file that can be read.
    """
    if not folder.is_dir():
        raise CrystalError(
            f"a library must be a folder of CIF files, but {folder} is none; give the folder that"
            " holds them."
        )
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".cif")
    phases: list[KnownPhase] = []
    problems: list[str] = []
    for file in files:
        try:
            phases.append(known_phase(read_cif(file, disorder=Disorder.AVERAGE), file.stem))
        except CrystalError as error:
            problems.append(str(error))
    if not phases:
        why = f", of which the first says: {problems[0]}" if problems else ""
        raise CrystalError(
            f"a library must hold a CIF file that can be read, but {folder} has"
            f" {len(files)} CIF files and none of them can{why}"
            if files
            else f"a library must hold CIF files, but {folder} has none; put one file (.cif) for"
            " each known phase into it."
        )
    return phase_library(phases), tuple(problems)
