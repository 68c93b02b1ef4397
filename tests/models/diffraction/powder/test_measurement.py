import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from powder_samples import BACKENDS, make_backend

from phasepilot.models.diffraction.powder.measurement import (
    coarsened,
    counted,
    cropped,
    faulty_bins,
    saturated,
)


def array(backend, values):
    return backend.asarray(np.array(values, dtype=float), single=True)


def test_without_noise_the_pattern_comes_back_as_it_is(backend):
    expected = array(backend, [[0.0, 0.25, 1.0]])
    assert counted(expected, array(backend, [[np.inf]]), backend) is expected


def test_noisy_and_noiseless_patterns_may_share_a_batch(backend):
    expected = array(backend, np.random.default_rng(0).random((3, 4000)))
    peak_counts = array(backend, [[100.0], [np.inf], [1e4]])
    counts = np.asarray(counted(expected, peak_counts, backend))
    mean = np.asarray(expected)
    np.testing.assert_array_equal(counts[1], mean[1])
    for row, peak in ((0, 100), (2, 1e4)):
        np.testing.assert_array_equal(counts[row], np.round(counts[row]))
        # Each bin scatters about its own mean by its own root.
        pull = (counts[row] - peak * mean[row]) / np.sqrt(peak * np.maximum(mean[row], 1e-3))
        assert [pull.mean(), pull.std()] == pytest.approx([0, 1], abs=0.06)


def test_bins_fail_as_often_as_said_in_each_pattern(backend):
    is_faulty = faulty_bins(50_000, array(backend, [[0.0], [0.02], [1.0]]), backend)
    assert np.asarray(is_faulty).mean(axis=1) == pytest.approx([0, 0.02, 1], abs=0.003)


def test_a_saturated_detector_counts_to_its_limit(backend):
    counts = saturated(
        array(backend, [[5.0, 99.0, 1e6], [5.0, 99.0, 1e6]]), array(backend, [[99.0], [np.inf]])
    )
    assert np.asarray(counts).tolist() == [[5, 99, 99], [5, 99, 1e6]]


def test_cropping_keeps_the_bins_whose_middle_lies_in_the_range(backend):
    kept = np.asarray(cropped(10, array(backend, [[0.0], [0.2]]), array(backend, [[1.0], [0.61]])))
    assert kept[0].all()
    assert np.flatnonzero(kept[1]).tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("name", BACKENDS)
@settings(deadline=None, max_examples=30)
@given(
    intensity=arrays(np.float32, (2, 23), elements=st.floats(0, 1e5, width=32)),
    factor=st.integers(1, 9),
)
def test_a_coarse_scan_is_interpolated_between_its_points(name, intensity, factor):
    backend = make_backend(name)
    factors = backend.asarray(np.array([[factor], [1]]))
    coarse, is_point = (
        np.asarray(part) for part in coarsened(backend.asarray(intensity, single=True), factors)
    )
    points = np.arange(0, 23, factor)
    assert np.flatnonzero(is_point[0]).tolist() == points.tolist()
    expected = np.interp(np.arange(23), points, intensity[0, points])
    np.testing.assert_allclose(coarse[0], expected, rtol=1e-4, atol=1e-5 * intensity.max())
    np.testing.assert_array_equal(coarse[1], intensity[1])
    assert is_point[1].all()
