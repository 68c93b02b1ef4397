import subprocess
import sys

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from phasepilot.agent.archive.document_codec import decode_document, encode_document
from phasepilot.agent.errors import DocumentError


def round_trip(value):
    name, doc = decode_document(encode_document("event", {"value": value}))
    assert name == "event"
    return doc["value"]


@given(
    np_st.arrays(
        st.one_of(
            np_st.boolean_dtypes(),
            np_st.integer_dtypes(endianness="?"),
            np_st.floating_dtypes(endianness="?"),
            np_st.complex_number_dtypes(endianness="?"),
            np_st.unicode_string_dtypes(endianness="?"),
        ),
        np_st.array_shapes(min_dims=0, min_side=0),
    )
)
def test_arrays_come_back_bit_for_bit(array):
    back = round_trip(array)

    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


def test_decoded_arrays_are_writable_and_independent_of_the_input():
    array = np.arange(6.0).reshape(2, 3)[:, ::2]
    encoded = encode_document("event", {"value": array})
    array[:] = -1

    back = decode_document(encoded)[1]["value"]
    back += 1

    np.testing.assert_array_equal(back, [[1.0, 3.0], [4.0, 6.0]])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.1), float(np.float32(0.1))),
        (np.int64(3), 3),
        (np.bool_(True), True),
        ((1, (2, 3)), [1, [2, 3]]),
        (1 + 2j, 1 + 2j),
        (np.complex64(1 + 2j), 1 + 2j),
        (b"\x00\xff", b"\x00\xff"),
        ({1: "a", ("x", 2): "b"}, {"1": "a", "['x', 2]": "b"}),
        (np.array([1, "a", None], dtype=object), [1, "a", None]),
    ],
)
def test_values_without_a_form_of_their_own_become_plain_ones(value, expected):
    back = round_trip(value)

    if isinstance(expected, dict):
        back = {str(key): item for key, item in back.items()}
    assert back == expected


class Stranger:
    def __repr__(self):
        raise OSError("no")


def circle():
    value = {}
    value["itself"] = value
    return value


@pytest.mark.parametrize("value", [Stranger(), object(), 2**80, "\ud800", circle()])
def test_a_value_that_cannot_be_encoded_does_not_cost_the_others(value):
    frame = np.arange(5)

    _, doc = decode_document(encode_document("start", {"strange": value, "frame": frame}))

    assert "kept as text" in str(doc["strange"])
    np.testing.assert_array_equal(doc["frame"], frame)


@pytest.mark.parametrize("dtype", ["O", "|O8", "V8", "M8[s]", "f8,f8", "<U0"])
def test_refuses_arrays_that_are_not_plain(dtype):
    array = msgpack.ExtType(1, msgpack.packb([dtype, [1], b"\x00" * 8]))
    data = msgpack.packb(["event", {"value": array}])

    with pytest.raises(DocumentError, match=r"refused|damaged"):
        decode_document(data)


def test_refuses_pickle():
    data = b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93."

    with pytest.raises(DocumentError, match="could not be decoded"):
        decode_document(data)


def test_refuses_unknown_extension_types():
    data = msgpack.packb(["event", {"value": msgpack.ExtType(77, b"")}])

    with pytest.raises(DocumentError, match="77"):
        decode_document(data)


def test_refuses_unknown_document_names():
    data = msgpack.packb(["evnet", {}])

    with pytest.raises(DocumentError, match=r"unknown document name 'evnet'.*'event_page'"):
        decode_document(data)


@given(st.binary(max_size=200))
def test_any_bytes_decode_to_a_document_or_a_document_error(data):
    try:
        name, doc = decode_document(data)
    except DocumentError:
        return
    assert isinstance(doc, dict)
    assert isinstance(name, str)


def test_a_process_where_msgpack_was_patched_to_unpickle_reads_and_refuses_as_before() -> None:
    # Importing bluesky_kafka does this to the whole process.
    program = """
import pickle, msgpack, msgpack_numpy, numpy as np
msgpack_numpy.patch()
from phasepilot.agent.archive.document_codec import decode_document, encode_document
frame = np.arange(5.0)
name, doc = decode_document(encode_document("event", {"data": {"frame": frame}}))
assert (doc["data"]["frame"] == frame).all()
class Hostile:
    def __reduce__(self):
        return print, ("the wire ran code",)
data = pickle.dumps(Hostile())
value = {b"nd": True, b"type": b"O", b"kind": b"O", b"shape": (1,), b"data": data}
print(type(decode_document(msgpack.packb(["event", {"value": value}]))[1]["value"]).__name__)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=240
    )
    assert (ended.stdout, ended.returncode) == ("dict\n", 0), ended.stderr
