"""`phasepilot replay` on runs in a served Tiled."""

import copy
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from event_model import compose_run
from experiment import configuration
from steered_run import SteeredRun, assert_same_to_the_bit, without_advice
from typer.testing import Result

from phasepilot.agent.archive.derived_runs import store_documents
from phasepilot.agent.archive.document_log import DocumentLog
from phasepilot.agent.archive.pending_runs import upload_pending
from phasepilot.agent.archive.tiled_client import find_node
from phasepilot.agent.archive.tiled_columns import archived_documents, find_analysis
from phasepilot.agent.archive.tiled_server import EmbeddedTiledServer
from phasepilot.agent.report.build_record import recorded_advice

PhasePilot = Callable[..., Result]


@pytest.fixture
def replay(phasepilot: PhasePilot, tiled_server: EmbeddedTiledServer) -> PhasePilot:
    """Runs `phasepilot replay` on a run of a container of the test server."""

    def run(container: object, uid: str, *options: object) -> Result:
        server = ("--tiled", container.uri, "--api-key", tiled_server.api_key)
        return phasepilot("replay", uid, *server, *options)

    return run


def stored(container: object, directory: Path, documents: list) -> str:
    """Put documents into Tiled as a run and return its uid."""
    log = DocumentLog(directory)
    for name, doc in documents:
        log.append(name, doc)
    log.close()
    (result,) = upload_pending(directory, container)
    assert result.is_uploaded, result.sentence
    return result.uid


def test_a_paused_run_is_the_same_to_the_last_bit_and_its_analysis_is_kept(
    replay: PhasePilot, paused_run: SteeredRun
) -> None:
    run = paused_run
    result = replay(run.container, run.uid[:12])
    assert result.exit_code == 0, result.output
    n_frames = len(run.live.advice)
    assert f"{n_frames} frames judged, {n_frames} on record in the run" in result.stdout
    assert "the same to the last bit" in result.stdout

    analysis = find_analysis(find_node(run.container, "agent"), run.uid)
    assert analysis.start["uid"] in result.stdout
    advice = recorded_advice(archived_documents(analysis), stream="primary", prefix="")
    assert_same_to_the_bit(advice.values(), run.live.advice)


def test_a_record_that_was_changed_gives_status_one(
    replay: PhasePilot, steered_run: SteeredRun, container: object, tmp_path: Path
) -> None:
    documents = copy.deepcopy(steered_run.archived)
    row = documents.events("agent")[3]["data"]
    row["agent_strain"] = math.nextafter(row["agent_strain"], 1.0)
    uid = stored(container, tmp_path, documents.documents)
    result = replay(container, uid, "--no-store")
    assert result.exit_code == 1
    assert "differs: frame 4: strain was" in result.stdout
    assert "to the last bit" not in result.stdout
    assert find_node(container, "agent") is None


def test_a_run_without_advice_needs_a_configuration(
    replay: PhasePilot, steered_run: SteeredRun, container: object, tmp_path: Path
) -> None:
    documents = without_advice(copy.deepcopy(steered_run.archived))
    documents[-1][1]["num_events"].pop("agent")
    uid = stored(container, tmp_path, documents)
    refused = replay(container, uid)
    assert refused.exit_code == 1
    assert "give the configuration with --config" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1

    config = tmp_path / "agent.json"
    config.write_text(configuration().model_dump_json())
    judged = replay(container, uid, "--config", config, "--no-store")
    assert judged.exit_code == 0, judged.output
    assert f"{len(steered_run.live.advice)} frames judged, 0 on record" in judged.stdout


@pytest.mark.parametrize("content", ["not JSON", "[]", '{"intensity_field": 3}'])
def test_a_configuration_that_is_none_is_told_in_one_sentence(
    replay: PhasePilot, steered_run: SteeredRun, tmp_path: Path, content: str
) -> None:
    config = tmp_path / "agent.json"
    config.write_text(content)
    result = replay(steered_run.container, steered_run.uid, "--config", config)
    assert result.exit_code == 1
    assert "agent.json must hold" in result.stderr or "configuration must be" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_configuration_that_is_not_there_is_told(
    replay: PhasePilot, steered_run: SteeredRun, tmp_path: Path
) -> None:
    result = replay(steered_run.container, "x", "--config", tmp_path / "missing.json")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


def test_a_run_that_is_not_there_is_answered_with_those_that_are(
    replay: PhasePilot, steered_run: SteeredRun
) -> None:
    result = replay(steered_run.container, "0000")
    assert result.exit_code == 1
    assert steered_run.uid in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_analysis_is_not_replayed_as_a_run(replay: PhasePilot, container: object) -> None:
    run = compose_run(metadata={"analysis_of": "another"})
    stream = run.compose_descriptor(
        name="primary", data_keys={"strain": {"source": "x", "dtype": "number", "shape": []}}
    )
    event = stream.compose_event(data={"strain": 0.1}, timestamps={"strain": 0.0})
    uid = store_documents(
        container,
        [
            ("start", run.start_doc),
            ("descriptor", stream.descriptor_doc),
            ("event", event),
            ("stop", run.compose_stop()),
        ],
    )
    result = replay(find_node(container, "agent"), uid)
    assert result.exit_code == 1
    assert "give the configuration with --config" in result.stderr


@pytest.mark.usefixtures("patient_for_a_second")
@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "nowhere"])
def test_without_a_server_there_is_one_sentence(phasepilot: PhasePilot, uri: str) -> None:
    result = phasepilot("replay", "0000", "--tiled", uri, "--api-key", "secret")
    assert result.exit_code == 1
    assert f"a Tiled server must answer at '{uri}'" in result.stderr
    assert "Traceback" not in result.output


def test_a_wrong_key_is_told_in_one_sentence(
    phasepilot: PhasePilot, tiled_server: EmbeddedTiledServer
) -> None:
    result = phasepilot("replay", "0000", "--tiled", tiled_server.uri, "--api-key", "wrong")
    assert result.exit_code == 1
    assert "Invalid API key" in result.stderr
