"""The tables of Salgado et al., at toy size."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structure_rows import STRUCTURES, write_table

from phasepilot.models.benchmarks import salgado
from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, no_progress
from phasepilot.models.benchmarks.measured_files import LabelledPatterns
from phasepilot.models.benchmarks.salgado_sets import (
    TRAINING_SETS,
    draw_structures,
    on_axis,
    simulated,
    training_sets,
    two_theta_deg,
)
from phasepilot.models.errors import CrystalError
from phasepilot.models.networks.registry import load_model
from phasepilot.models.pattern import Pattern

needs_data = pytest.mark.skipif(
    "PHASEPILOT_DATA" not in os.environ, reason="PHASEPILOT_DATA does not name the folder with data"
)


def test_held_out_families_are_in_no_training_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    drawn = draw_structures(write_table(tmp_path / "structures.parquet"), None, rng)
    # Si and Ge, the only ones of their family.
    assert drawn.space_group_index(drawn.held_out).tolist() == [226, 226]
    n = len(STRUCTURES) - 2
    assert drawn.trained.size == n
    measured = np.zeros((3, two_theta_deg(4).size), np.float16), np.array([1, 2, 3])
    with training_sets(drawn, measured, every=4, rng=rng) as sets:
        sizes = {name: len(sets.patterns[rows]) for name, rows in sets.rows.items()}
        assert sizes == {"baseline": n, "mixed": n, "large": 7 * n, "souped": 7 * n + 3}
        assert 226 not in sets.space_group_index
        assert sets.space_group_index[-3:].tolist() == [1, 2, 3]
        again = simulated(drawn, drawn.trained, recipe="salgado-1", every=4, rng=rng)
        # Set 1 has no noise: the same patterns as the baseline's.
        assert np.array_equal(sets.patterns[sets.rows["baseline"]], again)
        assert not np.array_equal(sets.patterns[sets.rows["mixed"]], again)


def test_a_table_too_small_is_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path / "structures.parquet", STRUCTURES[:2])
    with pytest.raises(CrystalError, match=r"5 structures to train on .* gave 2 and 0; give"):
        draw_structures(table, 5, np.random.default_rng(0))


def test_a_stretched_lattice_has_its_lines_at_smaller_angles(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    drawn = draw_structures(write_table(tmp_path / "structures.parquet"), None, rng)
    copper = drawn.trained[drawn.store.space_group_number[drawn.trained] == 225][:1]
    angle = {}
    for scale in (0.8, 1.0, 1.2):
        pattern = simulated(drawn, copper, recipe="salgado-1", every=4, rng=rng, scale=scale)
        angle[scale] = two_theta_deg(4)[pattern[0].argmax()]
    sines = {scale: scale * np.sin(np.radians(angle[scale] / 2)) for scale in angle}
    assert sines[0.8] == pytest.approx(sines[1.0], rel=2e-3)
    assert sines[1.2] == pytest.approx(sines[1.0], rel=2e-3)


def test_a_line_measured_at_another_wavelength_comes_to_the_angle_of_the_papers() -> None:
    fine = np.arange(2.0, 40.0, 0.005)
    d_spacing_angstrom = 3.0
    at = 2 * np.degrees(np.arcsin(0.7 / (2 * d_spacing_angstrom)))
    intensity = np.exp(-(((fine - at) / 0.03) ** 2))
    pattern = Pattern.from_two_theta(fine, intensity, wavelength_angstrom=0.7)
    measured = LabelledPatterns((pattern,), np.array([225]), np.array([0]), ("one",))
    (row,) = on_axis(measured, 4)
    expected = 2 * np.degrees(np.arcsin(1.5418 / (2 * d_spacing_angstrom)))
    assert two_theta_deg(4)[row.argmax()] == pytest.approx(expected, abs=0.04)
    assert row.max() == 1


@pytest.mark.slow
@needs_data
def test_every_network_answers_after_every_set(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = replace(salgado.SMALL.schedule, n_batches=1)
    size = replace(
        salgado.SMALL, n_structures=60, narrower_by=20, n_stretched=3, n_shown=9, schedule=schedule
    )
    monkeypatch.setattr(salgado, "SMALL", size)
    data = Path(os.environ["PHASEPILOT_DATA"])
    ours = {"network": load_model()}
    options = BenchmarkOptions(estimators=ours, data=data, structures=data, n_seeds=1)
    result = salgado.run(options, no_progress)
    figures = result.flat()
    for name in salgado.NETWORKS:
        for one in TRAINING_SETS:
            assert 0 <= figures[f"{name}_{one}_crystal_system_rruff"] <= 1
    # The minerals are the same whatever is trained: `phasepilot benchmark rruff908`.
    assert figures["agent_network_crystal_system_rruff"] > 0.45
    assert 0 <= figures["agent_network_space_group_held_out"] <= 1
    asked = {(item["trained_on"], item["pattern"]) for item in result.items}
    n_souped = sum(one == "souped" for one, _ in asked)
    assert n_souped == pytest.approx(sum(one == "large" for one, _ in asked) / 2, abs=1)
    assert [sheet.name for sheet in result.sheets] == [
        *("accuracy", "confusion", "stretched", "counts")
    ]
