"""`phasepilot config`: a configuration from a run, and what it says of one."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from experiment import Emitted, make_beamline
from steered_run import SteeredRun
from typer.testing import Result

from phasepilot.agent.archive.document_log import DocumentLog
from phasepilot.agent.archive.tiled_server import EmbeddedTiledServer

PhasePilot = Callable[..., Result]


@pytest.fixture
def emitted(run_engine: RunEngine) -> Emitted:
    """The documents of a scan."""
    beamline, emitted = make_beamline(), Emitted()
    token = run_engine.subscribe(emitted)
    run_engine(bp.scan([beamline.detector], beamline.cell, 0, 1, 2))
    run_engine.unsubscribe(token)
    return emitted


def plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else list(value)


def as_json_lines(pairs: list[tuple[str, Mapping[str, Any]]], path: Path) -> Path:
    path.write_text("\n".join(json.dumps(pair, default=plain) for pair in pairs))
    return path


def as_log(pairs: list[tuple[str, Mapping[str, Any]]], folder: Path) -> Path:
    log = DocumentLog(folder)
    for name, doc in pairs:
        log(name, dict(doc))
    (path,) = folder.glob("*.documents")
    return path


def test_what_is_written_from_documents_fits_them(
    phasepilot: PhasePilot, emitted: Emitted, tmp_path: Path
) -> None:
    for documents in (
        as_json_lines(emitted.documents, tmp_path / "run.jsonl"),
        as_log(emitted.documents, tmp_path),
    ):
        file = documents.with_suffix(".yaml")
        written = phasepilot("config", "init", "--documents", documents, "-o", file)
        assert written.exit_code == 0, written.output
        checked = phasepilot("config", "check", file, "--documents", documents)
        assert checked.exit_code == 0, checked.output
        assert "nothing is missing for run" in checked.output
        assert phasepilot("config", "init", "--documents", documents, "-o", file).exit_code == 1
    printed = phasepilot("config", "init", "--documents", documents)
    assert printed.stdout == file.read_text()


def test_what_is_written_from_tiled_fits_the_run(
    phasepilot: PhasePilot,
    tiled_server: EmbeddedTiledServer,
    steered_run: SteeredRun,
    tmp_path: Path,
) -> None:
    run = ("--run", steered_run.uid, "--tiled", steered_run.container.uri)
    key, file = ("--api-key", tiled_server.api_key), tmp_path / "beamline.yaml"
    written = phasepilot("config", "init", *run, *key, "-o", file)
    assert written.exit_code == 0, written.output
    assert "intensity_field: detector_intensity" in file.read_text()
    checked = phasepilot("config", "check", file, *run, *key)
    assert checked.exit_code == 0, checked.output


def test_says_in_a_sentence_what_is_wrong(
    phasepilot: PhasePilot, emitted: Emitted, tmp_path: Path
) -> None:
    documents = as_json_lines(emitted.documents, tmp_path / "run.jsonl")
    file = tmp_path / "beamline.yaml"
    phasepilot("config", "init", "--documents", documents, "-o", file)
    file.write_text(file.read_text().replace("cell_pressure_gpa", "cell_presure_gpa"))
    broken = tmp_path / "broken.jsonl"
    broken.write_text("[1]")
    cases: dict[str, tuple[object, ...]] = {
        "Did you mean 'cell_pressure_gpa'?": ("check", file, "--documents", documents),
        "a run must be given": ("init",),
        "needs both its uid and the server": ("init", "--run", "x"),
        "line 1 is '[1]'": ("init", "--documents", broken),
        "cannot be read": ("init", "--documents", tmp_path / "none.jsonl"),
    }
    for sentence, command in cases.items():
        result = phasepilot("config", *command)
        assert result.exit_code == 1
        assert sentence in result.output
