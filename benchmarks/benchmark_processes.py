"""Processes that a benchmark talks to; they end with it, however it ends.

Each reads its standard input, which nobody writes to: it closes when the benchmark is gone, killed
ones included.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.sockets.remote_agent import RemoteAgent

_AGENT = """
import os, sys, threading
def end_with_parent():
    sys.stdin.read()
    os._exit(1)
threading.Thread(target=end_with_parent, daemon=True).start()
from phasepilot.agent.cli import app
app(["serve", *sys.argv[1:]])
"""
_TILED = """
import sys, time
from phasepilot.agent.archive.tiled_server import embedded_tiled_server
with embedded_tiled_server() as server:
    print(server.uri, server.api_key, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def served_agent(directory: Path, configuration: AgentConfiguration) -> Iterator[RemoteAgent]:
    """Give a client of `phasepilot serve`."""
    config = directory / "agent.json"
    config.write_text(configuration.model_dump_json())
    documents, advice, results = _free_addresses()
    command = [
        *(sys.executable, "-c", _AGENT, str(config)),
        *("--documents", documents, "--advice", advice, "--results", results),
    ]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet) as process:
        try:
            with RemoteAgent(documents, advice) as remote:
                if not remote.wait_until_connected(60.0):
                    raise SystemExit("the served agent does not answer")
                yield remote
        finally:
            process.terminate()


def _free_addresses() -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


@contextlib.contextmanager
def tiled_process() -> Iterator[Any]:
    """Give the client of a Tiled server."""
    from phasepilot.agent.archive.tiled_client import connected

    command = [sys.executable, "-W", "ignore", "-c", _TILED]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        uri, key = process.stdout.readline().split()
        try:
            with connected(uri, api_key=key) as client:
                yield client
        finally:
            process.communicate("")
