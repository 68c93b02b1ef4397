import numpy as np
import pytest
from powder_samples import BACKENDS, all_systems, make_backend, make_settings
from spot_crystals import SYSTEMS, make_crystal, make_silicon

from phasepilot.models.diffraction.powder.recipe import TEXTURE_AXES
from phasepilot.models.diffraction.powder.scattering import PhaseLibrary
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.diffraction.stick_store import stick_store

Q_MAX = 6.0


def reflections(crystals, *, backend=None, fraction=None, seed=0, structures=None, **fields):
    backend = backend or make_backend()
    structures = np.arange(len(crystals)) if structures is None else np.array(structures)
    settings = make_settings(structures.size, seed=seed, **fields)
    fraction = np.ones(structures.size) if fraction is None else np.array(fraction)
    library = PhaseLibrary(stick_store(crystals, Q_MAX), backend)
    found = library.reflections(structures, fraction, settings)
    return tuple(np.asarray(part) for part in (found.row, found.q_per_angstrom, found.strength))


@pytest.mark.parametrize("system", SYSTEMS)
def test_lines_of_a_crystal_at_rest_are_its_sticks_over_the_square_of_its_volume(backend, system):
    crystal = make_crystal(system)
    row, q, strength = reflections([crystal], backend=backend, b_square_angstrom=0.7)
    assert not row.any()
    sticks = powder_sticks(crystal, Q_MAX, b_square_angstrom=0.7)
    numbers = {tuple(hkl): number for number, hkl in enumerate(sticks.hkl.tolist())}
    held = [numbers[tuple(hkl)] for hkl in stick_store([crystal], Q_MAX).hkl.tolist()]
    assert q == pytest.approx(sticks.q_per_angstrom[held], rel=1e-9)
    expected = sticks.structure_factor_squared[held] / crystal.volume_cubic_angstrom**2
    assert strength == pytest.approx(expected, rel=1e-5)


def test_samples_of_a_batch_keep_to_their_rows(backend):
    silicon, gold_like = make_silicon(), make_crystal("cubic")
    row, q, strength = reflections([silicon, gold_like], structures=[1, 0, 1], backend=backend)
    alone = {0: reflections([gold_like]), 1: reflections([silicon]), 2: reflections([gold_like])}
    for number, (_, alone_q, alone_strength) in alone.items():
        np.testing.assert_allclose(q[row == number], alone_q)
        np.testing.assert_allclose(strength[row == number], alone_strength, rtol=1e-6)


def test_strength_goes_with_the_volume_fraction_and_nothing_has_no_lines(backend):
    row, _, strength = reflections(
        [make_silicon()], structures=[0, 0, 0], fraction=[1.0, 0.25, 0.0], backend=backend
    )
    assert 2 not in row
    assert strength[row == 1] == pytest.approx(0.25 * strength[row == 0])


@pytest.mark.parametrize("system", SYSTEMS)
def test_isotropic_strain_moves_all_lines_of_a_sample_alike(backend, system):
    crystal = make_crystal(system)
    _, before, _ = reflections([crystal], backend=backend)
    _, after, _ = reflections([crystal], backend=backend, isotropic_strain=0.02)
    assert after / before == pytest.approx(np.full(before.size, 1 / 1.02), rel=1e-9)


def test_anisotropic_strain_parts_lines_of_a_tetragon_and_not_of_a_cube():
    for system, is_parted in (("tetragonal", True), ("cubic", False)):
        crystal = make_crystal(system)
        _, before, _ = reflections([crystal])
        _, after, _ = reflections([crystal], anisotropic_strain={"normal": [0, 0.02]})
        assert (np.ptp(after / before) > 1e-3) == is_parted


def test_strains_of_a_batch_are_each_its_own():
    row, q, _ = reflections(
        [make_silicon()], structures=[0] * 3, isotropic_strain={"normal": [0, 0.02]}
    )
    _, before, _ = reflections([make_silicon()])
    stretch = [np.unique(np.round(q[row == number] / before, 9)) for number in range(3)]
    assert [values.size for values in stretch] == [1, 1, 1]
    assert len({float(values[0]) for values in stretch}) == 3


@pytest.mark.parametrize("system", SYSTEMS)
def test_texture_moves_strength_between_lines_and_keeps_it_in_all(system):
    crystal = make_crystal(system)
    _, _, plain = reflections([crystal])
    _, _, textured = reflections([crystal], march_dollase_r=0.6)
    assert np.ptp(textured / plain) > 0.1
    # Weighted alike, the lines of a small sphere sample directions roughly evenly.
    multiplicity = np.asarray(stick_store([crystal], Q_MAX).multiplicity)
    mean = np.average(textured / plain, weights=multiplicity)
    assert mean == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("axis", range(len(TEXTURE_AXES)))
def test_texture_of_a_cube_strengthens_the_axis_by_its_share_of_equivalents(axis):
    crystal = make_silicon()
    seed = next(
        seed for seed in range(200) if make_settings(1, seed=seed)["texture_axis"][0, 0] == axis
    )
    _, q, plain = reflections([crystal], seed=seed)
    _, _, textured = reflections([crystal], march_dollase_r=0.5, seed=seed)
    hkl = np.asarray(stick_store([crystal], Q_MAX).hkl)
    # By hand for 111: cosines with all equivalents of the axis.
    direction = np.array([1, 1, 1]) / np.sqrt(3)
    signs = np.array(np.meshgrid([1, -1], [1, -1], [1, -1])).reshape(3, -1).T
    order = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    equivalents = np.concatenate([TEXTURE_AXES[axis][list(one)] * signs for one in order])
    cosine = equivalents @ direction / np.linalg.norm(TEXTURE_AXES[axis])
    expected = ((0.25 * cosine**2 + (1 - cosine**2) / 0.5) ** -1.5).mean()
    is_111 = (np.abs(hkl) == 1).all(axis=1)
    assert textured[is_111] / plain[is_111] == pytest.approx([expected])
    assert q[is_111] == pytest.approx([2 * np.pi * np.sqrt(3) / 5.431], rel=1e-6)


def test_scatter_of_lines_is_log_normal():
    _, _, plain = reflections([make_silicon()], structures=[0] * 400)
    _, _, scattered = reflections([make_silicon()], structures=[0] * 400, line_scatter=0.3)
    logarithm = np.log(scattered / plain)
    assert [logarithm.mean(), logarithm.std()] == pytest.approx([0, 0.3], abs=0.01)


def test_numpy_and_torch_agree():
    fields = {
        "isotropic_strain": {"normal": [0, 0.02]},
        "anisotropic_strain": {"normal": [0, 0.02]},
        "b_square_angstrom": [0, 2],
        "march_dollase_r": {"log": [0.4, 1.6], "probability": 0.5, "otherwise": 1},
        "cosine_texture": [0, 0.5],
    }
    crystals = all_systems()
    found = [
        reflections(crystals, backend=make_backend(name), fraction=np.linspace(0, 1, 7), **fields)
        for name in BACKENDS
    ]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
