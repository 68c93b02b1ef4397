"""`phasepilot simulate`: files that other programs read, and lines where Bragg's law has them."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from cif_text import WITH_OCCUPANCY, listed, make_cif, write_cif
from PIL import Image
from typer.testing import CliRunner, Result

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.simulate import simulate
from phasepilot.agent.pattern_files import read_pattern

Simulate = Callable[..., Result]
KCL_ANGSTROM = 6.29
CU_KA1_ANGSTROM = 1.540593
PONI_ANGSTROM = 0.41

NOISY = """
description: Noise of counting.
source: A test.
axis: {kind: two_theta, start: 10, stop: 60, n_bins: 2000}
wavelength_angstrom: 1.5
line_scatter: 0.3
caglioti_w: 0.01
background_flat: 0.05
peak_counts: 5000
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulate:
    """Runs `phasepilot simulate ARGUMENTS` in this process, in an empty folder with KCl.cif."""
    monkeypatch.setattr(console, "width", 300)
    monkeypatch.chdir(tmp_path)
    cube = (KCL_ANGSTROM,) * 3 + (90,) * 3
    write_cif(Path("KCl.cif"), make_cif(cell=cube, atoms="K1 K 0 0 0\nCl1 Cl 0.5 0.5 0.5"))
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(simulate)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    path = tmp_path / "noisy.yaml"
    path.write_text(NOISY)
    return path


@pytest.fixture
def poni(tmp_path: Path) -> Path:
    """A detector of two modules, the beam in its middle."""
    path = tmp_path / "two_modules.poni"
    path.write_text(
        "poni_version: 2\nDetector: Pilatus200k\nDetector_config: {}\n"
        "Distance: 0.15\nPoni1: 0.035\nPoni2: 0.042\nRot1: 0.02\nRot2: 0.0\nRot3: 0.0\n"
        f"Wavelength: {PONI_ANGSTROM * 1e-10}\n"
    )
    return path


def arrays(path: str) -> dict[str, Any]:
    with np.load(path) as content:
        return dict(content)


def bragg_deg(d_angstrom: float, wavelength_angstrom: float) -> float:
    return float(2 * np.degrees(np.arcsin(wavelength_angstrom / (2 * d_angstrom))))


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"KCl.cif"}


def test_without_options_a_clean_powder_pattern_and_its_picture_are_written(
    run: Simulate, tmp_path: Path
) -> None:
    result = run("KCl.cif")
    assert result.exit_code == 0
    assert written(tmp_path) == {"KCl.png", "KCl.npz", "KCl.xy"}
    assert "wrote KCl.png, KCl.npz, KCl.xy" in result.stdout
    with Image.open("KCl.png") as picture:
        assert picture.width == 1600
    axis, intensity = np.loadtxt("KCl.xy").T
    assert axis[intensity.argmax()] == pytest.approx(
        bragg_deg(KCL_ANGSTROM / 2, CU_KA1_ANGSTROM), abs=0.01
    )


def test_the_pattern_is_read_back_with_its_wavelength(run: Simulate) -> None:
    run("KCl.cif", "--wavelength", "CuKa12")
    pattern = read_pattern(Path("KCl.xy"), axis="two_theta", wavelength_angstrom=None)
    assert pattern.wavelength_angstrom == CU_KA1_ANGSTROM
    strongest = pattern.q_per_angstrom[pattern.intensity.argmax()]
    assert strongest == pytest.approx(4 * np.pi / KCL_ANGSTROM, rel=5e-4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--wavelength", "0.4"), "wavelength 0.4 Å, as given"),
        (("--wavelength", "MoKa12"), "wavelength 0.709317 Å + 0.5 x 0.713607 Å, as given"),
        ((), "wavelength 1.540593 Å, of the recipe ideal"),
    ],
)
def test_the_wavelength_and_where_it_is_from_are_said(
    run: Simulate, given: tuple[str, ...], said: str
) -> None:
    assert said in run("KCl.cif", *given).stdout


def test_phase_cell_and_strongest_lines_are_printed(run: Simulate) -> None:
    lines = run("KCl.cif").stdout.splitlines()
    assert lines[0] == "KCl, F m -3 m (225), cubic"
    assert lines[1] == "cell 6.2900 6.2900 6.2900 Å  90 90 90°"
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    # By the sums of the form factors: even lines are strong, 111 all but cancels.
    assert [row[0] for row in rows[:4]] == ["2 0 0", "2 2 0", "4 2 0", "2 2 2"]
    expected = bragg_deg(KCL_ANGSTROM / 2, CU_KA1_ANGSTROM)
    assert rows[0][1:] == ["3.1450", f"{expected:.3f}", "100.0"]


def test_the_numbers_hold_all_that_is_needed_to_make_them_again(run: Simulate, noisy: Path) -> None:
    given = ("--recipe", noisy, "--wavelength", "CoKa12", "--range", 20, 70)
    run("KCl.cif", *given, "--count", 2, "--seed", 5, "--out", "first")
    first = arrays("first.npz")
    assert (first["name"], first["space_group_number"], first["seed"]) == ("KCl", 225, 5)
    noisy.write_text(str(first["recipe"]))
    run("KCl.cif", "--recipe", noisy, "--count", 2, "--seed", 5, "--out", "again")
    again = arrays("again.npz")
    assert first.keys() == again.keys()
    for name in first.keys() - {"recipe"}:
        np.testing.assert_array_equal(first[name], again[name], err_msg=name)


def test_many_patterns_are_drawn_and_the_first_is_written_as_text(
    run: Simulate, noisy: Path
) -> None:
    run("KCl.cif", "--recipe", noisy, "--count", 3)
    content = arrays("KCl.npz")
    assert content["intensity"].shape == content["is_measured"].shape == (3, 2000)
    assert content["drawn_peak_counts"].shape == (3, 1)
    np.testing.assert_allclose(np.loadtxt("KCl.xy")[:, 1], content["intensity"][0])


def test_only_points_that_were_measured_are_written_as_text(run: Simulate, noisy: Path) -> None:
    noisy.write_text(NOISY + "coarsening: 4\ncrop_stop: 0.8\n")
    run("KCl.cif", "--recipe", noisy)
    content = arrays("KCl.npz")
    is_measured = content["is_measured"][0]
    assert is_measured.sum() == pytest.approx(0.8 * 2000 / 4, abs=2)
    axis = np.loadtxt("KCl.xy")[:, 0]
    np.testing.assert_allclose(axis, content["two_theta_deg"][0, is_measured], atol=1e-5)


def test_spots_lie_where_the_zone_has_them(run: Simulate, tmp_path: Path) -> None:
    result = run("KCl.cif", "--zone-axis", 1, -1, 0)
    assert result.exit_code == 0
    assert written(tmp_path) == {"KCl.png", "KCl.npz", "KCl.tif"}
    content = arrays("KCl.npz")
    assert (content["line_hkl"] @ [1, -1, 0] == 0).all()
    spot = content["line_hkl"].tolist().index([0, 0, 2])
    centre = (np.array(content["image"].shape) - 1) / 2
    offset = np.hypot(content["row_px"][spot] - centre[0], content["column_px"][spot] - centre[1])
    # One pixel of the default layer is 0.008 / angstrom.
    assert offset == pytest.approx(2 / KCL_ANGSTROM / 0.008)
    image = np.asarray(Image.open("KCl.tif"))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, content["image"])
    row, column = round(content["row_px"][spot]), round(content["column_px"][spot])
    assert image[row, column] == pytest.approx(image.max(), rel=0.05)


def test_rings_lie_where_braggs_law_has_them_and_gaps_are_marked(
    run: Simulate, tmp_path: Path, poni: Path
) -> None:
    result = run("KCl.cif", "--poni", poni)
    assert result.exit_code == 0
    assert written(tmp_path) == {"KCl.png", "KCl.npz", "KCl.xy", "KCl.tif", poni.name}
    assert f"wavelength {PONI_ANGSTROM} Å, of {poni.name}" in result.stdout
    pattern = read_pattern(Path("KCl.xy"), axis="two_theta", wavelength_angstrom=None)
    assert pattern.wavelength_angstrom == PONI_ANGSTROM
    strongest = pattern.q_per_angstrom[pattern.intensity.argmax()]
    assert strongest == pytest.approx(4 * np.pi / KCL_ANGSTROM, rel=0.005)
    content = arrays("KCl.npz")
    image = np.asarray(Image.open("KCl.tif"))
    assert image.dtype == np.float32
    assert not content["is_measured"].all()
    np.testing.assert_array_equal(image == -1, ~content["is_measured"])
    assert image.max() == pytest.approx(1)


def test_a_given_wavelength_wins_over_that_of_the_detector_file(run: Simulate, poni: Path) -> None:
    result = run("KCl.cif", "--poni", poni, "--wavelength", 0.5)
    assert "wavelength 0.5 Å, as given" in result.stdout
    angle, intensity = np.loadtxt("KCl.xy").T
    expected = bragg_deg(KCL_ANGSTROM / 2, 0.5)
    assert angle[intensity.argmax()] == pytest.approx(expected, abs=0.05)


def test_a_recipe_that_counts_gives_an_image_of_whole_counts(run: Simulate, noisy: Path) -> None:
    run("KCl.cif", "--zone-axis", 0, 0, 1, "--recipe", noisy)
    image = np.asarray(Image.open("KCl.tif"))
    assert image.dtype == np.int32
    assert 4500 < image.max() < 5600


def test_files_are_replaced_only_when_asked(run: Simulate, tmp_path: Path) -> None:
    Path("KCl.xy").write_text("precious")
    refused = run("KCl.cif")
    assert refused.exit_code == 1
    assert written(tmp_path) == {"KCl.xy"}
    assert "KCl.xy exists already; choose another --out, or add --force." in refused.stderr
    assert run("KCl.cif", "--force").exit_code == 0
    assert "precious" not in Path("KCl.xy").read_text()


def test_out_names_the_files_or_the_folder_they_go_to(run: Simulate, tmp_path: Path) -> None:
    run("KCl.cif", "--out", tmp_path / "new" / "Fe0.5")
    assert (tmp_path / "new" / "Fe0.5.xy").exists()
    run("KCl.cif", "--out", tmp_path / "new")
    assert (tmp_path / "new" / "KCl.xy").exists()


def test_what_the_file_declares_wrongly_is_noted(run: Simulate) -> None:
    text = make_cif(symmetry=listed("P 1"), atoms=ALL_ATOMS_OF_SALT)
    write_cif(Path("p1.cif"), text)
    result = run("p1.cif")
    assert result.exit_code == 0
    assert "note: p1.cif declares space group 1, but its atoms have that of 225" in result.stdout
    assert "F m -3 m (225), cubic" in result.stdout


ALL_ATOMS_OF_SALT = "\n".join(
    f"{element}{number} {element} {x} {y} {z}"
    for element, shift in (("Na", 0.0), ("Cl", 0.5))
    for number, (x, y, z) in enumerate(
        (np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) + shift) % 1
    )
)


def test_a_disordered_crystal_is_simulated_only_as_its_average(run: Simulate) -> None:
    atoms = "Na1 Na 0 0 0 0.6\nK1 K 0 0 0 0.4\nCl1 Cl 0.5 0.5 0.5 1"
    write_cif(Path("mixed.cif"), make_cif(columns=WITH_OCCUPANCY, atoms=atoms))
    refused = run("mixed.cif")
    assert refused.exit_code == 1
    assert "must be an ordered crystal" in refused.stderr
    assert run("mixed.cif", "--keep-disordered").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--wavelength", "0"), "wavelength_angstrom must be a positive number, but is 0.0"),
        (("--wavelength", "CuKb"), "an emission must be one of .*, but is 'CuKb'"),
        (("--recipe", "idel"), "a recipe must be one of .* Did you mean 'ideal'?"),
        (("--recipe", "no.yaml"), "a recipe must be a YAML file, but no.yaml could not be read"),
        (("--range", "90", "5"), "lower first, but is 90 5; give 2-theta, e.g. --range 5 90"),
        (("--range", "3", "8"), "KCl must have a line up to q = .* extend the range"),
        (("--zone-axis", "0", "0", "0"), "zone_axis must be three integers that are not all 0"),
        (("--zone-axis", "0", "0", "1", "--count", "2"), "--count is for powder patterns"),
        (("--poni", "no.poni", "--range", "5", "9"), "--range is for powder patterns"),
        (("--poni", "no.poni"), "geometry must be a .poni text file, but no.poni could not"),
        (("--poni", "x.poni", "--zone-axis", "0", "0", "1"), "an image must show spots or rings"),
        (("--out", "KCl.cif/deeper"), "results must go where files can be written, but KCl.cif"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_sentence(
    run: Simulate, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    result = run("KCl.cif", *arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert re.search(sentence, result.stderr)
    assert written(tmp_path) == set()


def test_a_broken_or_missing_crystal_is_refused_in_one_sentence(run: Simulate) -> None:
    Path("broken.cif").write_text("data_\nloop_\n_cell")
    for name in ("broken.cif", "missing.cif"):
        result = run(name)
        assert result.exit_code == 1
        assert name in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_the_help_loads_neither_numpy_nor_what_draws_and_integrates() -> None:
    code = (
        "import sys, phasepilot.agent.cli.simulate, phasepilot.agent.cli.recipes;"
        "print({'numpy', 'scipy', 'matplotlib', 'pyFAI', 'gemmi'} & set(sys.modules))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True
    )
    assert finished.stdout.strip() == "set()"
