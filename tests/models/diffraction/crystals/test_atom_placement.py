import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.atom_placement import (
    CROWDED,
    PLACED,
    TOO_SYMMETRIC,
    Placement,
    place_atoms,
)
from phasepilot.models.diffraction.crystals.unit_cell import UnitCell, space_group_number_within
from phasepilot.models.diffraction.crystals.wyckoff import wyckoff_positions

N = 200
PMMM = 47
INVERSION = np.diag([-1.0, -1.0, -1.0])


def make_placement(space_group_number, cosets=()):
    """Of a primitive group with right angles."""
    positions = wyckoff_positions(space_group_number)
    n_most = positions[-1].multiplicity
    padded = [
        (
            np.pad(p.matrices, ((0, n_most - p.multiplicity), (0, 0), (0, 0))),
            np.pad(p.translations, ((0, n_most - p.multiplicity), (0, 0))),
        )
        for p in positions
    ]
    return Placement(
        matrices=np.array([matrices for matrices, _ in padded]),
        translations=np.array([translations for _, translations in padded]),
        multiplicities=np.array([p.multiplicity for p in positions]),
        is_oblique=np.zeros(3, dtype=bool),
        centrings=np.zeros((1, 3)),
        cosets=np.array([np.eye(3), *cosets]),
    )


def place(placement, positions, numbers, edges, radius=1.0):
    """Place the same orbits in N cells with these edges and right angles."""
    numbers = np.tile(numbers, (N, 1))
    return place_atoms(
        placement,
        np.tile(positions, (N, 1)),
        numbers,
        np.where(numbers > 0, radius, 0.0),
        np.tile(np.diag(edges), (N, 1, 1)),
        tolerance_angstrom=0.01,
        rng=np.random.default_rng(0),
    )


def symmetry_by_spglib(space_group_number, positions, numbers, points, edges):
    letters = wyckoff_positions(space_group_number)
    # A point of the representative is its own parameters where these are x, y and z.
    orbits = [letters[p].orbit(point) for p, point in zip(positions, points, strict=True)]
    kinds = np.repeat(numbers, [len(orbit) for orbit in orbits])
    mixtures = tuple(((int(kind), 1.0),) for kind in kinds)
    cell = UnitCell("placed", np.diag(edges), np.concatenate(orbits) % 1, mixtures)
    return space_group_number_within(cell, 0.01)


def test_points_lie_on_their_wyckoff_positions():
    x_axis, general = 8, 26
    placement = make_placement(PMMM)
    points, _ = place(placement, [x_axis, general], [14, 8], (9.0, 10.0, 11.0))
    assert wyckoff_positions(PMMM)[x_axis].letter == "i"
    assert (points[:, 0, 1:] == 0).all()
    assert points[:, 0, 0] == pytest.approx(np.clip(points[:, 0, 0], 0, 1))
    assert np.ptp(points[:, 0, 0]) > 0.5


def test_a_cell_shorter_than_an_atom_is_crowded():
    _, outcomes = place(make_placement(PMMM), [0], [14], (1.39, 9.0, 9.0))
    assert (outcomes == CROWDED).all()


def test_fixed_points_too_close_to_each_other_are_crowded():
    origin, half_way = 0, 1
    placement = make_placement(PMMM)
    for edge, is_crowded in ((2.79, True), (2.81, False)):
        _, outcomes = place(placement, [origin, half_way], [14, 8], (edge, 9.0, 10.0))
        assert (outcomes == CROWDED).all() == is_crowded


def test_a_general_orbit_that_cannot_leave_its_mirrors_is_crowded():
    _, outcomes = place(make_placement(PMMM), [26], [14], (2.0, 2.0, 2.0))
    assert (outcomes == CROWDED).all()


def test_an_atom_alone_is_too_symmetric_for_a_group_without_inversion():
    _, outcomes = place(make_placement(1, [INVERSION]), [0], [14], (5.0, 6.0, 7.0))
    assert (outcomes == TOO_SYMMETRIC).all()


def test_a_hidden_translation_is_found():
    origin, half_way = 0, 1
    _, outcomes = place(make_placement(PMMM), [origin, half_way], [14, 14], (6.0, 7.0, 8.0))
    assert (outcomes == TOO_SYMMETRIC).all()


@pytest.mark.parametrize(
    ("positions", "numbers"),
    [([0, 0], [14, 14]), ([0, 0, 0], [14, 14, 8]), ([0, 0, 0], [14, 8, 8]), ([0] * 4, [14] * 4)],
)
def test_symmetry_is_judged_as_by_spglib(positions, numbers):
    edges = (7.0, 8.0, 9.1)
    points, outcomes = place(make_placement(1, [INVERSION]), positions, numbers, edges)
    is_more = [
        symmetry_by_spglib(1, positions, numbers, at, edges) != 1
        for at in points[outcomes != CROWDED]
    ]
    # Right angles are for the test's ease; of what they add, only the inversion is looked for.
    assert is_more == (outcomes[outcomes != CROWDED] == TOO_SYMMETRIC).tolist()


def test_the_placed_are_many_in_a_roomy_cell():
    _, outcomes = place(make_placement(1, [INVERSION]), [0, 0, 0], [14, 8, 6], (9.0, 10.0, 11.0))
    assert (outcomes == PLACED).mean() > 0.95
