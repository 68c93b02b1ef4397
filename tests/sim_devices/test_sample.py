import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.models.diffraction.pressure.compressed_powder import (
    Diffractometer,
    advance_fraction,
)
from phasepilot.models.diffraction.pressure.materials import FE, KCL, MATERIALS, SI
from phasepilot.sim_devices.sample import Sample

EVERY_MATERIAL = pytest.mark.parametrize("material", MATERIALS.values(), ids=MATERIALS)
PRESSURES = st.floats(0.0, 20.0)


def lines_of(sample):
    return sample.expected_counts() - sample.pattern.background_counts


@given(path=st.lists(PRESSURES, min_size=1, max_size=8))
def test_the_fraction_stays_a_fraction(path):
    fraction = 0.0
    for pressure_gpa in path:
        fraction = advance_fraction(fraction, pressure_gpa, FE)
        assert 0 <= fraction <= 1


@given(fraction=st.floats(0, 1), start=PRESSURES, stop=PRESSURES, way=st.floats(0, 1))
def test_steps_on_a_monotonic_way_do_not_matter(fraction, start, stop, way):
    begun = advance_fraction(fraction, start, FE)
    between = advance_fraction(begun, start + way * (stop - start), FE)
    assert advance_fraction(between, stop, FE) == advance_fraction(begun, stop, FE)


@given(low=PRESSURES, high=PRESSURES)
def test_a_loop_closes(low, high):
    low, high = sorted((low, high))
    once = advance_fraction(advance_fraction(0.0, high, FE), low, FE)
    again = advance_fraction(advance_fraction(once, high, FE), low, FE)
    assert again == once


def test_the_new_phase_begins_at_the_onset_and_is_complete_at_the_end():
    pressures = [FE.compress_onset_gpa, FE.transition_midpoint_gpa, FE.compress_end_gpa]
    assert [advance_fraction(0.0, p, FE) for p in pressures] == pytest.approx([0, 0.5, 1])


def test_the_old_phase_returns_only_below_the_decompression_onset():
    fractions = [advance_fraction(1.0, p, FE) for p in (13.0, 12.0, 11.0, 10.0)]
    assert fractions == pytest.approx([1, 1, 0.5, 0])


def test_a_partial_loop_keeps_the_fraction_until_it_meets_a_branch():
    half = advance_fraction(0.0, FE.transition_midpoint_gpa, FE)
    assert advance_fraction(half, 12.5, FE) == half
    assert advance_fraction(half, 13.9, FE) == half
    assert advance_fraction(half, 16.9, FE) == 1


def test_beta_tin_silicon_does_not_go_back():
    assert advance_fraction(1.0, 0.0, SI) == 1


@EVERY_MATERIAL
def test_the_strongest_bin_at_the_start_holds_the_peak_counts(material):
    assert lines_of(Sample(material, peak_counts=321.0)).max() == pytest.approx(321.0)


@EVERY_MATERIAL
def test_lines_lie_where_the_equation_of_state_puts_them(material):
    sample = Sample(material)
    sample.move_to(material.scan_stop_gpa)
    phase = material.high_pressure
    crystal = phase.crystal.scaled_to_volume_ratio(phase.volume_ratio(material.scan_stop_gpa))
    drawn = lines_of(sample)
    strongest_deg = sample.diffractometer.two_theta_deg[np.argmax(drawn)]
    q = 4 * np.pi / 0.41328 * np.sin(np.radians(strongest_deg / 2))
    hkl = np.array([(1, 1, 0), (2, 0, 0), (1, 0, 1), (2, 2, 0), (1, 1, 1)])
    candidates = 2 * np.pi * np.linalg.norm(hkl @ crystal.reciprocal, axis=1)
    # A bin of 0.01 degree is 0.0027 1/angstrom wide.
    assert np.abs(candidates - q).min() < 0.0014


def test_during_the_transition_the_pattern_is_the_mixture_of_both():
    pattern = Sample(KCL).pattern
    old, new = pattern.expected_counts(2.35, 0.0), pattern.expected_counts(2.35, 1.0)
    # Tails are cut a bin or so further out when lines are drawn together: steps of a count.
    assert pattern.expected_counts(2.35, 0.3) == pytest.approx(0.7 * old + 0.3 * new, abs=2.0)


def test_a_volume_scatters_as_the_square_of_its_density():
    # Same lines, same fraction: a cell k times smaller holds its electrons k times denser.
    pattern = Sample(FE).pattern
    ratio = FE.low_pressure.volume_ratio(14.0)
    areas = [(pattern.expected_counts(p, 0.0) - pattern.background_counts) for p in (0.0, 14.0)]
    angles = pattern.diffractometer.two_theta_deg
    first_line = (angles > 10) & (angles < 13)
    growth = areas[1][first_line].sum() / areas[0][first_line].sum()
    # The 110 line moves out: the Lorentz factor falls about as 1/q^2 = V^(2/3).
    assert growth == pytest.approx(ratio ** (-2 + 2 / 3), rel=0.01)


def test_exposure_scales_the_counts():
    sample = Sample(KCL)
    assert sample.expected_counts(0.4) == pytest.approx(4 * sample.expected_counts(0.1))


def test_counts_are_positive_everywhere_so_that_poisson_can_draw_them():
    assert (Sample(SI).expected_counts() > 0).all()


def test_the_grid_is_that_of_the_diffractometer():
    coarse = Diffractometer(two_theta_start_deg=5.0, two_theta_stop_deg=25.0, n_points=401)
    sample = Sample(KCL, diffractometer=coarse)
    assert sample.expected_counts().shape == coarse.two_theta_deg.shape == (401,)
    assert coarse.step_deg == pytest.approx(0.05)


def test_a_sample_loaded_beyond_the_transition_has_the_new_phase():
    assert Sample(KCL, start_pressure_gpa=3.0).high_pressure_fraction == 1
