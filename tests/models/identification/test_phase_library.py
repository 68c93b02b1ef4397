import numpy as np
import pytest
from library_samples import SAMPLES, make_known, make_library

from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.errors import CrystalError, PatternError
from phasepilot.models.identification.known_phase import known_phase, stored_phase
from phasepilot.models.identification.phase_library import line_areas, phase_library


def test_a_phase_of_a_store_has_the_lines_of_its_crystal():
    crystal = SAMPLES["rutile"]()
    stored = stored_phase(stick_store([crystal], 7.0), 0, name="rutile", formula="TiO2")
    known = known_phase(crystal, "rutile")
    packed = [phase_library([phase]) for phase in (stored, known)]
    strong = packed[0].area[0] > 1e-3
    assert strong.sum() > 10
    assert np.allclose(packed[0].log_q[0][strong], packed[1].log_q[0][strong], atol=1e-6)
    assert np.allclose(packed[0].area[0][strong], packed[1].area[0][strong], rtol=1e-2)


def test_areas_over_ln_q_are_those_over_angle_changed_by_the_axis():
    q, wavelength = np.array([1.5, 3.0, 5.0]), 1.2
    theta = np.arcsin(q * wavelength / (4 * np.pi))
    over_angle = np.exp(-2 * (q / (4 * np.pi)) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    over_log_q = over_angle / (2 * np.tan(theta))
    ratio = line_areas(q, np.ones(3)) / over_log_q
    assert np.allclose(ratio, ratio[0])


def test_lines_that_coincide_count_as_one():
    library = make_library("iron")
    separate = library.area[0] > 0
    # Roots of separate lines' areas; 330 and 411 of the cube share a q, beyond most patterns.
    first = library.root_weight[0][separate][:5]
    assert np.allclose(first, np.sqrt(library.area[0][separate][:5]))


def test_phases_can_be_chosen():
    library = make_library("salt", "rutile", "iron").chosen(np.array([2, 0]))
    assert [phase.name for phase in library.phases] == ["iron", "salt"]
    assert np.allclose(library.area.sum(axis=1), 1.0)


def test_an_empty_library_is_told():
    with pytest.raises(PatternError, match="must hold at least one phase, but holds none"):
        phase_library([])


def test_a_crystal_without_lines_in_reach_is_told():
    from phasepilot.models.diffraction.crystals.strain import isotropically_strained

    tiny = isotropically_strained(SAMPLES["iron"](), -0.8)
    with pytest.raises(CrystalError, match="tiny must have a line up to q = 7"):
        known_phase(tiny, "tiny")


def test_formulas_are_reduced():
    assert make_known("corundum").formula == "Al2O3"
