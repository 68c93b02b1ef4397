from itertools import product

import gemmi
import numpy as np
import pytest
from powder_samples import make_backend
from scipy.optimize import brentq
from spot_crystals import SYSTEMS, make_crystal

from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.diffraction.powder.line_positions import (
    displacement_shift_deg,
    free_strain_components,
    strained_reciprocal,
)

HKL = np.array([hkl for hkl in product(range(-3, 4), repeat=3) if any(hkl)])
# Lengths and angles that a crystal system leaves free.
N_FREE = {
    **{"triclinic": 6, "monoclinic": 4, "orthorhombic": 3, "tetragonal": 2, "trigonal": 2},
    **{"hexagonal": 2, "cubic": 1},
}


def strained(crystal, draws, backend):
    """Return reciprocal axes of the crystal, strained as its system allows by six draws."""
    component = free_strain_components()[crystal.space_group_number]
    strain = np.append(draws, 0.0)[component]
    arrays = (backend.asarray(value[None]) for value in (crystal.reciprocal, strain))
    return np.asarray(strained_reciprocal(*arrays))[0]


@pytest.mark.parametrize("system", SYSTEMS)
def test_strain_keeps_every_family_of_the_crystal_system_together(backend, system):
    crystal = make_crystal(system)
    draws = np.random.default_rng(3).normal(0, 0.02, 6)
    q = np.linalg.norm(HKL @ strained(crystal, draws, backend), axis=1)
    rotations = np.array([op.rot for op in crystal.setting.gemmi.operations().sym_ops]) / 24
    for rotation in rotations:
        turned = HKL @ np.round(rotation).astype(int)
        equivalent = np.linalg.norm(turned @ strained(crystal, draws, backend), axis=1)
        np.testing.assert_allclose(equivalent, q, rtol=1e-12)


def test_strain_keeps_the_families_of_every_space_group_together():
    backend, rng = make_backend(), np.random.default_rng(0)
    for number in range(1, 231):
        group = standard_setting(number)
        cell = gemmi.UnitCell(*cell_of(invariant_metric(group)))
        reciprocal = np.array(cell.frac.mat.tolist())
        strain = np.append(rng.normal(0, 0.02, 6), 0.0)[free_strain_components()[number]]
        arrays = (backend.asarray(value[None]) for value in (reciprocal, strain))
        axes = np.asarray(strained_reciprocal(*arrays))[0]
        q = np.linalg.norm(HKL @ axes, axis=1)
        for rotation in group.laue_rotations:
            turned = np.linalg.norm(HKL @ rotation @ axes, axis=1)
            np.testing.assert_allclose(turned, q, rtol=1e-10, err_msg=group.symbol)


def invariant_metric(group):
    """Return a metric that the group leaves as it is: a general one, averaged over it."""
    general = np.array([[30.0, 2.0, 3.0], [2.0, 40.0, -4.0], [3.0, -4.0, 55.0]])
    return np.mean([w.T @ general @ w for w in group.rotations], axis=0)


def cell_of(metric):
    a, b, c = np.sqrt(np.diag(metric))
    cosines = metric[1, 2] / (b * c), metric[0, 2] / (a * c), metric[0, 1] / (a * b)
    return a, b, c, *np.degrees(np.arccos(cosines))


@pytest.mark.parametrize("system", SYSTEMS)
def test_strain_is_as_free_as_the_crystal_system(system):
    components = free_strain_components()[make_crystal(system).space_group_number]
    assert np.unique(components[components < 6]).size == N_FREE[system]
    np.testing.assert_array_equal(components, components.T)
    # As many independent lattice parameters change as the system has.
    crystal = make_crystal(system)
    cells = []
    for draw in np.eye(6) * 1e-4:
        strain = np.append(draw, 0.0)[components]
        metric = crystal.direct @ (np.eye(3) + strain) @ (np.eye(3) + strain) @ crystal.direct.T
        cells.append(metric.ravel() - (crystal.direct @ crystal.direct.T).ravel())
    assert np.linalg.matrix_rank(np.array(cells), tol=1e-7) == N_FREE[system]


@pytest.mark.parametrize("system", SYSTEMS)
def test_isotropic_strain_moves_every_ln_q_alike(backend, system):
    crystal = make_crystal(system)
    arrays = (crystal.reciprocal[None], 0.01 * np.eye(3)[None])
    axes = np.asarray(strained_reciprocal(*(backend.asarray(value) for value in arrays)))[0]
    before = np.linalg.norm(HKL @ crystal.reciprocal, axis=1)
    after = np.linalg.norm(HKL @ axes, axis=1)
    assert np.log(after / before) == pytest.approx(np.full(len(HKL), -np.log(1.01)), rel=1e-9)


def test_cubic_lines_of_one_sum_of_squares_stay_together(backend):
    crystal = make_crystal("cubic")
    draws = np.random.default_rng(0).normal(0, 0.02, 6)
    q = np.linalg.norm(HKL @ strained(crystal, draws, backend), axis=1)
    # 333 and 511 share N = 27 and are of two families.
    for total in np.unique((HKL**2).sum(axis=1)):
        assert np.ptp(q[(HKL**2).sum(axis=1) == total]) < 1e-12


def test_a_stretched_tetragonal_axis_moves_00l_and_leaves_hk0(backend):
    crystal = make_crystal("tetragonal")
    axes = strained(crystal, np.array([0.0, 9.0, 0.03, 9.0, 9.0, 9.0]), backend)
    ratio = np.linalg.norm(axes, axis=1) / np.linalg.norm(crystal.reciprocal, axis=1)
    assert ratio == pytest.approx([1, 1, 1 / 1.03])


def test_strained_axes_are_the_inverse_of_strained_lattice_vectors(backend):
    crystal = make_crystal("triclinic")
    strain = np.random.default_rng(1).normal(0, 0.03, (3, 3))
    strain = (strain + strain.T) / 2
    arrays = (backend.asarray(value[None]) for value in (crystal.reciprocal, strain))
    axes = np.asarray(strained_reciprocal(*arrays))[0]
    direct = crystal.direct @ (np.eye(3) + strain)
    assert axes @ direct.T == pytest.approx(np.eye(3), abs=1e-12)


@pytest.mark.parametrize("two_theta_deg", [20.0, 60.0, 120.0])
@pytest.mark.parametrize("depth_mm", [0.2, -0.2])
def test_a_low_sample_shows_its_lines_where_rays_meet_the_detector(
    backend, two_theta_deg, depth_mm
):
    radius_mm = 200.0

    def deflection(reading_deg):
        """Return by how much a ray is turned that passes the sample's middle, at this reading."""
        half = np.radians(reading_deg / 2)
        tube, detector = (
            radius_mm * np.array([side * np.cos(half), np.sin(half)]) for side in (-1, 1)
        )
        into, out = np.array([0, -depth_mm]) - tube, detector - np.array([0, -depth_mm])
        return np.degrees(np.arccos(into @ out / np.linalg.norm(into) / np.linalg.norm(out)))

    reading = brentq(
        lambda angle: deflection(angle) - two_theta_deg, two_theta_deg - 2, two_theta_deg + 2
    )
    shift = displacement_shift_deg(
        backend.asarray(np.array([two_theta_deg])),
        backend.asarray(np.array([depth_mm / radius_mm])),
    )
    assert np.asarray(shift) == pytest.approx(reading - two_theta_deg, rel=2e-3)
    assert np.sign(reading - two_theta_deg) == -np.sign(depth_mm)
