"""Folders of patterns and images as runs."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from ceria_images import write_ceria_images
from experiment import make_beamline
from powder_on_detector import make_geometry
from steered_run import assert_same_to_the_bit

from phasepilot.agent.archive.pattern_runs import PatternRuns, pattern_configuration
from phasepilot.agent.archive.run_query import RunQuery
from phasepilot.agent.errors import ArchiveError, PatternFileError
from phasepilot.agent.replay import replay
from phasepilot.models.diffraction.images.azimuthal_integration import integrate_pattern


@pytest.fixture(scope="module")
def patterns():
    """Angles and frames of a sample under rising pressure."""
    beamline = make_beamline()
    frames = []
    for pressure in (0.5, 0.7, 0.9):
        beamline.cell.set(pressure).wait()
        beamline.detector.trigger().wait()
        frames.append(np.array(beamline.detector.read()["detector_intensity"]["value"]))
    settings = beamline.detector.read_configuration()
    return (
        np.array(settings["detector_two_theta_deg"]["value"]),
        frames,
        float(settings["detector_wavelength_angstrom"]["value"]),
    )


def columns(angles, counts, header: str = "") -> str:
    rows = zip(angles.tolist(), counts.tolist(), strict=True)
    return header + "".join(f"{x!r} {y!r}\n" for x, y in rows)


def judged(source: PatternRuns):
    notes: list[str] = []
    (found,) = source.find(RunQuery())
    result = replay(source.documents(found.uid, notes.append), pattern_configuration(None))
    return found, result, notes


def test_text_and_nexus_of_the_same_numbers_give_the_same_advice_to_the_bit(
    patterns, tmp_path: Path
) -> None:
    angles, frames, wavelength = patterns
    folders = {name: tmp_path / name for name in ("xy", "chi", "nexus")}
    for folder in folders.values():
        folder.mkdir()
    for number, counts in zip((1, 2, 10), frames, strict=True):
        (folders["xy"] / f"kcl_{number}.xy").write_text(columns(angles, counts))
        chi = f"kcl_{number}.tif: integrated\n2-Theta Angle (Degrees)\nIntensity\n  {angles.size}\n"
        (folders["chi"] / f"kcl_{number}.chi").write_text(columns(angles, counts, chi))
    with h5py.File(folders["nexus"] / "kcl.nxs", "w") as file:
        file.attrs["default"] = "entry"
        data = file.create_group("entry/data")
        file["entry"].attrs["default"] = "data"
        data.attrs["signal"], data.attrs["axes"] = "counts", ["frame", "tth"]
        data["counts"] = np.array(frames)
        data["tth"] = angles
        data["tth"].attrs["units"] = "deg"
    results = {
        name: judged(PatternRuns(folder, wavelength_angstrom=wavelength))
        for name, folder in folders.items()
    }
    assert {name: found.n_events for name, (found, _, _) in results.items()} == {
        "xy": 3,
        "chi": 3,
        "nexus": None,
    }
    for _, result, notes in results.values():
        assert notes == []
        assert len(result.advice) == 3
        assert result.is_complete
        assert_same_to_the_bit(result.advice, results["xy"][1].advice)
    assert results["xy"][1].advice[0].crystal_system == "cubic"


def test_a_broken_file_is_noted_and_the_others_are_judged(patterns, tmp_path: Path) -> None:
    angles, frames, wavelength = patterns
    (tmp_path / "a1.xy").write_text(columns(angles, frames[0]))
    (tmp_path / "a2.xy").write_text("nothing to read\n")
    (tmp_path / "a3.h5").write_bytes(b"not HDF5")
    (tmp_path / "a4.tif").write_bytes(b"II*\0broken")
    (tmp_path / "a5.xy").write_text(columns(angles, frames[1]))
    (tmp_path / "notes.md").write_text("left alone")
    _, result, notes = judged(PatternRuns(tmp_path, wavelength_angstrom=wavelength))
    assert [advice.problem for advice in result.advice] == ["", ""]
    assert [note.partition(" ")[0] for note in notes] == [
        str(tmp_path / name) for name in ("a2.xy", "a3.h5", "a4.tif")
    ]
    assert all(len(note.splitlines()) == 1 for note in notes)


def test_images_are_integrated_with_the_geometry(tmp_path: Path) -> None:
    geometry = make_geometry()
    expected = integrate_pattern(write_ceria_images(tmp_path, geometry), geometry)
    source = PatternRuns(tmp_path, "*.tif", poni=tmp_path / "detector.poni")
    (found,) = source.find(RunQuery())
    events = [doc for name, doc in source.documents(found.uid, pytest.fail) if name == "event"]
    assert len(events) == 2
    for event in events:
        np.testing.assert_allclose(event["data"]["q_per_angstrom"], expected.q_per_angstrom)
        measured = np.isfinite(event["data"]["intensity"])
        np.testing.assert_array_equal(measured, expected.is_measured)
        np.testing.assert_allclose(
            event["data"]["intensity"][measured], expected.intensity[measured], rtol=1e-5
        )
    _, result, _ = judged(source)
    assert result.advice[0].crystal_system == "cubic"


def test_images_without_a_geometry_and_frames_without_a_name_are_told(tmp_path: Path) -> None:
    write_ceria_images(tmp_path, make_geometry())
    _, _, notes = judged(PatternRuns(tmp_path, "*.tif"))
    assert len(notes) == 2
    assert "give it with --poni" in notes[0]
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["a/b"] = np.zeros((2, 3))
    _, _, notes = judged(PatternRuns(tmp_path, "*.h5"))
    assert "name them with --dataset" in notes[0]
    _, _, notes = judged(PatternRuns(tmp_path, "*.h5", dataset="a/c"))
    assert "must hold frames at 'a/c', but there is nothing" in notes[0]


def test_the_uid_is_that_of_the_files_and_of_how_they_are_read(patterns, tmp_path: Path) -> None:
    angles, frames, _ = patterns
    (tmp_path / "a1.xy").write_text(columns(angles, frames[0]))
    uid = PatternRuns(tmp_path).find(RunQuery())[0].uid
    assert PatternRuns(tmp_path).find(RunQuery(uids=(uid[:8],)))[0].uid == uid
    assert PatternRuns(tmp_path, wavelength_angstrom=0.5).find(RunQuery())[0].uid != uid
    (tmp_path / "a2.xy").write_text(columns(angles, frames[1]))
    assert PatternRuns(tmp_path).find(RunQuery())[0].uid != uid
    with pytest.raises(ArchiveError, match="no run 'zzz'"):
        PatternRuns(tmp_path).find(RunQuery(uids=("zzz",)))


@pytest.mark.parametrize(("name", "sentence"), [("x", "does not exist"), ("", "holds none")])
def test_a_folder_without_patterns_is_told(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(PatternFileError, match=sentence):
        PatternRuns(tmp_path / name).find(RunQuery())
