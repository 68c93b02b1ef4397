"""Records of simulations: their lines are where Bragg's law and the drawn pattern have them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from phasepilot.agent.cli.simulated_records import (
    powder_record,
    ring_record,
    spot_record,
    usual_indices,
)
from phasepilot.agent.report.simulation_record import PowderRecord
from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.images.detector_geometry import (
    DetectorGeometry,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.powder.recipe import Recipe
from phasepilot.models.errors import GeometryError
from phasepilot.models.pattern import two_theta_from_q

TIDY = {
    "description": "narrow lines of a synchrotron",
    "source": "a test",
    "axis": {"kind": "two_theta", "start": 5, "stop": 45, "n_bins": 4000},
    "wavelength_angstrom": 0.8,
    "polarised_fraction": 1,
    "caglioti_w": 0.01,
}


@cache
def make_potassium_chloride() -> Crystal:
    sites = [("K", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))]
    return crystal_from_sites("KCl", "F m -3 m", (6.29,) * 3 + (90.0,) * 3, sites)


@cache
def make_zincite() -> Crystal:
    third = 1 / 3
    sites = [("Zn", (third, 2 * third, 0.0)), ("O", (third, 2 * third, 0.382))]
    return crystal_from_sites("ZnO", "P 63 m c", (3.25, 3.25, 5.207, 90, 90, 120), sites)


@cache
def make_gypsum() -> Crystal:
    cell = (6.284, 15.200, 6.523, 90.0, 127.41, 90.0)
    sites = [("Ca", (0.5, 0.08, 0.25)), ("S", (0.0, 0.077, 0.75)), ("O", (0.08, 0.28, 0.59))]
    return crystal_from_sites("gypsum", "C 1 2/c 1", cell, sites)


def make_recipe(**changes: object) -> Recipe:
    return Recipe.model_validate({**TIDY, **changes})


def make_geometry(**changes: float) -> DetectorGeometry:
    geometry = centred_geometry(
        "Detector",
        distance_m=0.1,
        wavelength_angstrom=0.8,
        detector_config=plain_detector_config((300, 320), (2e-4, 2e-4)),
    )
    return replace(geometry, **changes)


def make_powder(crystal: Crystal, recipe: Recipe, seed: int = 0, n: int = 1) -> PowderRecord:
    return powder_record(crystal, recipe, recipe_name="test", seed=seed, n_patterns=n)


@pytest.mark.parametrize("crystal", [make_potassium_chloride(), make_zincite()])
def test_each_line_has_the_area_that_the_pattern_shows(crystal: Crystal) -> None:
    record = make_powder(crystal, make_recipe())
    lines, angle = record.lines, record.two_theta_deg[0]
    strong = lines.relative_intensity > 5
    areas = np.array(
        [
            record.intensity[0, np.abs(angle - line) < 0.4].sum()
            for line in lines.two_theta_deg[strong]
        ]
    )
    near = np.abs(lines.two_theta_deg - lines.two_theta_deg[strong, None]) < 0.4
    shares = near @ lines.relative_intensity
    assert strong.sum() > 5
    np.testing.assert_allclose(100 * areas / areas.max(), shares, atol=0.5)


def test_lines_are_those_of_the_strained_lattice_whatever_their_strength() -> None:
    strained = make_recipe(isotropic_strain=0.02, line_scatter=1.0)
    record = make_powder(make_potassium_chloride(), strained)
    line = record.lines.hkl.tolist().index([2, 0, 0])
    assert record.lines.d_spacing_angstrom[line] == pytest.approx(1.02 * 6.29 / 2)
    plain = make_powder(make_potassium_chloride(), make_recipe(isotropic_strain=0.02))
    for name in ("two_theta_deg", "relative_intensity"):
        one, other = (getattr(of.lines, name) for of in (record, plain))
        np.testing.assert_array_equal(one, other)


def test_lines_keep_to_the_range_of_the_pattern() -> None:
    axis = {**TIDY["axis"], "start": 12, "stop": 21}
    lines = make_powder(make_potassium_chloride(), make_recipe(axis=axis)).lines
    # 111 lies at 12.6, 220 at 20.7 and 311 at 24.3 degree.
    assert lines.hkl.tolist() == [[1, 1, 1], [2, 0, 0], [2, 2, 0]]


def test_patterns_of_more_than_a_batch_differ_and_depend_on_the_seed() -> None:
    recipe = make_recipe(
        peak_counts=1000, axis={"kind": "two_theta", "start": 5, "stop": 45, "n_bins": 200}
    )
    record, again, other = (
        make_powder(make_potassium_chloride(), recipe, seed, 300) for seed in (0, 0, 1)
    )
    assert len(np.unique(record.intensity, axis=0)) == 300
    np.testing.assert_array_equal(record.intensity, again.intensity)
    assert (record.intensity != other.intensity).any()
    assert record.drawn["peak_counts"].shape == (300, 1)


@pytest.mark.parametrize("kind", ["q", "log_q"])
def test_an_axis_in_q_comes_as_angles(kind: str) -> None:
    axis = {"kind": kind, "unit": "q_per_angstrom", "start": 1, "stop": 5, "n_bins": 4000}
    angle = make_powder(make_potassium_chloride(), make_recipe(axis=axis)).two_theta_deg[0]
    expected = two_theta_from_q(np.array([1.0, 5.0]), 0.8)
    np.testing.assert_allclose(angle[[0, -1]], expected, atol=0.02)


def test_integrated_rings_have_the_areas_of_the_lines() -> None:
    geometry = make_geometry(rot1_rad=0.1, rot2_rad=-0.05)
    record = ring_record(
        make_potassium_chloride(), make_recipe(), geometry, recipe_name="test", seed=0
    )
    angle, lines = record.two_theta_deg, record.lines
    strong = (lines.relative_intensity > 5) & (lines.two_theta_deg < 30)
    areas = np.array(
        [record.intensity[np.abs(angle - line) < 0.7].sum() for line in lines.two_theta_deg[strong]]
    )
    shares = lines.relative_intensity[strong]
    assert strong.sum() == 4
    # Rings end where they have fallen to a thousandth.
    np.testing.assert_allclose(100 * areas / areas.max(), shares, atol=1.0)


def test_rings_of_both_lines_of_a_tube_are_drawn() -> None:
    doublet = make_recipe(wavelength_angstrom=None, emission=["MoKa12"], caglioti_w=0.0004)
    geometry = make_geometry(wavelength_angstrom=0.709317)
    record = ring_record(make_potassium_chloride(), doublet, geometry, recipe_name="t", seed=0)
    assert record.subject.beam == "0.709317 Å + 0.5 x 0.713607 Å"
    first, second = (
        float(two_theta_from_q(np.array([4 * np.pi / 6.29]), beam)[0])
        for beam in (0.709317, 0.713607)
    )
    near = np.abs(record.two_theta_deg - first) < 0.8
    centre = np.average(record.two_theta_deg[near], weights=record.intensity[near])
    # The lines lie 0.08 degree apart; the weaker one pulls the centre of both.
    assert centre == pytest.approx((2 * first + second) / 3, abs=0.005)


def test_a_detector_between_two_rings_is_refused() -> None:
    # It sees some degrees around 16, where 200 is at 14.6 and 220 at 20.7.
    config = plain_detector_config((20, 20), (2e-4, 2e-4))
    geometry = make_geometry(poni1_m=-0.031 - 0.002, poni2_m=0.002)
    with pytest.raises(GeometryError, match=r"some ring must fall .* but none of KCl does"):
        ring_record(
            make_potassium_chloride(),
            make_recipe(),
            replace(geometry, detector_config=config),
            recipe_name="test",
            seed=0,
        )


def test_counts_of_the_recipe_make_an_image_of_counts() -> None:
    counting = make_recipe(peak_counts=5000)
    crystal, geometry = make_potassium_chloride(), make_geometry()
    rings = ring_record(crystal, counting, geometry, recipe_name="test", seed=0)
    spots = spot_record(crystal, counting, (0, 0, 1), recipe_name="test", seed=0)
    for image in (rings.image, spots.image):
        assert image.dtype == np.int32
        assert 4700 < image.max() < 5500
    again = spot_record(crystal, counting, (0, 0, 1), recipe_name="test", seed=1)
    assert (again.image != spots.image).any()


def test_spots_are_weaker_where_atoms_move_more() -> None:
    still, moving = (
        spot_record(
            make_potassium_chloride(),
            make_recipe(b_square_angstrom=b_square),
            (0, 0, 1),
            recipe_name="test",
            seed=0,
        ).lines
        for b_square in (0, 2)
    )
    d = still.d_spacing_angstrom
    expected = np.exp(-2 * 2 * (1 / (4 * d**2) - 1 / (4 * d.max() ** 2)))
    np.testing.assert_allclose(moving.relative_intensity / still.relative_intensity, expected)


@pytest.mark.parametrize(
    ("crystal", "given", "usual"),
    [
        (make_potassium_chloride(), (0, -2, 0), (2, 0, 0)),
        (make_potassium_chloride(), (2, 0, 4), (4, 2, 0)),
        (make_zincite(), (0, -1, 3), (1, 0, 3)),
        (make_zincite(), (2, -1, 0), (1, 1, 0)),
        (make_gypsum(), (1, -1, -2), (-1, 1, 2)),
        (make_gypsum(), (0, -12, 0), (0, 12, 0)),
    ],
)
def test_a_family_is_called_by_its_usual_name(
    crystal: Crystal, given: tuple[int, ...], usual: tuple[int, ...]
) -> None:
    assert usual_indices(np.array([given]), crystal).tolist() == [list(usual)]


@pytest.mark.parametrize("crystal", [make_potassium_chloride(), make_zincite(), make_gypsum()])
def test_members_of_a_family_share_its_name_and_spacing(crystal: Crystal) -> None:
    hkl = np.random.default_rng(0).integers(-5, 6, (200, 3))
    named = usual_indices(hkl, crystal)
    lengths = [np.linalg.norm(indices @ crystal.reciprocal, axis=1) for indices in (hkl, named)]
    np.testing.assert_allclose(*lengths)
    for rotation in crystal.setting.laue_rotations:
        np.testing.assert_array_equal(usual_indices(-hkl @ rotation, crystal), named)
