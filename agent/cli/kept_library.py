"""The search index of a structure table, made on first use and kept for the next."""

import os
from importlib.util import find_spec
from pathlib import Path

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.library import indexed

_TABLE_NAMES = ("structures.parquet", "structures/structures.parquet")


def kept_library(tables: Path | None) -> Path | None:
    """Return the folder of the index of the structure table; None where there is no table.

    The index is made if it is not there yet, in the user's cache folder.

    Parameters
    ----------
    tables : Path or None
        A structure table, or a folder that holds one.
    """
    table = _table(tables)
    if table is None:
        console.print("[yellow]note:[/] no structure table, so the network answers alone.")
        return None
    if find_spec("pyarrow") is None:
        console.print("[yellow]note:[/] no pyarrow (extra train), so the network answers alone.")
        return None
    folder = _cache() / f"library-{table.stat().st_size}"
    if not (folder / "about.json").exists():
        console.print(f"making a search index of {table} in {folder}", soft_wrap=True)
    indexed(table, folder, n_workers=os.cpu_count() or 1)
    return folder


def _table(tables: Path | None) -> Path | None:
    if tables is None or tables.suffix == ".parquet":
        return tables
    return next((tables / name for name in _TABLE_NAMES if (tables / name).exists()), None)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "phasepilot"
