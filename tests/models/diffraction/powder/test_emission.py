import numpy as np
import pytest
from pymatgen.analysis.diffraction.xrd import WAVELENGTHS

from phasepilot.models.diffraction.powder.emission import EMISSIONS, emission, monochromatic
from phasepilot.models.errors import PatternError

# Photon energies of K-alpha1 and K-alpha2 in eV: X-ray Data Booklet (LBNL), table 1-2.
PHOTON_ENERGIES = {
    "Cr": (5414.72, 5405.509),
    "Fe": (6403.84, 6390.84),
    "Co": (6930.32, 6915.30),
    "Cu": (8047.78, 8027.83),
    "Mo": (17479.34, 17374.3),
    "Ag": (22162.92, 21990.3),
}
EV_ANGSTROM = 12398.4198


@pytest.mark.parametrize("metal", PHOTON_ENERGIES)
def test_wavelengths_are_those_of_the_photon_energies(metal):
    expected = EV_ANGSTROM / np.array(PHOTON_ENERGIES[metal])
    assert emission(f"{metal}Ka12").wavelengths_angstrom == pytest.approx(expected, rel=5e-5)


@pytest.mark.parametrize("metal", PHOTON_ENERGIES)
def test_wavelengths_agree_with_pymatgen(metal):
    doublet, mean = emission(f"{metal}Ka12"), emission(f"{metal}Ka")
    # pymatgen's are older and rounded to five decimals.
    expected = [WAVELENGTHS[f"{metal}Ka{number}"] for number in (1, 2)]
    assert doublet.wavelengths_angstrom == pytest.approx(expected, abs=1e-4)
    assert mean.wavelengths_angstrom == pytest.approx([WAVELENGTHS[f"{metal}Ka"]], abs=2e-4)


def test_the_second_line_of_a_doublet_is_longer_and_half_as_strong():
    for name, beam in EMISSIONS.items():
        assert beam.weights[0] == 1.0
        if name.endswith("Ka12"):
            assert beam.wavelengths_angstrom[1] > beam.wavelengths_angstrom[0]
            assert beam.weights == (1.0, 0.5)


def test_the_one_line_that_stands_for_both_lies_at_their_centre_of_mass():
    for metal in PHOTON_ENERGIES:
        doublet = emission(f"{metal}Ka12")
        mean = np.average(doublet.wavelengths_angstrom, weights=doublet.weights)
        assert emission(f"{metal}Ka").wavelengths_angstrom == pytest.approx([mean])
        assert emission(f"{metal}Ka1").wavelengths_angstrom == doublet.wavelengths_angstrom[:1]


def test_a_monochromatic_beam_has_one_line():
    assert monochromatic(0.4).wavelengths_angstrom == (0.4,)
    assert monochromatic(0.4).weights == (1.0,)


@pytest.mark.parametrize("wavelength", [0.0, -1.54, float("nan"), float("inf")])
def test_a_wavelength_that_is_none_is_refused(wavelength):
    with pytest.raises(PatternError, match="wavelength_angstrom must be a positive number, but is"):
        monochromatic(wavelength)


def test_an_unknown_emission_is_refused_with_the_known_ones():
    with pytest.raises(PatternError, match=r"one of AgKa, AgKa1, .*, but is 'CuKalpha'"):
        emission("CuKalpha")
