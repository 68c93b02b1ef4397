"""Unusual frames are what they claim to be, and are told from usual ones by what they lack."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from benchmark_cases import make_estimate, write_diamonds, write_rruff

from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, no_progress
from phasepilot.models.benchmarks.held_out_patterns import held_out_structures
from phasepilot.models.benchmarks.novelty import run
from phasepilot.models.benchmarks.unusual_frames import (
    KINDS,
    UsualFrames,
    amorphous_frames,
    empty_frames,
    mislabelled_frames,
    mixture_frames,
    noise_frames,
    saturated_frames,
    usual_frames,
)
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.pattern import Pattern, two_theta_from_q

ALL = range(1, 231)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_diamonds(tmp_path_factory.mktemp("table") / "structures.parquet", 6)


@pytest.fixture(scope="module")
def usual(table: Path) -> UsualFrames:
    held_out = held_out_structures(table, 6, np.random.default_rng(0), space_groups=ALL)
    return usual_frames(held_out, np.random.default_rng(1))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def contrast(pattern: Pattern) -> float:
    """How far the highest of about 100 means stands above its neighbours, by their scatter."""
    size = pattern.intensity.size // 100
    means = pattern.intensity[: 100 * size].reshape(100, size).mean(axis=1)
    bends = means[1:-1] - (means[2:] + means[:-2]) / 2
    return float(bends.max() / means.max())


def test_every_kind_gives_one_frame_for_each_usual_one(
    usual: UsualFrames, rng: np.random.Generator
) -> None:
    for kind in KINDS:
        frames = kind.frames(usual, rng)
        assert len(frames) == len(usual.patterns) == 6
        assert all(frame.intensity.max() > 0 for frame in frames)


def test_empty_amorphous_and_dark_frames_show_no_lines(
    usual: UsualFrames, rng: np.random.Generator
) -> None:
    for frames in (empty_frames, amorphous_frames):
        smooth = [contrast(one) for one in frames(usual, rng) if one.intensity.mean() > 20]
        assert max(smooth, default=0.0) < 0.15
    assert np.median([contrast(one) for one in usual.patterns]) > 0.15
    for dark in noise_frames(usual, rng):
        # Poisson: variance equals mean.
        assert dark.intensity.var() == pytest.approx(dark.intensity.mean(), rel=0.15)


def test_frames_keep_the_axis_of_usual_ones(usual: UsualFrames, rng: np.random.Generator) -> None:
    for frames in (empty_frames, noise_frames, saturated_frames, amorphous_frames):
        for one, other in zip(usual.patterns, frames(usual, rng), strict=True):
            np.testing.assert_array_equal(one.q_per_angstrom, other.q_per_angstrom)
            assert one.wavelength_angstrom == other.wavelength_angstrom


def test_saturated_frames_hit_one_ceiling_often(
    usual: UsualFrames, rng: np.random.Generator
) -> None:
    for one, clipped in zip(usual.patterns, saturated_frames(usual, rng), strict=True):
        ceiling = clipped.intensity.max()
        assert (clipped.intensity == ceiling).sum() >= 2
        assert ceiling < one.intensity.max()
        np.testing.assert_array_equal(clipped.intensity, np.minimum(one.intensity, ceiling))


def test_a_wrong_wavelength_leaves_angles_and_counts(
    usual: UsualFrames, rng: np.random.Generator
) -> None:
    for one, wrong in zip(usual.patterns, mislabelled_frames(usual, rng), strict=True):
        assert one.wavelength_angstrom is not None
        assert wrong.wavelength_angstrom is not None
        assert abs(wrong.wavelength_angstrom / one.wavelength_angstrom - 1) > 0.1
        np.testing.assert_array_equal(one.intensity, wrong.intensity)
        np.testing.assert_allclose(
            two_theta_from_q(wrong.q_per_angstrom, wrong.wavelength_angstrom),
            two_theta_from_q(one.q_per_angstrom, one.wavelength_angstrom),
        )


def test_mixtures_show_more_lines_than_pure_samples(table: Path) -> None:
    # With equal seeds, only the second phase tells the two apart.
    held_out = held_out_structures(table, 6, np.random.default_rng(0), space_groups=ALL)
    pure = usual_frames(held_out, np.random.default_rng(1))
    mixed = mixture_frames(pure, np.random.default_rng(1))
    is_other = [
        one.intensity.shape != other.intensity.shape or (one.intensity != other.intensity).any()
        for one, other in zip(pure.patterns, mixed, strict=True)
    ]
    assert all(is_other)


class Scale:
    """Finds frames the more novel the fewer counts they have."""

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        return make_estimate(225, novelty=1 / (1 + float(pattern.intensity.max())))

    def predict_many(self, patterns: Sequence[Pattern]) -> list[PhaseEstimate]:
        return [self.predict(pattern) for pattern in patterns]


def test_dark_frames_stand_out_to_who_counts(table: Path, tmp_path: Path) -> None:
    options = BenchmarkOptions(
        estimators={"all": Scale()},
        data=write_rruff(tmp_path / "minerals.npz"),
        structures=table,
        n_seeds=2,
        n_simulated=3,
    )
    result = run(options, no_progress)
    numbers = result.flat()
    # At least 100 counts in a usual frame's highest line, at most about 60 in a dark frame.
    assert numbers["noise_auroc"] == 1.0
    assert numbers["noise_fpr95"] == 0.0
    assert numbers["noise_auroc_against_measured"] == 1.0
    assert numbers["mixture_auroc"] < 0.9
    assert numbers["usual_unknown_share"] == numbers["measured_unknown_share"] == 0.0
    assert {item["kind"] for item in result.items} == {"usual", *(kind.name for kind in KINDS)}
    assert len(result.items) == 2 * 3 * (1 + len(KINDS))
