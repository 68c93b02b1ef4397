"""A small table of textbook structures, as a training run reads it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

Site = tuple[int, tuple[float, float, float], int]
Cell = tuple[float, float, float, float, float, float]


def cubic(a: float) -> Cell:
    return (a, a, a, 90.0, 90.0, 90.0)


def tetragonal(a: float, c: float) -> Cell:
    return (a, a, c, 90.0, 90.0, 90.0)


def hexagonal(a: float, c: float) -> Cell:
    return (a, a, c, 90.0, 90.0, 120.0)


def make_row(
    formula: str, group_and_hall: tuple[int, int], cell: Cell, sites: list[Site], **changes: Any
) -> dict[str, Any]:
    """One row; sites are atomic number, position and multiplicity (International Tables A)."""
    row = {
        "id": f"test-{formula}",
        "formula": formula,
        "licence": "COD CC0",
        **dict(zip(("a", "b", "c", "alpha", "beta", "gamma"), cell, strict=True)),
        "sg": group_and_hall[0],
        "hall": group_and_hall[1],
        "z": [number for number, _, _ in sites],
        "occ": [1.0] * len(sites),
        "xyz": [coordinate for _, position, _ in sites for coordinate in position],
        "mult": [multiplicity for _, _, multiplicity in sites],
        "n_conv": sum(multiplicity for _, _, multiplicity in sites),
    }
    return {**row, **changes}


_ORIGIN, _CENTRE = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5)

NACL = make_row("NaCl", (225, 523), cubic(5.640), [(11, _ORIGIN, 4), (17, _CENTRE, 4)])
SI = make_row("Si", (227, 525), cubic(5.431), [(14, _ORIGIN, 8)])
QUARTZ = make_row(
    "SiO2",
    (152, 441),
    hexagonal(4.913, 5.405),
    [(14, (0.4697, 0.0, 0.3333), 3), (8, (0.4133, 0.2672, 0.2145), 6)],
)
BADDELEYITE = make_row(
    "ZrO2",
    (14, 81),
    (5.150, 5.212, 5.317, 90.0, 99.23, 90.0),
    [
        (40, (0.2754, 0.0395, 0.2083), 4),
        (8, (0.0700, 0.3317, 0.3447), 4),
        (8, (0.4496, 0.7569, 0.4792), 4),
    ],
)
# Of these, Si and Ge are of one family, that is held out.
STRUCTURES = (
    NACL,
    make_row("KCl", (225, 523), cubic(6.292), [(19, _ORIGIN, 4), (17, _CENTRE, 4)]),
    SI,
    make_row("Ge", (227, 525), cubic(5.658), [(32, _ORIGIN, 8)]),
    make_row("Cu", (225, 523), cubic(3.615), [(29, _ORIGIN, 4)]),
    make_row("Fe", (229, 529), cubic(2.866), [(26, _ORIGIN, 2)]),
    make_row("W", (229, 529), cubic(3.165), [(74, _ORIGIN, 2)]),
    make_row("CsCl", (221, 517), cubic(4.123), [(55, _ORIGIN, 1), (17, _CENTRE, 1)]),
    make_row("ZnS", (216, 512), cubic(5.409), [(30, _ORIGIN, 4), (16, (0.25, 0.25, 0.25), 4)]),
    make_row("CaF2", (225, 523), cubic(5.463), [(20, _ORIGIN, 4), (9, (0.25, 0.25, 0.25), 8)]),
    make_row(
        "TiO2",
        (136, 419),
        tetragonal(4.594, 2.959),
        [(22, _ORIGIN, 2), (8, (0.3053, 0.3053, 0.0), 4)],
    ),
    make_row("In", (139, 424), tetragonal(3.253, 4.947), [(49, _ORIGIN, 2)]),
    make_row("Mg", (194, 488), hexagonal(3.209, 5.211), [(12, (0.3333, 0.6667, 0.25), 2)]),
    make_row("Bi", (166, 458), hexagonal(4.546, 11.862), [(83, (0.0, 0.0, 0.2339), 6)]),
    QUARTZ,
    BADDELEYITE,
)
N_ATOMS = {
    **{"NaCl": 8, "KCl": 8, "Si": 8, "Ge": 8, "Cu": 4, "Fe": 2, "W": 2, "CsCl": 2, "ZnS": 8},
    **{"CaF2": 12, "TiO2": 6, "In": 2, "Mg": 2, "Bi": 6, "SiO2": 9, "ZrO2": 12},
}


def write_table(path: Path, rows: tuple[dict[str, Any], ...] = STRUCTURES) -> Path:
    """Write the rows to a Parquet file and return its path."""
    single = {key: pa.array([row[key] for row in rows], pa.float32()) for key in _NUMBERS}
    names = {key: pa.array([row[key] for row in rows]) for key in ("id", "formula", "licence")}
    integers = {
        key: pa.array([row[key] for row in rows], pa.int32()) for key in ("sg", "hall", "n_conv")
    }
    lists = {
        key: pa.array([np.asarray(row[key]).tolist() for row in rows], pa.list_(dtype))
        for key, dtype in _LISTS.items()
    }
    pyarrow.parquet.write_table(pa.table({**names, **single, **integers, **lists}), path)
    return path


_NUMBERS = ("a", "b", "c", "alpha", "beta", "gamma")
_LISTS = {"z": pa.uint8(), "occ": pa.float32(), "xyz": pa.float32(), "mult": pa.uint16()}
