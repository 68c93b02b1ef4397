"""The post's benchmark, on simulated samples whose answer is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_samples import anatase, intensity_of, make_known, rutile

from phasepilot.models.benchmarks import tio2, tio2_mixtures, tio2_network
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    no_progress,
)
from phasepilot.models.benchmarks.tio2_matching import LibraryMatching, overlay
from phasepilot.models.benchmarks.tio2_patterns import TWO_THETA_DEG, on_post_axis, simulated
from phasepilot.models.benchmarks.tio2_phases import phases_of_folder
from phasepilot.models.benchmarks.tio2_samples import rruff_patterns, sorted_samples
from phasepilot.models.diffraction.crystals.cif_writer import cif_text
from phasepilot.models.pattern import Pattern

ANGLES_DEG = np.arange(15.0, 90.0, 0.02)
ANATASE = {"formula": "O2 Ti", "mineral": "Anatase", "space_group": 141}
RUTILE = {"formula": "TiO2", "space_group": 136}
SALT = {"formula": "NaCl", "mineral": "halite", "space_group": 225}
FLUORITE = {"formula": "CaF2", "mineral": "fluorite", "space_group": 225}


def with_weight(phase: dict[str, object], weight: float) -> dict[str, object]:
    return {**phase, "nominal_weight_fraction": weight}


# What is measured, and what is said of it.
SAMPLES = {
    "one": (["anatase"], [ANATASE], "lab"),
    "two": (["rutile"], [RUTILE], "lab"),
    "both": (["anatase", "rutile"], [ANATASE, RUTILE], "lab"),
    "R040049": (["rutile"], [{"formula": "TiO2"}], "RRUFF"),
    "no group": (["rutile"], [{"formula": "TiO2"}], "lab"),
    "weighed": (
        ["rutile", "salt"],
        [with_weight(RUTILE, 0.6), with_weight(SALT, 0.4)],
        "mixture",
    ),
    "salt": (["salt"], [SALT], "lab"),
    "fluorite": (["fluorite"], [FLUORITE], "lab"),
    "products": (["salt"], [SALT], "reaction"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of CIF files of anatase and rutile."""
    path = tmp_path_factory.mktemp("phases")
    for name, crystal in (("anatase", anatase()), ("rutile", rutile())):
        (path / f"{name}.cif").write_text(cif_text(crystal, name))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measured patterns and their list."""
    path = tmp_path_factory.mktemp("data") / "known.npz"
    rng = np.random.default_rng(0)
    rows = []
    for phases, _, _ in SAMPLES.values():
        drawn = sum(intensity_of(make_known(name), ANGLES_DEG) for name in phases)
        rows.append(rng.poisson(50 + 1e5 * drawn / drawn.max()))
    np.savez(
        path,
        offsets=np.arange(len(SAMPLES) + 1) * ANGLES_DEG.size,
        two_theta=np.tile(ANGLES_DEG, len(SAMPLES)),
        intensity=np.concatenate(rows).astype(np.float32),
        wavelength=np.full(len(SAMPLES), 1.5406),
        name=np.array(list(SAMPLES)),
    )
    entries = [{"phases": phases, "kind": kind} for _, phases, kind in SAMPLES.values()]
    path.with_suffix(".json").write_text(json.dumps(entries))
    return path


def test_samples_are_sorted_by_what_is_known_of_them(folder: Path, data: Path) -> None:
    samples = sorted_samples(data, phases_of_folder(folder).polymorphs)
    assert {one.name: one.phase for one in samples.single} == {
        "one": "anatase",
        "two": "rutile",
        "R040049": "rutile",  # the post says so
    }
    assert [one.name for one in samples.unstated] == ["no group"]
    assert [one.phases for one in samples.several] == [{"anatase", "rutile"}]
    assert [one.name for one in samples.weighed] == ["weighed"]
    assert [one.name for one in samples.others] == ["salt", "fluorite"]


def test_without_the_file_of_rruff_nothing_is_told_by_lattice(data: Path) -> None:
    assert rruff_patterns(data, [136]) is None


def test_what_was_not_measured_repeats_the_end_on_the_axis_of_the_post() -> None:
    angles = np.arange(20.0, 60.0, 0.5)
    intensity = np.where(angles < 30, 5.0, 1.0)
    row = on_post_axis([Pattern.from_two_theta(angles, intensity, wavelength_angstrom=1.54184)])[0]
    assert row.shape == (8501,)
    assert (row[TWO_THETA_DEG < 20] == 1).all()
    assert (row[TWO_THETA_DEG > 60] == 0).all()


def test_another_wavelength_is_brought_to_the_angles_of_the_post() -> None:
    angles = np.arange(8.0, 40.0, 0.01)
    line = 17.0
    pattern = Pattern.from_two_theta(
        angles, np.exp(-(((angles - line) / 0.05) ** 2)), wavelength_angstrom=0.7107
    )
    sine = np.sin(np.radians(line / 2)) * 1.54184 / 0.7107
    expected = np.degrees(2 * np.arcsin(sine))
    found = TWO_THETA_DEG[on_post_axis([pattern])[0].argmax()]
    assert found == pytest.approx(expected, abs=0.02)


def test_matching_names_what_is_there_and_refuses_what_is_not(folder: Path) -> None:
    index = phases_of_folder(folder).polymorphs
    matching = LibraryMatching(index)
    (pattern,) = simulated(index, np.array([1]), np.random.default_rng(0), recipe="ideal")
    said = matching.say(pattern)
    assert (said.main, said.is_known) == ("rutile", True)
    assert said.explained > 0.7
    assert matching.phase_of_lattice(pattern, 136, within=0.005) == "rutile"
    assert matching.phase_of_lattice(pattern, 141, within=0.005) == ""
    chart = overlay(index, pattern, "a sample")
    assert [curve.name for curve in chart.curves] == ["measured", "rutile, 100% of the intensity"]


@pytest.fixture(scope="module")
def result(folder: Path, data: Path) -> BenchmarkResult:
    with pytest.MonkeyPatch.context() as patch:
        # The numbers of the post take minutes.
        patch.setattr(tio2_network, "N_TRAIN", 16)
        patch.setattr(tio2_network, "N_VALIDATION", 3)
        patch.setattr(tio2_network, "SCHEDULE", replace(tio2_network.SCHEDULE, n_epochs=4))
        patch.setattr(tio2_mixtures, "_EACH", 1)
        patch.setattr(tio2_mixtures, "SECOND_WEIGHTS", (0.1, 0.5))
        options = BenchmarkOptions(estimators={}, data=data, library=folder, n_seeds=1)
        return tio2.run(options, no_progress)


@pytest.mark.slow
def test_matching_does_what_the_network_cannot(result: BenchmarkResult) -> None:
    figures = result.flat()
    assert figures["matching_measured_accuracy"] == 1
    assert figures["measured_mixtures_named"] == 1
    assert figures["unknown_auroc"] == 1
    # At a level of 1 % false alarms not every stranger is told from two phases.
    assert figures["unknown_called_unknown"] >= 0.5
    assert figures["usual_called_unknown"] == 0
    assert figures["weighed_found"] == 1
    assert 0 <= figures["network_measured_accuracy"] <= 1
    # The amounts are such that both give as much intensity.
    anatase_weight = figures["measured_mixtures_anatase_weight"]
    assert figures["measured_mixtures_rutile_weight"] == pytest.approx(1 - anatase_weight)


@pytest.mark.slow
def test_every_sample_is_listed_with_what_is_said(result: BenchmarkResult) -> None:
    listed = {item["sample"] for item in result.items if "sample" in item}
    assert listed == set(SAMPLES) - {"products"}
    notes = " ".join(result.notes)
    assert "of the post's 11 samples there is R040049" in notes
    (sheet,) = result.sheets
    assert len(sheet.charts) == 3 + 1 + 1 + 1 + 1
