"""A PostgreSQL server of the tests' own: a temporary cluster on the loopback interface."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ports import free_port

_DEBIAN = Path("/usr/lib/postgresql")
# PostgreSQL refuses to run as root.
_OWNERS = ("postgres", "nobody")


def server_binaries() -> Path | None:
    """Return where initdb and pg_ctl are, the newest first; None where there are none."""
    for folder in sorted(_DEBIAN.glob("*/bin"), key=lambda path: -int(path.parent.name)):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


class PostgresCluster:
    """A cluster with the databases `catalog`, `tables` and `people`."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._directory = Path(tempfile.mkdtemp(prefix="phasepilot-postgres-"))
        self._password = secrets.token_hex(16)
        self._port = free_port()
        self._owner: dict[str, Any] = {"cwd": self._directory}
        if os.getuid() == 0:
            owner = next(user for name in _OWNERS if (user := _user(name)) is not None)
            os.chown(self._directory, owner.pw_uid, owner.pw_gid)
            self._owner |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}

    @property
    def address(self) -> str:
        """User, password, host and port, as they stand in a URI."""
        return f"tiled:{self._password}@127.0.0.1:{self._port}"

    def __enter__(self) -> "PostgresCluster":
        secret = self._directory / "password"
        secret.write_text(self._password)
        secret.chmod(0o644)
        data = self._directory / "data"
        self._run("initdb", "-D", data, "-U", "tiled", "-A", "scram-sha-256", f"--pwfile={secret}")
        listening = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._directory}"
        # Tests survive no power cut, and fsync costs most of their time.
        self._run("pg_ctl", "-D", data, "-l", data / "log", "-w", "-o", f"{listening} -F", "start")
        environment = {**os.environ, "PGPASSWORD": self._password}
        for name in ("catalog", "tables", "people"):
            self._run(
                "createdb",
                *("-h", "127.0.0.1", "-p", self._port, "-U", "tiled", name),
                env=environment,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "-D", self._directory / "data", "-m", "immediate", "stop")
        shutil.rmtree(self._directory)

    def _run(self, program: str, *arguments: object, env: dict[str, str] | None = None) -> None:
        subprocess.run(
            [str(self._binaries / program), *map(str, arguments)],
            check=True,
            stdout=subprocess.DEVNULL,
            env=env,
            **self._owner,
        )


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
