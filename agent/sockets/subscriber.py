"""Documents in: from publishers that connect here, or from a proxy."""

from collections.abc import Iterator

import zmq

from phasepilot.agent.errors import DocumentError
from phasepilot.agent.sockets.curve_keys import ClientKeys, CurveGate
from phasepilot.agent.sockets.wire import (
    MAX_MESSAGE_BYTES,
    NumberedDocument,
    read_message,
    zmq_address,
)


def listening_socket(
    context: "zmq.Context[zmq.Socket[bytes]]", address: str, gate: CurveGate | None = None
) -> "zmq.Socket[bytes]":
    """Return a socket that publishers connect to."""
    socket = _subscribing_socket(context)
    if gate is not None:
        gate.guard(socket)
    socket.bind(zmq_address(address))
    return socket


def following_socket(
    context: "zmq.Context[zmq.Socket[bytes]]", address: str, keys: ClientKeys | None = None
) -> "zmq.Socket[bytes]":
    """Return a socket that is connected to a proxy, or to what an agent publishes."""
    socket = _subscribing_socket(context)
    if keys is not None:
        keys.apply(socket)
    socket.connect(zmq_address(address))
    return socket


def documents_from(
    socket: "zmq.Socket[bytes]", *, timeout_s: float
) -> Iterator[NumberedDocument | None]:
    """Yield documents as they come, and None after each `timeout_s` without; never ends.

    What is not a document is passed over.
    """
    while True:
        if not socket.poll(int(1e3 * timeout_s)):
            yield None
            continue
        try:
            yield read_message(socket.recv())
        except DocumentError:
            continue


def _subscribing_socket(context: "zmq.Context[zmq.Socket[bytes]]") -> "zmq.Socket[bytes]":
    # Not bluesky's RemoteDispatcher: an unknown name ends that, and any size is accepted.
    socket = context.socket(zmq.SUB)
    socket.maxmsgsize = MAX_MESSAGE_BYTES
    socket.linger = 0
    socket.subscribe(b"")
    return socket
