"""Ports on loopback for the servers of the tests."""

import random
import socket

# Below those that the system hands to clients: one of them may take a port before its server does.
_PORTS = range(15_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at the moment, drawn anew each time, so that processes differ."""
    found: list[int] = []
    drawn = iter(random.SystemRandom().sample(_PORTS, len(_PORTS)))
    while len(found) < count:
        port = next(drawn)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]
