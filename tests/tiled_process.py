"""A Tiled server in a process of its own, from one of our examples, that tests kill and suspend."""

import os
import secrets
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
from patience import PATIENCE_S, wait_until
from ports import free_port
from tiled.client.container import Container

from phasepilot.agent.archive.tiled_client import connected

EXAMPLES = Path(__file__).parents[1] / "examples"
READ_SCOPES = ["read:metadata", "read:data"]
WRITE_SCOPES = [
    *READ_SCOPES,
    "create:node",
    "write:metadata",
    "write:data",
    "delete:node",
    "delete:revision",
]


class TiledProcess:
    """`tiled serve config` on the loopback interface, with what it keeps in one directory."""

    def __init__(
        self, directory: Path, *, example: str = "tiled_catalog.yml", postgres: str = ""
    ) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}/api/v1"
        self.password = secrets.token_hex(8)
        self.directory = directory
        self._config = EXAMPLES / example
        self._environment = {
            **os.environ,
            "ARCHIVE": str(directory),
            "TILED_PASSWORD": self.password,
            "TILED_SECRET": secrets.token_hex(32),
            "POSTGRES": postgres,
        }
        self._process: subprocess.Popen[Any] | None = None
        for name in ("data", "detectors"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        if postgres:
            people = f"postgresql+asyncpg://{postgres}/people"
            command = [sys.executable, "-m", "tiled", "admin", "initialize-database", people]
            subprocess.run(command, check=True, capture_output=True)

    def __enter__(self) -> "TiledProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, again after a kill, and wait until it answers."""
        command = [sys.executable, "-m", "tiled", "serve", "config", str(self._config)]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        process = self._process
        wait_until(lambda: self._answers() or process.poll() is not None, look_every_s=0.1)
        if process.poll() is not None:
            raise RuntimeError((self.directory / "server.log").read_text()[-2000:])

    def _answers(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.port}/healthz"
            return httpx.get(url, timeout=1, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """Kill it without a chance to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """Let it stand still: connections are taken, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def api_key(self, scopes: list[str]) -> str:
        """Make a key with these scopes, as the operator."""
        base = f"http://127.0.0.1:{self.port}/api/v1/auth"
        with httpx.Client(trust_env=False, timeout=PATIENCE_S) as client:
            login = {"username": "operator", "password": self.password}
            token = client.post(f"{base}/provider/people/token", data=login)
            bearer = {"Authorization": f"Bearer {token.raise_for_status().json()['access_token']}"}
            wanted = {"scopes": scopes, "expires_in": 3600, "note": "test"}
            made = client.post(f"{base}/apikey", json=wanted, headers=bearer)
            return str(made.raise_for_status().json()["secret"])

    def client(self, api_key: str) -> AbstractContextManager[Container]:
        return connected(self.uri, api_key=api_key, timeout_s=PATIENCE_S)
