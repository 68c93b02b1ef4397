"""Which structures of an index stand for the samples that answers are calibrated on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import IntArray
from phasepilot.models.errors import TrainingError
from phasepilot.models.identification.search_index import SearchIndex

# Beginnings of `source` whose rows an experiment determined; rows that name a mineral count too.
MEASURED_SOURCES = (
    *("AdvancedPhoton", "CPrescher", "DanPorter", "Jason050413", "LaurentRDC", "NRC-Mila"),
    *("OpenChemistry", "SHDShim", "WMD", "WPEM", "cod-developers", "maffettone", "mtex", "njszym"),
    *("pymatgen wheel", "qzhu2017", "quantumbeam"),
)
# Identifiers that begin so are of the same sources, but computed.
_COMPUTED = ("jgen-",)
# Of held-out structures, how many are of no structure in the index.
_WITHHELD_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class CalibrationSamples:
    """Structures to be measured by simulation.

    Attributes
    ----------
    structures : ndarray of int, shape (n_structures,)
        Their numbers in the index.
    withheld_share : float
        How often the search is not shown the very structure that was measured.
    """

    structures: IntArray
    withheld_share: float

    def draw(self, n: int, rng: Generator) -> IntArray:
        """Return n structures, none again before each was drawn."""
        rounds = -(-n // self.structures.size)
        return np.concatenate([rng.permutation(self.structures) for _ in range(rounds)])[:n]


def held_out_samples(index: SearchIndex) -> CalibrationSamples:
    """Return the structures of families that no network is trained on.

    Raises
    ------
    TrainingError
        If the index holds none.
    """
    structures = np.flatnonzero(index.sticks.is_held_out)
    if not structures.size:
        raise TrainingError(
            f"weights are fitted on structures of held-out families, but none of the"
            f" {index.n_structures} in the index is one; use the index of a whole table."
        )
    return CalibrationSamples(structures, _WITHHELD_SHARE)


def measured_samples(index: SearchIndex, table: Path) -> CalibrationSamples:
    """Return the structures that experiments determined: what people have measured.

    The search is never shown the structure itself. It meets a sample as it does in use: through
    other determinations of the compound, through a calculation whose lattice is off, or through
    none. Most families were trained on, as are those of most samples that are brought.

    Parameters
    ----------
    table : Path
        What the index was made of; its columns `source` and `mineral` tell.

    Raises
    ------
    TrainingError
        If the table cannot be read, or the index holds no such structure.
    """
    is_measured = np.isin(np.asarray(index.sticks.identifier), _measured(table))
    structures = np.flatnonzero(is_measured)
    if not structures.size:
        raise TrainingError(
            f"weights are fitted on structures that experiments determined, but none of the"
            f" {index.n_structures} in the index is one by the columns source and mineral of"
            f" {table}; give the table that the index was made of."
        )
    return CalibrationSamples(structures, 1.0)


def _measured(table: Path) -> list[str]:
    """Return the identifiers of rows that an experiment determined."""
    # Importing costs a second.
    import pyarrow
    import pyarrow.parquet

    columns = ["id", "source", "mineral"]
    try:
        rows = pyarrow.parquet.read_table(table, columns=columns).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise TrainingError(
            f"a structure table must be a Parquet file with the columns {', '.join(columns)}, but"
            f" {table} could not be read as one ({error}); give the table of the index."
        ) from error
    return [
        row["id"]
        for row in rows
        if (row["mineral"] or (row["source"] or "").startswith(MEASURED_SOURCES))
        and not row["id"].startswith(_COMPUTED)
    ]
