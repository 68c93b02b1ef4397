"""The table of extinction classes against absences computed from gemmi's operations."""

from collections.abc import Callable, Hashable
from itertools import permutations

import numpy as np
import pytest

from phasepilot.models.diffraction.crystals.extinction_classes import (
    CLASS_OF_SPACE_GROUP,
    EXTINCTION_CLASSES,
    N_EXTINCTION_CLASSES,
    ExtinctionClass,
    extinction_class,
    extinction_symbol,
    members,
)
from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.errors import CrystalError

ALL_GROUPS = range(1, 231)
# Beyond the first order of the shortest screw translation, a sixth.
REACH = 8
_AXIS = np.arange(-REACH, REACH + 1)
HKL = np.stack(np.meshgrid(_AXIS, _AXIS, _AXIS, indexing="ij"), axis=-1).reshape(-1, 3)
H, K, L = HKL.T


def absences(number: int) -> np.ndarray:
    operations = standard_setting(number).gemmi.operations()
    return np.asarray(operations.systematic_absences(HKL.astype(np.int32)), dtype=bool)


ABSENT = {number: absences(number) for number in ALL_GROUPS}


def crystal_system(number: int) -> str:
    return standard_setting(number).crystal_system


def crystal_family(number: int) -> str:
    system = crystal_system(number)
    return "hexagonal" if system == "trigonal" else system


def laue_class(number: int) -> str:
    return standard_setting(number).gemmi.laue_str()


def laue_class_with_direction(number: int) -> str:
    """-3m1 and -31m apart, by the place of the second axis or plane in the symbol."""
    symbol = standard_setting(number).gemmi.hm.split()
    if laue_class(number) != "-3m":
        return laue_class(number)
    return "-31m" if symbol[0] == "P" and symbol[2] == "1" else "-3m1"


def nothing(number: int) -> str:
    return ""


def as_written(number: int) -> bytes:
    return np.packbits(ABSENT[number]).tobytes()


def with_axes_renamed(number: int) -> bytes:
    """The same for all names of the axes; only orthorhombic standard settings leave a choice."""
    if crystal_system(number) != "orthorhombic":
        return as_written(number)
    cube = ABSENT[number].reshape((_AXIS.size,) * 3)
    return min(np.packbits(cube.transpose(order)).tobytes() for order in permutations(range(3)))


def symbol_of_trigonal_and_cubic(number: int) -> str:
    """Which of the two symbols that stand for one set of absences a table writes."""
    if extinction_class(number) == extinction_class(144):
        return crystal_system(number)
    return str(number) if extinction_class(number) == extinction_class(198) else ""


@pytest.mark.parametrize(
    ("n_classes", "of_group", "of_absences"),
    [
        (80, nothing, as_written),
        (97, crystal_family, with_axes_renamed),
        (99, lambda n: crystal_family(n) + symbol_of_trigonal_and_cubic(n), with_axes_renamed),
        (101, crystal_system, with_axes_renamed),
        (108, crystal_family, as_written),
        (112, crystal_system, as_written),
        (120, laue_class, with_axes_renamed),
        (122, laue_class_with_direction, with_axes_renamed),
    ],
)
def test_each_convention_gives_the_number_of_classes_that_it_is_said_to(
    n_classes: int, of_group: Callable[[int], Hashable], of_absences: Callable[[int], Hashable]
) -> None:
    assert len({(of_group(number), of_absences(number)) for number in ALL_GROUPS}) == n_classes


def test_the_table_is_the_grouping_by_family_and_absences() -> None:
    computed: dict[Hashable, list[int]] = {}
    for number in ALL_GROUPS:
        key = crystal_family(number), with_axes_renamed(number)
        computed.setdefault(key, []).append(number)
    written = {(one.family, one.space_group_numbers) for one in EXTINCTION_CLASSES}
    assert written == {(family, tuple(group)) for (family, _), group in computed.items()}
    assert len(written) == N_EXTINCTION_CLASSES == 97


# Indices whose d is the same whatever the cell of that family measures.
METRICS = {
    "triclinic": [H * H, K * K, L * L, H * K, H * L, K * L],
    "monoclinic": [H * H, K * K, L * L, H * L],
    "orthorhombic": [H * H, K * K, L * L],
    "tetragonal": [H * H + K * K, L * L],
    "hexagonal": [H * H + H * K + K * K, L * L],
    "cubic": [H * H + K * K + L * L],
}
LINES = {
    family: np.unique(np.stack(metric, axis=1), axis=0, return_inverse=True)[1].ravel()
    for family, metric in METRICS.items()
}
# Below the first reflection outside the box, so that no line lacks one of its reflections.
INSIDE = {
    "tetragonal": H * H + K * K <= REACH**2,
    "hexagonal": 4 * (H * H + H * K + K * K) <= 3 * REACH**2,
    "cubic": H * H + K * K + L * L <= REACH**2,
}


def missing_lines(number: int, order: tuple[int, ...]) -> bytes:
    family = crystal_family(number)
    inside = INSIDE.get(family, np.ones(H.size, dtype=bool))
    absent = ABSENT[number].reshape((_AXIS.size,) * 3).transpose(order).ravel()[inside]
    n_present = np.bincount(LINES[family][inside], weights=~absent)
    return np.packbits(n_present == 0).tobytes()


def test_whole_lines_that_are_missing_give_the_same_classes_as_reflections() -> None:
    lines: dict[Hashable, set[int]] = {}
    for number in ALL_GROUPS:
        is_named_freely = crystal_system(number) == "orthorhombic"
        orders = permutations(range(3)) if is_named_freely else [(0, 1, 2)]
        key = crystal_family(number), min(missing_lines(number, order) for order in orders)
        lines.setdefault(key, set()).add(extinction_class(number))
    assert sorted(len(classes) for classes in lines.values()) == [1] * 97


@pytest.mark.parametrize(
    ("numbers", "symbol"),
    [
        ((196, 202, 209, 216, 225), "F - - -"),
        ((203, 227), "F d - -"),
        ((33, 62), "P n - a"),
        ((146, 148, 155, 160, 166), "R - -"),
        ((159, 163, 186, 190, 194), "P - - c"),
        ((26, 28, 51), "P - - a"),
        ((14,), "P 1 21/c 1"),
        ((61,), "P b c a"),
        ((230,), "I a - d"),
    ],
)
def test_known_classes_have_their_members_and_symbol(numbers: tuple[int, ...], symbol: str) -> None:
    for number in numbers:
        assert members(extinction_class(number)) == numbers
        assert extinction_symbol(number) == symbol


# What a centring leaves, and what each glide leaves of the plane (i, j) that it lies in, where the
# first and second axis of the plane stand for a, b or c: International Tables A, section 2.2.13.
CENTRINGS = {
    "P": (H % 1) == 0,
    "C": (H + K) % 2 == 0,
    "I": (H + K + L) % 2 == 0,
    "F": ((H + K) % 2 == 0) & ((K + L) % 2 == 0),
    "R": (K + L - H) % 3 == 0,
}
GLIDES = {
    "first": lambda i, j: i % 2 == 0,
    "second": lambda i, j: j % 2 == 0,
    "both": lambda i, j: (i % 2 == 0) & (j % 2 == 0),
    "n": lambda i, j: (i + j) % 2 == 0,
    "d": lambda i, j: (i + j) % 4 == 0,
}
A_AXIS, B_AXIS, C_AXIS = (H, K, L), (K, L, H), (L, H, K)


def along(element: str, axis: tuple[np.ndarray, ...], letters: str) -> np.ndarray:
    """What screw and glide leave; the letters are the names of glides along j and k of the axis."""
    index, i, j = axis
    screw, _, glide = element.partition("/") if element[0].isdigit() else ("", "", element)
    allowed = np.ones(H.size, dtype=bool)
    if screw not in ("", "1"):
        order, pitch = int(screw[0]), int(screw[1])
        allowed &= (i != 0) | (j != 0) | (index * pitch % order == 0)
    if glide not in ("", "-"):
        kinds = {letters[0]: "first", letters[1]: "second", "(ab)": "both"}
        allowed &= (index != 0) | GLIDES[kinds.get(glide, glide)](i, j)
    return allowed


def on_zone(element: str, is_in_zone: np.ndarray, index: np.ndarray, other: np.ndarray):
    """What a glide along `index` leaves of the reflections of a zone."""
    rules = {"-": index % 1 == 0, "c": index % 2 == 0, "n": index % 2 == 0}
    rules["d"] = (2 * other + index) % 4 == 0
    return ~is_in_zone | rules[element]


def of_tetragonal(first: str, second: str, third: str) -> np.ndarray:
    across_a = along(second, A_AXIS, "bc")
    across_b = along(second, (K, H, L), "bc")
    diagonal = on_zone(third, np.abs(H) == np.abs(K), L, H)
    return along(first, C_AXIS, "ab") & across_a & across_b & diagonal


def of_hexagonal(first: str, second: str, third: str = "-") -> np.ndarray:
    across_a = (H == 0) | (K == 0) | (H + K == 0)
    between = (H == K) | (K == -2 * H) | (H == -2 * K)
    return (
        along(first, C_AXIS, "..")
        & on_zone(second, across_a, L, H)
        & (on_zone(third, between, L, H))
    )


def of_cubic(first: str, second: str, third: str) -> np.ndarray:
    allowed = np.ones(H.size, dtype=bool)
    for index, i, j in (A_AXIS, B_AXIS, C_AXIS):
        allowed &= along(first, (index, i, j), "a.")
        allowed &= on_zone(third, np.abs(i) == np.abs(j), index, i)
    return allowed


def of_symbol(family: str, symbol: str) -> np.ndarray:
    """The reflections that the extinction symbol allows, read from the symbol alone."""
    centring, *elements = symbol.split()
    allowed = CENTRINGS[centring]
    if family == "tetragonal":
        return allowed & of_tetragonal(*elements)
    if family == "cubic":
        return allowed & of_cubic(*elements)
    if family == "hexagonal":
        return allowed & of_hexagonal(*elements)
    for element, axis, letters in zip(
        elements, (A_AXIS, B_AXIS, C_AXIS), ("bc", "ca", "ab"), strict=False
    ):
        allowed = allowed & along(element, axis, letters)
    return allowed


@pytest.mark.parametrize("one", EXTINCTION_CLASSES, ids=lambda one: f"{one.family} {one.symbol}")
def test_the_symbol_says_which_reflections_its_last_space_group_lacks(
    one: ExtinctionClass,
) -> None:
    np.testing.assert_array_equal(
        of_symbol(one.family, one.symbol), ~ABSENT[one.space_group_numbers[-1]]
    )


def test_every_space_group_is_in_the_class_of_its_index() -> None:
    assert CLASS_OF_SPACE_GROUP.shape == (230,)
    for number in ALL_GROUPS:
        assert number in members(int(CLASS_OF_SPACE_GROUP[number - 1]))
    with pytest.raises(ValueError, match="read-only"):
        CLASS_OF_SPACE_GROUP[0] = 1


def test_probabilities_of_space_groups_add_up_to_those_of_classes() -> None:
    probabilities = np.random.default_rng(5).dirichlet(np.ones(230))
    of_classes = np.bincount(CLASS_OF_SPACE_GROUP, weights=probabilities)
    assert of_classes.size == N_EXTINCTION_CLASSES
    assert of_classes.sum() == pytest.approx(1)
    pair = probabilities[[202, 226]].sum()
    assert of_classes[extinction_class(227)] == pytest.approx(pair)


@pytest.mark.parametrize("number", [0, 231, -1])
def test_a_space_group_that_does_not_exist_is_refused(number: int) -> None:
    with pytest.raises(CrystalError, match=f"from 1 to 230, but is {number}"):
        extinction_class(number)
    with pytest.raises(CrystalError, match=f"from 1 to 230, but is {number}"):
        extinction_symbol(number)


@pytest.mark.parametrize("index", [-1, 97])
def test_a_class_that_does_not_exist_is_refused(index: int) -> None:
    with pytest.raises(CrystalError, match=f"from 0 to 96, but is {index}"):
        members(index)
