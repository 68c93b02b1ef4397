"""How the numbers of models/diffraction/crystals/element_statistics.py were counted and fitted."""

from pathlib import Path

import gemmi
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.optimize import nnls

from phasepilot.models.arrays import FloatArray

SOURCE = "Materials Project via fxcoudert/topology_databases"
FEWEST_STRUCTURES = 50
_CELL = ("a", "b", "c", "alpha", "beta", "gamma")
_N_ROUNDS = 12
# Cauchy's tuning constant: 95 % efficiency when errors are Gaussian.
_CAUCHY = 2.385


def counted_and_fitted(table: Path) -> dict[int, tuple[float, float]]:
    """Volume in cubic angstrom and share of structures of each element that occurs often enough."""
    wanted = (pc.field("source") == SOURCE) & ~pc.field("disordered")
    rows = pq.read_table(table, columns=["z", "mult", *_CELL], filters=wanted)
    volumes = np.array(
        [
            gemmi.UnitCell(*cell).volume
            for cell in zip(*(rows[n].to_numpy() for n in _CELL), strict=True)
        ]
    )
    counts = np.zeros((len(volumes), 100))
    for count, z, mult in zip(counts, rows["z"].to_pylist(), rows["mult"].to_pylist(), strict=True):
        np.add.at(count, z, mult)
    n_structures = (counts > 0).sum(axis=0)
    known = np.flatnonzero(n_structures >= FEWEST_STRUCTURES)
    fitted = _robust_volumes(counts[:, known] / volumes[:, None])
    shares = n_structures[known] / len(volumes)
    return {
        int(number): (volume, share)
        for number, volume, share in zip(known, fitted, shares, strict=True)
    }


def _robust_volumes(densities: FloatArray) -> FloatArray:
    """Volumes v with densities @ v = 1 for most rows; densities are atoms per cubic angstrom."""
    weights = np.ones(len(densities))
    for _ in range(_N_ROUNDS):
        volumes, _ = nnls(densities * weights[:, None], weights)
        errors = np.log(np.maximum(densities @ volumes, 1e-3))
        spread = np.median(np.abs(errors)) / 0.6745
        weights = 1 / np.sqrt(1 + (errors / (_CAUCHY * spread)) ** 2)
    return volumes
