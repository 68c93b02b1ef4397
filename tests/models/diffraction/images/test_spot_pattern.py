import gemmi
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from spot_crystals import (
    GENERAL_SITES,
    SYSTEMS,
    make_crystal,
    make_cubic,
    make_silicon,
    right_and_up,
)

from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.images.spot_pattern import spots, zone_axis_orientation
from phasepilot.models.diffraction.images.spot_settings import (
    CU_K_ALPHA_ANGSTROM,
    FlatDetector,
    SpotSettings,
    ZoneLayer,
)
from phasepilot.models.errors import CrystalError

ZONE_AXES = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1), (0, 2, 3), (1, 3, 1), (2, 1, 3)]


def reciprocal_metric(cell):
    """Return G* from the lengths and angles alone: the inverse of a_i a_j cos(angle)."""
    lengths, cosines = np.array(cell[:3]), np.cos(np.radians(cell[3:]))
    angles = np.array(
        [[1, cosines[2], cosines[1]], [cosines[2], 1, cosines[0]], [cosines[1], cosines[0], 1]]
    )
    return np.linalg.inv(np.outer(lengths, lengths) * angles)


@pytest.mark.parametrize("zone_axis", ZONE_AXES)
@pytest.mark.parametrize("system", SYSTEMS)
def test_spots_of_a_zone_axis_form_the_projected_reciprocal_metric(system, zone_axis):
    crystal, image = make_crystal(system), SpotSettings()
    found = spots(crystal, zone_axis_orientation(crystal, zone_axis), image)
    assert (found.hkl @ np.array(zone_axis) == 0).all()
    vectors = right_and_up(found, image) * image.geometry.inverse_angstrom_per_pixel
    expected = found.hkl @ reciprocal_metric(crystal.cell) @ found.hkl.T
    assert vectors @ vectors.T == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_zone_shows_exactly_the_reflections_that_its_space_group_allows(system):
    crystal = make_crystal(system)
    image = SpotSettings(shape=(400, 400), geometry=ZoneLayer(two_theta_max_deg=100.0))
    found = spots(crystal, zone_axis_orientation(crystal, (1, 1, 0)), image)
    shortest = CU_K_ALPHA_ANGSTROM / (2 * np.sin(np.radians(50.0)))
    cell = gemmi.UnitCell(*crystal.cell)
    operations = gemmi.find_spacegroup_by_name(SYSTEMS[system][0]).operations()
    allowed = {
        (h, -h, m)
        for h in range(-12, 13)
        for m in range(-20, 21)
        if (h or m)
        and cell.calculate_d([h, -h, m]) >= shortest
        and not operations.is_systematically_absent([h, -h, m])
    }
    assert {tuple(hkl) for hkl in found.hkl.tolist()} == allowed


def test_intensities_are_those_of_gemmi_with_the_lorentz_factor_of_the_paper():
    sites = [("Si", (0.4697, 0.0, 1 / 3)), ("O", (0.4133, 0.2672, 0.2145))]
    cell, b_square_angstrom = (4.913, 4.913, 5.405, 90.0, 90.0, 120.0), 0.5
    quartz = crystal_from_sites("SiO2", "P 31 2 1", cell, sites)
    image = SpotSettings(b_square_angstrom=b_square_angstrom)
    found = spots(quartz, zone_axis_orientation(quartz, (1, 2, 1)), image)

    structure = gemmi.SmallStructure()
    structure.cell = gemmi.UnitCell(*cell)
    structure.spacegroup = gemmi.find_spacegroup_by_name("P 31 2 1")
    for element, position in sites:
        site = gemmi.SmallStructure.Site()
        site.type_symbol, site.element = element, gemmi.Element(element)
        site.fract, site.occ = gemmi.Fractional(*position), 1.0
        site.u_iso = b_square_angstrom / (8 * np.pi**2)
        structure.add_site(site)
    structure.setup_cell_images()
    structure.change_occupancies_to_crystallographic()
    calculator = gemmi.StructureFactorCalculatorX(structure.cell)
    amplitudes = [
        abs(calculator.calculate_sf_from_small_structure(structure, hkl))
        for hkl in found.hkl.tolist()
    ]
    d = np.array([structure.cell.calculate_d(hkl) for hkl in found.hkl.tolist()])
    theta = np.arcsin(CU_K_ALPHA_ANGSTROM / (2 * d))
    lorentz = (1 + np.cos(2 * theta) ** 2) / (np.cos(theta) * np.sin(theta) ** 2)
    assert found.hkl.shape[0] > 20
    assert found.intensity == pytest.approx(lorentz * np.array(amplitudes) ** 2, rel=1e-4)


def test_occupancies_weigh_the_scatterers():
    full = make_crystal("orthorhombic")
    half = type(full)(
        full.name,
        full.hall_number,
        full.cell,
        full.site_atomic_numbers,
        full.site_fractional,
        full.site_occupancies / 2,
    )
    orientation = zone_axis_orientation(full, (0, 0, 1))
    strong, weak = (spots(crystal, orientation, SpotSettings()) for crystal in (full, half))
    assert weak.intensity == pytest.approx(strong.intensity / 4, rel=1e-5)


@pytest.mark.parametrize(
    ("space_group", "sites", "zone_axis", "absent", "present"),
    [
        ("F m -3 m", [("Au", (0, 0, 0))], (0, 0, 1), [(1, 0, 0), (1, 1, 0)], [(2, 0, 0)]),
        ("F d -3 m:1", [("Si", (0, 0, 0))], (0, 0, 1), [(2, 0, 0), (4, 2, 0)], [(2, 2, 0)]),
        ("F d -3 m:1", [("Si", (0, 0, 0))], (1, -1, 0), [(2, 2, 2)], [(1, 1, 1), (0, 0, 4)]),
        (
            "F -4 3 m",
            [("Zn", (0, 0, 0)), ("S", (0.25, 0.25, 0.25))],
            (0, 0, 1),
            [(1, 0, 0)],
            [(2, 0, 0)],
        ),
        ("I m -3 m", [("Fe", (0, 0, 0))], (0, 0, 1), [(1, 0, 0)], [(1, 1, 0)]),
    ],
)
def test_extinct_reflections_are_not_there(space_group, sites, zone_axis, absent, present):
    crystal = make_cubic(space_group, 4.5, sites)
    found = spots(crystal, zone_axis_orientation(crystal, zone_axis), SpotSettings())
    seen = {tuple(hkl) for hkl in found.hkl.tolist()}
    assert not seen & set(absent)
    assert seen >= set(present)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "image",
    [
        SpotSettings(),
        SpotSettings(
            wavelength_angstrom=0.0251, geometry=FlatDetector(distance_mm=1500.0, mosaicity_deg=1.5)
        ),
    ],
    ids=["zone layer", "flat detector"],
)
def test_friedel_mates_lie_opposite_and_are_equally_strong_in_the_layer(system, image):
    crystal = make_crystal(system)
    found = spots(crystal, zone_axis_orientation(crystal, (1, 0, 0)), image)
    position = {tuple(hkl): k for k, hkl in enumerate(found.hkl.tolist())}
    mates = [position[tuple(-h for h in hkl)] for hkl in found.hkl.tolist()]
    offsets = right_and_up(found, image)
    assert offsets[mates] == pytest.approx(-offsets, abs=1e-6)
    # Both mates are off the sphere by the same angle, on the same side.
    assert found.intensity[mates] == pytest.approx(found.intensity, rel=1e-5)


@pytest.mark.parametrize(
    ("zone_axis", "right", "upwards"),
    [
        ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
        ((1, 1, 0), (-1, 1, 0), (0, 0, 1)),
        ((1, 1, 1), (-1, 1, 0), (-1, -1, 2)),
    ],
)
def test_images_of_orthogonal_axes_have_the_documented_directions(zone_axis, right, upwards):
    crystal = make_cubic("P m -3 m", 6.0, [("Po", (0.0, 0.0, 0.0))])
    image = SpotSettings()
    found = spots(crystal, zone_axis_orientation(crystal, zone_axis), image)
    offset = {
        tuple(hkl): place
        for hkl, place in zip(found.hkl.tolist(), right_and_up(found, image), strict=True)
    }
    assert offset[right][1] == pytest.approx(0.0, abs=1e-9)
    assert offset[right][0] > 0
    assert offset[upwards][0] == pytest.approx(0.0, abs=1e-9)
    assert offset[upwards][1] > 0


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("zone_axis", ZONE_AXES)
def test_orientations_of_zone_axes_are_rotations_with_the_axis_to_the_source(system, zone_axis):
    crystal = make_crystal(system)
    orientation = zone_axis_orientation(crystal, zone_axis)
    assert orientation @ orientation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(orientation) == pytest.approx(1.0)
    along = orientation @ (np.array(zone_axis) @ crystal.direct)
    assert along[:2] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert along[2] > 0


def test_random_orientations_have_spots_in_a_thick_layer_only():
    crystal = make_crystal("triclinic")
    orientation = Rotation.random(rng=np.random.default_rng(3)).as_matrix()
    thick = SpotSettings(geometry=ZoneLayer(half_thickness_per_angstrom=0.02))
    found = spots(crystal, orientation, thick)
    height = (found.hkl @ crystal.reciprocal @ orientation.T)[:, 2]
    assert np.abs(height).max() <= 0.02
    assert np.abs(height).max() > 1e-3
    with pytest.raises(CrystalError, match="allow a thicker layer"):
        spots(crystal, orientation, SpotSettings())


def test_the_centre_of_the_image_can_be_moved():
    silicon = make_silicon()
    orientation = zone_axis_orientation(silicon, (0, 0, 1))
    middle = spots(silicon, orientation, SpotSettings())
    moved = spots(silicon, orientation, SpotSettings(centre_offset_px=(4.0, -7.5)))
    shift = dict(zip(map(tuple, moved.hkl.tolist()), moved.row_px, strict=True))
    across = dict(zip(map(tuple, moved.hkl.tolist()), moved.column_px, strict=True))
    index = middle.hkl.tolist().index([2, 2, 0])
    assert shift[2, 2, 0] - middle.row_px[index] == pytest.approx(4.0)
    assert across[2, 2, 0] - middle.column_px[index] == pytest.approx(-7.5)


@pytest.mark.parametrize("zone_axis", [(0, 0, 0), (1, 0), (1.0, 0.0, 0.0), (1, 0, 0, 1)])
def test_zone_axes_are_three_integers(zone_axis):
    with pytest.raises(CrystalError, match="three integers that are not all 0, but is"):
        zone_axis_orientation(make_silicon(), zone_axis)


@pytest.mark.parametrize(
    ("orientation", "message"),
    [
        (np.eye(2), r"of shape \(3, 3\), but has shape \(2, 2\)"),
        (2 * np.eye(3), "not a right-handed set of unit vectors at right angles .off by 3"),
        (np.diag([1.0, 1.0, -1.0]), "off by 2.; normalise them, or turn one round"),
        (np.full((3, 3), np.nan), "off by nan"),
    ],
)
def test_orientations_are_rotations(orientation, message):
    with pytest.raises(CrystalError, match=message):
        spots(make_silicon(), orientation, SpotSettings())


def test_cells_beyond_memory_are_refused():
    giant = make_cubic("P 1", 200.0, GENERAL_SITES)
    with pytest.raises(CrystalError, match=r"at most 5,000,000 reciprocal lattice points"):
        spots(giant, zone_axis_orientation(giant, (0, 0, 1)), SpotSettings())
