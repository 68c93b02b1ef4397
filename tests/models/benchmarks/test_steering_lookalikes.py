import numpy as np
import pytest
from structure_rows import cubic, make_row, write_table

from phasepilot.models.benchmarks.steering_scan_lookalikes import (
    AXIS,
    N_LOOKALIKES,
    draw_lookalikes,
    random_pool,
)
from phasepilot.models.errors import CrystalError

_ORIGIN, _CENTRE = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5)


def write_salts(path, n_structures):
    """Rock salts whose lattices grow by 2 % from one to the next."""
    rows = tuple(
        make_row(
            "NaCl",
            (225, 523),
            cubic(4.5 * 1.02**k),
            [(11, _ORIGIN, 4), (17, _CENTRE, 4)],
            id=f"salt-{k}",
        )
        for k in range(n_structures)
    )
    return write_table(path, rows)


def test_a_sample_stands_among_its_look_alikes_and_shows_its_own_lines(tmp_path) -> None:
    rng = np.random.default_rng(0)
    pool = random_pool(write_salts(tmp_path / "structures.parquet", 16), rng, 16)
    (drawn,) = draw_lookalikes(pool, 1, rng)
    assert len(drawn.library.phases) == N_LOOKALIKES
    assert drawn.truth in {phase.name for phase in drawn.library.phases}
    assert drawn.likeness <= 0.97
    true = next(phase for phase in drawn.library.phases if phase.name == drawn.truth)
    strongest = true.q_per_angstrom[np.argmax(true.strength / true.q_per_angstrom**2)]
    expected = np.degrees(2 * np.arcsin(strongest * 1.5406 / (4 * np.pi)))
    assert AXIS.two_theta_deg[drawn.rate.argmax()] == pytest.approx(expected, abs=0.5)


def test_a_table_without_enough_small_structures_is_refused(tmp_path) -> None:
    table = write_salts(tmp_path / "structures.parquet", 5)
    with pytest.raises(CrystalError, match="give a larger table"):
        random_pool(table, np.random.default_rng(0), 16)
