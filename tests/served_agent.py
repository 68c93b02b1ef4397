"""An agent in a process of its own, as `phasepilot serve` starts it, on free ports."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiment import configuration
from patience import PATIENCE_S
from ports import free_ports

from phasepilot.agent.sockets.remote_agent import RemoteAgent

COMMAND = str(Path(sys.executable).parent / "phasepilot")


@dataclass(frozen=True)
class ServedAgent:
    """Where the agent is reached, and its process."""

    documents: str
    advice: str
    results: str
    process: "subprocess.Popen[str]"

    def client(self, **options: Any) -> RemoteAgent:
        """A client of the agent, which must be closed."""
        return RemoteAgent(self.documents, self.advice, **options)

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> str:
        """End it as Ctrl-C does, and return what it printed."""
        self.process.terminate()
        printed, _ = self.process.communicate(timeout=PATIENCE_S)
        return printed


def addresses() -> list[str]:
    """Three addresses on this host."""
    return [f"127.0.0.1:{port}" for port in free_ports(3)]


@contextlib.contextmanager
def served_agent(
    directory: Path, *options: str, at: list[str] | None = None, **changes: Any
) -> Iterator[ServedAgent]:
    """Give an agent that answers; changes are those of its configuration."""
    config = directory / "agent.json"
    config.write_text(configuration(**changes).model_dump_json())
    documents, advice, results = at or addresses()
    command = [
        *(COMMAND, "serve", str(config)),
        *("--documents", documents, "--advice", advice, "--results", results),
        *options,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        if not re.match("serving: ", first_line):
            raise RuntimeError(first_line + process.stdout.read())
        yield ServedAgent(documents, advice, results, process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
