"""Crystals put under a known strain: what the refinement finds, and how well they fit then."""

from dataclasses import replace

import gemmi
import numpy as np
import pytest
from search_library import CU_KA_ANGSTROM, make_crystals

from phasepilot.models.diffraction.crystals.crystal import Cell, Crystal, crystal_from_sites
from phasepilot.models.diffraction.powder.line_positions import free_strain_components
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.identification.refinement import (
    FEATURES,
    Refinement,
    candidate_lines,
    refine,
)
from phasepilot.models.pattern import Pattern, two_theta_from_q
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern

Q_MAX_PER_ANGSTROM = 6.5
MARCASITE = crystal_from_sites(
    "FeS2",
    "P n n m",
    (4.443, 5.425, 3.387, 90.0, 90.0, 90.0),
    [("Fe", (0.0, 0.0, 0.0)), ("S", (0.200, 0.378, 0.0))],
)
# Relative change of a, b, c and change of beta in degree, as the crystal system allows.
STRAINED = {
    "tetragonal": ("TiO2", (0.010, 0.010, -0.015, 0.0)),
    "trigonal": ("SiO2", (0.015, 0.015, -0.010, 0.0)),
    "orthorhombic": ("FeS2", (-0.012, 0.010, 0.015, 0.0)),
    "monoclinic": ("ZrO2", (0.015, -0.010, 0.010, 0.5)),
    "cubic": ("NaCl", (-0.015, -0.015, -0.015, 0.0)),
}
each_strained_crystal = pytest.mark.parametrize("system", STRAINED)


@pytest.fixture(scope="module")
def crystals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Crystal]:
    return make_crystals(tmp_path_factory.mktemp("refinement")) | {"FeS2": MARCASITE}


def strained(crystal: Crystal, change: tuple[float, float, float, float]) -> Crystal:
    a, b, c, alpha, beta, gamma = crystal.cell
    lengths = a * (1 + change[0]), b * (1 + change[1]), c * (1 + change[2])
    return replace(crystal, cell=(*lengths, alpha, beta + change[3], gamma))


def measured(
    crystal: Crystal, *, zero_shift_deg: float = 0.0, fwhm_deg: float = 0.2
) -> PreparedPattern:
    """Lines of a laboratory diffractometer, half Gaussian and half Lorentzian, without noise."""
    two_theta = np.arange(15.0, 110.0, 0.02)
    sticks = powder_sticks(crystal, 6.2)
    angle = two_theta_from_q(sticks.q_per_angstrom, CU_KA_ANGSTROM)
    theta = np.radians(angle / 2)
    geometry = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    offset = (two_theta[:, None] - angle[None] - zero_shift_deg) / (fwhm_deg / 2)
    gaussian = np.sqrt(np.log(2) / np.pi) * np.exp(-np.log(2) * offset**2)
    profile = gaussian + 1 / (np.pi * (1 + offset**2))
    counts = 20 + 1000 * profile @ (sticks.structure_factor_squared * geometry) / geometry.max()
    pattern = Pattern.from_two_theta(two_theta, counts, wavelength_angstrom=CU_KA_ANGSTROM)
    return prepare_pattern(pattern, Preprocessing())


def refined(prepared: PreparedPattern, *candidates: Crystal, shift: float = 0.0) -> Refinement:
    store = stick_store(candidates, Q_MAX_PER_ANGSTROM)
    return refine(prepared, store, np.full(len(candidates), shift))


def feature(found: Refinement, name: str) -> np.ndarray:
    return found.features[:, FEATURES.index(name)]


def cell_after(crystal: Crystal, strain: np.ndarray) -> Cell:
    """The cell whose lattice vectors are those of the crystal, strained."""
    components = free_strain_components()[crystal.space_group_number]
    a, b, c = crystal.direct @ (np.eye(3) + np.append(strain, 0.0)[components])

    def angle(u: np.ndarray, v: np.ndarray) -> float:
        return float(np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))))

    lengths = (float(np.linalg.norm(vector)) for vector in (a, b, c))
    return (*lengths, angle(b, c), angle(a, c), angle(a, b))  # type: ignore[return-value]


@each_strained_crystal
def test_the_cell_of_the_sample_is_found(crystals: dict[str, Crystal], system: str) -> None:
    formula, change = STRAINED[system]
    known = crystals[formula]
    assert known.crystal_system == system
    sample = strained(known, change)
    cell = cell_after(known, refined(measured(sample), known).strain[0])
    # A tenth of the strain, which is held back a little because small strains are likelier.
    np.testing.assert_allclose(cell[:3], sample.cell[:3], rtol=1.5e-3)
    np.testing.assert_allclose(cell[3:], sample.cell[3:], atol=0.04)


@each_strained_crystal
def test_the_strained_sample_fits_as_well_as_one_without_strain(
    crystals: dict[str, Crystal], system: str
) -> None:
    formula, change = STRAINED[system]
    known = crystals[formula]
    unstrained = feature(refined(measured(known), known), "cosine")[0]
    cosine = feature(refined(measured(strained(known, change)), known), "cosine")[0]
    assert cosine > 0.97
    assert cosine == pytest.approx(unstrained, abs=0.015)


@each_strained_crystal
def test_mean_and_size_of_the_strain_are_those_put_in(
    crystals: dict[str, Crystal], system: str
) -> None:
    formula, change = STRAINED[system]
    known = crystals[formula]
    sample = strained(known, change)
    found = refined(measured(sample), known)
    per_length = (gemmi.UnitCell(*sample.cell).volume / known.volume_cubic_angstrom) ** (1 / 3)
    assert found.mean_strain[0] == pytest.approx(per_length - 1, abs=5e-4)
    # Shear adds to it twice; the change of beta by 0.5 degree is one of 0.0044.
    shear = np.radians(change[3]) / 2
    expected = 100 * np.sqrt((np.sum(np.square(change[:3])) + 2 * shear**2) / 3)
    assert feature(found, "strain_percent")[0] == pytest.approx(expected, rel=0.1)


def test_half_of_a_zero_shift_is_told_from_strain(crystals: dict[str, Crystal]) -> None:
    rutile, shift_deg = crystals["TiO2"], 0.08
    found = refined(measured(rutile, zero_shift_deg=shift_deg), rutile)
    # What the first line alone would say, 110 at 27.4 degree: cot(theta) d(theta).
    of_first_line = np.radians(shift_deg / 2) / np.tan(np.radians(27.4 / 2))
    np.testing.assert_allclose(found.strain, 0.0, atol=of_first_line / 2)
    assert feature(found, "cosine")[0] > 0.97


def test_what_the_search_found_is_where_the_refinement_starts(
    crystals: dict[str, Crystal],
) -> None:
    # By 3.5 %, lines of quartz lie nearer to others than to their own.
    quartz = crystals["SiO2"]
    pattern = measured(strained(quartz, (0.035, 0.035, 0.035, 0.0)))
    assert feature(refined(pattern, quartz), "cosine")[0] < 0.9
    helped = refined(pattern, quartz, shift=-np.log(1.035))
    assert helped.mean_strain[0] == pytest.approx(0.035, abs=2e-3)
    assert feature(helped, "cosine")[0] > 0.97


def test_another_crystal_fits_worse_however_it_is_strained(crystals: dict[str, Crystal]) -> None:
    names = ["SiO2", "TiO2", "ZrO2", "Mg", "Bi"]
    found = refined(measured(crystals["SiO2"]), *(crystals[name] for name in names))
    cosine = feature(found, "cosine")
    assert cosine[0] > cosine[1:].max() + 0.2


def test_candidates_are_refined_each_by_itself_in_the_order_given(
    crystals: dict[str, Crystal],
) -> None:
    pattern = measured(strained(crystals["TiO2"], (0.01, 0.01, -0.01, 0.0)))
    together = refined(pattern, crystals["ZrO2"], crystals["TiO2"])
    alone = refined(pattern, crystals["TiO2"])
    np.testing.assert_allclose(together.strain[1], alone.strain[0], atol=1e-9)


@pytest.mark.parametrize("fwhm_deg", [0.12, 0.33])
def test_the_width_of_the_lines_is_found(crystals: dict[str, Crystal], fwhm_deg: float) -> None:
    rutile = crystals["TiO2"]
    assert refined(measured(rutile, fwhm_deg=fwhm_deg), rutile).fwhm_deg == fwhm_deg


def test_shares_are_of_the_whole(crystals: dict[str, Crystal]) -> None:
    found = refined(measured(crystals["TiO2"]), *crystals.values())
    for name in ("cosine", "explained", "root_explained", "present", "density"):
        shares = feature(found, name)
        assert (shares >= 0).all(), name
        assert (shares <= 1 + 1e-9).all(), name
    assert (np.abs(feature(found, "fine_cosine")) <= 1).all()
    rutile = list(crystals).index("TiO2")
    assert feature(found, "explained")[rutile] > 0.9
    assert feature(found, "present")[rutile] > 0.8


def test_a_pattern_without_a_wavelength_is_refined_too(crystals: dict[str, Crystal]) -> None:
    sample = strained(crystals["TiO2"], (0.01, 0.01, -0.015, 0.0))
    pattern = measured(sample).source
    assert pattern is not None
    on_q = Pattern.from_q(pattern.q_per_angstrom, pattern.intensity)
    found = refined(prepare_pattern(on_q, Preprocessing()), crystals["TiO2"])
    np.testing.assert_allclose(found.strain[0, [0, 2]], [0.01, -0.015], atol=7e-4)


def test_slopes_are_those_of_moved_lines(crystals: dict[str, Crystal]) -> None:
    """Against lines of a cell that is strained a little, by differences."""
    known = crystals["ZrO2"]
    step = 1e-4
    store = stick_store([known], Q_MAX_PER_ANGSTROM)
    lines = candidate_lines(store, (np.log(0.4), np.log(4.5)), CU_KA_ANGSTROM)
    moved = stick_store([strained(known, (0.0, step, 0.0, 0.0))], Q_MAX_PER_ANGSTROM)
    before = {tuple(hkl): q for hkl, q in zip(store.hkl, store.q_per_angstrom, strict=True)}
    after = {tuple(hkl): q for hkl, q in zip(moved.hkl, moved.q_per_angstrom, strict=True)}
    slopes = {
        round(float(log_q), 5): slope
        for log_q, slope in zip(lines.log_q[0], lines.slopes[0, :, 1], strict=True)
    }
    n_compared = 0
    for hkl, q in before.items():
        slope = slopes.get(round(float(np.log(float(q))), 5))
        if slope is not None and hkl in after:
            found = (np.log(float(after[hkl])) - np.log(float(q))) / step
            # Positions are stored in single precision.
            assert found == pytest.approx(slope, abs=5e-3), hkl
            n_compared += 1
    assert n_compared > 40


def test_only_the_strongest_lines_within_the_range_are_kept(crystals: dict[str, Crystal]) -> None:
    store = stick_store([crystals["ZrO2"], crystals["Cu"]], Q_MAX_PER_ANGSTROM)
    low, high = float(np.log(1.5)), float(np.log(4.0))
    lines = candidate_lines(store, (low, high), CU_KA_ANGSTROM)
    inside = lines.area > 0
    assert (lines.area.max(axis=1) == 1).all()
    # Lines a little outside may be strained into it.
    assert lines.log_q[inside].min() > low - 0.03
    assert lines.log_q[inside].max() < high + 0.03
    # Of copper, with a = 3.615, 111, 200 and 220 lie there: q = 3.01, 3.48 and 4.92 (too high).
    np.testing.assert_allclose(np.exp(lines.log_q[1][inside[1]]), [3.010, 3.476], atol=0.001)


def test_a_beam_of_no_signal_gives_no_overlap(crystals: dict[str, Crystal]) -> None:
    pattern = measured(crystals["TiO2"])
    empty = replace(pattern, signal=np.zeros_like(pattern.signal))
    found = refined(empty, crystals["TiO2"])
    assert np.isfinite(found.features).all()
    assert feature(found, "cosine")[0] == 0
