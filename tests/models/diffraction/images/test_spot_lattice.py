import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasepilot.models.diffraction.images.spot_lattice import spot_lattice
from phasepilot.models.errors import PatternError

OBLIQUE = np.array([[0.11, 0.0], [0.03, 0.17]])


def make_spots(basis, reach=1.0, is_kept=lambda h, k: True):
    h, k = (index.ravel() for index in np.mgrid[-12:13, -12:13])
    chosen = np.array([(i, j) != (0, 0) and is_kept(i, j) for i, j in zip(h, k, strict=True)])
    xy = np.stack([h, k], axis=1)[chosen] @ basis
    return xy[np.linalg.norm(xy, axis=1) <= reach]


def same_lattice(one, other):
    """Whether each basis is a whole multiple of the other."""
    change = one @ np.linalg.inv(other)
    is_whole = np.allclose(change, np.rint(change), atol=0.02)
    return is_whole and abs(abs(np.linalg.det(change)) - 1) < 0.05


@settings(max_examples=30, deadline=None)
@given(st.floats(0.03, 0.3), st.floats(1.0, 3.0), st.floats(60.5, 90), st.floats(0, 360))
def test_any_lattice_is_found_and_reduced(a, ratio, angle_deg, turn_deg):
    b, turn = a * ratio, np.radians(turn_deg)
    cosine = min(np.cos(np.radians(angle_deg)), a / b / 2)
    basis = np.array([[a, 0], [b * cosine, b * np.sqrt(1 - cosine**2)]])
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    found = spot_lattice(*make_spots(basis @ rotation).T)
    lengths = np.linalg.norm(found.basis_per_angstrom, axis=1)
    np.testing.assert_allclose(lengths, [a, b], rtol=1e-6)
    assert found.is_indexed.all()


def test_no_spot_need_be_a_vector_of_the_basis():
    found = spot_lattice(0.2 * np.array([2.0, 3.0, 0.0]), 0.3 * np.array([0.0, 0.0, 1.0]))
    assert same_lattice(found.basis_per_angstrom, np.diag([0.2, 0.3]))


@pytest.mark.parametrize(
    ("rule", "index"),
    [
        (lambda h, k: (h + k) % 2 == 0, 2),
        (lambda h, k: (h - k) % 3 == 0, 3),
        (lambda h, k: (2 * h + 3 * k) % 5 == 0, 5),
    ],
)
def test_extinct_spots_make_the_coarser_lattice(rule, index):
    found = spot_lattice(*make_spots(OBLIQUE, is_kept=rule).T)
    area = abs(np.linalg.det(found.basis_per_angstrom))
    assert area == pytest.approx(index * np.linalg.det(OBLIQUE), rel=1e-6)


def test_a_few_weak_spots_between_make_the_finer_lattice():
    is_main = make_spots(OBLIQUE, is_kept=lambda h, k: (h + k) % 2 == 0)
    between = np.array([[3, 2], [-3, -2]]) @ OBLIQUE
    found = spot_lattice(*np.concatenate([is_main, between]).T)
    assert same_lattice(found.basis_per_angstrom, OBLIQUE)


def test_errors_missing_and_stray_spots_are_borne():
    rng = np.random.default_rng(0)
    n_right = 0
    for _ in range(50):
        spots = make_spots(OBLIQUE)
        spots = spots[rng.random(len(spots)) > 0.4]
        spots = spots + rng.normal(0, 0.003, spots.shape)
        strays = rng.uniform(-0.7, 0.7, (4, 2))
        found = spot_lattice(*np.concatenate([spots, strays]).T, position_error_per_angstrom=0.003)
        n_right += same_lattice(found.basis_per_angstrom, OBLIQUE)
    assert n_right >= 48


def test_stray_spots_are_said_to_lie_on_no_point():
    stray = np.array([[0.061, 0.055]])
    found = spot_lattice(*np.concatenate([make_spots(OBLIQUE), stray]).T)
    np.testing.assert_array_equal(np.flatnonzero(~found.is_indexed), [found.indices.shape[0] - 1])


def test_indices_times_the_basis_are_the_spots():
    spots = make_spots(OBLIQUE)
    found = spot_lattice(*spots.T)
    np.testing.assert_allclose(found.indices @ found.basis_per_angstrom, spots, atol=1e-9)


@pytest.mark.parametrize("n_spots", [0, 1, 5])
def test_spots_on_a_line_are_refused_and_counted(n_spots):
    along = 0.1 * np.arange(1.0, n_spots + 1)
    with pytest.raises(PatternError, match=f"the {n_spots} that came lie on one line"):
        spot_lattice(along, 2 * along)
