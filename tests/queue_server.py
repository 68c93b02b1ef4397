"""A real RE Manager with a Redis of its own, on free ports of this host."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bluesky_queueserver_api.zmq import REManagerAPI
from patience import PATIENCE_S, wait_until
from ports import free_ports

STARTUP = Path(__file__).parent / "queue_startup.py"
_START_MANAGER = (
    "from bluesky_queueserver.manager.start_manager import start_manager; start_manager()"
)
_PERMISSIONS = """
user_groups:
  root:
    allowed_plans: [null]
    allowed_devices: [null]
  primary:
    allowed_plans: [":^measure_sample$", ":^calibrate$"]
    allowed_devices: [null]
"""


@dataclass(frozen=True)
class QueueServer:
    """Where the manager is controlled, and a client of it."""

    address: str
    manager: REManagerAPI

    def finished_samples(self) -> list[str]:
        """Samples of the plans that were run, in order; a calibration as itself."""
        items = self.manager.history_get(reload=True)["items"]
        return [item.get("kwargs", {}).get("sample", item["name"]) for item in items]

    def wait_until_idle(self) -> None:
        """Wait until nothing waits and nothing runs; decisions may bring more, later."""

        def is_idle() -> bool:
            status = self.manager.status(reload=True)
            return status["items_in_queue"] == 0 and status["running_item_uid"] is None

        wait_until(is_idle, look_every_s=0.2)


@contextlib.contextmanager
def queue_server(
    directory: Path, documents: str, advice: str, **environment: str
) -> Iterator[QueueServer]:
    """Give a manager whose environment is open; skip where there is no Redis."""
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("needs redis-server; on Debian: apt-get install redis-server")
    redis_port, control, info = free_ports(3)
    (directory / "permissions.yaml").write_text(_PERMISSIONS)
    (directory / "existing.yaml").write_text("existing_plans: {}\nexisting_devices: {}\n")
    with contextlib.ExitStack() as stack:
        run_in(
            stack,
            directory,
            "redis",
            *(redis, "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""),
        )
        run_in(
            stack,
            directory,
            "manager",
            # The script is one line, and may stand in another folder than ours.
            *(sys.executable, "-c", _START_MANAGER),
            *("--redis-addr", f"127.0.0.1:{redis_port}"),
            *("--zmq-control-addr", f"tcp://127.0.0.1:{control}"),
            *("--zmq-info-addr", f"tcp://127.0.0.1:{info}"),
            *("--startup-script", str(STARTUP)),
            *("--existing-plans-devices", str(directory / "existing.yaml")),
            *("--user-group-permissions", str(directory / "permissions.yaml")),
            PYTHONPATH=str(STARTUP.parent),
            PHASEPILOT_DOCS=str(STARTUP.parents[1] / "docs"),
            PHASEPILOT_DOCUMENTS=documents,
            PHASEPILOT_ADVICE=advice,
            **environment,
        )
        address = f"tcp://127.0.0.1:{control}"
        manager = REManagerAPI(
            zmq_control_addr=address, zmq_info_addr=f"tcp://127.0.0.1:{info}", timeout_recv=60.0
        )
        stack.callback(manager.close)
        manager.wait_for_idle(timeout=PATIENCE_S)
        manager.environment_open()
        manager.wait_for_idle(timeout=PATIENCE_S)
        opened = manager.status(reload=True)["worker_environment_exists"]
        assert opened, (directory / "manager.log").read_text()[-4000:]
        yield QueueServer(address, manager)
        manager.environment_destroy()
        manager.wait_for_idle(timeout=PATIENCE_S)


def run_in(
    stack: contextlib.ExitStack, directory: Path, name: str, *command: str, **environment: str
) -> None:
    """Run a process until the stack is left; what it prints goes to a log."""
    log = stack.enter_context((directory / f"{name}.log").open("w"))
    process = subprocess.Popen(
        command,
        cwd=directory,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
