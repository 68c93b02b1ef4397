"""IOCs in processes of their own, on loopback and free ports."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from patience import PATIENCE_S
from ports import free_ports
from served_agent import COMMAND


@contextlib.contextmanager
def served_ioc(kind: str, *options: str) -> Iterator[dict[str, str]]:
    """Give the environment in which clients find an IOC, once it serves."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [COMMAND, "ioc", kind, "--port", str(port), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = "-"
        printed = ""
        while not line.startswith("serving"):
            line = process.stdout.readline()
            printed += line
            if not line:
                raise RuntimeError(printed)
        yield {
            **os.environ,
            "EPICS_CA_ADDR_LIST": f"127.0.0.1:{port}",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CA_MAX_ARRAY_BYTES": "1000000",
        }
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def run_program(program: str, environment: dict[str, str]) -> str:
    """What a program prints; EPICS clients keep threads and sockets, so each has a process."""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, told = process.communicate(timeout=2 * PATIENCE_S)
        finally:
            # Clients of caproto leave a repeater behind, for the next one on this host.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, printed + told
    return printed
