"""A served catalog with API keys: what each may do, and what is said when it may not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from recorded_documents import record_run
from tiled_process import READ_SCOPES, WRITE_SCOPES, TiledProcess
from typer.testing import Result

from phasepilot.agent.archive.pending_runs import upload_pending
from phasepilot.agent.archive.tiled_client import runs_container

pytestmark = pytest.mark.slow
PhasePilot = Callable[..., Result]


@pytest.fixture(scope="module")
def stored(tiled_process: TiledProcess, tmp_path_factory):
    """The URI of a catalog and the uid of a run in it."""
    run = record_run(tmp_path_factory.mktemp("log"), sample="KCl")
    with tiled_process.client(tiled_process.api_key(WRITE_SCOPES)) as client:
        place = runs_container(client, "keys")
        (result,) = upload_pending(run.log.parent, place)
        assert result.is_uploaded, result.sentence
        return place.uri, run.uid


def test_a_key_for_reading_replays_and_one_for_writing_stores(
    tiled_process: TiledProcess, stored, phasepilot: PhasePilot
) -> None:
    uri, uid = stored
    options = ("replay", uid[:8], "--tiled", uri, "--api-key")
    read = phasepilot(*options, tiled_process.api_key(READ_SCOPES), "--no-store")
    assert read.exit_code == 0, read.output
    assert "the same to the last bit" in read.stdout
    written = phasepilot(*options, tiled_process.api_key(WRITE_SCOPES))
    assert written.exit_code == 0, written.output
    assert "in the container 'agent'" in written.stdout


def test_a_key_for_reading_does_not_write_and_says_so_in_one_sentence(
    tiled_process: TiledProcess, stored, phasepilot: PhasePilot, tmp_path: Path
) -> None:
    uri, uid = stored
    key = tiled_process.api_key(READ_SCOPES)
    result = phasepilot("replay", uid, "--tiled", uri, "--api-key", key)
    if "agent" in result.stdout:
        pytest.fail(result.stdout)
    assert result.exit_code == 1
    assert "does not allow this with the API key that was given" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    # The bar prints as it ends: within the command, not in the output of a later one.
    assert "run 1 of 1" in result.stdout
    record_run(tmp_path)
    pending = phasepilot("upload", tmp_path, "--tiled", uri, "--api-key", key)
    assert pending.exit_code == 1
    assert "still pending" in pending.stdout
    assert "Not enough permissions" in pending.stdout


@pytest.mark.parametrize(
    ("key", "sentence"),
    [("wrong", "Invalid API key"), ("ab" * 36, "Invalid API key"), ("", "without an API key")],
)
def test_a_bad_key_is_told_in_one_sentence(
    stored, phasepilot: PhasePilot, key: str, sentence: str
) -> None:
    uri, uid = stored
    result = phasepilot("replay", uid, "--tiled", uri, *(("--api-key", key) if key else ()))
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_runs_are_queried_on_the_server(
    tiled_process: TiledProcess, stored, phasepilot: PhasePilot
) -> None:
    uri, _ = stored
    options = ("--tiled", uri, "--api-key", tiled_process.api_key(READ_SCOPES), "--no-store")
    found = phasepilot("replay", "--where", "start.sample=KCl", "--since", "1h", *options)
    assert found.exit_code == 0, found.output
    assert "the same to the last bit" in found.stdout
    none = phasepilot("replay", "--where", "start.sample=NaCl", *options)
    assert "nothing in the archive fits" in none.stdout
