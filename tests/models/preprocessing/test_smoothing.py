import numpy as np
import pytest

from phasepilot.models.errors import PatternError
from phasepilot.models.preprocessing.smoothing import savitzky_golay


def test_white_noise_shrinks_by_the_sum_of_squared_weights() -> None:
    noise = np.random.default_rng(0).normal(size=(40, 2000))
    smooth = savitzky_golay(noise, np.ones(noise.shape, bool), n_window=5, polynomial_order=2)
    # The weights of five points and a parabola are (-3, 12, 17, 12, -3) / 35.
    assert smooth[:, 2:-2].var() == pytest.approx(17 / 35, rel=0.02)


def test_a_gap_is_bridged_and_left_alone() -> None:
    is_measured = np.ones((2, 100), dtype=bool)
    is_measured[0, 40:55] = is_measured[1, :20] = False
    intensity = np.where(is_measured, 80.0, 0.0)
    smooth = savitzky_golay(intensity, is_measured, n_window=11, polynomial_order=3)
    np.testing.assert_allclose(smooth[is_measured], 80.0)
    assert (smooth[~is_measured] == 0).all()


def test_rows_without_gaps_do_not_depend_on_their_neighbours() -> None:
    rows = np.random.default_rng(1).normal(size=(3, 200))
    is_measured = np.ones(rows.shape, dtype=bool)
    is_measured[0, 90:] = False
    together = savitzky_golay(rows, is_measured, n_window=9, polynomial_order=2)
    alone = savitzky_golay(rows[1:2], is_measured[1:2], n_window=9, polynomial_order=2)
    np.testing.assert_array_equal(together[1:2], alone)


@pytest.mark.parametrize("n_window", [8, 1, 101, 0, -5])
def test_refuses_windows_that_no_polynomial_fits(n_window: int) -> None:
    rows = np.ones((1, 100))
    with pytest.raises(
        PatternError,
        match=rf"must be odd, above .* \(2\) and at most the .* 100 bins, but is {n_window};",
    ):
        savitzky_golay(rows, rows > 0, n_window=n_window, polynomial_order=2)
