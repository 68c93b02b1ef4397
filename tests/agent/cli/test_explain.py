"""`phasepilot explain`, with a small untrained network: what it adds up holds for any weights."""

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from cif_text import make_cif, write_cif
from PIL import Image
from typer.testing import CliRunner, Result

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.explain import explain
from phasepilot.models.networks.model_card import ModelCard
from phasepilot.models.networks.onnx_file import write_network
from phasepilot.models.networks.pilot_net import PilotNet, PilotNetShape
from phasepilot.models.preprocessing.configuration import Preprocessing

Explain = Callable[..., Result]
WAVELENGTH_ANGSTROM = 1.5406
# Of rock salt, 5.64 angstrom.
LINES_DEG = (27.37, 31.70, 45.45, 53.87, 56.48, 66.22, 75.30, 83.98)
TWO_THETA_DEG = np.arange(20.0, 90.0, 0.02)


def write_model(folder: Path) -> Path:
    """A small network with its card, whose path is returned."""
    torch.manual_seed(0)
    network = PilotNet(PilotNetShape(channels=(4, 4, 4), dense=(8, 8)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    write_network(network, folder / "small.onnx")
    preprocessing = Preprocessing()
    card = ModelCard(
        name="small",
        network="three convolutions, two dense layers",
        reference="none",
        file="small.onnx",
        sha256=sha256((folder / "small.onnx").read_bytes()).hexdigest(),
        calibration_file="none.json",
        calibration_sha256="0" * 64,
        licence="BSD-3-Clause",
        code_version="0",
        trained_on="nothing",
        structure_licences=(),
        n_structures=0,
        n_structures_held_out=0,
        n_patterns=0,
        n_parameters=network.n_parameters(),
        seed=0,
        training={},
        classes="230 space groups",
        **preprocessing.grid.model_dump(),
        preprocessing=preprocessing,
        measured={},
        limits="Untrained.",
    )
    (folder / "small.json").write_text(card.model_dump_json())
    return folder / "small.json"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Explain:
    """Runs `phasepilot explain ARGUMENTS` in this process, in a folder with salt.xy and a model."""
    monkeypatch.setattr(console, "width", 300)
    monkeypatch.chdir(tmp_path)
    counts = 30.0 + sum(900 * np.exp(-(((TWO_THETA_DEG - line) / 0.1) ** 2)) for line in LINES_DEG)
    np.savetxt("salt.xy", np.column_stack([TWO_THETA_DEG, counts]), fmt="%.4f")
    model = write_model(tmp_path)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(explain)
    return lambda *arguments: CliRunner().invoke(
        app, [str(argument) for argument in (*arguments, "--model", model)]
    )


def sum_of(result: Result) -> tuple[float, ...]:
    """The total that is printed and its three parts."""
    (line,) = [line for line in result.stdout.splitlines() if " from intensity " in line]
    return tuple(float(number) for number in re.findall(r"[+-]\d+\.\d+", line))


def test_a_picture_is_drawn_and_the_parts_add_up(run: Explain) -> None:
    result = run("salt.xy", "--wavelength", WAVELENGTH_ANGSTROM)
    assert result.exit_code == 0
    total, *parts = sum_of(result)
    assert sum(parts) == pytest.approx(total, abs=0.02)
    assert "wrote salt-explained.png" in result.stdout
    with Image.open("salt-explained.png") as picture:
        assert picture.size == (1600, 1000)
        # Both colours of what speaks for and against are there.
        colours = {colour for _, colour in picture.convert("RGB").getcolors(2**24)}
    assert {(0, 114, 178), (213, 94, 0)} <= colours


def test_against_another_group_the_difference_is_explained(run: Explain) -> None:
    options = ("salt.xy", "--wavelength", WAVELENGTH_ANGSTROM, "--force")
    one, other = (sum_of(run(*options, "--space-group", number)) for number in (225, 221))
    between = run(*options, "--space-group", 225, "--against", 221)
    assert "why 225 F m -3 m, not 221 P m -3 m" in between.stdout
    difference = np.subtract(one, other)
    np.testing.assert_allclose(sum_of(between), difference, atol=0.02)


def test_bragg_positions_of_a_crystal_change_the_picture(run: Explain) -> None:
    write_cif(Path("salt.cif"), make_cif())
    options = ("salt.xy", "--wavelength", WAVELENGTH_ANGSTROM, "--cif", "salt.cif")
    assert run(*options, "--out", "marked.png").exit_code == 0
    assert run(*options[:3], "--out", "plain.png").exit_code == 0
    with Image.open("marked.png") as marked, Image.open("plain.png") as plain:
        assert (np.asarray(marked) != np.asarray(plain)).any()


def test_a_q_axis_is_explained_on_q(run: Explain) -> None:
    q_per_angstrom = np.linspace(1.0, 5.0, 2000)
    counts = 10.0 + 500 * np.exp(-(((q_per_angstrom - 2.23) / 0.01) ** 2))
    np.savetxt("q.xy", np.column_stack([q_per_angstrom, counts]))
    result = run("q.xy", "--axis", "q")
    assert result.exit_code == 0
    regions = re.findall(r"([\d.]+) to ([\d.]+)", result.stdout)
    assert regions
    assert all(0.99 < float(low) < float(high) < 5.01 for low, high in regions)


def test_a_picture_is_not_replaced_unasked(run: Explain) -> None:
    Path("taken.png").write_text("mine")
    options = ("salt.xy", "--wavelength", WAVELENGTH_ANGSTROM, "--out", "taken.png")
    result = run(*options)
    assert result.exit_code == 1
    assert "not replaced unasked, but taken.png exists already" in result.stderr
    assert Path("taken.png").read_text() == "mine"
    assert run(*options, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--out", "why.pdf"), "must be a .png file, but --out is why.pdf; name it so"),
        (("--space-group", 300), "a number from 1 to 230, but is 300"),
        (("--space-group", 62, "--against", 62), "against another, but both are 62"),
        (("--out", "no/folder/why.png"), "but no/folder/why.png cannot be (No such file"),
        (("--cif", "missing.cif"), "missing.cif"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    run: Explain, options: tuple[object, ...], sentence: str
) -> None:
    result = run("salt.xy", "--wavelength", WAVELENGTH_ANGSTROM, *options)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
