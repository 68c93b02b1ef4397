import numpy as np
import pytest
from powder_on_detector import make_geometry
from scipy.ndimage import label, maximum

from phasepilot.models.diffraction.images.diamond_spots import diamond_spots
from phasepilot.models.diffraction.images.pixel_map import pixel_map
from phasepilot.models.errors import GeometryError

# Spacings of 111, 220, 311, 400, 331, 422, 511, 440, 531, 620, 533, 444 and 711 of diamond.
DIAMOND_SPACINGS = 3.56679 / np.sqrt([3, 8, 11, 16, 19, 24, 27, 32, 35, 40, 43, 48, 51])


def make_spots(seed=0, n_expected=20.0, geometry=None):
    return diamond_spots(
        geometry or make_geometry(distance_m=0.15),
        n_expected=n_expected,
        median_peak_counts=1e4,
        fwhm_deg=0.3,
        mosaic_fwhm_deg=2.0,
        rng=np.random.default_rng(seed),
    )


def test_spots_lie_at_the_spacings_of_diamond():
    image = make_spots(n_expected=100.0)
    labels, n_spots = label(image > 1e3)
    assert n_spots > 20
    heights = maximum(image, labels, np.arange(1, n_spots + 1))
    two_theta = pixel_map(make_geometry(distance_m=0.15)).pixel_two_theta_deg
    at_peaks = two_theta[np.isin(image, heights)]
    allowed = np.degrees(2 * np.arcsin(0.4 / (2 * DIAMOND_SPACINGS)))
    off = abs(at_peaks[:, None] - allowed).min(axis=1)
    # Within the pixel, 0.19 degree, that the peak falls in.
    assert off.max() < 0.15


def test_the_number_of_spots_is_about_the_expected_one():
    # Only the ring 111 is on this detector, and all of it. Faint spots (below a hundredth of the
    # median) are rare, overlapping ones too.
    only_111 = make_geometry(distance_m=0.355)
    numbers = [
        label(make_spots(seed, n_expected=6.0, geometry=only_111) > 100)[1] for seed in range(30)
    ]
    assert np.mean(numbers) == pytest.approx(6, abs=1.5)
    assert min(numbers) < max(numbers)


def test_spots_are_as_bright_as_asked():
    peaks = []
    for seed in range(30):
        image = make_spots(seed, n_expected=4.0)
        labels, n_spots = label(image > 30)
        peaks.extend(maximum(image, labels, np.arange(1, n_spots + 1)))
    assert 0.6e4 < np.median(peaks) < 1.4e4
    assert max(peaks) > 1e5


def test_a_detector_that_misses_diamond_is_an_error():
    far = make_geometry(distance_m=2.0)
    with pytest.raises(GeometryError, match=r"sees q = .*, but the first lies at 3\.05;"):
        make_spots(geometry=far)
