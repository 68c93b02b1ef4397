"""The agent judges images, wherever they come from."""

from pathlib import Path
from typing import Any

import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine
from experiment import Emitted
from ophyd.sim import SynAxis, SynSignal
from ring_detector import (
    SHAPE,
    WAVELENGTH_ANGSTROM,
    SeriesDetector,
    fly,
    hdf5_detector,
    image_configuration,
    ring_image,
    write_poni,
)

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.networks.registry import PhaseModel


@pytest.fixture
def axis() -> SynAxis:
    return SynAxis(name="pressure")


def test_judges_a_scan_of_images_and_reports_the_one_that_never_came(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis, model: PhaseModel
) -> None:
    detector = SeriesDetector(tmp_path, name="det", spec="AD_TIFF", lost=(1,))
    agent = PhaseAgent(
        image_configuration(tmp_path, axis_field="pressure", assets={"wait_s": 0.2}), model=model
    )
    run_engine.subscribe(agent)
    run_engine(bp.scan([detector], axis, 1, 3, 3))
    assert agent.wait(60)
    first, lost, last = agent.report().advice
    assert first.crystal_system
    assert first.problem == ""
    assert first.image_kind == "powder rings"
    assert "rings are even" in first.image_reason
    assert lost.image_kind == ""
    assert "must come within 0.2 s" in lost.problem
    assert "rings_000001.tiff does not exist" in lost.problem
    assert last.crystal_system == first.crystal_system
    assert last.state


def test_the_run_engine_does_not_wait_for_a_late_file(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis, model: PhaseModel
) -> None:
    detector = SeriesDetector(tmp_path, name="det", spec="AD_TIFF", lost=(0, 1))
    agent = PhaseAgent(image_configuration(tmp_path, assets={"wait_s": 30.0}), model=model)
    emitted = Emitted()
    run_engine.subscribe(agent)
    run_engine.subscribe(emitted)
    run_engine(bp.count([detector], 2))
    assert emitted.stop["exit_status"] == "success"
    for number in (0, 1):
        detector._write(number)
    assert agent.wait(60)
    assert [advice.problem for advice in agent.report().advice] == ["", ""]


def test_an_energy_that_drifts_needs_no_new_integrator(
    tmp_path: Path, run_engine: RunEngine, model: PhaseModel
) -> None:
    energy = SynAxis(name="energy", value=12.39842 / WAVELENGTH_ANGSTROM)
    bare = write_poni(tmp_path / "bare.poni", wavelength=False)
    settings = {"image": {"poni": str(bare)}, "energy_field": "energy"}
    agent = PhaseAgent(image_configuration(tmp_path, **settings), model=model)
    run_engine.subscribe(agent)
    run_engine(bp.scan([hdf5_detector(tmp_path)], energy, 30.9, 31.1, 3))
    assert agent.wait(60)
    assert [advice.problem for advice in agent.report().advice] == [""] * 3


def test_replayed_documents_give_the_same_decisions_to_the_bit(
    run_engine: RunEngine, tmp_path: Path, axis: SynAxis, model: PhaseModel
) -> None:
    configuration = image_configuration(
        tmp_path, axis_field="pressure", monitor_field="det-sum", ignore={"lines_of": ["W"]}
    )
    live, emitted = PhaseAgent(configuration, model=model), Emitted()
    run_engine.subscribe(live)
    run_engine.subscribe(emitted)
    detector = hdf5_detector(tmp_path, rng=np.random.default_rng(3))
    run_engine(bp.scan([detector], axis, 1, 4, 4))
    assert live.wait(60)
    replayed = PhaseAgent(configuration, model=model)
    for name, doc in emitted.documents:
        replayed(name, doc)
    assert replayed.wait(60)
    advice = live.report().advice
    assert [one.problem for one in advice] == [""] * 4
    np.testing.assert_equal(
        [one.values() for one in replayed.report().advice], [one.values() for one in advice]
    )


def test_a_fly_scan_is_judged_frame_by_frame(
    run_engine: RunEngine, tmp_path: Path, model: PhaseModel
) -> None:
    agent = PhaseAgent(image_configuration(tmp_path), model=model)
    run_engine.subscribe(agent)
    run_engine(fly(hdf5_detector(tmp_path, rng=np.random.default_rng(4)), number=10))
    assert agent.wait(60)
    advice = agent.report().advice
    assert [one.frame_seq_num for one in advice] == list(range(1, 11))
    assert [one.problem for one in advice] == [""] * 10
    assert all(one.crystal_system for one in advice)


def test_the_record_tells_when_the_geometry_was_changed(tmp_path: Path, model: PhaseModel) -> None:
    first = PhaseAgent(image_configuration(tmp_path), model=model).settings()
    again = PhaseAgent(image_configuration(tmp_path), model=model).settings()
    assert again == first
    configuration = image_configuration(tmp_path)
    (tmp_path / "rings.poni").write_text("Distance: 1.0")
    changed = PhaseAgent(configuration, model=model).settings()
    assert changed["agent_image_sha256"] != first["agent_image_sha256"]


def test_an_image_in_the_event_itself_is_judged(
    run_engine: RunEngine, tmp_path: Path, model: PhaseModel
) -> None:
    camera = SynSignal(name="det", func=ring_image)
    agent = PhaseAgent(image_configuration(tmp_path), model=model)
    run_engine.subscribe(agent)
    run_engine(bp.count([camera], 2))
    assert agent.wait(60)
    assert [one.problem for one in agent.report().advice] == ["", ""]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones((10, 10), dtype=np.int32), "the image must have the 240 x 320 pixels"),
        (np.zeros(SHAPE, dtype=np.int32), "the image must show a sample"),
        (np.full(SHAPE, -1, dtype=np.int32), "some pixel of the image must hold a count"),
        (np.ones(300), "the frame must be an image, but its shape is"),
    ],
)
def test_says_what_is_wrong_with_an_image(
    run_engine: RunEngine, tmp_path: Path, model: PhaseModel, image: Any, message: str
) -> None:
    camera = SynSignal(name="det", func=lambda: image)
    agent = PhaseAgent(image_configuration(tmp_path), model=model)
    run_engine.subscribe(agent)
    run_engine(bp.count([camera], 1))
    assert agent.wait(60)
    (advice,) = agent.report().advice
    assert message in advice.problem
    assert advice.reason.startswith("no advice")
    assert not advice.crystal_system


def test_says_when_geometry_or_wavelength_are_missing(
    run_engine: RunEngine, tmp_path: Path, model: PhaseModel
) -> None:
    camera = SynSignal(name="det", func=ring_image)
    bare = write_poni(tmp_path / "bare.poni", wavelength=False)
    cases = {
        "could not be read": {"image": {"poni": str(tmp_path / "none.poni")}},
        "must state the wavelength": {"image": {"poni": str(bare)}},
        "the wavelength must stand in": {"energy_field": "mono"},
    }
    for message, changes in cases.items():
        agent = PhaseAgent(image_configuration(tmp_path, **changes), model=model)
        token = run_engine.subscribe(agent)
        run_engine(bp.count([camera], 1))
        run_engine.unsubscribe(token)
        assert agent.wait(60)
        assert message in agent.report().advice[0].problem
