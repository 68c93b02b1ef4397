"""Sets of measured patterns are found by what they hold, in a file or in a folder."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from benchmark_cases import TWO_THETA_DEG, WAVELENGTH_ANGSTROM, make_counts, write_rruff

from phasepilot.models.benchmarks.measured_files import (
    read_known_samples,
    read_rruff,
    read_thin_films,
)
from phasepilot.models.errors import PatternError

DATA = os.environ.get("PHASEPILOT_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="PHASEPILOT_DATA names no folder of data")


def write_known(path: Path, entries: list[dict[str, object]]) -> Path:
    n_patterns = len(entries)
    np.savez(
        path,
        offsets=np.arange(n_patterns + 1) * TWO_THETA_DEG.size,
        two_theta=np.tile(TWO_THETA_DEG, n_patterns),
        intensity=np.concatenate([make_counts([30.0]) for _ in entries]),
        name=np.array([f"sample {k}" for k in range(n_patterns)]),
        wavelength=np.array([WAVELENGTH_ANGSTROM, np.nan][:n_patterns]),
    )
    path.with_suffix(".json").write_text(json.dumps(entries))
    return path


def test_patterns_come_with_space_group_and_group(tmp_path: Path) -> None:
    data = read_rruff(write_rruff(tmp_path / "any_name.npz"))
    assert data.space_group_number.tolist() == [225] * 4 + [62] * 4 + [14] * 4
    assert data.group.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert data.name[0] == "rruff908-100"
    pattern = data.patterns[0]
    assert pattern.wavelength_angstrom == WAVELENGTH_ANGSTROM
    expected = 4 * np.pi / WAVELENGTH_ANGSTROM * np.sin(np.radians(TWO_THETA_DEG / 2))
    np.testing.assert_allclose(pattern.q_per_angstrom, expected)


def test_a_folder_is_searched_for_the_file_that_holds_the_arrays(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write_rruff(tmp_path / "deep" / "minerals.npz")
    np.savez(tmp_path / "other.npz", two_theta=TWO_THETA_DEG)
    (tmp_path / "broken.npz").write_text("not an archive")
    assert len(read_rruff(tmp_path).patterns) == 12


def test_a_folder_with_two_such_files_is_refused(tmp_path: Path) -> None:
    write_rruff(tmp_path / "first.npz")
    write_rruff(tmp_path / "second.npz")
    with pytest.raises(PatternError, match=r"one .npz file .* has .*first.npz, .*second.npz; give"):
        read_rruff(tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write_known(tmp_path / "known.npz", [{"kind": "lab", "phases": []}])
    with pytest.raises(PatternError, match=r"with the arrays patterns, two_theta.* has none; give"):
        read_rruff(path)


def test_a_path_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PatternError, match=r"nowhere does not exist; check the path given with"):
        read_rruff(tmp_path / "nowhere")


def test_samples_without_a_wavelength_are_left_out_by_name(tmp_path: Path) -> None:
    phase = {"formula": "O2 Ti", "mineral": "rutile", "space_group": 136, "weight_percent": 40.0}
    entry = {"kind": "lab", "phases": [phase]}
    known = read_known_samples(write_known(tmp_path / "known.npz", [entry, entry]))
    (sample,), (left_out,) = known.samples, known.left_out
    assert sample.phases[0].weight_fraction == pytest.approx(0.4)
    assert sample.phases[0].space_group_number == 136
    assert left_out.startswith("sample 1: wavelength_angstrom must be")


def test_what_nobody_says_of_a_phase_stays_unknown(tmp_path: Path) -> None:
    entry = {"kind": "lab", "phases": [{"name": "clay"}]}
    (phase,) = read_known_samples(write_known(tmp_path / "k.npz", [entry])).samples[0].phases
    assert (phase.formula, phase.name) == ("", "clay")
    assert phase.space_group_number is None
    assert phase.weight_fraction is None


def test_a_list_of_samples_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = write_known(tmp_path / "known.npz", [{"kind": "lab", "phases": []}])
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(PatternError, match=r"one entry for each of the 1 patterns .* has 0; take"):
        read_known_samples(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(PatternError, match=r"list of its samples beside it in known.json, but"):
        read_known_samples(path)


@needs_data
def test_the_measured_sets_are_read_whole() -> None:
    assert DATA is not None
    rruff, films = read_rruff(Path(DATA)), read_thin_films(Path(DATA))
    assert len(rruff.patterns) == rruff.space_group_number.size == rruff.group.size
    assert set(films.space_group_number.tolist()) <= {225, 140, 14, 164, 194, 7, 221}
    known = read_known_samples(Path(DATA))
    assert all("wavelength" in reason for reason in known.left_out)
    assert any(len(sample.phases) > 1 for sample in known.samples)
