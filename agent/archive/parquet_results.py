"""What was said of a run as a Parquet file: a row a frame, and columns that know their units."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phasepilot.agent.analysis_run import SOURCE
from phasepilot.agent.errors import ArchiveError
from phasepilot.models.suggestion import Advice, advice_data_keys

if TYPE_CHECKING:
    import pyarrow as pa

_HEADER = b"phasepilot"
_ROWS_AT_A_TIME = 1000


@dataclass(frozen=True, slots=True)
class ResultsHeader:
    """What stands in the metadata of a file of results.

    Attributes
    ----------
    run_uid : str
        Uid of the raw run.
    analysis_uid : str
        Uid of the run of analysis with the same content; empty where there is none.
    settings : dict
        Of the agent: version, network, configuration.
    is_complete : bool
        Whether the raw run had stopped, so that there is nothing to add.
    """

    run_uid: str
    analysis_uid: str
    settings: Mapping[str, Any]
    is_complete: bool


def write_results(path: Path, advice: Sequence[Advice], header: ResultsHeader) -> None:
    """Write a file of results; units stand in the metadata of its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = json.dumps(
        {
            "run_uid": header.run_uid,
            "analysis_uid": header.analysis_uid,
            "settings": dict(header.settings),
            "is_complete": header.is_complete,
        }
    )
    schema = _schema().with_metadata({_HEADER: text.encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, len(advice), _ROWS_AT_A_TIME):
            rows = [
                {"run_uid": header.run_uid, **one.values()}
                for one in advice[first : first + _ROWS_AT_A_TIME]
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def read_header(path: Path) -> ResultsHeader:
    """Return what a file of results says of itself.

    Raises
    ------
    ArchiveError
        If it is none, or was cut off.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        values = json.loads((pq.read_schema(path).metadata or {})[_HEADER])
        return ResultsHeader(**values)
    except (OSError, pa.ArrowInvalid, KeyError, ValueError, TypeError) as error:
        raise ArchiveError(
            f"{path} must be a file of results that `phasepilot replay` wrote, but there came"
            f" {type(error).__name__}; remove it, and its run is judged again."
        ) from error


def read_results(path: Path) -> list[Advice]:
    """Return the advice in a file of results, in order of frames."""
    import pyarrow.parquet as pq

    return [Advice.from_values(row) for row in pq.read_table(path).to_pylist()]


def _schema() -> "pa.Schema":
    import pyarrow as pa

    types = {"number": pa.float64(), "integer": pa.int64(), "string": pa.string()}
    columns = [pa.field("run_uid", pa.string())]
    for name, key in advice_data_keys(SOURCE).items():
        kind = types.get(key["dtype"]) or pa.list_(pa.float64(), key["shape"][0])
        unit = {b"units": key["units"].encode()} if key["units"] else None
        columns.append(pa.field(name, kind, metadata=unit))
    return pa.schema(columns)
