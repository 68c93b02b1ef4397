import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern, q_from_two_theta, two_theta_from_q

ANGLES = np.linspace(5.0, 90.0, 200)
COUNTS = np.full(200, 10.0)


@given(
    angle=st.floats(0.01, 179.0),
    wavelength=st.floats(0.1, 3.0),
)
def test_angles_come_back_from_q(angle: float, wavelength: float) -> None:
    q = q_from_two_theta(np.array([angle]), wavelength)
    assert two_theta_from_q(q, wavelength)[0] == pytest.approx(angle, rel=1e-6)


def test_silicon_111_lies_at_its_known_q() -> None:
    # NIST SRM 640: the 111 line of silicon at 28.441 degree with Cu K-alpha1, d = 3.1356 angstrom.
    q = q_from_two_theta(np.array([28.441]), 1.5405929)
    assert 2 * np.pi / q[0] == pytest.approx(3.1356, abs=2e-4)


def test_keeps_single_dead_points_as_unmeasured() -> None:
    counts = COUNTS.copy()
    counts[7] = np.nan
    pattern = Pattern.from_two_theta(ANGLES, counts, wavelength_angstrom=1.5406)
    assert not pattern.is_measured[7]
    assert pattern.is_measured.sum() == 199
    assert np.isfinite(pattern.intensity).all()


def test_drops_the_point_at_zero_angle() -> None:
    pattern = Pattern.from_two_theta(
        np.linspace(0.0, 90.0, 200), COUNTS, wavelength_angstrom=1.5406
    )
    assert pattern.q_per_angstrom.size == 199


@pytest.mark.parametrize(
    ("angles", "counts", "message"),
    [
        (ANGLES, np.full(200, np.nan), "at least 16 finite intensities"),
        (ANGLES, np.zeros(200), "must be positive somewhere"),
        (ANGLES, np.full(200, np.inf), "at least 16 finite intensities"),
        (ANGLES, COUNTS[:-1], "one value for each of the 200 points"),
        (ANGLES, -COUNTS, "must be positive somewhere"),
        (ANGLES, COUNTS - np.linspace(0, 30, 200), "must be counts"),
        (ANGLES, COUNTS.astype(complex), "type is complex128"),
        (ANGLES, COUNTS.astype(str), "must be real numbers"),
        (ANGLES, np.ones((10, 20)), r"shape is \(10, 20\)"),
        (ANGLES[::-1], COUNTS, "must increase"),
        (ANGLES * 3, COUNTS, r"must lie in \[0, 180\)"),
        (ANGLES[:4], COUNTS[:4], "at least 16 points"),
    ],
)
def test_says_what_is_wrong_with_a_frame(
    angles: np.ndarray, counts: np.ndarray, message: str
) -> None:
    with pytest.raises(PatternError, match=message):
        Pattern.from_two_theta(angles, counts, wavelength_angstrom=1.5406)


@pytest.mark.parametrize("wavelength", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_an_impossible_wavelength(wavelength: float) -> None:
    with pytest.raises(PatternError, match="must be a positive number"):
        Pattern.from_two_theta(ANGLES, COUNTS, wavelength_angstrom=wavelength)
