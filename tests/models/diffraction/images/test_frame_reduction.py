import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from powder_on_detector import ceria_lines, make_geometry
from pyFAI.calibrant import get_calibrant

from phasepilot.models.diffraction.images.azimuthal_integration import integrate_cake
from phasepilot.models.diffraction.images.azimuthal_outliers import find_spots
from phasepilot.models.diffraction.images.detector_effects import counted
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    DetectorGeometry,
    plain_detector_config,
    pyfai_integrator,
)
from phasepilot.models.diffraction.images.frame_condition import frame_condition
from phasepilot.models.diffraction.images.frame_reduction import (
    Corrections,
    FrameReducer,
    PolarImage,
)
from phasepilot.models.diffraction.images.polar_views import cake_of_polar, pattern_of_polar
from phasepilot.models.diffraction.images.ring_image import smooth_rings
from phasepilot.models.errors import GeometryError
from phasepilot.models.log_q import LogQGrid

N_BINS, N_CHI = 300, 90


@pytest.fixture(autouse=True)
def _quiet_pyfai() -> Iterator[None]:
    logging.getLogger("pyFAI").setLevel(logging.ERROR)
    return


def geometry() -> DetectorGeometry:
    return make_geometry(tilt_rad=0.05)


def rings(scale: float = 1.0) -> np.ndarray[Any, Any]:
    drawn = smooth_rings(ceria_lines(geometry()), geometry()) + 50.0
    return counted((scale * drawn).astype(np.float32), np.random.default_rng(1))


def reducer(**corrections: Any) -> FrameReducer:
    return FrameReducer(geometry(), Corrections(**corrections), n_bins=N_BINS, n_chi=N_CHI)


def test_agrees_with_pyfai_pixel_for_pixel() -> None:
    rng = np.random.default_rng(2)
    image = rings().astype(np.int32)
    dark = np.full(image.shape, 3.0)
    flat = rng.uniform(0.8, 1.2, image.shape)
    is_measured = rng.random(image.shape) > 0.02
    image[40:50, 60:90] = -2
    polar = reducer(dark=dark, flat=flat, is_measured=is_measured).reduce(image)
    integrator = pyfai_integrator(geometry())
    theirs = integrator.integrate2d_ng(
        image,
        N_BINS,
        N_CHI,
        unit="2th_deg",
        azimuth_range=(-180, 180),
        method=("full", "csr", "cython"),
        mask=~is_measured | (image < 0),
        dark=dark,
        flat=flat,
        polarization_factor=0.99,
    )
    # pyFAI shares its first pixel at random among a few cells, see `polar_projection`.
    is_same = np.isclose(polar.signal, theirs.sum_signal.T, rtol=1e-4, atol=1e-2)
    is_same &= np.isclose(polar.weight, theirs.sum_normalization.T, rtol=1e-4, atol=1e-4)
    assert np.count_nonzero(~is_same) <= 6
    assert polar.two_theta_deg == pytest.approx(theirs.radial, abs=1e-4)


def test_the_pattern_is_that_of_the_rings_whatever_the_wavelength() -> None:
    polar = reducer().reduce(rings())
    lines = ceria_lines(geometry())
    for wavelength in (0.4, 0.5):
        pattern = pattern_of_polar(polar, wavelength)
        strongest = pattern.q_per_angstrom[np.argmax(pattern.intensity)]
        angle = np.radians(lines.two_theta_deg[np.argmax(lines.area)] / 2)
        # To within a point of the pattern, 0.09 degree of 7.3.
        assert strongest == pytest.approx(4 * np.pi * np.sin(angle) / wavelength, rel=0.013)


def test_the_cake_holds_what_pyfais_does() -> None:
    grid = LogQGrid(1.5, 5.5, 150)
    ours = cake_of_polar(reducer().reduce(rings()), 0.4, grid)
    theirs = integrate_cake(rings(), geometry(), grid, n_chi=N_CHI)
    both = ours.is_measured & theirs.is_measured
    difference = np.abs(ours.intensity - theirs.intensity)[both] / theirs.intensity[both].mean()
    assert np.median(difference) < 0.02
    by_ring = [np.where(both, cake.intensity, 0).sum(axis=0) for cake in (ours, theirs)]
    np.testing.assert_allclose(by_ring[0].sum(), by_ring[1].sum(), rtol=2e-3)


def test_gives_the_same_bits_in_another_process() -> None:
    polar = reducer().reduce(rings())
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import test_frame_reduction as t;"
        "p = t.reducer().reduce(t.rings()); print(t.digest(p))"
    )
    paths = [str(Path(__file__).parent), *[path for path in sys.path if "tests" in path]]
    other = subprocess.run(
        [sys.executable, "-c", code, *paths], check=True, capture_output=True, text=True
    )
    assert other.stdout.split()[-1] == digest(polar)


def digest(polar: PolarImage) -> str:
    return hashlib.sha256(polar.signal.tobytes() + polar.weight.tobytes()).hexdigest()


def test_dead_pixels_that_change_from_frame_to_frame_are_left_out() -> None:
    flat_image = np.full(geometry().shape, 100, dtype=np.int32)
    reduce = reducer(solid_angle=False, polarization_factor=None).reduce
    for rows in (slice(10, 12), slice(50, 51), slice(0, 200)):
        image = flat_image.copy()
        image[rows] = -1
        pattern = pattern_of_polar(reduce(image), 0.4)
        np.testing.assert_allclose(pattern.intensity[pattern.is_measured], 100.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "mark"), [(np.int32, -2), (np.uint32, 2**32 - 1), (np.float32, np.nan)]
)
def test_knows_the_marks_of_dead_pixels(dtype: Any, mark: float) -> None:
    image = np.full(geometry().shape, 100, dtype=dtype)
    image[5, 5] = mark
    polar = reducer().reduce(image)
    assert polar.n_pixels == image.size - 1
    assert polar.n_saturated == 0


def test_saturated_pixels_are_counted_and_left_out() -> None:
    image = np.full(geometry().shape, 100, dtype=np.uint16)
    image[100, 100:103] = 65535
    polar = reducer(polarization_factor=None, solid_angle=False).reduce(image)
    assert polar.n_saturated == 3
    pattern = pattern_of_polar(polar, 0.4)
    assert pattern.intensity.max() == pytest.approx(100.0, rel=1e-3)
    (remark,) = frame_condition(polar, find_spots(polar)).remarks(spots_removed=False)
    assert "3 pixels were saturated" in remark
    assert reducer(saturation_counts=90.0)._full(image.ravel()) is not None


def spotted(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the image with four round spots of 20 times the background."""
    rows, columns = np.indices(image.shape)
    drawn = image.astype(np.float64)
    for row, column in ((60, 60), (60, 240), (250, 80), (200, 260)):
        drawn += 1000 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 8.0)
    return drawn


def test_finds_spots_of_single_crystals_and_takes_them_out() -> None:
    clean, dirty = (reducer().reduce(image) for image in (rings(), spotted(rings())))
    spots = find_spots(dirty)
    assert spots.n_spots == 4
    assert find_spots(clean).n_spots == 0
    assert 0.001 < spots.intensity_fraction < 0.05
    wanted = pattern_of_polar(clean, 0.4).intensity
    as_is = pattern_of_polar(dirty, 0.4).intensity
    removed = pattern_of_polar(dirty, 0.4, is_left_out=spots.is_spot).intensity
    assert np.abs(removed - wanted).max() < 0.2 * np.abs(as_is - wanted).max()


def test_an_uneven_ring_is_no_spot() -> None:
    integrator = pyfai_integrator(geometry())
    chi = integrator.center_array(geometry().shape, unit="chi_rad")
    textured = 50 + (rings() - 50) * (1 + 0.9 * np.cos(2 * chi))
    assert find_spots(reducer().reduce(np.maximum(textured, 0))).n_spots == 0


def test_sees_a_shadow_and_an_empty_frame() -> None:
    image = rings()
    image[:, :100] *= 0.1
    polar = reducer().reduce(image)
    condition = frame_condition(polar, find_spots(polar))
    assert condition.shadowed_fraction == pytest.approx(0.31, abs=0.06)
    assert "in a shadow" in condition.remarks(spots_removed=False)[0]
    whole = reducer().reduce(rings())
    assert frame_condition(whole, find_spots(whole)).shadowed_fraction < 0.02
    dark = reducer().reduce(np.zeros(geometry().shape))
    assert frame_condition(dark, find_spots(dark)).is_empty


def test_says_what_does_not_fit() -> None:
    with pytest.raises(GeometryError, match="the image must have the 320 x 300 pixels"):
        reducer().reduce(np.zeros((10, 10)))
    with pytest.raises(GeometryError, match="the flat image must have the 320 x 300 pixels"):
        reducer(flat=np.ones((3, 3)))
    with pytest.raises(GeometryError, match="is the mask inverted"):
        reducer(is_measured=np.zeros(geometry().shape, dtype=bool))
    with pytest.raises(GeometryError, match="must hold real numbers"):
        reducer().reduce(np.zeros(geometry().shape, dtype=complex))
    with pytest.raises(GeometryError, match="some pixel of the image must hold a count"):
        reducer().reduce(np.full(geometry().shape, -1))


def measured_folder() -> Path:
    folder = os.environ.get("PHASEPILOT_DATA")
    if folder is None:
        pytest.skip("PHASEPILOT_DATA names no folder with measured images (images2d)")
    return Path(folder) / "images2d"


def test_measured_cerium_oxide_has_its_d_spacings_within_two_thousandths_of_an_angstrom() -> None:
    file = np.load(measured_folder() / "ceo2_pilatus1m.npz")
    place, image = json.loads(str(file["poni_json"])), file["image"]
    names = ("Distance", "Poni1", "Poni2", "Rot1", "Rot2", "Rot3")
    config = plain_detector_config(image.shape, (place["PixelSize1"], place["PixelSize2"]))
    where = DetectorGeometry(
        PLAIN_DETECTOR, config, *(place[name] for name in names), 1e10 * place["Wavelength"]
    )
    pattern = pattern_of_polar(FrameReducer(where).reduce(image), where.wavelength_angstrom)
    expected = np.array(get_calibrant("CeO2").dspacing[:14])
    centres = [
        centre_of_line(pattern.q_per_angstrom, pattern.intensity, 2 * np.pi / d) for d in expected
    ]
    np.testing.assert_allclose(2 * np.pi / np.array(centres), expected, rtol=0, atol=0.002)


def centre_of_line(q: Any, intensity: Any, expected: float) -> float:
    near = np.abs(q - expected) < 0.04
    q, height = q[near], intensity[near]
    height = height - np.interp(q, [q[0], q[-1]], [height[:4].mean(), height[-4:].mean()])
    height = np.where(height > 0.3 * height.max(), height, 0)
    return float((height * q).sum() / height.sum())


def test_measured_diamond_spots_leave_the_powder_lines_of_a_cell_alone() -> None:
    file = np.load(measured_folder() / "fe3o4_c_dac_map9_pilatus1m.npz")
    # Distance, PONI and rotations as the file's `geometry_header` states them.
    where = DetectorGeometry(
        PLAIN_DETECTOR,
        plain_detector_config((1043, 981), (172e-6, 172e-6)),
        0.284634930882,
        8.722e-02,
        8.342e-02,
        -0.000251,
        0.000603,
        0.0,
        0.3344,
    )
    polar = FrameReducer(where).reduce(file["images"][0])
    spots = find_spots(polar)
    assert 10 <= spots.n_spots <= 60
    as_is = pattern_of_polar(polar, 0.3344)
    removed = pattern_of_polar(polar, 0.3344, is_left_out=spots.is_spot)
    q = as_is.q_per_angstrom

    def height(pattern: Any, low: float, high: float) -> float:
        inside = (q > low) & (q < high)
        ends = np.median(pattern.intensity[(q > low - 0.15) & (q < low)])
        return float(pattern.intensity[inside].max() - ends)

    # Diamond spots between the lines of the sample, and a line of the sample without one.
    for low, high in ((1.95, 2.02), (3.9, 4.05)):
        assert height(removed, low, high) < 0.4 * height(as_is, low, high)
    assert height(removed, 3.72, 3.80) == pytest.approx(height(as_is, 3.72, 3.80), rel=0.05)
