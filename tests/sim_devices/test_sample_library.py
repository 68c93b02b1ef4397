from collections import Counter

import numpy as np
import pytest

from phasepilot.models.diffraction.pressure.compressed_powder import Diffractometer
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS, RUTILE, SPINEL
from phasepilot.sim_devices.mixture_pattern import MixturePattern
from phasepilot.sim_devices.sample_library import SPILLED_SHARE, SampleCondition, sample_library

COARSE = Diffractometer(
    wavelength_angstrom=1.540593,
    two_theta_start_deg=20.0,
    two_theta_stop_deg=60.0,
    n_points=2001,
    caglioti_square_deg=(0.006, 0.0, 0.0036),
    polarised_fraction=0.0,
)


def make_library(seed=0, **options):
    return sample_library(np.random.default_rng(seed), diffractometer=COARSE, **options)


@pytest.fixture(scope="module")
def library():
    return make_library()


def first_of(library, condition):
    return next(sample for sample in library.samples if sample.condition is condition)


def total_rate(library, sample):
    return library.rate_curve_at(sample.x_mm, sample.y_mm).cumulative_per_s[-1]


def test_the_library_holds_200_samples_of_six_phases_with_names_of_their_own(library):
    assert len(set(library.names)) == len(library.samples) == 200
    assert (library.names[0], library.names[-1]) == ("A01", "J20")
    assert library.phase_names == tuple(LIBRARY_CRYSTALS)


def test_it_holds_pure_samples_mixtures_and_bad_ones(library):
    conditions = Counter(sample.condition for sample in library.samples)
    assert conditions == {
        SampleCondition.GOOD: 191,
        SampleCondition.EMPTY: 3,
        SampleCondition.AMORPHOUS: 3,
        SampleCondition.SPILLED: 3,
    }
    good = [s for s in library.samples if s.condition is SampleCondition.GOOD]
    n_phases = Counter(int((sample.fractions > 0).sum()) for sample in good)
    assert n_phases[1] > 30
    assert n_phases[2] > 30
    assert n_phases[3] > 3
    assert {int(sample.fractions.argmax()) for sample in good} == set(range(6))


def test_the_same_seed_gives_the_same_library_and_another_seed_another():
    first, again, other = (make_library(seed) for seed in (5, 5, 6))
    fractions = [np.array([s.fractions for s in made.samples]) for made in (first, again, other)]
    assert (fractions[0] == fractions[1]).all()
    assert (fractions[0] != fractions[2]).any()


def test_an_empty_sample_scatters_like_the_bare_wafer(library):
    empty = first_of(library, SampleCondition.EMPTY)
    bare = library.rate_curve_at(2.5, 2.5)
    assert library.sample_at(2.5, 2.5) is None
    assert total_rate(library, empty) == bare.cumulative_per_s[-1]
    assert library.phases_of(empty.name) == {}


def test_an_amorphous_sample_has_a_halo_and_no_lines(library):
    amorphous = first_of(library, SampleCondition.AMORPHOUS)
    curve = library.rate_curve_at(amorphous.x_mm, amorphous.y_mm)
    rates = np.diff(curve.cumulative_per_s)
    assert rates.sum() > 1.02 * total_rate(library, first_of(library, SampleCondition.EMPTY))
    assert np.abs(np.diff(rates)).max() < 0.01 * rates.max()
    assert library.phases_of(amorphous.name) == {}


def test_a_spilled_sample_shows_its_phases_faintly(library):
    spilled = first_of(library, SampleCondition.SPILLED)
    good = library.pattern.curve_of_powder(spilled.fractions)
    empty = total_rate(library, first_of(library, SampleCondition.EMPTY))
    lines = total_rate(library, spilled) - empty
    # The sample's own strain moves a line or two at the ends of the range.
    assert lines == pytest.approx(SPILLED_SHARE * (good.cumulative_per_s[-1] - empty), rel=0.05)
    assert sum(library.phases_of(spilled.name).values()) == pytest.approx(1.0)


def test_a_pattern_is_computed_once(library):
    sample = library.samples[3]
    first = library.rate_curve_at(sample.x_mm, sample.y_mm)
    assert library.rate_curve_at(sample.x_mm + 0.5, sample.y_mm) is first


def test_a_name_that_is_not_there_is_refused_with_those_that_are(library):
    with pytest.raises(ValueError, match="no sample 'Z99'; there are 200, from A01 to J20"):
        library.sample("Z99")


def test_mixtures_are_the_sum_of_their_parts():
    pattern = MixturePattern({"rutile": RUTILE, "spinel": SPINEL}, diffractometer=COARSE)
    parts = [pattern.lines(np.array(shares)) for shares in ([1.0, 0.0], [0.0, 1.0])]
    mixed = pattern.lines(np.array([0.25, 0.75]))
    # Tails are cut a bin or so further out when lines are drawn together.
    assert mixed == pytest.approx(0.25 * parts[0] + 0.75 * parts[1], abs=2e-4 * mixed.max())


def test_the_strongest_line_of_the_strongest_phase_has_the_peak_rate():
    pattern = MixturePattern(
        {"rutile": RUTILE, "spinel": SPINEL}, diffractometer=COARSE, peak_rate_per_s=321.0
    )
    empty, full = (pattern.curve_of_powder(np.array([share, 0.0])) for share in (0.0, 1.0))
    angles = COARSE.two_theta_deg
    above = full.in_windows(angles, 0.05) - empty.in_windows(angles, 0.05)
    assert above.max() == pytest.approx(321.0, rel=1e-6)
    assert angles[above.argmax()] == pytest.approx(27.44, abs=0.02)


def test_a_strained_lattice_moves_lines_by_bragg_s_law():
    pattern = MixturePattern({"rutile": RUTILE}, diffractometer=COARSE)
    longer = RUTILE.scaled_to_volume_ratio(1.01**3)
    angles = COARSE.two_theta_deg
    before, after = (
        angles[pattern.lines(np.array([1.0]), crystals).argmax()] for crystals in (None, [longer])
    )
    sine = np.sin(np.radians(before / 2)) / 1.01
    assert after == pytest.approx(np.degrees(2 * np.arcsin(sine)), abs=0.02)


@pytest.mark.parametrize(
    ("name", "density_g_per_cubic_cm"),
    [
        ("periclase", 3.585),
        ("corundum", 3.98),
        ("rutile", 4.25),
        ("anatase", 3.893),
        ("spinel", 3.578),
        ("geikielite", 3.80),
    ],
)
def test_crystals_have_the_density_of_their_minerals(name, density_g_per_cubic_cm):
    import gemmi

    crystal = LIBRARY_CRYSTALS[name]
    mass = sum(gemmi.Element(int(number)).weight for number in crystal.atomic_numbers)
    density = mass / crystal.volume_cubic_angstrom * 1.66054
    assert density == pytest.approx(density_g_per_cubic_cm, rel=0.01)
