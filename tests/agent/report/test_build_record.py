from typing import Any

import numpy as np
import pytest
from event_model import compose_run
from experiment import configuration

from phasepilot.agent.replay import Document
from phasepilot.agent.report.build_record import frame_records, recorded_advice
from phasepilot.agent.report.run_record import FrameRecord
from phasepilot.models.pattern import q_from_two_theta
from phasepilot.models.suggestion import Action, Advice, advice_data_keys

TWO_THETA_DEG = np.linspace(5.0, 30.0, 64)
WAVELENGTH_ANGSTROM = 0.4
CONFIGURATION = configuration(
    wavelength_field=None, wavelength_angstrom=WAVELENGTH_ANGSTROM, two_theta_field="angles"
)


def make_advice(seq_num: int, **changes: Any) -> Advice:
    return Advice(
        frame_seq_num=seq_num,
        action=Action.REFINE.value,
        reason="lines are new",
        **{"axis_value": 0.1 * seq_num, **changes},
    )


def make_run(frames: list[tuple[int, Any]], advice: list[Advice]) -> list[Document]:
    """Documents of a run with frames by number, and advice in a stream of its own."""
    run = compose_run()
    primary = run.compose_descriptor(
        name="primary",
        data_keys={
            "detector_intensity": {"source": "x", "dtype": "array", "shape": [64]},
            "cell_pressure_gpa": {"source": "x", "dtype": "number", "shape": []},
        },
        configuration={
            "detector": {
                "data": {"angles": TWO_THETA_DEG.tolist()},
                "timestamps": {"angles": 0.0},
                "data_keys": {"angles": {"source": "x", "dtype": "array", "shape": [64]}},
            }
        },
    )
    keys = {f"agent_{column}": key for column, key in advice_data_keys("x").items()}
    agent = run.compose_descriptor(name="agent", data_keys=keys)
    documents = [
        ("start", run.start_doc),
        ("descriptor", primary.descriptor_doc),
        ("descriptor", agent.descriptor_doc),
    ]
    for seq_num, intensity in frames:
        data = {"detector_intensity": intensity, "cell_pressure_gpa": 0.1 * seq_num}
        event = primary.compose_event(
            data=data, timestamps=dict.fromkeys(data, 0.0), seq_num=seq_num, validate=False
        )
        documents.append(("event", event))
    for one in advice:
        data = {f"agent_{column}": value for column, value in one.values().items()}
        event = agent.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), validate=False)
        documents.append(("event", event))
    return documents


def records(frames: list[tuple[int, Any]], advice: list[Advice]) -> tuple[FrameRecord, ...]:
    documents = make_run(frames, advice)
    recorded = recorded_advice(documents, stream="agent", prefix="agent_")
    return frame_records(documents, CONFIGURATION, recorded)


def counts(value: float) -> Any:
    return np.full(TWO_THETA_DEG.size, value)


def test_frames_and_advice_are_paired_by_number() -> None:
    advice = [make_advice(3), make_advice(1), make_advice(2)]
    found = records([(1, counts(1.0)), (2, counts(2.0)), (3, counts(3.0))], advice)
    assert [frame.seq_num for frame in found] == [1, 2, 3]
    assert [frame.advice.frame_seq_num for frame in found] == [1, 2, 3]
    for frame in found:
        assert frame.axis_value == pytest.approx(0.1 * frame.seq_num)
        np.testing.assert_array_equal(frame.intensity, counts(frame.seq_num))
        np.testing.assert_allclose(
            frame.q_per_angstrom, q_from_two_theta(TWO_THETA_DEG, WAVELENGTH_ANGSTROM)
        )
        assert frame.is_decision


def test_advice_comes_back_as_it_was_recorded() -> None:
    advice = make_advice(1, p_cubic=0.25, space_group_number=62, state="changing")
    documents = make_run([(1, counts(1.0))], [advice])
    recorded = recorded_advice(documents, stream="agent", prefix="agent_")
    np.testing.assert_equal(recorded[1].values(), advice.values())
    assert recorded_advice(documents, stream="primary_of_another", prefix="") == {}


def test_a_repeated_frame_counts_once_and_the_last_time() -> None:
    found = records(
        [(1, counts(1.0)), (2, counts(2.0)), (2, counts(5.0))],
        [make_advice(1), make_advice(2, strain=0.1), make_advice(2, strain=0.2)],
    )
    assert [frame.seq_num for frame in found] == [1, 2]
    np.testing.assert_array_equal(found[1].intensity, counts(5.0))
    assert found[1].advice.strain == 0.2


def test_a_frame_without_advice_says_so() -> None:
    (frame,) = records([(1, counts(1.0))], [])
    assert frame.advice.problem == "no advice is on record"
    assert not frame.is_decision


@pytest.mark.parametrize(
    "bad", [None, np.full(64, np.nan), np.zeros(12), np.array(["x"] * 64), np.zeros(64)]
)
def test_a_bad_frame_has_an_empty_pattern_and_keeps_its_place(bad: Any) -> None:
    found = records([(1, counts(1.0)), (2, bad)], [make_advice(1), make_advice(2)])
    assert found[0].intensity.size == TWO_THETA_DEG.size
    assert found[1].intensity.size == found[1].q_per_angstrom.size == 0
    assert found[1].axis_value == pytest.approx(0.2)
    assert found[1].advice.frame_seq_num == 2


def test_what_was_not_measured_is_nan() -> None:
    spotted = counts(4.0)
    spotted[[3, 40]] = np.nan
    (frame,) = records([(1, spotted)], [make_advice(1)])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(frame.intensity)), [3, 40])
