"""Documents out: connected to an agent or a proxy, or bound for whoever wants to watch."""

import logging
from collections.abc import Mapping
from typing import Any

import zmq

from phasepilot.agent.sockets.curve_keys import ClientKeys, CurveGate
from phasepilot.agent.sockets.wire import NumberingSerializer, zmq_address

logger = logging.getLogger(__name__)

# What waits for a receiver that is slow; more is dropped, and found missing by its number.
_MAX_QUEUED = 1000
_LINGER_MS = 500


class DocumentPublisher:
    """A callback that sends every document, and neither waits nor raises.

    As `bluesky.callbacks.zmq.Publisher` with `NumberingSerializer` as its serializer, except that
    it can tell when somebody listens: before that, documents vanish.
    """

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._socket = socket
        self._serializer = NumberingSerializer()
        self._is_listened_to = False

    @classmethod
    def connected_to(
        cls,
        context: "zmq.Context[zmq.Socket[bytes]]",
        address: str,
        keys: ClientKeys | None = None,
    ) -> "DocumentPublisher":
        """Return one that sends to an agent, or into a proxy."""
        socket = _publishing_socket(context)
        if keys is not None:
            keys.apply(socket)
        socket.connect(zmq_address(address))
        return cls(socket)

    @classmethod
    def bound_to(
        cls,
        context: "zmq.Context[zmq.Socket[bytes]]",
        address: str,
        gate: CurveGate | None = None,
    ) -> "DocumentPublisher":
        """Return one that sends to whoever connects there."""
        socket = _publishing_socket(context)
        if gate is not None:
            gate.guard(socket)
        socket.bind(zmq_address(address))
        return cls(socket)

    @property
    def sender(self) -> str:
        """Under which name documents are numbered."""
        return self._serializer.sender

    @property
    def last_number(self) -> int:
        """The number of the last document; -1 before the first."""
        return self._serializer.n_sent - 1

    def wait_for_subscriber(self, timeout_s: float) -> bool:
        """Wait until an agent or a proxy listens; False when that took too long."""
        # The first one says \x01, the last one that leaves \x00.
        while self._socket.poll(0 if self._is_listened_to else int(1e3 * timeout_s)):
            self._is_listened_to = self._socket.recv().startswith(b"\x01")
        return self._is_listened_to

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Send a document to whoever listens."""
        try:
            payload = self._serializer(dict(doc))
            self._socket.send(b" ".join([b"", name.encode(), payload]), zmq.NOBLOCK)
        except Exception:  # whatever the network does, the measurement goes on
            logger.exception("a %s document could not be sent", name)

    def close(self) -> None:
        """Send what is queued, for half a second at most, and close."""
        self._socket.close(_LINGER_MS)


def _publishing_socket(context: "zmq.Context[zmq.Socket[bytes]]") -> "zmq.Socket[bytes]":
    # XPUB is PUB that also hears of subscriptions.
    socket = context.socket(zmq.XPUB)
    socket.sndhwm = _MAX_QUEUED
    return socket
