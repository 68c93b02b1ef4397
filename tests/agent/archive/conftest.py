"""What the tests of the archive share."""

import pytest
from ophyd.sim import SynAxis


@pytest.fixture
def motor() -> SynAxis:
    return SynAxis(name="motor")
