from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from powder_samples import make_axis, make_backend, make_lines
from scipy.special import erf

from phasepilot.models.diffraction.powder import line_drawing
from phasepilot.models.diffraction.powder.line_drawing import TAIL_TOLERANCE, draw_lines

# Around 60 degree, some 40 degree wide, in each axis' own unit.
RANGES = {"two_theta": (40.0, 80.0), "q": (2.79, 5.24), "log_q": (1.026, 1.657)}
N_BINS = 2000
ENDING_FWHM = (0.1, 1.0, 4.0)
ARITHMETICS = ("compiled", "plain", "torch")


@pytest.fixture(params=ARITHMETICS)
def arithmetic(request, monkeypatch):
    if request.param == "plain":
        # What happens where numba is not installed.
        monkeypatch.setattr(line_drawing, "compiled_kernels", lambda: None)
    return make_backend("torch" if request.param == "torch" else "numpy")


def drawn(lines_of, kind, backend, *, span=None, n_bins=N_BINS, n_patterns=1):
    """Return densities and edges in degree of lines that a function makes for the backend."""
    axis = make_axis(kind, *(span or RANGES[kind]), n_bins, n_patterns=n_patterns, backend=backend)
    density = np.asarray(draw_lines(lines_of(backend), axis, backend))
    return density, np.asarray(axis.edges_two_theta_deg)


def exact(two_theta_deg, fwhm, eta, area, edges):
    """Return the mean density in each bin, from the integral of the profile; shape (n_bins,)."""
    offset = (edges - np.reshape(two_theta_deg, (-1, 1))) / np.reshape(fwhm, (-1, 1))
    gauss = erf(2 * np.sqrt(np.log(2)) * offset) / 2
    lorentz = np.arctan(2 * offset) / np.pi
    eta, area = np.reshape(eta, (-1, 1)), np.reshape(area, (-1, 1))
    cumulative = (area * (eta * lorentz + (1 - eta) * gauss)).sum(axis=0)
    return np.diff(cumulative) / np.diff(edges)


def edges_of(kind):
    return np.asarray(make_axis(kind, *RANGES[kind], N_BINS).edges_two_theta_deg)[0]


def bin_width_at(centre, edges):
    return np.diff(edges)[np.searchsorted(edges, centre) - 1]


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_a_line_has_its_profile_however_narrow_or_broad(arithmetic, kind, eta):
    edges = edges_of(kind)
    centre = 60.0123
    for width_bins in (0.1, 0.7, 2, 5.9, 6.1, 11, 13, 25, 100, 300):
        fwhm = width_bins * bin_width_at(centre, edges)
        density, _ = drawn(
            lambda to, fwhm=fwhm: make_lines(centre, fwhm, eta=eta, backend=to), kind, arithmetic
        )
        expected = exact(centre, fwhm, eta, 1.0, edges)
        # Tails are cut at a height against the line itself, which a wide bin does not resolve.
        height = max(expected.max(), 0.94 / fwhm)
        np.testing.assert_allclose(
            density[0],
            expected,
            rtol=0,
            atol=2 * TAIL_TOLERANCE * height,
            err_msg=f"{width_bins} bins wide",
        )


@pytest.mark.parametrize("kind", RANGES)
def test_many_lines_of_many_widths_add_up(arithmetic, kind):
    rng = np.random.default_rng(7)
    edges = edges_of(kind)
    row = rng.integers(0, 3, 90)
    centre = rng.uniform(45, 75, 90)
    fwhm = np.exp(rng.uniform(np.log(0.05), np.log(2), 90))
    eta, area = rng.random(90), rng.random(90)
    density, _ = drawn(
        lambda to: make_lines(centre, fwhm, eta=eta, area=area, row=row, backend=to),
        kind,
        arithmetic,
        n_patterns=3,
    )
    for number in range(3):
        own = row == number
        expected = exact(centre[own], fwhm[own], eta[own], area[own], edges)
        # Each of thirty lines may lack a tail of 1e-4; they lie on different sides.
        assert density[number] == pytest.approx(expected, abs=1e-3 * expected.max())


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("end", [0, -1])
def test_lines_at_the_end_of_the_axis_keep_their_profile(arithmetic, kind, end):
    edges = edges_of(kind)
    for place, fwhm in product((-0.4, 0.0, 0.5), ENDING_FWHM):
        centre = edges[end] + place
        density, _ = drawn(
            lambda to, c=centre, f=fwhm: make_lines(c, f, eta=0.3, backend=to), kind, arithmetic
        )
        np.testing.assert_allclose(
            density[0],
            exact(centre, fwhm, 0.3, 1.0, edges),
            rtol=0,
            atol=3 * TAIL_TOLERANCE / fwhm,
            err_msg=f"{fwhm} degree wide, {place} from the end",
        )


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("n_bins", [100, 777, 8192])
@settings(deadline=None, max_examples=15)
@given(fwhm=st.floats(0.002, 1.0), eta=st.floats(0, 1), centre=st.floats(55, 65))
def test_area_is_kept_on_any_axis_and_step(kind, n_bins, fwhm, eta, centre):
    backend = make_backend()
    span = {"two_theta": (2, 160), "q": (0.15, 8.0), "log_q": (-1.9, 2.08)}[kind]
    density, edges = drawn(
        lambda to: make_lines(centre, fwhm, area=3.0, eta=eta, backend=to),
        kind,
        backend,
        span=span,
        n_bins=n_bins,
    )
    area = (density[0] * np.diff(edges[0])).sum()
    # Cut at 1e-4 of its height, a Lorentzian has lost 2 / pi * atan(1 / 100) of its area.
    assert 3.0 * (1 - 0.0064 * eta**0.5 - 1e-4) <= area <= 3.0 * (1 + 1e-5)


@pytest.mark.parametrize("width_bins", [3, 20, 150])
def test_centroid_and_width_are_those_of_the_line(arithmetic, width_bins):
    fwhm = 0.02 * width_bins
    density, edges = drawn(
        lambda to: make_lines(60.007, fwhm, eta=0.0, backend=to), "two_theta", arithmetic
    )
    centres = (edges[0, 1:] + edges[0, :-1]) / 2
    centroid = np.average(centres, weights=density[0])
    assert centroid == pytest.approx(60.007, abs=1e-4 * fwhm + 1e-6)
    deviation = np.sqrt(np.average((centres - centroid) ** 2, weights=density[0]))
    # Averaging over a bin adds the variance of a box (Sheppard), centres instead of places take it.
    expected = np.hypot(fwhm / np.sqrt(8 * np.log(2)), 0.02 / np.sqrt(12))
    assert deviation == pytest.approx(expected, rel=3e-3)
    if width_bins >= 20:
        above = centres[density[0] > density[0].max() / 2]
        assert np.ptp(above) == pytest.approx(fwhm, abs=0.04)


def test_overlapping_lines_of_one_pattern_are_the_sum_of_each_alone(arithmetic):
    both, _ = drawn(
        lambda to: make_lines([59.0, 61.0], 0.8, area=[1.0, 0.7], backend=to),
        "two_theta",
        arithmetic,
    )
    alone = [
        drawn(lambda to, c=c, a=a: make_lines(c, 0.8, area=a, backend=to), "two_theta", arithmetic)[
            0
        ]
        for c, a in ((59.0, 1.0), (61.0, 0.7))
    ]
    assert both == pytest.approx(sum(alone), abs=1e-4 * float(both.max()))


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("fwhm", [0.05, 0.2, 1.0, 4.0])
def test_intensity_is_never_negative(arithmetic, kind, fwhm):
    # Poisson deviates of a negative mean do not exist, however little below zero it is.
    for eta in (0.0, 0.2):
        density, _ = drawn(
            lambda to, eta=eta: make_lines([50.0, 60.0], fwhm, eta=eta, backend=to),
            kind,
            arithmetic,
        )
        assert density.min() >= 0


def test_no_lines_draw_nothing(arithmetic):
    density, _ = drawn(lambda to: make_lines([], 0.05, backend=to), "two_theta", arithmetic)
    assert density.shape == (1, N_BINS)
    assert not density.any()


def test_bins_beyond_the_reach_of_the_beam_stay_empty(arithmetic):
    # 4 pi / 1.54 = 8.16: the last fifth of the axis is beyond it.
    density, edges = drawn(
        lambda to: make_lines([100.0, 169.0], 0.5, backend=to), "q", arithmetic, span=(2.0, 10.0)
    )
    beyond = np.diff(edges[0]) == 0
    assert beyond.sum() > 300
    assert np.isfinite(density).all()
    assert not density[0, beyond].any()
    assert (density[0] * np.diff(edges[0])).sum() == pytest.approx(2.0, rel=0.02)


def test_a_strong_line_does_not_swallow_its_weak_neighbours(arithmetic):
    density, edges = drawn(
        lambda to: make_lines([50.0, 70.0], 0.2, area=[1.0, 1e-3], eta=0.0, backend=to),
        "two_theta",
        arithmetic,
    )
    weak = edges[0, :-1] > 60
    assert (density[0, weak] * 0.02).sum() == pytest.approx(1e-3, rel=0.1)


def test_lines_beyond_the_axis_draw_nothing(arithmetic):
    density, _ = drawn(
        lambda to: make_lines([20.0, 120.0], 0.05, eta=0.0, backend=to), "two_theta", arithmetic
    )
    assert density.shape == (1, 2000)
    assert not density.any()
