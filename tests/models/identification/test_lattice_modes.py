import numpy as np
import pytest
from library_samples import make_known
from spot_crystals import SYSTEMS, make_crystal

from phasepilot.models.diffraction.crystals.strain import free_cell_parameters, strained
from phasepilot.models.identification.lattice_modes import lattice_modes, position_slopes

# Nye, Physical Properties of Crystals (1985), table 3: independent components of a symmetric
# second-rank tensor.
N_FREE = {1: 6, 14: 4, 62: 3, 141: 2, 166: 2, 194: 2, 225: 1}


@pytest.mark.parametrize(("space_group_number", "n_free"), N_FREE.items())
def test_as_many_modes_are_free_as_a_symmetric_tensor_has_components(space_group_number, n_free):
    modes = lattice_modes()[space_group_number]
    assert (np.abs(modes).sum(axis=(1, 2)) > 0).sum() == n_free


def test_all_modes_but_the_first_keep_the_volume():
    traces = np.trace(lattice_modes(), axis1=2, axis2=3)
    assert np.allclose(traces[1:, 0], 3)
    assert np.allclose(traces[:, 1:], 0)


def test_modes_are_orthogonal():
    flat = lattice_modes()[1].reshape(6, 9)
    assert np.allclose(flat @ flat.T, np.diag([3, 1, 1, 1, 1, 1]))


@pytest.mark.parametrize("system", SYSTEMS)
def test_lines_move_as_in_a_strained_crystal(system):
    crystal = make_crystal(system)
    length = free_cell_parameters(crystal.setting)[0]
    small = 1e-5
    other = strained(crystal, {length: small})
    # The strain that takes one lattice into the other, split into modes.
    stretch = (np.linalg.inv(crystal.direct) @ other.direct - np.eye(3)) / small
    symmetric = (stretch + stretch.T) / 2
    modes = lattice_modes()[crystal.space_group_number]
    parameters = np.array([(mode * symmetric).sum() / max((mode**2).sum(), 1) for mode in modes])
    known = make_known("before", crystal)
    hkl = known.hkl[:20]
    before, after = (
        np.log(np.linalg.norm(hkl @ one.reciprocal, axis=1)) for one in (crystal, other)
    )
    slopes = position_slopes(crystal.space_group_number, crystal.reciprocal, hkl)
    assert np.allclose(slopes @ parameters, (after - before) / small, atol=1e-3)
