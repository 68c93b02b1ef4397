"""Bluesky documents as bytes and back, without pickle.

One document is one msgpack array, `[name, document]`. Arrays of numbers, booleans and fixed-width
text travel as their dtype, shape and memory; everything else as plain msgpack. What has no such
form is kept as its text, so that a strange value never costs the document that holds it.
"""

from collections.abc import Iterable
from typing import Any

import msgpack
import numpy as np
from event_model import DocumentNames
from numpy.typing import NDArray

from phasepilot.agent.errors import DocumentError

# Not `msgpack.packb` and the like: bluesky_kafka, when imported, or msgpack_numpy.patch replaces
# those in the whole process by functions that unpickle arrays of objects and refuse our hooks.
try:
    from msgpack._cmsgpack import Packer, Unpacker, unpackb
except ImportError:
    from msgpack.fallback import Packer, Unpacker, unpackb

Document = dict[str, Any]

_ARRAY = 1
_COMPLEX = 2
_PLAIN_KINDS = "biufcUS"
_DEEPEST = 50


def encode_document(name: str, doc: Document) -> bytes:
    """Return the bytes of one document; never fails because of a value in it.

    Tuples come back as lists, numpy scalars as Python numbers, arrays of objects as nested lists.
    A value without a binary form is replaced by a sentence that holds its `repr`.
    """
    return encode_value([name, doc])


def encode_value(value: Any) -> bytes:
    """Return the bytes of a document without its name, or of any other plain value."""
    try:
        return _packed(value)
    except (OverflowError, TypeError, ValueError):
        # Rare (an integer past 64 bits, half a surrogate pair, a circle), so the slow way will do.
        return _packed(_storable(value))


def decode_document(data: bytes) -> tuple[str, Document]:
    """Return the name and the document held by `data`.

    Raises
    ------
    DocumentError
        If the bytes are damaged, name no kind of Bluesky document, or hold an array of objects.
    """
    return named_document(decode_value(data))


def decode_value(data: bytes) -> Any:
    """Return what `encode_value` was given; raises DocumentError as `decode_document` does."""
    try:
        return unpackb(data, **UNPACKING)
    except (ValueError, msgpack.UnpackException, msgpack.ExtraData) as error:
        raise DocumentError(
            f"expected one document in msgpack, but {len(data)} bytes could not be decoded"
            f" ({error or type(error).__name__}); was the sender cut off?"
        ) from error


def named_document(record: Any) -> tuple[str, Document]:
    """Return name and document of one unpacked record, or raise DocumentError."""
    if not (isinstance(record, list) and len(record) == 2 and isinstance(record[1], dict)):
        raise DocumentError(
            f"expected a pair of name and document, but came {type(record).__name__};"
            " is this a log of Bluesky documents?"
        )
    name, doc = record
    if name not in DocumentNames.__members__:
        raise DocumentError(
            f"unknown document name {name!r}; Bluesky has {sorted(DocumentNames.__members__)}."
        )
    return name, doc


def record_reader(file: Any) -> Any:
    """Return the unpacker of a file of documents."""
    return Unpacker(file, max_buffer_size=0, **UNPACKING)


def _packed(value: Any) -> bytes:
    return bytes(Packer(default=_encode_special).pack(value))


def _encode_special(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _encode_array(value)
    if isinstance(value, complex | np.complexfloating):
        return msgpack.ExtType(_COMPLEX, _packed([float(value.real), float(value.imag)]))
    if isinstance(value, np.generic):
        plain = value.item()
        return plain if isinstance(plain, bool | int | float | str | bytes) else _as_text(value)
    if isinstance(value, set | frozenset):
        return list(value)
    return _as_text(value)


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _PLAIN_KINDS and dtype.itemsize > 0


def _encode_array(array: NDArray[Any]) -> Any:
    if not _is_plain(array.dtype):
        # Objects, records and dates: the values as nested lists, since str() elides long arrays.
        return array.tolist()
    header = [array.dtype.str, list(array.shape), np.ascontiguousarray(array).tobytes()]
    return msgpack.ExtType(_ARRAY, _packed(header))


def _decode_special(code: int, data: bytes) -> Any:
    try:
        if code == _ARRAY:
            return _decode_array(*unpackb(data))
        if code == _COMPLEX:
            return complex(*unpackb(data))
    except (TypeError, ValueError) as error:
        raise DocumentError(
            f"a value of extension type {code} is damaged ({error}); it cannot be read"
        ) from error
    raise DocumentError(
        f"expected extension types {_ARRAY} (array) or {_COMPLEX} (complex), but came {code};"
        " was this written by another program?"
    )


def _decode_array(dtype_text: str, shape: list[int], memory: bytes) -> NDArray[Any]:
    dtype = np.dtype(dtype_text)
    if not _is_plain(dtype):
        raise DocumentError(
            f"expected an array of numbers, booleans or text, but came dtype {dtype_text!r};"
            " arrays of objects are refused because decoding them can run code"
        )
    # The copy makes the array writable, as it was.
    return np.frombuffer(memory, dtype).reshape(shape).copy()


def _mapping(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    pairs = list(pairs)
    try:
        return dict(pairs)
    except TypeError:  # a tuple as a key was legal in the live document and is a list by now
        return {key if isinstance(key, str) else str(key): value for key, value in pairs}


# strict_map_key: keys other than text are rare, but legal in metadata.
UNPACKING: dict[str, Any] = {
    "ext_hook": _decode_special,
    "object_pairs_hook": _mapping,
    "strict_map_key": False,
}


def _storable(value: Any, depth: int = 0) -> Any:
    """Return a copy of `value` in which all that msgpack refuses is replaced by its text."""
    if depth > _DEEPEST:
        return _as_text(value)
    if isinstance(value, dict):
        return {_storable(k, depth + 1): _storable(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | set | frozenset):
        return [_storable(item, depth + 1) for item in value]
    if isinstance(value, tuple):
        return tuple(_storable(item, depth + 1) for item in value)
    if isinstance(value, np.ndarray) and not _is_plain(value.dtype):
        return _storable(value.tolist(), depth + 1)
    try:
        _packed(value)
    except (OverflowError, TypeError, ValueError):
        return _as_text(value)
    return value


def _as_text(value: Any) -> str:
    kind = type(value).__name__
    try:
        text = repr(value)
    except Exception as error:  # the repr of a stranger may do anything
        text = f"its repr raised {type(error).__name__}"
    text = text.encode("utf-8", "backslashreplace").decode()
    return f"({kind}, kept as text) {text}"
