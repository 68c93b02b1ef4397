import gemmi
import numpy as np
import pytest

from phasepilot.models.networks.space_groups import (
    crystal_system_index,
    crystal_system_of,
    space_group_symbol,
)
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS


@pytest.mark.parametrize("number", range(1, 231))
def test_crystal_system_is_gemmis(number: int) -> None:
    group = gemmi.find_spacegroup_by_number(number)
    assert crystal_system_of(number) == group.crystal_system_str()
    assert gemmi.SpaceGroup(space_group_symbol(number)).number == number


def test_the_index_of_many_is_that_of_each() -> None:
    numbers = np.arange(1, 231)
    systems = [CRYSTAL_SYSTEMS[index] for index in crystal_system_index(numbers)]
    assert systems == [crystal_system_of(int(number)) for number in numbers]
