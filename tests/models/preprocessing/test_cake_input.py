import numpy as np

from phasepilot.models.preprocessing.cake_input import cake_input, radial_background

SHAPE = (72, 160)


def make_spots(rng: np.random.Generator) -> np.ndarray:
    signal = np.zeros(SHAPE, dtype=np.float32)
    places = rng.integers(0, 72, 12), rng.integers(20, 150, 12)
    signal[places] = rng.uniform(100, 1000, 12)
    return signal


def test_spots_without_background_are_only_rooted_and_scaled() -> None:
    signal = make_spots(np.random.default_rng(0))
    everywhere = np.ones(SHAPE, dtype=bool)
    root = cake_input(signal, everywhere)[0]
    shown = signal > 0
    ratio = root[shown] / np.sqrt(signal[shown])
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    np.testing.assert_array_equal(root[~shown], 0)


def test_exposure_does_not_change_the_input() -> None:
    signal = make_spots(np.random.default_rng(1))
    everywhere = np.ones(SHAPE, dtype=bool)
    np.testing.assert_allclose(
        cake_input(signal, everywhere), cake_input(37 * signal, everywhere), rtol=1e-5
    )


def test_a_smooth_background_is_taken_away_and_a_ring_is_not() -> None:
    bins = np.arange(SHAPE[1])
    smooth = 200 + 100 * np.exp(-bins / 60)
    ring = 300 * np.exp(-0.5 * ((bins - 80) / 1.5) ** 2)
    signal = np.broadcast_to(smooth + ring, SHAPE).astype(np.float32)
    left = signal[0] - radial_background(signal, np.ones(SHAPE, dtype=bool))
    assert left[80] > 280
    assert np.abs(np.delete(left, slice(70, 91))).max() < 20


def test_what_is_not_measured_is_zero_and_changes_no_background() -> None:
    rng = np.random.default_rng(2)
    signal = rng.poisson(50, SHAPE).astype(np.float32)
    is_measured = np.ones(SHAPE, dtype=bool)
    is_measured[:30] = False
    wild = np.where(is_measured, signal, np.float32(1e6))
    np.testing.assert_array_equal(
        radial_background(signal, is_measured), radial_background(wild, is_measured)
    )
    assert not cake_input(wild, is_measured)[:, :30].any()


def test_an_empty_cake_gives_zeros() -> None:
    assert not cake_input(np.zeros(SHAPE, dtype=np.float32), np.ones(SHAPE, dtype=bool))[0].any()
