"""Documents in: from publishers that connect here, or from a proxy."""

import logging
from collections.abc import Generator

import zmq

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.errors import DocumentError
from phasepilot.agent.sockets.curve_keys import ClientKeys, CurveGate
from phasepilot.agent.sockets.wire import (
    MAX_MESSAGE_BYTES,
    read_message,
    zmq_address,
)

logger = logging.getLogger(__name__)


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


def followed_documents(
    address: str, *, keys: ClientKeys | None = None, timeout_s: float = 0.5
) -> Generator[tuple[str, Document] | None, None, None]:
    """Yield documents from a proxy, or what an agent publishes, and None when none came for a time.

    Never ends by itself; close the generator. What is not a document is passed over.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        socket = following_socket(context, address, keys)
        while True:
            if not socket.poll(int(1e3 * timeout_s)):
                yield None
                continue
            try:
                document = read_message(socket.recv())
            except DocumentError as error:
                logger.warning("a message was refused: %s", error)
                continue
            yield document.name, document.doc
    finally:
        context.destroy(linger=0)


def _subscribing_socket(context: "zmq.Context[zmq.Socket[bytes]]") -> "zmq.Socket[bytes]":
    # Not bluesky's RemoteDispatcher: an unknown name ends that, and any size is accepted.
    socket = context.socket(zmq.SUB)
    socket.maxmsgsize = MAX_MESSAGE_BYTES
    socket.linger = 0
    socket.subscribe(b"")
    return socket
