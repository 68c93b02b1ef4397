"""The rows of an event page, copied by the block: a page may hold thousands of frames."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

# Blocks of about this size are copied at once; one row at a time costs a call each.
_BLOCK_BYTES = 16 << 20


def rows_of_page(page: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a page; arrays in them are read-only, and belong to the caller.

    Only one block of each column is copied before its rows are asked for.
    """
    data = page["data"]
    n_rows = len(page["seq_num"])
    start = 0
    while start < n_rows:
        stop = min(start + _rows_of_a_block(data, start), n_rows)
        block = {key: _block(column, start, stop) for key, column in data.items()}
        for row in range(start, stop):
            yield {
                "descriptor": page["descriptor"],
                "seq_num": page["seq_num"][row],
                "time": page["time"][row],
                "data": {key: column[row - start] for key, column in block.items()},
            }
        start = stop


def _rows_of_a_block(data: Mapping[str, Any], start: int) -> int:
    n_bytes = sum(np.asarray(column[start]).nbytes for column in data.values())
    return max(_BLOCK_BYTES // max(n_bytes, 1), 1)


def _block(column: Any, start: int, stop: int) -> Any:
    values = column[start:stop]
    if not np.ndim(values[0]):
        return list(values)
    try:
        copied = np.array(values)
    except ValueError:  # rows of unequal length
        return list(values)
    copied.flags.writeable = False
    return copied
