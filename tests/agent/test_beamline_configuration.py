"""One file a beamline: written from a run, read, checked, and what its lines do to frames."""

from pathlib import Path
from typing import Any

import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from bluesky import RunEngine
from event_model import compose_run, pack_event_page
from experiment import make_beamline
from ophyd.sim import SynAxis
from ring_detector import hdf5_detector, write_poni

from phasepilot.agent.configuration import AgentConfiguration, configuration_from_json
from phasepilot.agent.configuration_check import configuration_problems
from phasepilot.agent.configuration_file import read_configuration
from phasepilot.agent.configuration_template import commented_configuration
from phasepilot.agent.errors import ConfigurationError, DocumentError
from phasepilot.agent.frame_pattern import KEV_ANGSTROM, FramePatterns
from phasepilot.agent.frames import Frame, FrameReader, Geometry
from phasepilot.agent.known_lines import line_positions
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.run_description import RunDescription, describe_run
from phasepilot.models.errors import PatternError
from phasepilot.models.networks.registry import PhaseModel

Documents = list[tuple[str, Any]]


def measured(run_engine: RunEngine, plan: Any) -> Documents:
    documents: Documents = []
    token = run_engine.subscribe(lambda name, doc: documents.append((name, doc)))
    run_engine(plan)
    run_engine.unsubscribe(token)
    return documents


def image_run(run_engine: RunEngine, folder: Path) -> Documents:
    devices = [hdf5_detector(folder), SynAxis(name="i0_monitor", value=5.0)]
    scan = bp.scan(devices, SynAxis(name="pressure"), 1, 2, 2)
    energy = SynAxis(name="mono_energy", value=31000.0)
    return measured(run_engine, bpp.baseline_wrapper(scan, [energy]))


def pattern_run(run_engine: RunEngine) -> Documents:
    beamline = make_beamline()
    return measured(run_engine, bp.scan([beamline.detector], beamline.cell, 0, 1, 2))


def test_a_configuration_written_for_images_is_complete_but_for_the_geometry(
    run_engine: RunEngine, tmp_path: Path
) -> None:
    run = describe_run(image_run(run_engine, tmp_path))
    file = tmp_path / "beamline.yaml"
    file.write_text(commented_configuration(run))
    configuration = read_configuration(file)
    assert configuration.intensity_field == "det"
    assert configuration.axis_field == "pressure"
    assert configuration.monitor_field == "i0_monitor"
    assert (configuration.energy_field, configuration.energy_unit) == ("mono_energy", "eV")
    (problem,) = configuration_problems(configuration, run)
    assert "geometry must be a .poni text file" in problem
    write_poni(tmp_path / "geometry.poni")
    assert configuration_problems(read_configuration(file), run) == []


def test_a_configuration_written_for_patterns_is_complete(
    run_engine: RunEngine, tmp_path: Path
) -> None:
    run = describe_run(pattern_run(run_engine))
    file = tmp_path / "beamline.yaml"
    file.write_text(commented_configuration(run))
    configuration = read_configuration(file)
    assert configuration.two_theta_field == "detector_two_theta_deg"
    assert configuration.wavelength_field == "detector_wavelength_angstrom"
    assert configuration.axis_field == "cell_pressure_gpa"
    assert configuration.exposure_field == "detector_exposure_s"
    assert configuration_problems(configuration, run) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stream": "primry"}, "stream must be one of the run's"),
        ({"intensity_field": "detector"}, "intensity_field must name a field"),
        ({"intensity_field": "cell_pressure_gpa"}, "for a scan of points add 'frame: points'"),
        ({"axis_field": "detector_intensity"}, "axis_field must hold one number"),
        ({"two_theta_field": "detector_exposure_s"}, "the axis must have a value for each"),
        ({"model": "pilotnet-v9"}, "the model must be one of"),
        ({"library": "/nowhere"}, "library must be a folder"),
        ({"ignore": {"plans": ["scan"]}}, "which ignore.plans leaves out"),
        (
            {"two_theta_field": None, "image": {"poni": "/nowhere.poni"}},
            "the section 'image' is for images",
        ),
    ],
)
def test_says_what_does_not_fit_the_run(
    run_engine: RunEngine, changes: dict[str, Any], message: str
) -> None:
    values: dict[str, Any] = {
        "intensity_field": "detector_intensity",
        "two_theta_field": "detector_two_theta_deg",
        "wavelength_field": "detector_wavelength_angstrom",
    }
    run = describe_run(pattern_run(run_engine))
    problems = configuration_problems(AgentConfiguration(**{**values, **changes}), run)
    assert message in problems[0]


def test_says_what_does_not_fit_an_area_detector(run_engine: RunEngine, tmp_path: Path) -> None:
    run = describe_run(image_run(run_engine, tmp_path))
    image = {"poni": str(write_poni(tmp_path / "x.poni"))}
    as_pattern = AgentConfiguration(intensity_field="det", q_field="i0_monitor")
    assert "gives images of 240 x 320 pixels" in configuration_problems(as_pattern, run)[0]
    energy = AgentConfiguration(intensity_field="det", image=image, energy_field="mono_energy")
    assert "is it in eV" in configuration_problems(energy, run)[0]
    unknown = tmp_path / "unknown.poni"
    unknown.write_text(
        (tmp_path / "x.poni").read_text().replace("Detector: Detector", "Detector: P7")
    )
    named = AgentConfiguration(intensity_field="det", image={"poni": str(unknown)})
    assert "detector must be a name in pyFAI" in configuration_problems(named, run)[0]
    mask = tmp_path / "mask.npy"
    np.save(mask, np.zeros((3, 3)))
    masked = AgentConfiguration(intensity_field="det", image={**image, "mask": str(mask)})
    assert "the mask image must have the 240 x 320 pixels" in configuration_problems(masked, run)[0]
    moved = describe_run(elsewhere(image_run(run_engine, tmp_path)))
    mapped = AgentConfiguration(intensity_field="det", image=image)
    assert "map its folder with assets.root_map" in configuration_problems(mapped, moved)[0]


def elsewhere(documents: Documents) -> Documents:
    return [
        (n, {**d, "uri": "file://localhost/other/x.h5"} if n == "stream_resource" else d)
        for n, d in documents
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "must hold lines such as"),
        ("a: [", "must be YAML"),
        ("intensity_field: x\nq_field: q\nimage: {poni: a}", "exactly one of two_theta_field"),
        ("intensity_field: x\nimage: {poni: a}\nframe: points", "an image is a whole pattern"),
        ("intensity_field: x\nimage: {poni: a, spots: burn}", "image.spots"),
        ("intensity_field: x\nq_field: q\nignore: {lines_of: [gold]}", "lines are known of"),
        ("intensity_field: x\nq_field: q\nassets: {root_map: {data: /b}}", "a whole path"),
        ("intensity_field: x\nq_field: q\nignore: {q_ranges_per_angstrom: [[2, 1]]}", "upwards"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(tmp_path / "x.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_configuration(tmp_path / "none.yaml")


def test_files_are_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "intensity_field: x\nlibrary: phases\nimage: {poni: a.poni, mask: /whole/m.edf}"
    )
    found = read_configuration(tmp_path / "x.yaml")
    assert found.library == str(tmp_path / "phases")
    assert found.image is not None
    assert found.image.poni == str(tmp_path / "a.poni")
    assert found.image.mask == "/whole/m.edf"


def test_records_of_former_versions_and_of_this_one_are_read_alike() -> None:
    old = '{"intensity_field": "i", "two_theta_field": "t", "wavelength_angstrom": 0.4}'
    known = configuration_from_json(old)
    assert configuration_from_json(known.model_dump_json()) == known
    new = AgentConfiguration(
        intensity_field="i", image={"poni": "a.poni"}, ignore={"lines_of": ["diamond"]}
    )
    assert configuration_from_json(new.model_dump_json()) == new


def test_a_run_that_measured_nothing_is_refused() -> None:
    with pytest.raises(DocumentError, match="no descriptors"):
        describe_run([("start", {"uid": "x"})])
    with pytest.raises(DocumentError, match="no start document"):
        describe_run([])
    assert RunDescription().fields("primary") == {}


# What the lines do


def frame(**changes: Any) -> Frame:
    values: dict[str, Any] = {
        "run_uid": "run",
        "stream": "primary",
        "seq_num": 1,
        "time": 0.0,
        "intensity": np.full(200, 100.0),
        "axis_value": 1.0,
        "geometry": Geometry(two_theta_deg=np.linspace(1, 30, 200), wavelength_angstrom=0.4),
    }
    return Frame(**{**values, **changes})


def patterns(**changes: Any) -> FramePatterns:
    values: dict[str, Any] = {
        "intensity_field": "i",
        "two_theta_field": "t",
        "wavelength_field": "w",
    }
    return FramePatterns(AgentConfiguration(**{**values, **changes}))


def test_lines_of_the_anvils_and_ranges_count_as_not_measured() -> None:
    ignore = {
        "lines_of": ["diamond"],
        "d_spacings_angstrom": [2.5],
        "q_ranges_per_angstrom": [[4.0, 4.5]],
        "two_theta_ranges_deg": [[1.0, 3.0]],
    }
    pattern = patterns(ignore=ignore).of(frame()).pattern
    q = pattern.q_per_angstrom
    gone = [*line_positions("diamond", float(q[-1])), 2 * np.pi / 2.5, 4.2, q[2]]
    for place in gone:
        assert not pattern.is_measured[np.argmin(np.abs(q - place))]
    assert pattern.is_measured[np.argmin(np.abs(q - 3.5))]
    everything = patterns(ignore={"q_ranges_per_angstrom": [[0.0, 50.0]]})
    with pytest.raises(PatternError, match="some of the pattern must be left"):
        everything.of(frame())


@pytest.mark.parametrize(("energy", "unit"), [(31.0, "keV"), (31000.0, "eV")])
def test_an_energy_gives_the_wavelength(energy: float, unit: str) -> None:
    geometry = Geometry(two_theta_deg=np.linspace(1, 30, 200), energy=energy)
    found = patterns(wavelength_field=None, energy_field="e", energy_unit=unit)
    pattern = found.of(frame(geometry=geometry)).pattern
    assert pattern.wavelength_angstrom == pytest.approx(KEV_ANGSTROM / 31.0)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        ({"energy": 31000.0}, "must lie between 1 and 1000 keV"),
        ({"energy": "open"}, "must be one number"),
        ({}, "the wavelength must stand in"),
        ({"wavelength_angstrom": "blue"}, "must be one number in angstrom"),
    ],
)
def test_says_what_is_wrong_with_the_beam(geometry: dict[str, Any], message: str) -> None:
    where = Geometry(two_theta_deg=np.linspace(1, 30, 200), **geometry)
    with pytest.raises(PatternError, match=message):
        patterns(energy_field="e").of(frame(geometry=where))


def test_patterns_are_compared_as_if_the_beam_were_steady() -> None:
    counted = patterns(monitor_field="m").of(frame(monitor=50.0))
    assert counted.pattern.intensity[0] == 100.0
    assert counted.normalised(100.0).pattern.intensity[0] == 200.0
    assert counted.normalised(None) is counted
    for reading in (0.0, None, float("nan"), "off"):
        with pytest.raises(PatternError, match="the normalisation monitor must read above 0"):
            patterns(monitor_field="m").of(frame(monitor=reading))


def test_runs_of_ignored_plans_are_not_looked_at(run_engine: RunEngine) -> None:
    values = {"intensity_field": "detector_intensity", "q_field": "q"}
    documents = pattern_run(run_engine)
    for plans, n_frames in ((["scan"], 0), (["count"], 2)):
        reader = FrameReader(AgentConfiguration(**values, ignore={"plans": plans}))
        frames = [f for name, doc in documents for f in reader.frames(name, doc)]
        assert len(frames) == n_frames


def test_a_page_of_thousands_of_rows_gives_each_frame_once_and_a_copy_of_its_own() -> None:
    n_rows = 5000
    run = compose_run()
    key = {"source": "x", "dtype": "array", "shape": [200]}
    descriptor = run.compose_descriptor(name="primary", data_keys={"i": key})
    rows = np.arange(n_rows * 200, dtype=np.float64).reshape(n_rows, 200)
    events = [
        descriptor.compose_event(data={"i": row}, timestamps={"i": 0.0}, validate=False)
        for row in rows
    ]
    page = pack_event_page(*events)
    reader = FrameReader(AgentConfiguration(intensity_field="i", q_field="q"))
    for name, doc in (("start", run.start_doc), ("descriptor", descriptor.descriptor_doc)):
        assert not list(reader.frames(name, doc))
    frames = list(reader.frames("event_page", page))
    rows[:] = -1
    assert [f.seq_num for f in frames] == list(range(1, n_rows + 1))
    assert [f.intensity[0] for f in frames] == [200.0 * k for k in range(n_rows)]


def test_a_frame_in_a_hundredth_of_the_beam_is_compared_by_its_monitor(
    run_engine: RunEngine, model: PhaseModel
) -> None:
    values = {
        "intensity_field": "detector_intensity",
        "two_theta_field": "detector_two_theta_deg",
        "wavelength_field": "detector_wavelength_angstrom",
        "axis_field": "cell_pressure_gpa",
    }
    problems = {}
    for monitor_field in (None, "i0"):
        configuration = AgentConfiguration(**values, monitor_field=monitor_field)
        agent = PhaseAgent(configuration, model=model)
        for name, doc in pattern_run(run_engine):
            if name == "event":
                share = 1.0 if doc["seq_num"] == 1 else 0.01
                counts = share * np.asarray(doc["data"]["detector_intensity"])
                data = {**doc["data"], "detector_intensity": counts, "i0": 5e4 * share}
                doc = {**doc, "data": data}
            agent(name, doc)
        assert agent.wait()
        problems[monitor_field] = agent.report().advice[1].problem
    assert "the beam may be lost" in str(problems[None])
    assert problems["i0"] == ""
