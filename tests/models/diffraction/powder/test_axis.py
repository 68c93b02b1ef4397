import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from powder_samples import make_axis, make_backend

from phasepilot.models.diffraction.powder.axis import rebinned, two_theta_of_q
from phasepilot.models.errors import PatternError

RANGES = {"two_theta": (5.0, 140.0), "q": (0.4, 7.5), "log_q": (np.log(0.4), np.log(7.5))}
widths = arrays(np.float64, 12, elements=st.floats(1e-3, 5))
densities = arrays(np.float64, (2, 12), elements=st.floats(0, 1e4))


@pytest.mark.parametrize("kind", RANGES)
def test_bragg_s_law_turns_the_edges_of_every_axis_into_angles(backend, kind):
    axis = make_axis(kind, *RANGES[kind], 50, wavelength=1.5, backend=backend)
    edges = np.asarray(axis.edges())[0]
    q = {
        "two_theta": 4 * np.pi / 1.5 * np.sin(np.radians(edges / 2)),
        "q": edges,
        "log_q": np.exp(edges),
    }[kind]
    d_spacing = 2 * np.pi / q
    expected = 2 * np.degrees(np.arcsin(1.5 / (2 * d_spacing)))
    assert np.asarray(axis.edges_two_theta_deg)[0] == pytest.approx(expected, rel=1e-12)
    assert edges[[0, -1]] == pytest.approx(RANGES[kind])


@pytest.mark.parametrize("kind", RANGES)
def test_edges_lie_at_whole_numbers_of_bins(backend, kind):
    axis = make_axis(kind, *RANGES[kind], 50, wavelength=1.5, n_patterns=2, backend=backend)
    row = backend.asarray(np.ones(51, dtype=np.int64))
    bins = axis.bins_of(axis.edges_two_theta_deg[1], row)
    assert np.asarray(bins) == pytest.approx(np.arange(51), abs=1e-9)


@pytest.mark.parametrize("kind", RANGES)
def test_widths_are_the_differences_of_the_edges(backend, kind):
    axis = make_axis(kind, *RANGES[kind], 50, backend=backend)
    expected = np.diff(np.asarray(axis.edges_two_theta_deg), axis=1)
    found = np.broadcast_to(np.asarray(axis.widths_deg()), expected.shape)
    assert found == pytest.approx(expected)


def test_what_the_beam_does_not_reach_lies_at_180_degree(backend):
    # 4 pi / 2 is the largest q of a wavelength of 2 angstrom.
    q = backend.asarray(np.array([[1.0, 2 * np.pi - 1e-9, 7.0, 20.0]]))
    angle = np.asarray(two_theta_of_q(q, backend.asarray(np.array([[2.0]]))))[0]
    assert angle[0] < 40
    assert angle[1:] == pytest.approx([180.0] * 3, abs=0.01)


def overlaps(density, edges, new_edges):
    """Return mean densities and coverage, one pair of bins after the other."""
    mean = np.zeros((density.shape[0], new_edges.size - 1))
    is_covered = np.zeros(mean.shape, dtype=bool)
    for row in range(density.shape[0]):
        for number in range(new_edges.size - 1):
            low, high = new_edges[number], new_edges[number + 1]
            is_covered[row, number] = low >= edges[row, 0] and high <= edges[row, -1]
            if not is_covered[row, number]:
                continue
            for old in range(density.shape[1]):
                common = min(high, edges[row, old + 1]) - max(low, edges[row, old])
                mean[row, number] += max(common, 0.0) * density[row, old] / (high - low)
    return mean, is_covered


@pytest.mark.parametrize("name", ["numpy", "torch"])
@settings(deadline=None, max_examples=40)
@given(density=densities, old=widths, other=widths, new=widths, start=st.floats(-5, 20))
def test_rebinning_shares_out_what_overlaps(name, density, old, other, new, start):
    backend = make_backend(name)
    edges = np.concatenate([[[0.0], [1.0]], np.stack([old, other])], axis=1).cumsum(axis=1)
    new_edges = start + np.concatenate([[0.0], new]).cumsum()
    mean, is_covered = rebinned(*(backend.asarray(part) for part in (density, edges, new_edges)))
    expected, expected_covered = overlaps(density, edges, new_edges)
    np.testing.assert_array_equal(np.asarray(is_covered), expected_covered)
    scale = 1e-9 * density.max() * edges.max() / new.min()
    np.testing.assert_allclose(np.asarray(mean), expected, atol=scale, rtol=1e-9)


def test_rebinning_onto_its_own_edges_changes_nothing(backend):
    density = np.random.default_rng(1).random((3, 100))
    edges = np.cumsum(np.random.default_rng(2).random((3, 101)), axis=1)
    for row in range(3):
        mean, is_covered = rebinned(
            backend.asarray(density[row : row + 1]),
            backend.asarray(edges[row : row + 1]),
            backend.asarray(edges[row]),
        )
        assert np.asarray(is_covered).all()
        assert np.asarray(mean)[0] == pytest.approx(density[row], rel=1e-9)


def test_rebinning_to_a_coarser_axis_keeps_the_area(backend):
    density = np.random.default_rng(1).random((1, 1000))
    edges = np.linspace(10, 90, 1001)[None]
    new_edges = np.exp(np.linspace(np.log(10), np.log(90), 38))
    new_edges[[0, -1]] = 10, 90
    mean, is_covered = rebinned(*(backend.asarray(part) for part in (density, edges, new_edges)))
    assert np.asarray(is_covered).all()
    area = (np.asarray(mean)[0] * np.diff(new_edges)).sum()
    assert area == pytest.approx(density.sum() * 0.08, rel=1e-12)


def test_rebinning_many_single_precision_counts_loses_none(backend):
    # A running sum in single precision would be wrong by whole counts at the end of the axis.
    counts = np.random.default_rng(0).poisson(1000, (1, 8192)).astype(np.float32)
    edges = np.linspace(5, 120, 8193)[None]
    mean, _ = rebinned(
        backend.asarray(counts, single=True),
        backend.asarray(edges),
        backend.asarray(edges[0, 1::2].copy()),
    )
    assert np.asarray(mean)[0, -1] == pytest.approx(counts[0, -3:-1].mean(), rel=1e-6)


def test_centres_instead_of_edges_are_refused(backend):
    density = backend.asarray(np.ones((2, 10)))
    with pytest.raises(PatternError, match=r"shape \(2, 10\) for densities .* not their centres"):
        rebinned(density, density, backend.asarray(np.arange(5.0)))
