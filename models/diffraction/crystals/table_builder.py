"""A table of structures, as `structure_table` reads it, from CIFs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phasepilot.models.diffraction.crystals.cif import CifEntry, Disorder, read_cif_entry
from phasepilot.models.diffraction.crystals.symmetry import Setting
from phasepilot.models.diffraction.crystals.unit_cell import space_group_number_within, unit_cell_of
from phasepilot.models.errors import CrystalError

# At this tolerance a structure also has the symmetry that small displacements of its atoms break.
LOOSE_TOLERANCE_ANGSTROM = 0.1
_ROWS_PER_GROUP = 20_000
_LIST = "list of "
_COLUMNS = {
    **dict.fromkeys(("id", "source", "licence", "formula"), "string"),
    **dict.fromkeys(("a", "b", "c", "alpha", "beta", "gamma"), "float32"),
    **dict.fromkeys(("sg", "sg_loose", "sg_declared"), "uint8"),
    "hall": "int16",
    **{"z": "list of uint8", "occ": "list of float32", "xyz": "list of float32"},
    "mult": "list of uint16",
    **dict.fromkeys(("n_conv", "n_prim"), "int32"),
    "disordered": "bool",
    **dict.fromkeys(("mineral", "pressure", "temperature", "parent", "rruff_ids"), "string"),
}


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that gave no row, and the sentence why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class TableBuild:
    """What became of the files of a folder.

    Attributes
    ----------
    n_written : int
        Rows of the table; no file was written if there are none.
    n_disordered : int
        Of them, those with an occupancy below 1.
    n_other_space_group : int
        Of them, those whose atoms have another space group than the file declares.
    skipped : tuple of SkippedFile
    """

    n_written: int
    n_disordered: int
    n_other_space_group: int
    skipped: tuple[SkippedFile, ...]


def build_structure_table(
    folder: Path,
    out: Path,
    *,
    licence: str = "unstated",
    disorder: Disorder = Disorder.REFUSE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TableBuild:
    """Write the crystals of all CIF files in a folder and below it to a Parquet table.

    The files are taken in the order of their names; repeated structures are kept. The table is
    there whole or not at all.

    Parameters
    ----------
    licence : str
        Terms on which the structures may be used, for every row.
    progress : callable
        Called with the number of files done and of all files.

    Raises
    ------
    CrystalError
        If there is no such folder, no CIF file in it, or `out` cannot be written.
    """
    paths, schema = _cif_files(folder), _schema()
    unfinished = _writable(out)
    try:
        rows, skipped = _rows(paths, folder, licence, disorder, progress)
        if rows:
            _write(rows, schema, unfinished)
            unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return TableBuild(
        n_written=len(rows),
        n_disordered=sum(row["disordered"] for row in rows),
        n_other_space_group=sum(row["sg_declared"] not in (0, row["sg"]) for row in rows),
        skipped=tuple(skipped),
    )


def _rows(
    paths: list[Path],
    folder: Path,
    licence: str,
    disorder: Disorder,
    progress: Callable[[int, int], None],
) -> tuple[list[dict[str, Any]], list[SkippedFile]]:
    rows: list[dict[str, Any]] = []
    skipped: list[SkippedFile] = []
    for n_done, path in enumerate(paths, start=1):
        identifier = path.relative_to(folder).with_suffix("").as_posix()
        try:
            entry = read_cif_entry(path, disorder=disorder)
            rows.append(_row(entry, identifier, source=folder.resolve().name, licence=licence))
        except CrystalError as error:
            skipped.append(SkippedFile(path, str(error)))
        progress(n_done, len(paths))
    return rows, skipped


def _cif_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CrystalError(
            f"structures must come from a folder of CIF files, but {folder} is no folder;"
            " give the folder that holds them."
        )
    paths = [path for path in folder.rglob("*") if path.suffix.lower() == ".cif"]
    if not paths:
        raise CrystalError(
            f"structures must come from a folder of CIF files, but neither {folder} nor a folder"
            " in it holds a file that ends in .cif; give the folder that holds them."
        )
    return sorted(path for path in paths if path.is_file())


def _row(entry: CifEntry, identifier: str, *, source: str, licence: str) -> dict[str, Any]:
    crystal = entry.crystal
    cell = unit_cell_of(crystal)
    n_conv = len(cell.mixtures)
    return {
        "id": identifier,
        "source": source,
        "licence": licence,
        "formula": crystal.name,
        **dict(zip(("a", "b", "c", "alpha", "beta", "gamma"), crystal.cell, strict=True)),
        "sg": crystal.space_group_number,
        "sg_loose": space_group_number_within(cell, LOOSE_TOLERANCE_ANGSTROM),
        "sg_declared": entry.declared_space_group_number,
        "hall": crystal.hall_number,
        "z": crystal.site_atomic_numbers,
        "occ": crystal.site_occupancies,
        "xyz": crystal.site_fractional.ravel(),
        "mult": crystal.multiplicities,
        "n_conv": n_conv,
        "n_prim": n_conv // _n_lattice_points(crystal.setting),
        "disordered": entry.is_disordered,
        "mineral": entry.mineral or None,
        "pressure": entry.pressure or None,
        "temperature": entry.temperature or None,
        "parent": None,
        "rruff_ids": None,
    }


def _n_lattice_points(setting: Setting) -> int:
    """Return how many primitive cells the conventional cell holds."""
    return int((setting.rotations == np.eye(3)).all(axis=(1, 2)).sum())


def _schema() -> Any:
    # pyarrow takes a second to import and is an extra.
    import pyarrow

    fields = []
    for name, kind in _COLUMNS.items():
        item = pyarrow.type_for_alias(kind.removeprefix(_LIST))
        is_list = kind.startswith(_LIST)
        fields.append((name, pyarrow.list_(item) if is_list else item))
    return pyarrow.schema(fields)


def _writable(out: Path) -> Path:
    """Return where to write until the table is whole, having tried it."""
    unfinished = out.with_name(f"{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
    except OSError as error:
        raise CrystalError(
            f"the table must go to a file that can be written, but {out} cannot be"
            f" ({error.strerror}); give another place."
        ) from error
    return unfinished


def _write(rows: list[dict[str, Any]], schema: Any, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    columns = [
        pyarrow.array([row[field.name] for row in rows], type=field.type) for field in schema
    ]
    table = pyarrow.table(columns, schema=schema)
    pyarrow.parquet.write_table(table, path, row_group_size=_ROWS_PER_GROUP)
