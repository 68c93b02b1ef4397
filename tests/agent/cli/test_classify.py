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
    result = phasepilot("classify", "--wavelength", 1.5, "--model", "npcnn-v2", angles)
    assert result.exit_code == 1
    assert "the model must be one of ['npcnn-v1'" in result.stderr
    assert "Did you mean 'npcnn-v1'?" in result.stderr


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
        timeout=60,
        check=True,
    )
    assert json.loads(finished.stdout)["file"] == str(angles)
    assert finished.stderr == ""
