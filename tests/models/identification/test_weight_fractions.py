"""Weights from intensities, on mixtures that are simulated by weight."""

import numpy as np
import pytest
from library_samples import anatase, fluorite, rutile, salt

from phasepilot.models.benchmarks.tio2_patterns import Mixture, simulated_mixtures
from phasepilot.models.identification.known_structures import index_of_crystals, library_of
from phasepilot.models.identification.pattern_match import match_library
from phasepilot.models.identification.weight_fractions import densities, weight_fractions
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import prepare_pattern

NAMES = ("anatase", "rutile", "salt", "fluorite")


@pytest.fixture(scope="module")
def index():
    crystals = (anatase(), rutile(), salt(), fluorite())
    return index_of_crystals(list(zip(NAMES, crystals, strict=True)))


def test_densities_are_those_of_the_handbook(index) -> None:
    # Mineral data: anatase 3.89, rutile 4.25, halite 2.17, fluorite 3.18 g/cm^3.
    np.testing.assert_allclose(densities(index), [3.89, 4.25, 2.165, 3.18], rtol=5e-3)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (2, 3), (1, 2)])
@pytest.mark.parametrize("weight", [0.2, 0.5, 0.8])
def test_the_weights_of_a_clean_mixture_are_found(index, first, second, weight) -> None:
    rng = np.random.default_rng(0)
    (pattern,) = simulated_mixtures(index, [Mixture(first, second, weight)], rng, recipe="ideal")
    prepared = prepare_pattern(pattern, Preprocessing())
    library = library_of(index, np.arange(index.n_structures))
    phases = match_library(prepared, pattern.wavelength_angstrom, library).phases
    found = weight_fractions(index, phases, pattern)
    assert sum(found.values()) == pytest.approx(1.0)
    assert set(found) == {NAMES[first], NAMES[second]}
    # Overlapping lines are shared out, which is right to some per cent.
    assert found[NAMES[second]] == pytest.approx(weight, abs=0.06)
