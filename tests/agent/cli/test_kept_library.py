"""The search index that benchmarks make of a structure table once, and keep."""

from pathlib import Path

import pytest
from structure_rows import NACL, SI, write_table

from phasepilot.agent.cli.console import console
from phasepilot.agent.cli.kept_library import kept_library
from phasepilot.models.identification.search_index import open_search_index


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(console, "width", 300)
    return tmp_path / "cache" / "phasepilot"


@pytest.mark.parametrize("place", ["structures.parquet", "structures/structures.parquet"])
def test_the_table_of_a_folder_is_indexed_in_the_cache(
    cache: Path, tmp_path: Path, place: str
) -> None:
    table = tmp_path / "data" / place
    table.parent.mkdir(parents=True)
    write_table(table, (NACL, SI))
    folder = kept_library(tmp_path / "data")
    assert folder == cache / f"library-{table.stat().st_size}"
    assert open_search_index(folder).labels.formula.tolist() == ["NaCl", "Si"]


def test_what_is_there_is_not_made_again(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_table(tmp_path / "structures.parquet", (NACL, SI))
    first = kept_library(table)
    assert "making a search index" in capsys.readouterr().out
    assert first is not None
    made = (cache / first.name / "templates.npy").stat().st_mtime_ns
    assert kept_library(table) == first
    assert "making a search index" not in capsys.readouterr().out
    assert (cache / first.name / "templates.npy").stat().st_mtime_ns == made


@pytest.mark.parametrize("has_folder", [False, True])
def test_without_a_table_the_network_answers_alone_and_it_is_said(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], has_folder: bool
) -> None:
    assert kept_library(tmp_path if has_folder else None) is None
    assert "no structure table, so the network answers alone" in capsys.readouterr().out
    assert not cache.exists()
