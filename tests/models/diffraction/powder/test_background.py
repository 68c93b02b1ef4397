import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from powder_samples import BACKENDS, make_backend

from phasepilot.models.diffraction.powder.background import (
    air_scatter,
    amorphous_hump,
    chebyshev_background,
)


def array(backend, *values):
    return backend.asarray(np.array(values, dtype=float))


@pytest.mark.parametrize("name", BACKENDS)
@settings(deadline=None, max_examples=30)
@given(coefficients=arrays(np.float64, (3, 6), elements=st.floats(-1, 1)))
def test_a_chebyshev_background_is_nowhere_below_nothing(name, coefficients):
    background = chebyshev_background(make_backend(name).asarray(coefficients), 200)
    assert np.asarray(background).min() >= 0


def test_known_chebyshev_series_have_their_known_shape(backend):
    x = np.linspace(-1, 1, 101)
    # 2 T_0 + T_2 = 1 + 2 x^2;  5 T_0 + T_1 + T_3 = 5 - 2 x + 4 x^3.
    rows = array(backend, [2, 0, 1, 0], [5, 1, 0, 1])
    background = np.asarray(chebyshev_background(rows, 101))
    assert background == pytest.approx(np.array([1 + 2 * x**2, 5 - 2 * x + 4 * x**3]))


def test_a_series_that_dips_below_nothing_is_lifted_and_keeps_its_shape(backend):
    background = np.asarray(chebyshev_background(array(backend, [0, 1, 0]), 51))[0]
    assert background == pytest.approx(np.linspace(0, 2, 51))


def test_nothing_makes_no_background(backend):
    assert not np.asarray(chebyshev_background(array(backend, [0, 0, 0]), 20)).any()


def test_air_scatter_falls_to_one_over_e_within_its_decay(backend):
    scatter = air_scatter(array(backend, 0.0, 8.0, 800.0), array(backend, 8.0))
    assert np.asarray(scatter) == pytest.approx([1.0, np.exp(-1), 0.0])


def test_a_hump_has_its_height_its_place_and_its_width(backend):
    q = np.linspace(0.1, 6, 2000)
    hump = np.asarray(amorphous_hump(backend.asarray(q), array(backend, 1.6), array(backend, 0.3)))
    assert hump.max() == pytest.approx(1.0, abs=1e-4)
    assert q[hump.argmax()] == pytest.approx(1.6, abs=0.01)
    centre = np.average(q, weights=hump)
    assert np.sqrt(np.average((q - centre) ** 2, weights=hump)) == pytest.approx(0.3, rel=1e-3)
