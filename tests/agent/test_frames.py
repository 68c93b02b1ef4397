from collections.abc import Mapping
from typing import Any

import event_model
import numpy as np
import pytest

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import ConfigurationError, DocumentError
from phasepilot.agent.frame_pattern import pattern_of
from phasepilot.agent.frames import MAX_OPEN_RUNS, Frame, FrameReader
from phasepilot.models.errors import PatternError

N_POINTS = 64
CONFIGURATION = AgentConfiguration(
    intensity_field="det_intensity",
    two_theta_field="det_two_theta_deg",
    wavelength_field="det_wavelength_angstrom",
    axis_field="pressure",
)
SETTINGS = {
    "det_two_theta_deg": np.linspace(5, 90, N_POINTS),
    "det_wavelength_angstrom": 1.5406,
}


def compose(
    *,
    settings: Mapping[str, Any] = SETTINGS,
    field: str = "det_intensity",
    stream: str = "primary",
) -> tuple[Any, Any, list[tuple[str, dict[str, Any]]]]:
    run = event_model.compose_run()
    number = {"source": "test", "dtype": "number", "shape": []}
    array = {"source": "test", "dtype": "array", "shape": [N_POINTS]}
    descriptor = run.compose_descriptor(
        name=stream,
        data_keys={field: array, "pressure": number},
        configuration={
            "det": {
                "data": dict(settings),
                "timestamps": dict.fromkeys(settings, 0.0),
                "data_keys": dict.fromkeys(settings, number),
            }
        },
        validate=False,
    )
    return run, descriptor, [("start", run.start_doc), ("descriptor", descriptor.descriptor_doc)]


def event(descriptor: Any, pressure: float, *, field: str = "det_intensity") -> dict[str, Any]:
    data = {field: np.full(N_POINTS, 10.0 + pressure), "pressure": pressure}
    doc: dict[str, Any] = descriptor.compose_event(
        data=data, timestamps=dict.fromkeys(data, 0.0), validate=False
    )
    return doc


def read(
    documents: list[tuple[str, Any]], configuration: AgentConfiguration = CONFIGURATION
) -> list[Frame]:
    reader = FrameReader(configuration)
    return [frame for name, doc in documents for frame in reader.frames(name, doc)]


def test_reads_events_pages_and_bulk_events_alike() -> None:
    _, descriptor, opening = compose()
    events = [event(descriptor, p) for p in (1.0, 2.0, 3.0)]
    page = event_model.pack_event_page(*events)
    uid = descriptor.descriptor_doc["uid"]
    ways = {
        "event": [("event", doc) for doc in events],
        "event_page": [("event_page", page)],
        "bulk_events": [("bulk_events", {uid: events})],
    }
    for documents in ways.values():
        frames = read([*opening, *documents])
        assert [frame.axis_value for frame in frames] == [1.0, 2.0, 3.0]
        assert [frame.seq_num for frame in frames] == [1, 2, 3]
        assert pattern_of(frames[1]).intensity[0] == 12.0


def test_copies_the_frame_because_documents_are_shared() -> None:
    _, descriptor, opening = compose()
    doc = event(descriptor, 1.0)
    (frame,) = read([*opening, ("event", doc)])
    doc["data"]["det_intensity"][:] = -1
    assert frame.intensity.min() == 11.0


def test_ignores_runs_and_streams_without_the_field() -> None:
    _, other, opening = compose(field="camera")
    _, baseline, second = compose(stream="baseline")
    assert read([*opening, ("event", event(other, 1.0, field="camera"))]) == []
    assert read([*second, ("event", event(baseline, 1.0))]) == []


def test_tells_interleaved_runs_apart_by_uid() -> None:
    first, a, opening_a = compose()
    second, b, opening_b = compose()
    frames = read(
        [
            *opening_a,
            *opening_b,
            ("event", event(a, 1.0)),
            ("event", event(b, 2.0)),
            ("event", event(a, 3.0)),
        ]
    )
    uids = [first.start_doc["uid"], second.start_doc["uid"]]
    assert [uids.index(frame.run_uid) for frame in frames] == [0, 1, 0]


def test_refuses_documents_out_of_order() -> None:
    _, descriptor, opening = compose()
    with pytest.raises(DocumentError, match="an event must follow its descriptor"):
        read([opening[0], ("event", event(descriptor, 1.0))])
    with pytest.raises(DocumentError, match="must follow its start document"):
        read([opening[1]])


def test_lets_go_of_runs_that_never_stop() -> None:
    reader = FrameReader(CONFIGURATION)
    _, descriptor, opening = compose()
    for name, doc in opening:
        list(reader.frames(name, doc))
    for _ in range(MAX_OPEN_RUNS):
        for name, doc in compose()[2]:
            list(reader.frames(name, doc))
    with pytest.raises(DocumentError, match="was not seen"):
        list(reader.frames("event", event(descriptor, 1.0)))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("det_wavelength_angstrom", "the wavelength must stand in"),
        ("det_two_theta_deg", "the axis of the pattern must stand in"),
    ],
)
def test_says_which_part_of_the_geometry_is_missing(missing: str, message: str) -> None:
    settings = {key: value for key, value in SETTINGS.items() if key != missing}
    _, descriptor, opening = compose(settings=settings)
    (frame,) = read([*opening, ("event", event(descriptor, 1.0))])
    with pytest.raises(PatternError, match=message):
        pattern_of(frame)


def test_a_missing_field_gives_a_frame_that_says_so() -> None:
    _, descriptor, opening = compose()
    doc = event(descriptor, 1.0)
    del doc["data"]["det_intensity"]
    (frame,) = read([*opening, ("event", doc)])
    with pytest.raises(PatternError, match="must hold the detector's pattern"):
        pattern_of(frame)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "exactly one of two_theta_field and q_field"),
        ({"two_theta_field": "x"}, "a wavelength is never assumed"),
        ({"q_field": "q", "two_theta_field": "x"}, "exactly one"),
        ({"q_field": "q", "wavelenght_angstrom": 1.0}, "wavelenght_angstrom"),
    ],
)
def test_refuses_a_configuration_that_cannot_work(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AgentConfiguration(intensity_field="det_intensity", **values)
