"""The benchmark that names phases, on simulated patterns and with methods made up for the test."""

import json
from pathlib import Path

import numpy as np
import pytest
from structure_rows import STRUCTURES, write_table

from phasepilot.models.benchmarks import identify
from phasepilot.models.benchmarks.benchmark_result import BenchmarkOptions, no_progress
from phasepilot.models.benchmarks.identifiers import (
    Identification,
    Identifier,
    opened_identifiers,
)
from phasepilot.models.diffraction.crystals.cif_writer import cif_text
from phasepilot.models.diffraction.crystals.structure_selection import PhaseName
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.errors import CrystalError, PatternError
from phasepilot.models.pattern import q_from_two_theta

CU_ANGSTROM = 1.5418
NACL, KCL = PhaseName("NaCl", 225), PhaseName("KCl", 225)


@pytest.fixture(scope="module")
def crystals(tmp_path_factory: pytest.TempPathFactory):
    table = write_table(tmp_path_factory.mktemp("table") / "table.parquet", STRUCTURES)
    return {row.crystal.name: row.crystal for row in read_structures(table)}


def drawn(crystal, angles):
    """Lines with a Lorentz-polarisation factor, 0.2 degree wide, on a background."""
    q = q_from_two_theta(angles, CU_ANGSTROM)
    sticks = powder_sticks(crystal, 6.0, b_square_angstrom=1.0)
    theta = np.arcsin(sticks.q_per_angstrom * CU_ANGSTROM / (4 * np.pi))
    factor = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    width = np.gradient(q, angles)[:, None] * 0.1
    lines = np.exp(-0.5 * ((q[:, None] - sticks.q_per_angstrom) / width) ** 2)
    intensity = lines @ (sticks.structure_factor_squared * factor)
    return 1000 * intensity / intensity.max() + 50


def write_samples(folder: Path, samples, *, wavelengths=None) -> Path:
    """Samples are (crystals that are drawn, phases that are stated)."""
    angles = np.arange(10.0, 90.0, 0.02)
    rows = [sum(drawn(one, angles) for one in shown) for shown, _ in samples]
    n = len(samples)
    np.savez(
        folder / "samples.npz",
        offsets=np.arange(n + 1) * angles.size,
        two_theta=np.tile(angles, n),
        intensity=np.concatenate(rows),
        name=np.array([f"sample {k}" for k in range(n)]),
        wavelength=np.array(wavelengths or [CU_ANGSTROM] * n),
    )
    entries = [{"phases": phases, "kind": "test"} for _, phases in samples]
    (folder / "samples.json").write_text(json.dumps(entries))
    return folder / "samples.npz"


def stated(formula, number=None):
    return {"formula": formula, "space_group": number}


def always(*ranking: PhaseName, found: tuple[PhaseName, ...] = ()) -> Identifier:
    said = Identification(ranking, found or ranking[:1])
    return Identifier(frozenset(ranking), False, lambda pattern, elements: said)


def compare(data: Path, **identifiers: Identifier):
    options = BenchmarkOptions(estimators={}, data=data)
    return identify.compare(options, identifiers, no_progress)


def test_candidates_from_cif_files_are_named(crystals, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    for name, crystal in crystals.items():
        (library / f"{name}.cif").write_text(cif_text(crystal, name))
    (library / "broken.cif").write_text("not a crystal")
    names = ["NaCl", "KCl", "SiO2", "ZrO2", "Bi"]
    samples = [
        ((crystals[name],), [stated(name, crystals[name].space_group_number)]) for name in names
    ]
    data = write_samples(tmp_path, samples)
    options = BenchmarkOptions(estimators={}, data=data, library=library)
    figures = identify.run(options, no_progress).flat()
    assert figures["top1"] == figures["known"] == 1.0


def test_right_means_formula_and_space_group(crystals, tmp_path: Path) -> None:
    salt = (crystals["NaCl"],)
    data = write_samples(
        tmp_path, [(salt, [stated("Cl Na", 225)]), (salt, [stated("Cl2Na2", 221)])]
    )
    figures = compare(data, method=always(NACL)).flat()
    assert figures["top1"] == 0.5
    assert figures["top1_formula"] == 1.0
    assert figures["known"] == 0.5
    assert figures["top1_of_known"] == 1.0


def test_the_rank_counts_from_one_and_ends_at_ten(crystals, tmp_path: Path) -> None:
    data = write_samples(tmp_path, [((crystals["KCl"],), [stated("KCl", 225)])])
    others = [PhaseName("NaCl", number) for number in range(1, 11)]
    tenth, eleventh = always(*others[:9], KCL), always(*others, KCL)
    result = compare(data, eleventh=eleventh, tenth=tenth)
    assert [item["rank"] for item in result.items] == [11, 10]
    assert (result.flat()["top10"], result.flat()["eleventh_top10"]) == (1.0, 0.0)


def test_mixtures_are_scored_by_the_phases_found(crystals, tmp_path: Path) -> None:
    both = (crystals["NaCl"], crystals["KCl"])
    single = ((crystals["KCl"],), [stated("KCl", 225)])
    data = write_samples(tmp_path, [single, (both, [stated("NaCl"), stated("KCl", 225)])])
    iron = PhaseName("Fe", 229)
    figures = compare(data, method=always(NACL, found=(NACL, iron, KCL))).flat()
    assert figures["mixtures_precision"] == pytest.approx(2 / 3)
    assert figures["mixtures_recall"] == 1.0
    assert figures["mixtures_f1"] == pytest.approx(0.8)


def test_what_cannot_be_judged_is_left_out_and_counted(crystals, tmp_path: Path) -> None:
    salt = (crystals["NaCl"],)
    samples = [
        (salt, [stated("NaCl", 225)]),
        (salt, [stated("NaCl", 225)]),
        (salt, [stated("NaCl")]),
        (salt, [{"mineral": "halite"}]),
    ]
    wavelengths = [CU_ANGSTROM, float("nan"), CU_ANGSTROM, CU_ANGSTROM]
    result = compare(write_samples(tmp_path, samples, wavelengths=wavelengths), method=always(NACL))
    assert len(result.items) == 1
    assert "1 patterns of a single phase, 0 of mixtures" in result.notes[0]
    assert "1 patterns that cannot be read or state no wavelength, 2 whose" in result.notes[1]


def test_elements_are_told_only_where_they_are_needed(crystals, tmp_path: Path) -> None:
    data = write_samples(tmp_path, [((crystals["NaCl"],), [stated("NaCl", 225)])])
    told = []

    def remember(pattern, elements):
        told.append(elements)
        return Identification((), ())

    compare(data, library=Identifier(frozenset(), False, remember))
    compare(data, table=Identifier(frozenset(), True, remember))
    assert told == [None, frozenset([11, 17])]


def test_a_pattern_that_a_method_refuses_counts_as_wrong(crystals, tmp_path: Path) -> None:
    def refuse(pattern, elements):
        raise PatternError("it must have lines, but has none; expose longer.")

    data = write_samples(tmp_path, [((crystals["NaCl"],), [stated("NaCl", 225)])])
    result = compare(data, method=Identifier(frozenset([NACL]), False, refuse))
    assert result.flat()["top1"] == 0.0
    assert result.items[0]["is_refused"]


def test_without_a_library_there_is_nothing_to_choose_from() -> None:
    with pytest.raises(PatternError, match="needs phases to choose from, but was given none"):
        identify.run(BenchmarkOptions(estimators={}), no_progress)


def test_a_folder_without_readable_files_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(CrystalError, match=r"none of the 0 in .* can; put one file"):
        opened_identifiers(tmp_path)


def test_data_without_any_single_phase_are_refused(crystals, tmp_path: Path) -> None:
    data = write_samples(tmp_path, [((crystals["NaCl"],), [{"mineral": "halite"}])])
    with pytest.raises(PatternError, match="must hold patterns of a single known phase"):
        compare(data, method=always(NACL))
