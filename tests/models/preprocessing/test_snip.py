import os
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from pybaselines import Baseline

from phasepilot.models.errors import PatternError
from phasepilot.models.preprocessing.snip import snip

Order = Literal[2, 4]
Windows = Literal["decreasing", "increasing"]


def noisy_patterns(n_patterns: int, n_bins: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    bins = np.arange(n_bins)
    rows = []
    for _ in range(n_patterns):
        expected = rng.uniform(5, 500) * np.exp(-bins / rng.uniform(0.2, 3) / n_bins)
        for centre in rng.uniform(0, n_bins, 12):
            width = rng.uniform(1, 15)
            expected += rng.uniform(10, 3000) * np.exp(-(((bins - centre) / width) ** 2))
        rows.append(rng.poisson(expected))
    return np.array(rows, dtype=np.float64)


def of_pybaselines(row: np.ndarray, half_window: int, order: Order, windows: Windows) -> np.ndarray:
    """The background of the measured part, NaN elsewhere."""
    is_measured = ~np.isnan(row)
    background = np.full_like(row, np.nan)
    background[is_measured] = Baseline().snip(
        row[is_measured],
        max_half_window=min(half_window, (int(is_measured.sum()) - 1) // 2),
        decreasing=windows == "decreasing",
        filter_order=order,
    )[0]
    return background


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("windows", ["decreasing", "increasing"])
@pytest.mark.parametrize("half_window", [1, 2, 7, 40])
def test_gives_the_numbers_of_pybaselines(order: Order, windows: Windows, half_window: int) -> None:
    rows = noisy_patterns(20, 700, seed=half_window)
    found = snip(rows, half_window, filter_order=order, windows=windows, ends="least_squares")
    expected = [of_pybaselines(row, half_window, order, windows) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * rows.max())


@pytest.mark.parametrize("order", [2, 4])
def test_gives_the_numbers_of_pybaselines_for_the_measured_part_of_each_row(order: Order) -> None:
    rows = noisy_patterns(6, 500, seed=1)
    # The last three are too short for the window of the others; one has a window of 1 bin.
    for row, (start, stop) in zip(
        rows, [(0, 500), (30, 500), (0, 410), (200, 250), (100, 122), (7, 10)], strict=True
    ):
        row[:start] = row[stop:] = np.nan
    found = snip(rows, 30, filter_order=order, ends="least_squares")
    expected = [of_pybaselines(row, 30, order, "decreasing") for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.nanmax(rows))


def test_single_precision_is_as_good_as_its_digits() -> None:
    rows = noisy_patterns(20, 700, seed=2)
    single = snip(rows.astype(np.float32), 40, filter_order=4)
    assert single.dtype == np.float32
    double = snip(rows, 40, filter_order=4)
    # A unit in the last place of the highest count, a few times over.
    assert np.abs(single - double).max() < 1e-6 * rows.max()


@pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ,
    reason="PHASEPILOT_DATA does not name the folder with autoxrd/",
)
@pytest.mark.parametrize("order", [2, 4])
def test_gives_the_numbers_of_pybaselines_for_measured_patterns(order: Order) -> None:
    folder = Path(os.environ["PHASEPILOT_DATA"]) / "autoxrd"
    films = np.load(folder / "autoxrd_spacegroup_public.npz")
    lengths = np.diff(films["offsets"])
    rows = np.full((lengths.size, lengths.max()), np.nan)
    for row, start, length in zip(rows, films["offsets"], lengths, strict=False):
        row[:length] = films["intensity"][start : start + length]
    found = snip(rows, 60, filter_order=order, ends="least_squares")
    expected = [of_pybaselines(row, 60, order, "decreasing") for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.nanmax(rows))


def test_a_batch_gives_what_its_rows_give() -> None:
    # More rows than one block takes, of two lengths.
    rows = noisy_patterns(150, 600, seed=3)
    rows[::3, 400:] = np.nan
    together = snip(rows, 25, filter_order=4)
    one_by_one = np.concatenate([snip(row[None], 25, filter_order=4) for row in rows])
    assert together.tobytes() == one_by_one.tobytes()


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("ends", ["median", "least_squares"])
def test_a_straight_line_is_all_background(
    order: Order, ends: Literal["median", "least_squares"]
) -> None:
    line = np.linspace(300.0, 20.0, 400)[None]
    found = snip(line, 50, filter_order=order, ends=ends)
    np.testing.assert_allclose(found, line, rtol=1e-12)


def test_the_background_lies_nowhere_above_the_counts() -> None:
    rows = noisy_patterns(30, 500, seed=4)
    assert (snip(rows, 30, filter_order=4) <= rows).all()


def test_order_4_spares_a_hump_that_order_2_lowers() -> None:
    offset = np.arange(-400.0, 401.0)
    hump = (2000 - offset**2 / 100)[None]
    # The straight continuation of the ends is felt 10 + 9 + ... + 1 bins in.
    middle = slice(60, -60)
    second, fourth = (snip(hump, 10, filter_order=order)[0, middle] for order in (2, 4))
    np.testing.assert_allclose(fourth, hump[0, middle], rtol=1e-12)
    # A chord of half window p lies p^2 / 100 below the parabola, and leaves one of the same shape.
    lowered = np.sum(np.arange(1, 11) ** 2) / 100
    np.testing.assert_allclose(hump[0, middle] - second, lowered, rtol=1e-9)


@pytest.mark.parametrize("order", [2, 4])
def test_a_strong_line_at_the_end_does_not_tilt_the_background(order: Order) -> None:
    pattern = (100 + 5000 * np.exp(-(((np.arange(400) - 365) / 2) ** 2)))[None]
    by_median = snip(pattern, 50, filter_order=order, ends="median")
    np.testing.assert_allclose(by_median, 100.0, rtol=1e-9)
    by_squares = snip(pattern, 50, filter_order=order, ends="least_squares")
    assert np.abs(by_squares - 100).max() > 100


def test_one_or_two_bins_are_level_with_the_lower_one() -> None:
    rows = np.full((2, 9), np.nan)
    rows[0, 4] = 7.0
    rows[1, 2:4] = 5.0, 3.0
    found = snip(rows, 2)
    assert found[0, 4] == 7.0
    assert found[1, 2:4].tolist() == [3.0, 3.0]
    assert (np.isnan(found) == np.isnan(rows)).all()


@pytest.mark.parametrize("half_window", [0, -3, 50])
def test_refuses_a_window_that_does_not_fit(half_window: int) -> None:
    with pytest.raises(
        PatternError, match=rf"half_window must be 1 to 49, .* 100 bins, but is {half_window};"
    ):
        snip(np.ones((1, 100)), half_window)


def test_refuses_a_row_without_anything_measured() -> None:
    rows = np.ones((3, 20))
    rows[1] = np.nan
    with pytest.raises(PatternError, match=r"row 1 has none; leave it out"):
        snip(rows, 3)


def test_refuses_gaps() -> None:
    rows = np.ones((3, 20))
    rows[2, 10] = np.nan
    with pytest.raises(PatternError, match=r"row 2 has NaN there; bridge the gaps first"):
        snip(rows, 3)
