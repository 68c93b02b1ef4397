"""`phasepilot classify`; what is asserted of the answers holds for any network."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest
from cif_text import make_cif, write_cif
from typer.testing import Result

from phasepilot.models.pattern import q_from_two_theta
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

PhasePilot = Callable[..., Result]
WAVELENGTH_ANGSTROM = 1.5406
TWO_THETA_DEG = np.arange(20.0, 90.0, 0.02)
COUNTS = 30.0 + sum(
    area * np.exp(-(((TWO_THETA_DEG - line) / 0.08) ** 2))
    for line, area in ((27.4, 80.0), (31.7, 1000.0), (45.5, 600.0), (56.5, 180.0), (66.2, 70.0))
)


def write_pattern(path: Path, axis: np.ndarray = TWO_THETA_DEG) -> Path:
    np.savetxt(path, np.column_stack([axis, COUNTS]), fmt="%.5f")
    return path


@pytest.fixture
def angles(tmp_path: Path) -> Path:
    return write_pattern(tmp_path / "angles.xy")


def answers(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_json_line_holds_all_that_was_found(phasepilot: PhasePilot, angles: Path) -> None:
    result = phasepilot("classify", "--json", "--wavelength", WAVELENGTH_ANGSTROM, angles)
    (answer,) = answers(result)
    assert result.exit_code == 0
    assert answer["file"] == str(angles)
    probabilities = answer["crystal_system_probabilities"]
    assert tuple(probabilities) == CRYSTAL_SYSTEMS
    assert sum(probabilities.values()) == pytest.approx(1)
    assert probabilities[answer["crystal_system"]] == max(probabilities.values())
    top = answer["space_group_top"]
    assert answer["space_group_number"] == top[0]["number"]
    assert [group["probability"] for group in top] == sorted(
        (group["probability"] for group in top), reverse=True
    )
    for group in top:
        assert gemmi.SpaceGroup(group["symbol"]).number == group["number"]
    assert 0 <= answer["novelty"] <= 1
    assert answer["seconds"] > 0
    assert answer["crystal_system"] in answer["crystal_system_set"]


TYPES = {
    "file": str,
    "crystal_system": str,
    "crystal_system_probabilities": dict,
    "crystal_system_set": list,
    "space_group_number": int,
    "space_group_top": list,
    "space_group_set": list,
    "set_level": float,
    "extinction_class": str,
    "entropy_bits": float,
    "epistemic_bits": float,
    "novelty": float,
    "verdict": str,
    "verdict_reason": str,
    "phases": list,
    "seconds": float,
}
TYPES_OF_PHASE = {
    "name": str,
    "formula": str,
    "space_group_number": int,
    "fraction": float,
    "strain": float,
    "explained": float,
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Rock salt, its lattice 1 % too large, fluorite, and a file that is broken."""
    folder = tmp_path / "library"
    folder.mkdir()
    write_cif(folder / "halite.cif", make_cif(cell=(5.696, 5.696, 5.696, 90, 90, 90)))
    fluorite = "Ca1 Ca 0 0 0\nF1 F 0.25 0.25 0.25"
    write_cif(folder / "fluorite.cif", make_cif(cell=(5.463,) * 3 + (90,) * 3, atoms=fluorite))
    write_cif(folder / "broken.cif", "not a crystal")
    return folder


@pytest.mark.parametrize("has_library", [False, True])
def test_the_keys_and_their_types_are_the_same_with_a_library_and_without(
    phasepilot: PhasePilot, angles: Path, library: Path, has_library: bool
) -> None:
    options = ("--library", library) if has_library else ()
    result = phasepilot("classify", "--json", "--wavelength", 1.5406, *options, angles)
    (answer,) = answers(result)
    assert {key: type(value) for key, value in answer.items()} == TYPES
    assert all(type(number) is int for number in answer["space_group_set"])
    assert set(answer["crystal_system_set"]) <= set(CRYSTAL_SYSTEMS)
    assert answer["space_group_set"][0] == answer["space_group_number"]
    assert answer["set_level"] == 0.9
    assert 0 <= answer["epistemic_bits"] <= answer["entropy_bits"] <= np.log2(230)
    assert answer["verdict"] in ("known", "unknown")
    assert bool(answer["phases"]) == has_library
    for phase in answer["phases"]:
        assert {key: type(value) for key, value in phase.items()} == TYPES_OF_PHASE


def test_a_library_names_the_phase_with_its_strain(
    phasepilot: PhasePilot, angles: Path, library: Path
) -> None:
    options = ("--wavelength", WAVELENGTH_ANGSTROM, "--library", library)
    (answer,) = answers(phasepilot("classify", "--json", *options, angles))
    (phase,) = answer["phases"]
    assert (phase["name"], phase["formula"], phase["space_group_number"]) == ("halite", "NaCl", 225)
    assert phase["fraction"] == pytest.approx(1.0)
    assert phase["strain"] == pytest.approx(-0.01, abs=2e-3)
    assert 0.5 < phase["explained"] <= 1
    assert answer["space_group_number"] == 225
    shown = phasepilot("classify", *options, angles).stdout
    assert "phases" in shown
    assert "halite (100%, strain -1." in shown or "halite (100%, strain -0.9" in shown


def test_a_broken_file_of_a_library_is_named_and_costs_nothing_else(
    phasepilot: PhasePilot, angles: Path, library: Path
) -> None:
    options = ("--wavelength", WAVELENGTH_ANGSTROM, "--library", library)
    result = phasepilot("classify", "--json", *options, angles)
    assert result.exit_code == 0
    (sentence,) = result.stderr.splitlines()
    assert f"{library / 'broken.cif'} must be a CIF file, but" in sentence


def test_a_library_that_is_none_is_refused_in_one_sentence(
    phasepilot: PhasePilot, tmp_path: Path, angles: Path
) -> None:
    result = phasepilot("classify", "--wavelength", 1.5406, "--library", tmp_path / "no", angles)
    assert result.exit_code == 1
    assert f"{tmp_path / 'no'} is no folder; give the folder that holds them" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_sets_grow_with_the_level_that_is_asked_for(phasepilot: PhasePilot, angles: Path) -> None:
    sets = []
    for level in (0.5, 0.99):
        options = ("--wavelength", WAVELENGTH_ANGSTROM, "--set-level", level)
        (answer,) = answers(phasepilot("classify", "--json", *options, angles))
        assert answer["set_level"] == level
        sets.append(answer["space_group_set"])
    assert set(sets[0]) < set(sets[1])
    assert "set at 99%" in phasepilot("classify", *options, angles).stdout


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_a_level_that_no_set_can_have_is_refused(
    phasepilot: PhasePilot, angles: Path, level: float
) -> None:
    result = phasepilot("classify", "--wavelength", 1.5, "--set-level", level, angles)
    assert result.exit_code == 2
    assert "--set-level" in result.stderr


def test_an_empty_frame_is_unknown_and_the_reason_is_told(
    phasepilot: PhasePilot, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).poisson(50.0, TWO_THETA_DEG.size)
    file = tmp_path / "empty.xy"
    np.savetxt(file, np.column_stack([TWO_THETA_DEG, noise]), fmt="%.5f")
    options = ("--wavelength", WAVELENGTH_ANGSTROM)
    (answer,) = answers(phasepilot("classify", "--json", *options, file))
    assert answer["verdict"] == "unknown"
    assert answer["verdict_reason"].startswith("The frame is empty: ")
    assert "unknown: The frame is empty" in phasepilot("classify", *options, file).stdout


def test_the_table_names_each_file_and_its_system(phasepilot: PhasePilot, angles: Path) -> None:
    options = ("--wavelength", WAVELENGTH_ANGSTROM)
    (answer,) = answers(phasepilot("classify", "--json", *options, angles))
    result = phasepilot("classify", *options, angles)
    assert result.exit_code == 0
    assert "crystal system" in result.stdout
    assert "angles.xy" in result.stdout
    assert answer["crystal_system"] in result.stdout


def test_angles_without_a_wavelength_are_refused_in_one_sentence(
    phasepilot: PhasePilot, angles: Path
) -> None:
    result = phasepilot("classify", angles)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "needs a wavelength" in result.stderr or "need a wavelength" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_q_axis_needs_no_wavelength_and_gives_the_same_answer(
    phasepilot: PhasePilot, tmp_path: Path, angles: Path
) -> None:
    q_per_angstrom = q_from_two_theta(np.round(TWO_THETA_DEG, 5), WAVELENGTH_ANGSTROM)
    file = tmp_path / "q.xy"
    np.savetxt(file, np.column_stack([q_per_angstrom, np.round(COUNTS, 5)]), fmt="%.17g")
    result = phasepilot("classify", "--json", "--axis", "q", file)
    of_angles = phasepilot("classify", "--json", "--wavelength", WAVELENGTH_ANGSTROM, angles)
    assert result.exit_code == 0
    (one,), (other,) = answers(result), answers(of_angles)
    assert one["crystal_system_probabilities"] == pytest.approx(
        other["crystal_system_probabilities"], rel=1e-5
    )


def test_a_bad_file_among_good_ones_costs_its_own_answer_and_the_status(
    phasepilot: PhasePilot, tmp_path: Path, angles: Path
) -> None:
    bad, missing = tmp_path / "bad.xy", tmp_path / "missing.xy"
    bad.write_bytes(b"\x00\x01 not a pattern")
    good = write_pattern(tmp_path / "good.xy")
    result = phasepilot("classify", "--json", "--wavelength", "1.5406", angles, bad, missing, good)
    assert result.exit_code == 1
    assert [answer["file"] for answer in answers(result)] == [str(angles), str(good)]
    sentences = result.stderr.splitlines()
    assert len(sentences) == 2
    assert str(bad) in sentences[0]
    assert f"{missing} must be a text file" in sentences[1]


def test_an_unknown_model_is_answered_with_the_choices(
    phasepilot: PhasePilot, angles: Path
) -> None:
    result = phasepilot("classify", "--wavelength", 1.5, "--model", "pilotnet-v2", angles)
    assert result.exit_code == 1
    assert "the model must be one of ['pilotnet-v1'" in result.stderr
    assert "Did you mean 'pilotnet-v1'?" in result.stderr


def test_the_same_files_give_the_same_answers(phasepilot: PhasePilot, angles: Path) -> None:
    def without_time(result: Result) -> list[dict[str, Any]]:
        return [{**answer, "seconds": 0} for answer in answers(result)]

    arguments = ("classify", "--json", "--wavelength", WAVELENGTH_ANGSTROM, angles, angles)
    one, again = (without_time(phasepilot(*arguments)) for _ in range(2))
    assert one == again
    assert one[0] == one[1]


def test_the_installed_command_answers_too(angles: Path) -> None:
    command = Path(sys.executable).with_name("phasepilot")
    finished = subprocess.run(
        [command, "classify", "--json", "--wavelength", "1.5406", angles],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert json.loads(finished.stdout)["file"] == str(angles)
    assert finished.stderr == ""
