import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from spot_crystals import make_crystal, make_cubic, make_silicon, right_and_up

from phasepilot.models.diffraction.images.spot_pattern import (
    spots,
    turned_in_plane,
    zone_axis_orientation,
)
from phasepilot.models.diffraction.images.spot_settings import (
    FlatDetector,
    SpotSettings,
)
from phasepilot.models.errors import CrystalError


@given(
    quaternion=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    angle_deg=st.floats(-180, 180),
)
@settings(max_examples=60, deadline=None)
def test_in_plane_turns_move_every_spot_about_the_beam_and_change_nothing_else(
    quaternion, angle_deg
):
    crystal = make_crystal("triclinic")
    # Round image: a spot near the edge must not leave it.
    image = SpotSettings(
        wavelength_angstrom=0.5,
        shape=(1201, 1201),
        geometry=FlatDetector(distance_mm=40.0, mosaicity_deg=1.0),
    )
    orientation = Rotation.from_quat(quaternion).as_matrix()
    before, after = (
        spots(crystal, matrix, image)
        for matrix in (orientation, turned_in_plane(orientation, angle_deg))
    )
    places = {tuple(hkl): k for k, hkl in enumerate(after.hkl.tolist())}
    at_first = right_and_up(before, image)
    within = np.flatnonzero(np.hypot(*at_first.T) < 599)
    matched = [places[tuple(before.hkl[k].tolist())] for k in within]
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turned = at_first[within] @ np.array([[cosine, sine], [-sine, cosine]])
    assert right_and_up(after, image)[matched] == pytest.approx(turned, abs=1e-6)
    assert after.intensity[matched] == pytest.approx(before.intensity[within], rel=1e-4)


@given(quaternion=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1))
@settings(max_examples=60, deadline=None)
def test_spots_of_any_orientation_lie_on_their_debye_scherrer_rings(quaternion):
    crystal = make_crystal("monoclinic")
    detector = FlatDetector(distance_mm=80.0, mosaicity_deg=2.0)
    image = SpotSettings(wavelength_angstrom=0.4, geometry=detector)
    orientation = Rotation.from_quat(quaternion).as_matrix()
    found = spots(crystal, orientation, image)
    cell = gemmi.UnitCell(*crystal.cell)
    d = np.array([cell.calculate_d(hkl) for hkl in found.hkl.tolist()])
    two_theta = 2 * np.arcsin(0.4 / (2 * d))
    ring_px = detector.distance_mm / detector.pixel_size_mm * np.tan(two_theta)
    places = right_and_up(found, image)
    assert np.hypot(*places.T) == pytest.approx(ring_px)
    vectors = found.hkl @ crystal.reciprocal @ orientation.T
    turn_deg = np.degrees(np.arcsin(vectors[:, 2] * d) - two_theta / 2)
    assert (np.abs(turn_deg) <= 6.0 + 1e-9).all()


@given(quaternion=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1))
@settings(max_examples=30, deadline=None)
def test_no_reflection_near_the_ewald_sphere_is_missed(quaternion):
    crystal = make_cubic("P m -3 m", 5.0, [("Po", (0.0, 0.0, 0.0))])
    image = SpotSettings(
        wavelength_angstrom=0.6, geometry=FlatDetector(distance_mm=30.0, mosaicity_deg=1.0)
    )
    orientation = Rotation.from_quat(quaternion).as_matrix()
    found = spots(crystal, orientation, image)
    steps = np.arange(-12, 13)
    hkl = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[(hkl != 0).any(axis=1)]
    vectors = hkl @ orientation.T / 5.0
    # Cross-section through H and the beam: angle of H from the plane against its Bragg angle.
    length = np.linalg.norm(vectors, axis=1)
    is_bragg = length < 2 / 0.6
    hkl, vectors, length = hkl[is_bragg], vectors[is_bragg], length[is_bragg]
    theta = np.arcsin(0.3 * length)
    elevation = np.arctan2(vectors[:, 2], np.hypot(vectors[:, 0], vectors[:, 1]))
    diffracts = (np.abs(elevation - theta) < np.radians(3.0)) & (theta < np.radians(44.9))
    radius = 30.0 / 0.172 * np.tan(2 * theta)
    azimuth = np.arctan2(vectors[:, 1], vectors[:, 0])
    right, up = radius * np.cos(azimuth), radius * np.sin(azimuth)
    diffracts &= (np.abs(right) < 160.9) & (np.abs(up) < 160.4)
    assert {tuple(h) for h in found.hkl.tolist()} >= {tuple(h) for h in hkl[diffracts].tolist()}


def tilted_to_bragg(crystal, hkl, wavelength_angstrom, off_deg):
    """Return the orientation with hkl upwards, tilted off_deg beyond its Bragg condition."""
    vector = np.array(hkl) @ crystal.reciprocal
    theta_deg = np.degrees(np.arcsin(wavelength_angstrom * np.linalg.norm(vector) / 2))
    upright, _ = Rotation.align_vectors([[0.0, 1.0, 0.0]], [vector])
    tilt = Rotation.from_euler("x", theta_deg + off_deg, degrees=True)
    return (tilt * upright).as_matrix()


def test_a_perfect_crystal_diffracts_at_its_bragg_angle_only():
    silicon = make_silicon()
    image = SpotSettings(
        wavelength_angstrom=0.7, geometry=FlatDetector(distance_mm=60.0, mosaicity_deg=0.01)
    )
    found = spots(silicon, tilted_to_bragg(silicon, (2, 2, 0), 0.7, 0.0), image)
    index = found.hkl.tolist().index([2, 2, 0])
    assert right_and_up(found, image)[index] == pytest.approx(
        [0.0, 60.0 / 0.172 * np.tan(2 * np.arcsin(0.35 * np.sqrt(8) / 5.431))], abs=1e-6
    )
    with pytest.raises(CrystalError, match="must have a reflection on the image, but none of the"):
        spots(silicon, zone_axis_orientation(silicon, (0, 0, 1)), image)


def test_intensity_falls_as_the_gaussian_of_the_mosaic_blocks():
    silicon = make_silicon()
    image = SpotSettings(wavelength_angstrom=0.7, geometry=FlatDetector(distance_mm=60.0))

    def intensity(off_deg):
        found = spots(silicon, tilted_to_bragg(silicon, (2, 2, 0), 0.7, off_deg), image)
        return found.intensity[found.hkl.tolist().index([2, 2, 0])]

    at_bragg = intensity(0.0)
    assert intensity(0.5) / at_bragg == pytest.approx(np.exp(-0.5), rel=1e-6)
    assert intensity(-1.0) / at_bragg == pytest.approx(np.exp(-2.0), rel=1e-6)


def test_short_waves_flatten_the_ewald_sphere_into_the_zone_layer():
    silicon = make_silicon()
    orientation = zone_axis_orientation(silicon, (1, 1, 0))
    scale = 0.008
    layer = spots(silicon, orientation, SpotSettings())
    strides = []
    for wavelength in (0.02, 0.002):
        # The camera length that gives the layer's scale at the middle of the image.
        detector = FlatDetector(
            distance_mm=0.1 / (wavelength * scale), pixel_size_mm=0.1, mosaicity_deg=1.0
        )
        image = SpotSettings(wavelength_angstrom=wavelength, geometry=detector)
        found = spots(silicon, orientation, image)
        places = dict(zip(map(tuple, found.hkl.tolist()), right_and_up(found, image), strict=True))
        expected = dict(
            zip(map(tuple, layer.hkl.tolist()), right_and_up(layer, image), strict=True)
        )
        assert places.keys() >= expected.keys()
        strides.append(max(np.abs(places[hkl] - expected[hkl]).max() for hkl in expected))
    # tan 2 theta / (lambda / d) - 1 is (3/8) (lambda / d)^2 and vanishes with the wavelength.
    assert strides[0] < 0.05
    assert strides[1] == pytest.approx(strides[0] / 100, rel=0.01)


def test_polarisation_hides_what_scatters_in_the_plane_of_the_electric_field():
    silicon = make_silicon()
    two_theta = 2 * np.arcsin(0.35 * np.sqrt(8) / 5.431)

    def upper_spot(polarization_factor, turn_deg):
        image = SpotSettings(
            wavelength_angstrom=0.7,
            geometry=FlatDetector(distance_mm=60, polarization_factor=polarization_factor),
        )
        upright = tilted_to_bragg(silicon, (2, 2, 0), 0.7, 0.0)
        found = spots(silicon, turned_in_plane(upright, turn_deg), image)
        return found.intensity[found.hkl.tolist().index([2, 2, 0])]

    unpolarised = (1 + np.cos(two_theta) ** 2) / 2
    vertical, horizontal = upper_spot(1.0, 0.0), upper_spot(1.0, 90.0)
    assert upper_spot(0.0, 0.0) == pytest.approx(upper_spot(0.0, 90.0), rel=1e-6)
    assert vertical / upper_spot(0.0, 0.0) == pytest.approx(1 / unpolarised, rel=1e-6)
    assert horizontal / vertical == pytest.approx(np.cos(two_theta) ** 2, rel=1e-6)


def test_the_lorentz_factor_of_a_mosaic_crystal_is_one_over_sin_two_theta():
    silicon = make_silicon()
    strengths = []
    for wavelength in (0.3, 0.6):
        image = SpotSettings(
            wavelength_angstrom=wavelength,
            geometry=FlatDetector(distance_mm=60, polarization_factor=1.0),
        )
        found = spots(silicon, tilted_to_bragg(silicon, (2, 2, 0), wavelength, 0.0), image)
        strengths.append(found.intensity[found.hkl.tolist().index([2, 2, 0])])
    two_theta = 2 * np.arcsin(np.array([0.15, 0.3]) * np.sqrt(8) / 5.431)
    assert strengths[0] / strengths[1] == pytest.approx(
        np.sin(two_theta[1]) / np.sin(two_theta[0]), rel=1e-6
    )
