"""CURVE keys: who may send documents to an agent and ask it, and an encrypted wire.

A folder holds the pair of the agent, `agent.key` and `agent.key_secret`, and in `clients/` the
public key of everyone who may talk to it. A client needs its own secret key and `agent.key`.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from phasepilot.agent.errors import ConfigurationError

AGENT, PROXY, CLIENTS = "agent", "proxy", "clients"


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a client proves itself with, and whom it expects to meet.

    Attributes
    ----------
    secret_path : Path
        The client's own `NAME.key_secret`.
    server_public_key : Path
        `agent.key` of the agent, or the public key of a proxy.
    """

    secret_path: Path
    server_public_key: Path

    def apply(self, socket: "zmq.Socket[bytes]") -> None:
        """Give the keys to a socket that has not connected yet."""
        socket.curve_publickey, socket.curve_secretkey = _pair(self.secret_path)
        socket.curve_serverkey, _ = zmq.auth.load_certificate(self.server_public_key)


def make_keys(directory: Path, *clients: str) -> None:
    """Make the agent's pair of keys in a folder, unless it is there, and one for each client.

    The secret keys of clients stand in the folder too; move each to its owner.

    Raises
    ------
    ConfigurationError
        If a client of that name is known already.
    """
    (directory / CLIENTS).mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (directory / f"{AGENT}.key_secret").exists():
        _make_pair(directory, AGENT)
    for name in clients:
        if name == AGENT or (directory / CLIENTS / f"{name}.key").exists():
            raise ConfigurationError(
                f"a client must have a name of its own, but {name!r} has keys in {directory}"
                " already; take another name, or delete them first."
            )
        _make_pair(directory, name)
        shutil.copy(directory / f"{name}.key", directory / CLIENTS)


def client_keys(directory: Path, name: str, *, server: str = AGENT) -> ClientKeys:
    """Return the keys of a client as `make_keys` left them."""
    return ClientKeys(directory / f"{name}.key_secret", directory / f"{server}.key")


class CurveGate:
    """Lets only known clients through to the sockets of a context.

    Parameters
    ----------
    context : zmq.Context
        One gate for a context; close it before.
    directory : Path
        With the keys of the agent and of its clients.

    Raises
    ------
    ConfigurationError
        If the folder lacks keys.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", directory: Path) -> None:
        secret_path = directory / f"{AGENT}.key_secret"
        if not secret_path.exists() or not any((directory / CLIENTS).glob("*.key")):
            raise ConfigurationError(
                f"{directory} must hold {AGENT}.key_secret and the public keys of clients in"
                f" {CLIENTS}/, but does not; make them with `phasepilot keys {directory} NAME`."
            )
        self._pair = _pair(secret_path)
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve(domain="*", location=directory / CLIENTS)

    def guard(self, socket: "zmq.Socket[bytes]") -> None:
        """Let only known clients connect to a socket that is not bound yet."""
        socket.curve_publickey, socket.curve_secretkey = self._pair
        socket.curve_server = True

    def close(self) -> None:
        """End the thread that looks at keys."""
        self._authenticator.stop()


def _make_pair(directory: Path, name: str) -> None:
    _, secret = zmq.auth.create_certificates(directory, name)
    Path(secret).chmod(0o600)


def _pair(secret_path: Path) -> tuple[bytes, bytes]:
    try:
        public, secret = zmq.auth.load_certificate(secret_path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the key {secret_path} cannot be read ({error}); was it moved?"
        ) from error
    if secret is None:
        raise ConfigurationError(
            f"{secret_path} must hold a secret key, but is a public one; give NAME.key_secret."
        )
    return public, secret
