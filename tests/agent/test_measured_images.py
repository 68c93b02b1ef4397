"""A measured image in the HDF5 file that it came in, through the agent's own reader."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from pyFAI.calibrant import get_calibrant

from phasepilot.agent.assets.array_place import Hdf5Rows
from phasepilot.agent.assets.asset_reader import AssetReader
from phasepilot.agent.frame_pattern import KEV_ANGSTROM
from phasepilot.agent.frame_settings import ImageSettings
from phasepilot.agent.image_reduction import ImageReduction
from phasepilot.models.pattern import Pattern

FILE = Path("images2d/hexrd_pilatus2m_ceria/ceria_50x30_740mm_000005_Pilatus2M.hdf5")
ENERGY_KEV = 61.3323


def write_poni(path: Path) -> Path:
    """Write the geometry beside the image: a Pilatus 2M, moved off the beam, its tilt left out."""
    poni1_m = (1679 * 0.172 / 2 - 5.49095513) * 1e-3
    poni2_m = (1475 * 0.172 / 2 + 6.506475) * 1e-3
    path.write_text(
        "poni_version: 2\nDetector: Pilatus2M\nDetector_config: {}\nDistance: 0.73977871569\n"
        f"Poni1: {poni1_m}\nPoni2: {poni2_m}\nRot1: 0\nRot2: 0\nRot3: 0\n"
    )
    return path


def test_a_pilatus_file_gives_the_d_spacings_of_cerium_oxide(tmp_path: Path) -> None:
    folder = os.environ.get("PHASEPILOT_DATA")
    if folder is None:
        pytest.skip("PHASEPILOT_DATA names no folder with measured images (images2d)")
    logging.getLogger("pyFAI").setLevel(logging.ERROR)
    reader = AssetReader(0.0)
    image = reader.read(Hdf5Rows(Path(folder) / FILE, "imageseries/images", 0))[0]
    settings = ImageSettings(poni=str(write_poni(tmp_path / "pilatus.poni")))
    reduced = ImageReduction(settings).pattern(image, KEV_ANGSTROM / ENERGY_KEV)
    reader.close()
    expected = np.array(get_calibrant("CeO2").dspacing[:12])
    found = [2 * np.pi / centre_of_line(reduced.pattern, 2 * np.pi / d) for d in expected]
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.002)


def centre_of_line(pattern: Pattern, expected: float) -> float:
    near = np.abs(pattern.q_per_angstrom - expected) < 0.04
    q, height = pattern.q_per_angstrom[near], pattern.intensity[near]
    height = height - np.interp(q, [q[0], q[-1]], [height[:4].mean(), height[-4:].mean()])
    height = np.where(height > 0.3 * height.max(), height, 0)
    return float((height * q).sum() / height.sum())
