import numpy as np
import pytest
from search_library import make_crystals

from phasepilot.models.diffraction.stick_store import StickStore, open_stick_store, stick_store
from phasepilot.models.identification.stick_selection import (
    chosen_structures,
    lines_of,
    strongest_lines,
    write_stick_store,
)

FORMULAS = ("NaCl", "Bi", "ZrO2")
STRENGTH = {"q_max_per_angstrom": 6.0, "b_square_angstrom": 1.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> StickStore:
    crystals = make_crystals(tmp_path_factory.mktemp("crystals"))
    return stick_store([crystals[formula] for formula in FORMULAS], 7.0)


def test_chosen_structures_come_in_the_order_given(store):
    chosen = chosen_structures(store, np.array([2, 0]))
    assert chosen.identifier.tolist() == ["ZrO2", "NaCl"]
    assert chosen.space_group_number.tolist() == [14, 225]
    first, last = slice(*store.offsets[2:4]), slice(*store.offsets[0:2])
    for name in ("q_per_angstrom", "strength", "hkl", "multiplicity"):
        whole = getattr(store, name)
        expected = np.concatenate([whole[first], whole[last]])
        np.testing.assert_array_equal(getattr(chosen, name), expected)
    np.testing.assert_array_equal(chosen.reciprocal, store.reciprocal[[2, 0]])


def test_lines_of_no_structures_are_none(store):
    lines, offsets = lines_of(store, np.array([], dtype=np.int64))
    assert lines.size == 0
    assert offsets.tolist() == [0]


def test_the_strongest_lines_of_each_structure_stay_in_order_of_q(store):
    kept = strongest_lines(store, n_lines=20, **STRENGTH)
    assert np.diff(kept.offsets).max() == 20
    for number in range(store.n_structures):
        old, new = (slice(*one.offsets[number : number + 2]) for one in (store, kept))
        q = store.q_per_angstrom[old].astype(np.float64)
        height = store.strength[old] * np.exp(-2 * (q / (4 * np.pi)) ** 2) / q**2
        height[q > 6.0] = 0
        expected = np.sort(np.argsort(-height)[: min(20, (height > 0).sum())])
        np.testing.assert_array_equal(kept.q_per_angstrom[new], q[expected].astype(np.float32))
        np.testing.assert_array_equal(kept.hkl[new], store.hkl[old][expected])


def test_all_lines_stay_if_there_are_few(store):
    kept = strongest_lines(store, n_lines=10_000, **STRENGTH)
    assert kept.q_per_angstrom.size == (store.q_per_angstrom <= 6.0).sum()


def test_a_store_that_was_written_opens_as_it_was(store, tmp_path):
    write_stick_store(store, tmp_path / "sticks")
    opened = open_stick_store(tmp_path / "sticks")
    for name in StickStore.__slots__:
        np.testing.assert_array_equal(getattr(opened, name), getattr(store, name))
