from typing import Any

import numpy as np
import pytest
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from phasepilot.models.errors import PatternError
from phasepilot.models.log_q import to_log_q
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import (
    NPCNN_V1,
    GridConfiguration,
    PenalisedBackground,
    Preprocessing,
    SavitzkyGolay,
)
from phasepilot.models.preprocessing.preparation import (
    above_background,
    network_input,
    prepare_pattern,
    prepared,
)

GRID = GridConfiguration(n_bins=1024)
N_BINS = NPCNN_V1.grid.n_bins
PREPROCESSINGS = {
    "shipped": NPCNN_V1,
    "default": Preprocessing(),
    "smoothed": Preprocessing(smoothing=SavitzkyGolay(window_log_q=0.005), normalisation="area"),
    "linear": Preprocessing(intensity_scale="linear", normalisation="none"),
    "arPLS": Preprocessing(background=PenalisedBackground(method="arpls", stiffness_log_q=0.0125)),
}
each_preprocessing = pytest.mark.parametrize(
    "preprocessing", PREPROCESSINGS.values(), ids=PREPROCESSINGS.keys()
)


def measured_batch(
    n_patterns: int, n_bins: int = N_BINS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Counts over partial ranges, some of them with dead bins."""
    rng = np.random.default_rng(seed)
    bins = np.arange(n_bins)
    is_measured = np.ones((n_patterns, n_bins), dtype=bool)
    expected = np.full((n_patterns, n_bins), 30.0)
    for row, measured in zip(expected, is_measured, strict=True):
        for centre in rng.uniform(0, n_bins, 20):
            row += rng.uniform(10, 3000) * np.exp(-(((bins - centre) / n_bins * 600) ** 2))
        measured[: rng.integers(n_bins // 4)] = measured[-rng.integers(1, n_bins // 4) :] = False
        if rng.random() < 0.5:
            measured[rng.integers(n_bins // 4, n_bins // 2, 30)] = False
    return np.where(is_measured, rng.poisson(expected), 0.0), is_measured


def line_pattern() -> Pattern:
    two_theta = np.arange(8.0, 90.0, 0.02)
    expected = 60.0 + 100 * np.exp(-two_theta / 15)
    for centre in (28.4, 47.3, 56.1):
        expected += 2000 * np.exp(-(((two_theta - centre) / 0.06) ** 2))
    counts = np.random.default_rng(0).poisson(expected).astype(np.float64)
    counts[2000:2100] = np.nan
    return Pattern.from_two_theta(two_theta, counts, wavelength_angstrom=1.5406)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_shipped_network_sees_to_the_bit_what_it_was_trained_on(dtype: type) -> None:
    intensity, is_measured = measured_batch(70)
    is_measured[:5] = True
    intensity = intensity.astype(dtype)
    expected = first_network_input(intensity, is_measured)
    assert prepared(intensity, is_measured, NPCNN_V1).tobytes() == expected.tobytes()
    one = prepared(intensity[9], is_measured[9], NPCNN_V1)
    assert one.tobytes() == expected[9].tobytes()


def first_network_input(intensity: np.ndarray, is_measured: np.ndarray) -> np.ndarray:
    """Return what the code that trained npcnn-v1 made of counts."""
    bins = np.arange(intensity.shape[1])
    filled = intensity.copy()
    for row, known in zip(filled, is_measured, strict=True):
        row[~known] = np.interp(bins[~known], bins[known], row[known])
    smooth = uniform_filter1d(filled, 15, axis=-1, mode="nearest")
    lower = minimum_filter1d(smooth, 201, axis=-1, mode="nearest")
    background = uniform_filter1d(lower, 201, axis=-1, mode="nearest")
    root = np.sqrt(np.where(is_measured, np.maximum(intensity - background, 0.0), 0.0))
    scaled = root / root.max(axis=-1, keepdims=True)
    return np.stack([scaled, is_measured.astype(np.float64)], axis=-2).astype(np.float32)


@each_preprocessing
def test_a_measured_pattern_takes_the_same_steps_as_a_batch(preprocessing: Preprocessing) -> None:
    pattern = line_pattern()
    binned = to_log_q(pattern, preprocessing.grid.grid())
    ready = prepare_pattern(pattern, preprocessing)
    expected = prepared(binned.intensity, binned.is_measured, preprocessing)
    assert network_input(ready, preprocessing).tobytes() == expected.tobytes()
    assert ready.intensity.tobytes() == binned.intensity.tobytes()
    signal = above_background(binned.intensity, binned.is_measured, preprocessing)
    assert ready.signal.tobytes() == signal.tobytes()


@each_preprocessing
def test_a_simulated_batch_gives_what_its_patterns_give_one_by_one(
    preprocessing: Preprocessing,
) -> None:
    # More than one block.
    intensity, is_measured = measured_batch(36)
    together = prepared(intensity, is_measured, preprocessing)
    pairs = zip(intensity, is_measured, strict=True)
    one_by_one = np.array([prepared(*pair, preprocessing) for pair in pairs])
    assert together.tobytes() == one_by_one.tobytes()


@each_preprocessing
def test_what_stands_in_unmeasured_bins_does_not_matter(preprocessing: Preprocessing) -> None:
    intensity, is_measured = measured_batch(3)
    dirty = np.where(is_measured, intensity, np.nan)
    dirty[:, 0] = 1e9
    before = dirty.copy()
    clean = prepared(intensity, is_measured, preprocessing)
    assert prepared(dirty, is_measured, preprocessing).tobytes() == clean.tobytes()
    assert before.tobytes() == dirty.tobytes()
    assert (clean[:, 0][~is_measured] == 0).all()
    assert (clean[:, 1] == is_measured).all()


@each_preprocessing
def test_counts_below_0_leave_unmeasured_bins_at_0(preprocessing: Preprocessing) -> None:
    intensity, is_measured = measured_batch(3)
    signal = prepared(intensity - 200, is_measured, preprocessing)[:, 0]
    assert (signal[~is_measured] == 0).all()
    assert (signal.max(axis=1) > 0).all()


@pytest.mark.parametrize("normalisation", ["max", "area"])
def test_the_exposure_does_not_matter(normalisation: str) -> None:
    intensity, is_measured = measured_batch(3)
    preprocessing = Preprocessing.model_validate({"normalisation": normalisation})
    short, long = (prepared(scale * intensity, is_measured, preprocessing) for scale in (1, 1000))
    np.testing.assert_allclose(short, long, atol=1e-6 * short.max())


def test_normalisations_are_what_they_are_called() -> None:
    intensity, is_measured = measured_batch(4)
    highest, area, plain = (
        prepared(intensity, is_measured, Preprocessing.model_validate({"normalisation": name}))
        for name in ("max", "area", "none")
    )
    assert (highest[:, 0].max(axis=1) == 1).all()
    width = NPCNN_V1.grid.grid().bin_width
    np.testing.assert_allclose(area[:, 0].sum(axis=1) * width, 1.0, rtol=1e-5)
    counts = above_background(intensity, is_measured, Preprocessing())
    np.testing.assert_allclose(plain[:, 0] ** 2, counts, rtol=1e-5)


def test_the_linear_scale_is_in_counts() -> None:
    intensity, is_measured = measured_batch(2)
    linear = Preprocessing(intensity_scale="linear", normalisation="none")
    counts = above_background(intensity, is_measured, linear)
    np.testing.assert_allclose(prepared(intensity, is_measured, linear)[:, 0], counts, rtol=1e-6)


def test_smoothing_calms_noise_and_keeps_lines() -> None:
    offset = np.arange(N_BINS) - 2000.5
    expected = 100 + 5000 * np.exp(-((offset / 20) ** 2))
    counts = np.random.default_rng(0).poisson(expected).astype(np.float64)
    everything = np.ones(N_BINS, dtype=bool)
    plain, smooth = (
        above_background(counts, everything, Preprocessing(smoothing=smoothing))
        for smoothing in (None, SavitzkyGolay(window_log_q=0.01))
    )
    quiet = np.abs(offset) > 300
    assert smooth[quiet].std() < 0.6 * plain[quiet].std()
    assert smooth.max() == pytest.approx(5000, rel=0.03)


def test_the_default_gives_lines_back_better_than_the_shipped_network_s() -> None:
    x = np.linspace(0, 1, N_BINS)
    centres = np.random.default_rng(1).uniform(0.05, 0.95, 25)[:, None]
    lines = 2000 * np.exp(-(((x - centres) / 0.003) ** 2)).sum(axis=0)
    background = 100 + 600 * np.exp(-(((x - 0.4) / 0.12) ** 2)) + 800 * np.exp(-x / 0.1)
    counts = np.random.default_rng(2).poisson(lines + background, (6, N_BINS)).astype(np.float64)
    everything = np.ones(counts.shape, dtype=bool)
    true = np.sqrt(lines) / np.linalg.norm(np.sqrt(lines))
    shares = []
    for preprocessing in (Preprocessing(), NPCNN_V1):
        found = prepared(counts, everything, preprocessing)[:, 0]
        shares.append(found @ true / np.linalg.norm(found, axis=1))
    assert shares[0].min() > shares[1].max()


def test_a_pattern_without_signal_is_0() -> None:
    nothing = np.zeros(N_BINS)
    for preprocessing in PREPROCESSINGS.values():
        assert (prepared(nothing, nothing == 0, preprocessing)[0] == 0).all()


def test_any_leading_shape_and_whole_numbers_are_taken() -> None:
    intensity, is_measured = measured_batch(6)
    flat = prepared(intensity, is_measured, Preprocessing())
    shape = (2, 3, N_BINS)
    counts = intensity.astype(np.int32).reshape(shape)
    folded = prepared(counts, is_measured.reshape(shape), Preprocessing())
    assert folded.shape == (2, 3, 2, N_BINS)
    assert folded.tobytes() == flat.tobytes()


@pytest.mark.parametrize("width_deg", [0.05, 0.65])
@pytest.mark.parametrize("name", ["shipped", "default", "arPLS"])
def test_a_very_short_range_is_prepared_too(name: str, width_deg: float) -> None:
    two_theta = np.linspace(26.0, 26.0 + width_deg, 40)
    counts = 20 + 500 * np.exp(-(((two_theta - two_theta.mean()) / 0.05) ** 2))
    pattern = Pattern.from_two_theta(two_theta, counts, wavelength_angstrom=1.5406)
    preprocessing = PREPROCESSINGS[name]
    signal, is_measured = network_input(prepare_pattern(pattern, preprocessing), preprocessing)
    assert signal.max() == 1.0
    assert 0 < is_measured.sum() < 50


ROW = np.ones(N_BINS)


@pytest.mark.parametrize(
    ("intensity", "is_measured", "told"),
    [
        (ROW[:-1], ROW[:-1] > 0, r"must both have shape \(\.\.\., 4096\), but have \(4095,\) and"),
        (ROW, ROW[None] > 0, r"but have \(4096,\) and \(1, 4096\); put the pattern on the grid"),
        (1.0, True, r"but have \(\) and \(\)"),
        (ROW.astype(complex), ROW > 0, r"is_measured bool, but they are complex128 and bool;"),
        (ROW, ROW, r"but they are float64 and float64; convert them first"),
        (np.where(ROW.cumsum() < 4, np.nan, ROW), ROW > 0, r"pattern 0 has 3 that are not; mark"),
        (np.where(ROW.cumsum() == 9, np.inf, ROW), ROW > 0, r"pattern 0 has 1 that are not"),
        (np.stack([ROW, ROW]), np.stack([ROW > 0, ROW < 0]), r"pattern 1 has none; does it cover"),
    ],
)
def test_says_what_is_wrong(intensity: Any, is_measured: Any, told: str) -> None:
    for function in (prepared, above_background):
        with pytest.raises(PatternError, match=told):
            function(intensity, is_measured, NPCNN_V1)
