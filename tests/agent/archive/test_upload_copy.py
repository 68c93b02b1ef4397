import numpy as np
import pytest
from event_model import DocumentNames, compose_run, schema_validators

from phasepilot.agent.archive.upload_columns import ColumnChangeError
from phasepilot.agent.archive.upload_copy import UploadCopy, rows_by_stream

FRAME = {"source": "test", "dtype": "array", "shape": [4]}
NUMBER = {"source": "test", "dtype": "number", "shape": []}
INTEGER = {"source": "test", "dtype": "integer", "shape": []}
TEXT = {"source": "test", "dtype": "string", "shape": []}
MISSING = object()


def make_documents(data_key, values):
    """Return a run with one value an event, as a careless device might emit it."""
    run = compose_run()
    stream = run.compose_descriptor(name="primary", data_keys={"value": data_key})
    documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    for seq_num, value in enumerate(values, start=1):
        data = {} if value is MISSING else {"value": value}
        event = {
            "uid": f"event-{seq_num}",
            "descriptor": stream.descriptor_doc["uid"],
            "seq_num": seq_num,
            "time": 100.0 + seq_num,
            "data": data,
            "timestamps": dict.fromkeys(data, 0.0),
        }
        documents.append(("event", event))
    return [*documents, ("stop", run.compose_stop())]


def copied(documents):
    """Return the copy of a run, begun again as often as its columns change, and its notes."""
    columns = {}
    for _ in range(5):
        copy = UploadCopy(columns)
        try:
            return [pair for name, doc in documents for pair in copy.documents(name, doc)], copy
        except ColumnChangeError:
            columns = copy.columns
    raise AssertionError("the columns never settle")


def stored(data_key, values):
    """Return what is stored of the values, the data key that says so, and the notes."""
    documents, copy = copied(make_documents(data_key, values))
    for name, doc in documents:
        schema_validators[DocumentNames[name]].validate(doc)
    (data_key,) = [doc["data_keys"]["value"] for name, doc in documents if name == "descriptor"]
    return (
        [doc["data"]["value"] for name, doc in documents if name == "event"],
        data_key,
        copy.notes,
    )


@pytest.mark.parametrize(
    "odd",
    [
        np.arange(3.0),
        np.arange(1.0),
        np.arange(4) * 1j,
        np.array(["a", "b", "c", "d"]),
        "bad",
        7.0,
        None,
        MISSING,
        [[1.0], [2.0, 3.0]],
        np.array([None] * 4),
    ],
)
@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_an_odd_frame_becomes_nan_and_a_note_and_its_neighbours_stay(odd, position, dtype):
    values = [np.array([0, 1, 2, row]).astype(dtype) for row in range(3)]
    values[position] = odd

    frames, data_key, notes = stored(FRAME, values)

    assert data_key["shape"] == [4]
    assert len(notes) == 1
    assert f"(seq_num {position + 1})" in notes[0]
    for row, frame in enumerate(frames):
        assert (frame.shape, frame.dtype.str) == ((4,), data_key["dtype_numpy"])
        expected = np.full(4, np.nan) if row == position else values[row].astype(float)
        np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint16, np.bool_])
def test_frames_keep_their_own_type_where_none_was_announced(dtype):
    values = [np.arange(4).astype(dtype)] * 2

    frames, data_key, notes = stored(FRAME, values)

    assert data_key["dtype_numpy"] == np.dtype(dtype).str
    assert [frame.dtype for frame in frames] == [dtype, dtype]
    assert notes == []


def test_a_shape_announced_wrongly_is_corrected():
    frames, data_key, notes = stored(FRAME, [np.zeros((2, 3)), np.ones((2, 3))])

    assert data_key["shape"] == [2, 3]
    assert len(frames) == 2
    assert notes == []


def test_integers_followed_by_a_fraction_become_numbers_from_the_first_row_on():
    values, data_key, notes = stored(INTEGER, [0, 1, 1.5])

    assert values == [0.0, 1.0, 1.5]
    assert all(isinstance(value, float) for value in values)
    assert data_key["dtype"] == "number"
    assert notes == []


@pytest.mark.parametrize("odd", [None, MISSING, "bad", 1j, {"a": 1}, [1.0, 2.0]])
def test_an_odd_number_becomes_nan(odd):
    values, _, notes = stored(NUMBER, [1.0, odd, 3.0])

    np.testing.assert_array_equal(values, [1.0, np.nan, 3.0])
    assert len(notes) == 1


def test_a_text_that_is_missing_becomes_empty():
    values, _, notes = stored(TEXT, ["a", MISSING, "a longer one than before"])

    assert values == ["a", "", "a longer one than before"]
    assert len(notes) == 1


def test_arrays_of_text_are_not_cut():
    values, data_key, notes = stored(FRAME, [np.array(["a"] * 4), np.array(["b" * 30] * 4)])

    assert [value.tolist() for value in values] == [["a"] * 4, ["b" * 30] * 4]
    assert data_key["dtype_numpy"] == "<U32"
    assert notes == []


def test_a_descriptor_without_events_comes_at_the_end():
    documents, _ = copied(make_documents(FRAME, []))

    assert [name for name, _ in documents] == ["start", "descriptor", "stop"]


def test_rows_are_counted_by_stream_in_pages_and_bulks_too():
    event = {"uid": "e", "seq_num": 1, "time": 0.0, "data": {}, "timestamps": {}}
    page = {"uid": ["e"] * 3, "seq_num": [1, 2, 3], "time": [0.0] * 3, "data": {}, "timestamps": {}}
    documents = [
        ("descriptor", {"uid": "d", "name": "primary"}),
        ("descriptor", {"uid": "d2", "name": "monitor"}),
        ("event", event | {"descriptor": "d"}),
        ("event_page", page | {"descriptor": "d"}),
        ("bulk_events", {"d2": [event | {"descriptor": "d2"}] * 2}),
    ]

    assert rows_by_stream(documents) == {"primary": 4, "monitor": 2}
