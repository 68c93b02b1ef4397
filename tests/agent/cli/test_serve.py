"""`phasepilot serve`, `keys` and `watch`, as a person types them."""

import contextlib
import subprocess
from pathlib import Path

import pytest
from bluesky import RunEngine
from experiment import make_beamline
from patience import PATIENCE_S, wait_until
from served_agent import COMMAND, served_agent
from typer.testing import CliRunner

from phasepilot.agent.cli import app
from phasepilot.agent.sockets.curve_keys import client_keys
from phasepilot.plans.compression_scan import compression_scan

pytestmark = pytest.mark.slow


def scan(run_engine: RunEngine, advisor: object) -> None:
    beamline = make_beamline()
    plan = compression_scan(
        [beamline.detector],
        beamline.cell,
        1.4,
        2.4,
        step=0.2,
        advisor=advisor,
    )
    run_engine(plan)


def test_a_watcher_sees_what_the_served_agent_finds(tmp_path: Path, run_engine: RunEngine) -> None:
    keys = tmp_path / "keys"
    made = CliRunner().invoke(app, ["keys", str(keys), "plan", "watcher"])
    assert made.exit_code == 0, made.output
    with served_agent(tmp_path, "--curve", str(keys)) as served, contextlib.ExitStack() as stack:
        command = [
            *(COMMAND, "watch", "--runs", "1", "--zmq", served.results),
            *("--key", str(keys / "watcher.key_secret")),
            *("--server-key", str(keys / "agent.key")),
        ]
        watcher = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"COLUMNS": "160"})
        )
        stack.callback(watcher.kill)
        assert watcher.stdout is not None
        assert watcher.stdout.readline().startswith("watching")
        with served.client(keys=client_keys(keys, "plan")) as remote:
            assert remote.wait_until_connected()
            run_engine.subscribe(remote)

            def is_seen() -> bool:
                scan(run_engine, remote)
                return watcher.poll() is not None

            # The subscription may come later than the first scan.
            wait_until(is_seen, look_every_s=1.0)
        printed, _ = watcher.communicate(timeout=PATIENCE_S)
        assert "ended; 0 documents were lost" in served.interrupt()
    assert "ended: success" in printed
    assert "refine" in printed
