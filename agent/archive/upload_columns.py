"""What one data key holds in every row that is uploaded: Tiled's columns have one type and shape.

A table column in Tiled takes its type from its first batch and answers 500 when an integer is
followed by 0.5; an array takes its shape likewise, drops the imaginary part of a complex frame
and turns the whole column to text for a single text frame. So values are made to fit here first.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLOAT = np.dtype(np.float64)
_TEXT = np.dtype("U8")
_SCALARS = {
    "number": _FLOAT,
    "integer": np.dtype(np.int64),
    "boolean": np.dtype(np.bool_),
    "string": _TEXT,
}


@dataclass(frozen=True, slots=True)
class Column:
    """Type and shape of the values of one data key; a shape of () is a plain value."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether it holds text."""
        return self.dtype.kind == "U"

    @property
    def can_hold_nan(self) -> bool:
        """Whether a value that is missing can be told from one that is there."""
        return self.dtype.kind in "fU"

    @property
    def hole(self) -> Any:
        """What stands for a value that is missing or does not fit: NaN, or empty text."""
        missing = "" if self.is_text else np.nan
        return np.full(self.shape, missing, self.dtype) if self.shape else missing

    def data_key(self, declared: dict[str, Any]) -> dict[str, Any]:
        """Return the declared data key, corrected to what the column holds."""
        kept = {key: v for key, v in declared.items() if key not in ("dtype_descr", "dtype_str")}
        if self.shape:
            return kept | {
                "dtype": "array",
                "shape": list(self.shape),
                "dtype_numpy": self.dtype.str,
            }
        names = {dtype.kind: name for name, dtype in _SCALARS.items()}
        kept.pop("dtype_numpy", None)
        numpy_type = {} if self.is_text else {"dtype_numpy": self.dtype.str}
        return kept | {"dtype": names[self.dtype.kind], "shape": []} | numpy_type


def declared_column(data_key: dict[str, Any]) -> Column:
    """Return the column that a data key announces."""
    if data_key["dtype"] != "array":
        return Column(_SCALARS[data_key["dtype"]])
    declared = data_key.get("dtype_numpy")
    dtype = np.dtype(declared) if isinstance(declared, str) else _FLOAT
    if dtype.kind not in "biufU":
        dtype = _FLOAT
    shape = tuple(data_key.get("shape") or (1,))
    return Column(_storable_dtype(dtype), shape if 0 not in shape else (1,))


def first_column(data_key: dict[str, Any], value: Any) -> Column:
    """Return the column that a data key gets when `value` is the first to come.

    Detectors announce shapes and types carelessly, so the value decides, unless it is itself odd.
    """
    declared, array = declared_column(data_key), _as_array(value)
    if array is None or array.ndim < len(declared.shape):
        return declared
    is_text = array.dtype.kind == "U"
    if is_text and not declared.is_text and ("dtype_numpy" in data_key or not declared.shape):
        return declared
    if array.ndim:
        return Column(_storable_dtype(array.dtype), array.shape)
    return declared if declared.is_text else Column(_joint(declared.dtype, _plain(array).dtype))


class ColumnChangeError(Exception):
    """A value fits only if the column is another one from the first row on.

    Attributes
    ----------
    column : Column
        What the column has to be.
    """

    def __init__(self, column: Column) -> None:
        super().__init__(f"the column has to be {column}")
        self.column = column


def fit(value: Any, column: Column, declared: Column) -> Any | None:
    """Return the value as the column stores it, or None if it does not fit.

    Raises
    ------
    ColumnChangeError
        If another column would hold this value and all before it.
    """
    if column.is_text and not column.shape:
        return None if value is None else str(value)
    array = _as_array(value)
    if array is None:
        return None
    if not column.shape:
        array = _plain(array)
    is_text = array.dtype.kind == "U"
    if is_text and not column.is_text:
        return None
    if column.is_text and not is_text and not declared.is_text:
        raise ColumnChangeError(Column(_storable_dtype(array.dtype), array.shape))
    if array.shape != column.shape:
        if array.shape == declared.shape:
            raise ColumnChangeError(Column(_joint(column.dtype, array.dtype), declared.shape))
        return None
    dtype = _joint(column.dtype, array.dtype)
    if dtype != column.dtype:
        raise ColumnChangeError(Column(dtype, column.shape))
    return array.astype(dtype, copy=False) if column.shape else array.astype(dtype).item()


def column_with_holes(column: Column) -> Column:
    """Return the column that can hold the same numbers, and NaN."""
    return column if column.can_hold_nan else Column(_FLOAT, column.shape)


def _as_array(value: Any) -> NDArray[Any] | None:
    """Return the value as an array of numbers, booleans or text; None if it has no such form."""
    if value is None or isinstance(value, dict):
        return None
    try:
        array = np.asarray(value)
        if array.dtype.kind == "S":
            array = array.astype("U")
    except (ValueError, OverflowError):
        return None
    return array if array.dtype.kind in "biufU" and array.size else None


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array without dimensions in one of the four types of table columns."""
    if array.ndim or array.dtype.kind == "U":
        return array
    if array.dtype.kind == "u" and array > np.iinfo(np.int64).max:
        return array.astype(np.float64)
    return array.astype({"b": np.bool_, "i": np.int64, "u": np.int64}.get(array.dtype.kind, _FLOAT))


def _storable_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which Tiled stores an array: native, no long doubles, text with room."""
    if dtype.kind == "U":
        # Text is cut at the width of its column, so double the width rather than grow by one.
        n_characters = max(8, dtype.itemsize // 4)
        return np.dtype(f"U{1 << (n_characters - 1).bit_length()}")
    return _FLOAT if dtype.kind == "f" and dtype.itemsize > 8 else dtype.newbyteorder("=")


def _joint(one: np.dtype[Any], other: np.dtype[Any]) -> np.dtype[Any]:
    return _storable_dtype(np.result_type(one, other))
