import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.cell_materials import CELL_MATERIALS
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.pattern import Pattern
from phasepilot.models.uncertainty.frame_quality import FALSE_LINE_RATE, assess_frame


def counts_only(pattern):
    return pattern


def per_mille(pattern):
    return scaled(pattern, 1000.0, np.rint)


def fractions(pattern):
    return scaled(pattern, 1.0, np.asarray)


def scaled(pattern, highest, rounded):
    intensity = rounded(pattern.intensity / pattern.intensity.max() * highest)
    return Pattern(pattern.q_per_angstrom, intensity, pattern.is_measured, None)


SCALINGS = [counts_only, per_mille, fractions]


@pytest.fixture(scope="module")
def laboratory():
    """Measurements of metals with everything that goes wrong, and the counts of the highest bin."""
    store = stick_store(CELL_MATERIALS, 14.0)
    rng = np.random.default_rng(1)
    settings = named_recipe("laboratory").draw(192, rng)
    chosen = rng.integers(store.n_structures, size=192)
    simulated = PatternSimulator(store, NumpyBackend(rng)).simulate_unchecked(chosen, settings)
    axis = simulated.axis
    patterns = []
    for row in np.flatnonzero(simulated.shows_lines):
        angle = axis.start[row] + axis.step[row] * (np.arange(axis.n_bins) + 0.5)
        intensity = np.where(simulated.is_measured[row], simulated.intensity[row], np.nan)
        # Overflowing pixels have a test of their own.
        intensity[intensity >= 1e6] = np.nan
        patterns.append(
            Pattern.from_two_theta(
                angle, intensity, wavelength_angstrom=float(axis.wavelength_angstrom[row, 0])
            )
        )
    return patterns


def empty_frames(n_frames, n_points, seed):
    rng = np.random.default_rng(seed)
    q = np.linspace(0.8, 5.5, n_points)
    for _ in range(n_frames):
        counts = 10 ** rng.uniform(-1, 4)
        air = rng.choice([0.0, 5.0]) * np.exp(-(q - q[0]) / rng.uniform(0.2, 1.5))
        yield Pattern.from_q(q, rng.poisson(counts * (1 + air)))


def glasses(n_frames, n_points, seed):
    rng = np.random.default_rng(seed)
    q = np.linspace(0.5, 5.5, n_points)
    for _ in range(n_frames):
        hump = np.exp(-0.5 * ((q - rng.uniform(1.5, 3)) / rng.uniform(0.2, 0.6)) ** 2)
        yield Pattern.from_q(q, rng.poisson(10 ** rng.uniform(2, 4) * (0.1 + hump)))


def share(patterns, kind):
    return np.mean([assess_frame(pattern).kind == kind for pattern in patterns])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_measurements_that_show_lines_are_normal(laboratory, scaling):
    assert share([scaling(pattern) for pattern in laboratory], "normal") > 0.98


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("n_points", [75, 2000])
def test_empty_beam_passes_for_normal_no_more_often_than_stated(scaling, n_points):
    frames = [scaling(pattern) for pattern in empty_frames(400, n_points, seed=2)]
    # Two binomial deviations above; scaled intensities of few points know their noise less well.
    allowed = FALSE_LINE_RATE + 0.008 + (0.01 if n_points < 100 else 0)
    assert share(frames, "normal") <= allowed
    assert share(frames, "empty") > 0.97


@pytest.mark.parametrize("scaling", SCALINGS)
def test_glass_is_amorphous(scaling):
    assert share([scaling(pattern) for pattern in glasses(200, 2000, seed=3)], "amorphous") > 0.97


@pytest.mark.parametrize("scaling", [counts_only, fractions])
def test_overflowing_detector_is_saturated(laboratory, scaling):
    bright = [pattern for pattern in laboratory if pattern.intensity.max() > 1000]
    cut = [
        scaling(
            Pattern(
                pattern.q_per_angstrom,
                np.minimum(pattern.intensity, np.floor(0.6 * pattern.intensity.max())),
                pattern.is_measured,
                None,
            )
        )
        for pattern in bright
    ]
    assert share(cut, "saturated") > 0.9
    assert share([scaling(pattern) for pattern in bright], "saturated") == 0


def test_detector_that_stops_just_above_the_background_is_saturated(laboratory):
    rng = np.random.default_rng(8)
    cut = []
    for pattern in laboratory:
        # Lines are wider than a point here, hot pixels are not.
        counts = pattern.intensity[pattern.is_measured]
        top = np.minimum(counts[1:-1], np.maximum(counts[:-2], counts[2:])).max()
        base = np.median(counts)
        limit = max(1.0, np.floor(base + rng.uniform(0.01, 0.1) * (top - base)))
        intensity = np.minimum(pattern.intensity, limit)
        cut.append(Pattern(pattern.q_per_angstrom, intensity, pattern.is_measured, None))
    assert share(cut, "saturated") > 0.98


def test_rounded_maximum_of_a_broad_calculated_line_is_not_saturated():
    q = np.linspace(1, 5, 8500)
    profile = np.rint(1000 * np.exp(-0.5 * ((q - 3) / 0.1) ** 2) + 1)
    assert (profile == profile.max()).sum() > 5
    assert assess_frame(Pattern.from_q(q, profile)).kind == "normal"


def test_stated_saturation_level_counts_neighbours_but_not_a_hot_pixel():
    counts = np.random.default_rng(4).poisson(50.0, size=2000)
    q = np.linspace(1, 5, 2000)
    counts[100] = 70_000
    assert assess_frame(Pattern.from_q(q, counts), saturation_level=65_535).kind == "empty"
    counts[300:303] = [65_535, 66_000, 65_535]
    quality = assess_frame(Pattern.from_q(q, counts), saturation_level=65_535)
    assert (quality.kind, quality.statistic) == ("saturated", 3)
    assert quality.reason == "3 points are cut off at 65535."


def test_frame_of_one_value_is_saturated():
    quality = assess_frame(Pattern.from_q(np.linspace(1, 5, 100), np.full(100, 4095)))
    assert quality.kind == "saturated"


def test_kind_does_not_depend_on_the_scale(laboratory):
    for pattern in laboratory[:20]:
        tenfold = Pattern(
            pattern.q_per_angstrom, 0.013 * pattern.intensity, pattern.is_measured, None
        )
        assert assess_frame(tenfold).kind == assess_frame(pattern).kind


def test_shortest_pattern_allowed_is_assessed():
    pattern = Pattern.from_q(np.linspace(1, 5, 16), np.random.default_rng(5).poisson(10.0, 16))
    assert assess_frame(pattern).kind == "empty"


@pytest.mark.parametrize("width", [0.05, 0.2])
def test_range_narrower_than_any_hump_is_assessed(width):
    counts = np.random.default_rng(6).poisson(10.0, 64)
    assert assess_frame(Pattern.from_q(np.linspace(1, 1 + width, 64), counts)).kind == "empty"


def test_reasons_are_sentences_with_their_numbers():
    q = np.linspace(1, 5, 1000)
    noise = np.random.default_rng(6).poisson(20.0, size=1000)
    assert assess_frame(Pattern.from_q(q, noise)).reason.startswith("No line stands out of noise")
    line = np.rint(200 * np.exp(-(((q - 3) / 0.02) ** 2)))
    assert "clearest line stands" in assess_frame(Pattern.from_q(q, noise + line)).reason
    hump = np.rint(200 * np.exp(-(((q - 2.5) / 0.6) ** 2)))
    assert "but no line does" in assess_frame(Pattern.from_q(q, noise + hump)).reason
