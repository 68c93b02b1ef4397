"""A Tiled server in a process of its own, for benchmarks: killed, started again, suspended."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

API_KEY = "benchmark"
_PROGRAM = """
import sys
from tiled.server import SimpleTiledServer
server = SimpleTiledServer(sys.argv[1], api_key=sys.argv[2], port=int(sys.argv[3]))
print(server.uri.partition("?")[0], flush=True)
sys.stdin.read()
"""


class TiledServerProcess:
    """Serves the catalog in a directory on the loopback interface."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._port = directory, 0
        self._process: subprocess.Popen[str] | None = None
        self.uri = ""

    def __enter__(self) -> "TiledServerProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, at the port that it had before."""
        arguments: list[Any] = [self._directory, API_KEY, self._port]
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        self._process, self.uri = process, process.stdout.readline().strip()
        self._port = int(self.uri.rpartition(":")[2].partition("/")[0])

    def kill(self) -> None:
        """Kill it without a chance to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def suspend(self) -> None:
        """Let it stand still."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
