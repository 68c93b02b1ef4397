"""An index is built once, opened from the disk, and refuses what is not its own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from structure_rows import NACL, SI, STRUCTURES, write_table

from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.errors import CrystalError, StickStoreError
from phasepilot.models.identification.coarse_templates import coarse_templates
from phasepilot.models.identification.search_index import (
    MAX_LINES,
    SearchIndex,
    build_search_index,
    open_search_index,
)


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, int, int]]:
    """What the build reported."""
    return []


@pytest.fixture(scope="module")
def built(tmp_path_factory, steps) -> Path:
    """One index for all tests: building it starts processes."""
    folder = tmp_path_factory.mktemp("index")
    table = write_table(folder / "structures.parquet")
    build_search_index(
        table, folder / "index", n_workers=1, progress=lambda *step: steps.append(step)
    )
    return folder / "index"


@pytest.fixture
def index(built) -> SearchIndex:
    return open_search_index(built)


def test_every_structure_has_lines_labels_and_a_template(index):
    formulas = [row["formula"] for row in STRUCTURES]
    assert index.labels.formula.tolist() == formulas
    assert index.sticks.identifier.tolist() == [f"test-{formula}" for formula in formulas]
    assert index.n_structures == len(formulas)
    assert np.diff(index.sticks.offsets).max() <= MAX_LINES
    assert index.templates.max(axis=1).tolist() == [127] * len(formulas)


def test_templates_are_drawn_from_the_lines(index):
    # Rock salt has fewer lines than are kept.
    np.testing.assert_array_equal(
        index.templates[:1], coarse_templates(index.sticks, np.array([0]))
    )


def test_arrays_are_mapped_not_read(index):
    for array in (index.templates, index.first_look, index.labels.elements, index.sticks.hkl):
        assert isinstance(array, np.memmap)


def test_lines_of_one_structure_are_handed_out(index):
    sticks = index.sticks_of(2)
    assert isinstance(sticks, StickStore)
    assert sticks.identifier.tolist() == ["test-Si"]
    # 111 of silicon.
    expected = 2 * np.pi * np.sqrt(3) / 5.431
    assert sticks.q_per_angstrom[0] == pytest.approx(expected, rel=1e-6)


def test_progress_ends_with_all_of_each_step(steps, built):
    n = len(STRUCTURES)
    assert ("lines", n, n) in steps
    assert steps[-1] == ("patterns", n, n)


def test_only_the_index_is_left(built):
    assert not list(built.glob("lines-*"))
    assert {file.suffix for file in built.rglob("*") if file.is_file()} == {".npy", ".json"}


def test_an_index_that_is_there_is_not_built_again(built):
    templates = built / "templates.npy"
    before = templates.stat().st_mtime_ns
    build_search_index(built.parent / "structures.parquet", built)
    assert templates.stat().st_mtime_ns == before


def test_an_interrupted_build_is_finished(built, tmp_path):
    folder = Path(shutil.copytree(built, tmp_path / "index"))
    (folder / "about.json").unlink()
    (folder / "first_look.npy").unlink()
    with pytest.raises(StickStoreError, match="build it, or finish building it"):
        open_search_index(folder)
    again = build_search_index(built.parent / "structures.parquet", folder, n_workers=1)
    np.testing.assert_array_equal(again.first_look, open_search_index(built).first_look)


def test_the_index_of_another_table_is_refused(built, tmp_path):
    other = write_table(tmp_path / "other.parquet", (NACL, SI))
    with pytest.raises(StickStoreError, match=r"hold the index of .*other\.parquet.*use another"):
        build_search_index(other, built)


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(StickStoreError, match="made by `phasepilot library build`, but"):
        open_search_index(tmp_path)


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(CrystalError, match="structures must be a Parquet table"):
        build_search_index(tmp_path / "none.parquet", tmp_path / "index")


def test_a_table_of_nothing_usable_is_refused(tmp_path):
    table = write_table(tmp_path / "t.parquet", ({**NACL, "occ": [1.2, 1.0]},))
    with pytest.raises(StickStoreError, match="none of its 1 can be simulated"):
        build_search_index(table, tmp_path / "index", n_workers=1)


def test_the_index_says_what_it_is_from(built):
    about = json.loads((built / "about.json").read_text())
    assert about["structures"] == "structures.parquet"
    assert about["n_rows"] == len(STRUCTURES)
