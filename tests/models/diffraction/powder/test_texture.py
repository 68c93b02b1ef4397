from itertools import product

import numpy as np
import pytest
from scipy.integrate import lebedev_rule
from spot_crystals import SYSTEMS, make_crystal

from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.diffraction.powder.texture import (
    cosine_texture,
    laue_rotations_of_space_groups,
    march_dollase,
)

HKL = np.array([hkl for hkl in product(range(-2, 3), repeat=3) if any(hkl)])


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def factors(backend, crystal, hkl, axis_hkl, r):
    """Return the factor of each reflection for a texture about one direction of the crystal."""
    rotations = laue_rotations_of_space_groups()[crystal.space_group_number]
    axes = unit(axis_hkl @ rotations @ crystal.reciprocal)
    arrays = (
        unit(hkl @ crystal.reciprocal),
        np.broadcast_to(axes, (len(hkl), *axes.shape)).copy(),
        np.full(len(hkl), r),
    )
    return np.asarray(march_dollase(*(backend.asarray(value) for value in arrays)))


@pytest.mark.parametrize("r", [0.3, 0.7, 1.0, 1.6])
def test_texture_moves_intensity_and_makes_none(backend, r):
    # Dollase: the distribution is normalised, its mean over the sphere is 1.
    points, weights = lebedev_rule(101)
    axes = np.broadcast_to(unit(np.array([[1.0, 2.0, -0.5]])), (points.shape[1], 1, 3)).copy()
    arrays = (points.T.copy(), axes, np.full(points.shape[1], r))
    factor = np.asarray(march_dollase(*(backend.asarray(value) for value in arrays)))
    assert weights @ factor / (4 * np.pi) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("r", [0.4, 1.5])
def test_factors_along_and_across_the_axis_are_those_of_the_equation(backend, r):
    crystal = make_crystal("tetragonal")
    along, across = factors(backend, crystal, np.array([[0, 0, 2], [1, 2, 0]]), [0, 0, 1], r)
    assert along == pytest.approx(r**-3)
    assert across == pytest.approx(r**1.5)


def test_no_texture_leaves_every_line_as_it_is(backend):
    crystal = make_crystal("triclinic")
    assert factors(backend, crystal, HKL, [1, 1, 0], 1.0) == pytest.approx(np.ones(len(HKL)))


def test_plates_show_more_of_00l_and_needles_less(backend):
    crystal = make_crystal("hexagonal")
    hkl = np.array([[0, 0, 2], [1, 0, 2], [1, 0, 1], [1, 0, 0]])
    plates = factors(backend, crystal, hkl, [0, 0, 1], 0.5)
    needles = factors(backend, crystal, hkl, [0, 0, 1], 1.5)
    assert (np.diff(plates) < 0).all()
    assert plates[0] > 1 > plates[-1]
    assert (np.diff(needles) > 0).all()
    assert needles[0] < 1 < needles[-1]


@pytest.mark.parametrize("system", SYSTEMS)
def test_equivalent_reflections_and_equivalent_axes_give_the_same_factor(backend, system):
    crystal = make_crystal(system)
    expected = factors(backend, crystal, HKL, [1, 0, 1], 0.5)
    operations = crystal.setting.gemmi.operations().sym_ops
    for operation in operations:
        rotation = np.round(np.array(operation.rot) / 24).astype(int)
        turned = factors(backend, crystal, HKL @ rotation, [1, 0, 1], 0.5)
        np.testing.assert_allclose(turned, expected, rtol=1e-9)
        axis = np.array([1, 0, 1]) @ rotation
        np.testing.assert_allclose(factors(backend, crystal, HKL, axis, 0.5), expected, rtol=1e-9)


@pytest.mark.parametrize("system", SYSTEMS)
def test_turning_the_axis_gives_the_mean_over_the_reflections_of_the_family(backend, system):
    crystal = make_crystal(system)
    axis = unit(np.array([1, 1, 0]) @ crystal.reciprocal)
    found = factors(backend, crystal, np.array([[1, 2, 3]]), [1, 1, 0], 0.6)[0]
    family = {
        tuple(np.round(np.array([1, 2, 3]) @ np.array(op.rot) / 24).astype(int).tolist())
        for op in crystal.setting.gemmi.operations().sym_ops
    }
    cosine = unit(np.array(list(family)) @ crystal.reciprocal) @ axis
    expected = (0.36 * cosine**2 + (1 - cosine**2) / 0.6) ** -1.5
    assert found == pytest.approx(expected.mean())


def test_the_table_holds_each_laue_class_evenly():
    table = laue_rotations_of_space_groups()
    assert table.shape == (231, 24, 3, 3)
    for number in (1, 14, 62, 88, 141, 148, 167, 176, 194, 205, 225):
        rotations, repeats = np.unique(table[number], axis=0, return_counts=True)
        operations = standard_setting(number).gemmi.operations()
        operations.add_inversion()
        assert len(rotations) == len(operations.sym_ops) // 2
        assert (repeats == 24 // len(rotations)).all()
    with pytest.raises(ValueError, match="read-only"):
        table[1] = 0


def test_the_texture_of_the_papers_is_one_along_the_axis_and_one_less_m_across(backend):
    hkl, axis = np.array([[0, 0, 3], [1, -2, 0], [0, 1, 1]]), np.array([[0, 0, 1]] * 3)
    arrays = (hkl.astype(float), axis.astype(float), np.full(3, 0.4))
    factor = np.asarray(cosine_texture(*(backend.asarray(value) for value in arrays)))
    assert factor == pytest.approx([1.0, 0.6, 0.6 + 0.4 * np.sqrt(0.5)])
