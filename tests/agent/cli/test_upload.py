from collections.abc import Callable
from pathlib import Path

import pytest
from event_model import compose_run
from typer.testing import Result

from phasepilot.agent.archive.document_log import DocumentLog, log_path
from phasepilot.agent.archive.pending_runs import pending_logs
from phasepilot.agent.archive.tiled_columns import find_run
from phasepilot.agent.archive.tiled_server import EmbeddedTiledServer

PhasePilot = Callable[..., Result]


def log_a_run(directory: Path) -> str:
    """Leave the log of a small run, as an experiment without Tiled does, and return its uid."""
    run = compose_run()
    stream = run.compose_descriptor(
        name="primary", data_keys={"motor": {"source": "x", "dtype": "number", "shape": []}}
    )
    log = DocumentLog(directory)
    log.append("start", run.start_doc)
    log.append("descriptor", stream.descriptor_doc)
    for value in (0.5, 1.5):
        event = stream.compose_event(data={"motor": value}, timestamps={"motor": 0.0})
        log.append("event", event)
    log.append("stop", run.compose_stop())
    log.close()
    uid: str = run.start_doc["uid"]
    return uid


@pytest.fixture
def upload(
    phasepilot: PhasePilot, tiled_server: EmbeddedTiledServer, container: object
) -> PhasePilot:
    def run(directory: Path) -> Result:
        server = ("--tiled", container.uri, "--api-key", tiled_server.api_key)
        return phasepilot("upload", directory, *server)

    return run


def test_a_pending_run_gets_into_tiled_and_is_pending_no_more(
    upload: PhasePilot, container: object, tmp_path: Path
) -> None:
    uid = log_a_run(tmp_path)
    result = upload(tmp_path)
    assert result.exit_code == 0, result.output
    assert f"Run {uid} was uploaded." in result.stdout.replace("\n", " ")
    assert find_run(container, uid)["primary"]["motor"].read().tolist() == [0.5, 1.5]
    assert pending_logs(tmp_path) == []
    again = upload(tmp_path)
    assert again.exit_code == 0
    assert "nothing is pending in" in again.stdout


def test_a_log_that_cannot_be_read_stays_and_costs_the_status(
    upload: PhasePilot, container: object, tmp_path: Path
) -> None:
    uid = log_a_run(tmp_path)
    log_path(tmp_path, "broken").write_bytes(b"not a log")
    result = upload(tmp_path)
    assert result.exit_code == 1
    assert "Run broken is still pending" in result.stdout
    assert find_run(container, uid).stop["exit_status"] == "success"
    assert [log.name for log in pending_logs(tmp_path)] == [log_path(tmp_path, "broken").name]


@pytest.mark.usefixtures("patient_for_a_second")
@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "nowhere"])
def test_without_a_server_there_is_one_sentence_and_the_log_stays(
    phasepilot: PhasePilot, tmp_path: Path, uri: str
) -> None:
    log_a_run(tmp_path)
    result = phasepilot("upload", tmp_path, "--tiled", uri, "--api-key", "secret")
    assert result.exit_code == 1
    assert f"a Tiled server must answer at '{uri}'" in result.stderr
    assert len(pending_logs(tmp_path)) == 1


def test_a_folder_that_is_not_there_is_told(upload: PhasePilot, tmp_path: Path) -> None:
    result = upload(tmp_path / "documnets")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
