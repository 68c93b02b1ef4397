from dataclasses import replace

import numpy as np
import pytest
from library_samples import CU_ANGSTROM, SAMPLES, make_known, make_library, make_pattern

from phasepilot.models.diffraction.crystals.strain import isotropically_strained, strained
from phasepilot.models.errors import PatternError
from phasepilot.models.identification.element_filter import allowed_elements
from phasepilot.models.identification.pattern_match import match_library


def strained_pattern(name, length_strains):
    crystal = strained(SAMPLES[name](), length_strains)
    return make_pattern([(make_known(name, crystal), 1.0)])


def names_of(match):
    return [phase.name for phase in match.phases]


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_pure_sample_is_named_and_nothing_else(name):
    match = match_library(make_pattern([(make_known(name), 1.0)]), CU_ANGSTROM, make_library())
    assert names_of(match) == [name]
    assert match.phases[0].fraction == pytest.approx(1.0)
    assert match.phases[0].explained > 0.75
    assert match.unexplained < 0.15
    assert match.agreement > 0.9


@pytest.mark.parametrize("strain", [-0.03, -0.01, 0.0, 0.013, 0.03])
def test_the_strain_of_a_sample_is_found(strain):
    crystal = isotropically_strained(SAMPLES["fluorite"](), strain)
    pattern = make_pattern([(make_known("fluorite", crystal), 1.0)])
    match = match_library(pattern, CU_ANGSTROM, make_library())
    assert names_of(match) == ["fluorite"]
    # The zero shift, which is free too, takes up a little of it.
    assert match.phases[0].strain == pytest.approx(strain, abs=1e-3)


def test_axes_that_differ_in_opposite_directions_still_match():
    pattern = strained_pattern("anatase", {"a": 0.012, "c": -0.012})
    match = match_library(pattern, CU_ANGSTROM, make_library())
    assert names_of(match) == ["anatase"]
    assert match.agreement > 0.85
    # The cube root of the volume's ratio.
    assert match.phases[0].strain == pytest.approx(0.012 / 3, abs=2e-3)


def test_a_lattice_beyond_reach_does_not_match():
    pattern = strained_pattern("fluorite", {"a": 0.12})
    match = match_library(pattern, CU_ANGSTROM, make_library("fluorite"))
    assert match.agreement < 0.5


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_shares_of_a_mixture_are_found(share):
    parts = [(make_known("rutile"), share), (make_known("corundum"), 1 - share)]
    match = match_library(make_pattern(parts), CU_ANGSTROM, make_library())
    assert set(names_of(match)) == {"rutile", "corundum"}
    fractions = {phase.name: phase.fraction for phase in match.phases}
    # Shares of angle and of ln q differ: lines at high angles count less on ln q.
    assert fractions["rutile"] == pytest.approx(share, abs=0.1)
    assert sum(fractions.values()) == pytest.approx(1.0)


def test_three_phases_are_told_apart_the_largest_first():
    parts = [(make_known("salt"), 0.6), (make_known("anatase"), 0.25), (make_known("iron"), 0.15)]
    match = match_library(make_pattern(parts), CU_ANGSTROM, make_library())
    assert set(names_of(match)) == {"salt", "anatase", "iron"}
    assert match.phases[0].name == "salt"
    fractions = [phase.fraction for phase in match.phases]
    assert fractions == sorted(fractions, reverse=True)
    assert match.calculated.shape == (3, 4096)


def test_at_most_as_many_phases_are_named_as_asked_for():
    parts = [(make_known("rutile"), 0.5), (make_known("corundum"), 0.5)]
    match = match_library(make_pattern(parts), CU_ANGSTROM, make_library(), max_phases=1)
    assert len(match.phases) == 1
    assert match.unexplained > 0.25


def test_what_the_library_lacks_stays_unexplained():
    parts = [(make_known("rutile"), 0.5), (make_known("corundum"), 0.5)]
    known = match_library(make_pattern(parts), CU_ANGSTROM, make_library("rutile", "corundum"))
    lacking = match_library(make_pattern(parts), CU_ANGSTROM, make_library("rutile"))
    assert known.unexplained < 0.15
    assert lacking.unexplained > 0.3


@pytest.mark.parametrize("background", [10.0, 1000.0])
def test_a_pattern_without_lines_shows_no_phase(background):
    match = match_library(make_pattern([], background=background), CU_ANGSTROM, make_library())
    assert match.agreement < 0.35
    assert match.unexplained > 0.5


def test_the_wavelength_need_not_be_known():
    pattern = make_pattern([(make_known("rutile"), 1.0)])
    assert names_of(match_library(pattern, None, make_library())) == ["rutile"]


def test_texture_does_not_hide_a_phase():
    flat = make_known("corundum")
    cosine = flat.hkl @ flat.reciprocal
    cosine = cosine[:, 2] / np.linalg.norm(cosine, axis=1)
    # March-Dollase with r = 0.6 about c.
    flat.strength[:] *= (0.36 * cosine**2 + (1 - cosine**2) / 0.6) ** -1.5
    match = match_library(make_pattern([(flat, 1.0)]), CU_ANGSTROM, make_library())
    assert names_of(match)[0] == "corundum"


def test_the_calculated_intensity_is_that_of_the_pattern():
    pattern = make_pattern([(make_known("salt"), 1.0)])
    match = match_library(pattern, CU_ANGSTROM, make_library())
    assert match.calculated.sum() == pytest.approx(pattern.signal.sum(), rel=0.15)
    assert (match.calculated[:, ~pattern.is_measured] == 0).all()


def test_phases_of_other_elements_are_passed_over():
    pattern = make_pattern([(make_known("rutile"), 1.0)])
    match = match_library(
        pattern, CU_ANGSTROM, make_library(), elements=allowed_elements("Ca,F,Al,O")
    )
    assert not {"rutile", "anatase", "salt", "iron"} & set(names_of(match))


def test_elements_of_no_phase_are_told():
    pattern = make_pattern([(make_known("rutile"), 1.0)])
    with pytest.raises(PatternError, match=r"\[92\], but none of its 6 is; allow more elements"):
        match_library(pattern, CU_ANGSTROM, make_library(), elements=[92])


def test_no_phases_cannot_be_asked_for():
    pattern = make_pattern([(make_known("rutile"), 1.0)])
    with pytest.raises(PatternError, match="max_phases must be at least 1, but is 0"):
        match_library(pattern, CU_ANGSTROM, make_library(), max_phases=0)


def test_a_pattern_without_any_signal_shows_no_phase():
    pattern = make_pattern([(make_known("salt"), 1.0)])
    empty = replace(pattern, signal=np.zeros_like(pattern.signal))
    match = match_library(empty, CU_ANGSTROM, make_library())
    assert match.phases == ()
    assert match.calculated.shape == (0, 4096)
    assert (match.unexplained, match.agreement) == (1.0, 0.0)
