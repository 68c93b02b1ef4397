"""Known structures against the spots of single views."""

from functools import cache

import numpy as np
import pytest

from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.identification.known_structures import index_of_crystals, library_of
from phasepilot.models.pattern import Pattern
from phasepilot.models.steering.spot_candidates import (
    NONE_OF_THEM,
    Belief,
    SpotCandidates,
    _multiplicity,
    seen_lines,
)
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS

WAVELENGTH_ANGSTROM = 0.4


@cache
def candidates() -> SpotCandidates:
    index = index_of_crystals(list(LIBRARY_CRYSTALS.items()))
    library = library_of(index, np.arange(index.n_structures))
    return SpotCandidates(library, WAVELENGTH_ANGSTROM, mosaicity_deg=0.5, tolerance=0.004)


def view_with_lines(q_per_angstrom: list[float]) -> Pattern:
    """Return the pattern of an image with spots at these places only."""
    two_theta = np.linspace(1.0, 30.0, 1000)
    q = 4 * np.pi / WAVELENGTH_ANGSTROM * np.sin(np.radians(two_theta / 2))
    rng = np.random.default_rng(1)
    intensity = rng.poisson(1000, q.size) / 1000
    for place in q_per_angstrom:
        intensity += 5 * np.exp(-0.5 * ((q - place) / 0.01) ** 2)
    return Pattern.from_two_theta(two_theta, intensity, wavelength_angstrom=WAVELENGTH_ANGSTROM)


def strongest_lines(name: str, n_lines: int) -> list[float]:
    sticks = powder_sticks(LIBRARY_CRYSTALS[name], 5.0)
    order = np.argsort(-sticks.structure_factor_squared)[:n_lines]
    return sticks.q_per_angstrom[order].tolist()


def believed(q_per_angstrom: list[float]) -> Belief:
    view = candidates().view(view_with_lines(q_per_angstrom))
    assert view is not None
    return candidates().belief(view.log_likelihood, view)


def test_lines_are_seen_where_they_were_drawn() -> None:
    drawn = sorted(strongest_lines("rutile", 4))
    np.testing.assert_allclose(seen_lines(view_with_lines(drawn)).q_per_angstrom, drawn, rtol=2e-3)


@pytest.mark.parametrize("name", sorted(LIBRARY_CRYSTALS))
def test_the_crystal_whose_spots_are_seen_is_believed_in(name: str) -> None:
    assert believed(strongest_lines(name, 4)).answer == name


def test_spots_that_no_candidate_has_are_of_none_of_them() -> None:
    assert believed([1.03, 1.37, 1.71, 2.11, 2.29, 2.83, 3.07]).answer == NONE_OF_THEM


def test_an_image_without_spots_says_nothing() -> None:
    assert candidates().view(view_with_lines([])) is None


def test_further_views_lower_the_bound_at_the_rates_of_the_others() -> None:
    belief = Belief("a", np.array([0.2, 0.1]), np.array([1.0, 0.0]))
    assert belief.bound == pytest.approx(0.3)
    expected = belief.expected_bound(np.array([0.0, 1.0, 50.0]))
    np.testing.assert_allclose(expected, [0.3, 0.2 / np.e + 0.1, 0.1])


def test_multiplicities_are_those_of_the_powder_engine() -> None:
    for crystal in LIBRARY_CRYSTALS.values():
        sticks = powder_sticks(crystal, 4.0)
        found = _multiplicity(sticks.hkl, crystal.space_group_number)
        np.testing.assert_array_equal(found, sticks.multiplicity)
