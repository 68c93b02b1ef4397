"""Samples are what experiments determined, or what no network was trained on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from search_library import make_index
from structure_rows import BADDELEYITE, NACL, QUARTZ, SI

from phasepilot.models.errors import TrainingError
from phasepilot.models.estimation.calibration_samples import (
    CalibrationSamples,
    held_out_samples,
    measured_samples,
)
from phasepilot.models.identification.search_index import SearchIndex

ROWS = (
    NACL | {"source": "OpenChemistry/crystals", "mineral": None},
    SI | {"source": "Materials Project", "mineral": None},
    QUARTZ | {"source": None, "mineral": "Quartz"},
    BADDELEYITE | {"id": "jgen-ZrO2_14", "source": "Jason050413/PXRD", "mineral": None},
)


def written(table: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """The table of where rows are from, as far as they tell."""
    columns = [
        {name: row[name] for name in ("id", "source", "mineral") if name in row} for row in rows
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(columns), table)
    return table


@pytest.fixture
def index(tmp_path: Path) -> SearchIndex:
    crystals = make_index(tmp_path, (NACL, SI, QUARTZ, BADDELEYITE))
    identifiers = np.array([row["id"] for row in ROWS])
    return replace(crystals, sticks=replace(crystals.sticks, identifier=identifiers))


def test_samples_are_determined_by_experiment_and_never_found_themselves(
    index: SearchIndex, tmp_path: Path
) -> None:
    table = written(tmp_path / "origins.parquet", ROWS)
    found = measured_samples(index, table)
    assert set(index.sticks.identifier[found.structures]) == {NACL["id"], QUARTZ["id"]}
    assert found.withheld_share == 1


def test_a_table_without_origins_or_experiments_is_refused(
    index: SearchIndex, tmp_path: Path
) -> None:
    table = written(tmp_path / "origins.parquet", (NACL, SI))
    with pytest.raises(TrainingError, match="with the columns id, source, mineral, but"):
        measured_samples(index, table)
    written(table, ROWS[1:2])
    with pytest.raises(TrainingError, match="none of the 4 in the index is one by the columns"):
        measured_samples(index, table)


def test_an_index_without_held_out_structures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="held-out families, but none of the 2 in the index is"):
        held_out_samples(make_index(tmp_path, (NACL, QUARTZ)))


def test_no_structure_is_drawn_again_before_all_were() -> None:
    samples = CalibrationSamples(np.arange(10, 15), 1.0)
    drawn = samples.draw(12, np.random.default_rng(0))
    assert sorted(drawn[:5]) == sorted(drawn[5:10]) == [10, 11, 12, 13, 14]
    assert len(set(drawn[10:])) == 2
    # A longer run begins as a shorter one.
    np.testing.assert_array_equal(samples.draw(3, np.random.default_rng(0)), drawn[:3])
