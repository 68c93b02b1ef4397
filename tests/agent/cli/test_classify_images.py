"""`phasepilot classify` on images of a detector."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.poni_file import poni_text
from phasepilot.models.diffraction.images.rotating_crystal import CrystalCamera, Grain
from phasepilot.models.diffraction.images.spot_pattern import zone_axis_orientation
from phasepilot.sim_devices.clock import SimulatedClock
from phasepilot.sim_devices.crystal_beamline import simulated_crystal
from phasepilot.sim_devices.library_crystals import CORUNDUM, RUTILE

PhasePilot = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with crystal.npy, turned.npy and detector.poni."""
    folder = tmp_path_factory.mktemp("images")
    detector = simulated_crystal(CORUNDUM, seed=1, clock=SimulatedClock()).detector
    turns = {"crystal": [20.0], "turned": np.arange(0.0, 180.0, 2.0).tolist()}
    for name, angles in turns.items():
        counts = sum(detector.expected_image(angle, 1.0) for angle in angles)
        np.save(folder / f"{name}.npy", np.random.default_rng(0).poisson(counts).astype(np.int32))
    (folder / "detector.poni").write_text(poni_text(detector.camera.geometry))
    return folder


def test_each_image_is_named_with_what_it_shows(phasepilot: PhasePilot, folder: Path) -> None:
    files = [folder / "crystal.npy", folder / "turned.npy"]
    result = phasepilot("classify", "--json", "--poni", folder / "detector.poni", *files)
    assert result.exit_code == 0, result.output
    crystal, turned = (json.loads(line) for line in result.stdout.splitlines())
    assert crystal["image_kind"] == "single crystal"
    assert "spots hold" in crystal["image_reason"]
    assert turned["image_kind"] == "spotty rings"
    # In any orientation spots lie on no plane lattice.
    assert crystal["image_space_group_number"] is None
    assert sum(crystal["crystal_system_probabilities"].values()) == pytest.approx(1)


def test_a_crystal_along_an_axis_is_named_by_its_image_too(
    phasepilot: PhasePilot, tmp_path: Path
) -> None:
    # Electrons of 200 keV.
    geometry = centred_geometry(
        PLAIN_DETECTOR,
        detector_config=plain_detector_config((512, 512), (1.2e-4, 1.2e-4)),
        distance_m=1.0,
        wavelength_angstrom=0.0251,
    )
    camera = CrystalCamera(geometry, mosaicity_deg=1.0)
    image = camera.image([Grain(RUTILE, zone_axis_orientation(RUTILE, (0, 0, 1)))], 0.0)
    counts = np.random.default_rng(0).poisson(2e4 * image / image.max() + 1)
    np.save(tmp_path / "zone.npy", counts.astype(np.int32))
    (tmp_path / "zone.poni").write_text(poni_text(geometry))
    result = phasepilot(
        *("classify", "--json", "--poni", tmp_path / "zone.poni", tmp_path / "zone.npy"),
        *("--picture", tmp_path, "--set-level", 0.6),
    )
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["image_space_group_number"] == 136
    assert answer["crystal_system"] == "tetragonal"
    assert answer["crystal_system"] in answer["crystal_system_set"]
    assert answer["set_level"] == 0.6
    assert (tmp_path / "zone-shown.png").exists()


def test_without_a_network_of_images_the_answer_is_the_patterns(
    phasepilot: PhasePilot, folder: Path
) -> None:
    result = phasepilot(
        *("classify", "--json", "--poni", folder / "detector.poni", "--image-model", "none"),
        folder / "crystal.npy",
    )
    (answer,) = (json.loads(line) for line in result.stdout.splitlines())
    assert answer["image_space_group_number"] is None
    assert answer["space_group_number"] == answer["pattern_space_group_number"]


def test_a_picture_is_drawn_of_each_image(
    phasepilot: PhasePilot, folder: Path, tmp_path: Path
) -> None:
    result = phasepilot(
        *("classify", "--poni", folder / "detector.poni", "--picture", tmp_path / "new"),
        folder / "crystal.npy",
    )
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "new" / "crystal-shown.png") as picture:
        assert picture.size == (1500, 1200)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (np.zeros((20, 30), dtype=np.int32), "the image must have the 720 x 720 pixels"),
        (np.zeros(7), "must hold an image, but its shape is"),
        (np.zeros((720, 720), dtype=np.int32), "the beam may be off"),
    ],
)
def test_an_image_of_another_shape_or_none_costs_its_own_answer(
    phasepilot: PhasePilot, folder: Path, tmp_path: Path, content: np.ndarray, told: str
) -> None:
    np.save(tmp_path / "bad.npy", content)
    files = [tmp_path / "bad.npy", folder / "crystal.npy"]
    result = phasepilot("classify", "--json", "--poni", folder / "detector.poni", *files)
    assert result.exit_code == 1
    assert told in " ".join(result.stderr.split())
    assert len(result.stdout.splitlines()) == 1


def test_a_missing_geometry_is_told_in_one_sentence(phasepilot: PhasePilot, folder: Path) -> None:
    result = phasepilot("classify", "--poni", folder / "none.poni", folder / "crystal.npy")
    assert result.exit_code != 0
    assert "is no file; give the one" in " ".join(result.stderr.split())


def test_the_level_of_sets_is_that_which_was_asked_for(
    phasepilot: PhasePilot, folder: Path
) -> None:
    asked = ("classify", "--json", "--poni", folder / "detector.poni", folder / "crystal.npy")
    narrow, wide = (
        json.loads(phasepilot(*asked, "--set-level", level).stdout.splitlines()[-1])
        for level in (0.5, 0.95)
    )
    assert (narrow["set_level"], wide["set_level"]) == (0.5, 0.95)
    assert len(narrow["space_group_set"]) < len(wide["space_group_set"])
