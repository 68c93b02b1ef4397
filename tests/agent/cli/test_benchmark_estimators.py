"""What a benchmark compares, on a library of three textbook crystals."""

import json
from pathlib import Path

import numpy as np
import pytest
from structure_rows import NACL, QUARTZ, SI, write_table

from phasepilot.agent.cli.benchmark_estimators import RememberedSearch, estimators
from phasepilot.agent.errors import ConfigurationError
from phasepilot.models.diffraction.crystals.cif_writer import cif_text
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.errors import UnknownModelError, WeightsError
from phasepilot.models.identification.known_structures import open_known_structures
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import prepare_pattern


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    for row in read_structures(write_table(folder / "table.parquet", (NACL, SI, QUARTZ))):
        name = row.crystal.name
        (folder / f"{name}.cif").write_text(cif_text(row.crystal, name))
    return folder


@pytest.fixture
def halite() -> Pattern:
    """The first six lines of rock salt, with their textbook intensities."""
    q = np.linspace(1.0, 6.0, 4000)
    lines = ((3, 8.0), (4, 100.0), (8, 55.0), (11, 2.0), (12, 15.0), (16, 6.0))
    counts = np.full(q.size, 10.0)
    for sum_of_squares, height in lines:
        place = 2 * np.pi * np.sqrt(sum_of_squares) / 5.640
        counts += 100 * height * np.exp(-(((q - place) / 0.01) ** 2))
    return Pattern.from_q(q, counts, wavelength_angstrom=1.5406)


def test_the_network_is_judged_alone_without_known_structures() -> None:
    assert list(estimators("", None, None)) == ["network"]


def test_with_known_structures_both_together_are_judged(library: Path, halite: Pattern) -> None:
    compared = estimators("", None, library)
    assert list(compared) == ["network", "search", "both"]
    answers = {name: one.predict(halite) for name, one in compared.items()}
    assert answers["network"].phases == ()
    for name in ("search", "both"):
        assert answers[name].phases[0].formula == "NaCl"
        assert answers[name].space_group_number == 225


def test_files_that_cannot_be_read_are_told_and_left_out(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in library.glob("*.cif"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "broken.cif").write_text("not a crystal")
    assert "both" in estimators("", None, tmp_path)
    assert "broken.cif" in capsys.readouterr().err


def test_a_pattern_is_searched_once_for_all_who_ask(library: Path, halite: Pattern) -> None:
    index, _ = open_known_structures(library)
    remembered = RememberedSearch()
    prepared = prepare_pattern(halite, Preprocessing())
    found = remembered(index, prepared)
    assert remembered(index, prepare_pattern(halite, Preprocessing())) is found
    other = Pattern.from_q(halite.q_per_angstrom, halite.intensity, wavelength_angstrom=1.5406)
    assert remembered(index, prepare_pattern(other, Preprocessing())) is not found


def test_a_reference_folder_must_hold_cards(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds none; `phasepilot train` writes them"):
        estimators("", tmp_path, None)


def test_a_card_without_its_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "npcnn.json").write_text(json.dumps({"name": "npcnn"}))
    with pytest.raises(WeightsError, match=r"npcnn"):
        estimators("", tmp_path, None)


def test_an_unknown_network_is_told() -> None:
    with pytest.raises(UnknownModelError, match=r"Did you mean 'pilotnet-v1'\?"):
        estimators("pilotnet-v2", None, None)
