"""A Tiled catalog on PostgreSQL, with two agents at once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import wait_until
from postgres_cluster import PostgresCluster, server_binaries
from tiled_process import WRITE_SCOPES, TiledProcess

from phasepilot.agent.archive.tiled_client import runs_container
from phasepilot.agent.archive.tiled_columns import archived_documents, find_run
from phasepilot.agent.replay import replay

BINARIES = server_binaries()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        BINARIES is None,
        reason="needs the server programs of PostgreSQL: apt-get install postgresql",
    ),
]
PROGRAM = Path(__file__).parents[2] / "agent_process.py"


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiledProcess]:
    with (
        PostgresCluster(BINARIES) as cluster,
        TiledProcess(
            tmp_path_factory.mktemp("postgres"),
            example="tiled_postgresql.yml",
            postgres=cluster.address,
        ) as served,
    ):
        yield served


def test_two_agents_write_at_once_and_every_run_replays_to_the_bit(
    on_postgres: TiledProcess, tmp_path: Path
) -> None:
    key = on_postgres.api_key(WRITE_SCOPES)
    with on_postgres.client(key) as client:
        place = runs_container(client, "raw")
        agents = [
            subprocess.Popen(
                [sys.executable, str(PROGRAM), place.uri, key, str(tmp_path / name), seed, "2"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=PROGRAM.parent,
            )
            for name, seed in (("one", "1"), ("two", "2"))
        ]
        uids: list[list[str]] = [[], []]
        # Both measure their first run at once, and neither waits for the other to be done.
        for n_runs in (2, 4):
            for agent in agents:
                agent.stdin.write("measure\n")
                agent.stdin.flush()
            for agent, of_agent in zip(agents, uids, strict=True):
                of_agent.append(agent.stdout.readline().strip())
            wait_until(lambda n_runs=n_runs: len(place) == n_runs, look_every_s=0.2)
        for agent in agents:
            _, complaints = agent.communicate(timeout=600)
            assert agent.returncode == 0, complaints[-2000:]
        keys = list(place)
        assert sorted(keys[:2]) == sorted(of_agent[0] for of_agent in uids)
        assert sorted(keys[2:]) == sorted(of_agent[1] for of_agent in uids)
        for uid in keys:
            result = replay(archived_documents(find_run(place, uid)))
            assert result.n_recorded > 0
            assert result.differences == ()
