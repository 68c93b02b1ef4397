"""What one message with a document holds, and what is refused.

The frame is that of `bluesky.callbacks.zmq`: prefix, name and payload with a space between, so that
its `Publisher` sends it and its proxy passes it on. The payload is not pickle, though, but msgpack
as `document_codec` writes it: `[sender, number, document]`. A sender numbers its documents from 0
without a gap, so whoever misses one knows.
"""

import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address

from event_model import DocumentNames

from phasepilot.agent.archive.document_codec import Document, decode_value, encode_value
from phasepilot.agent.errors import DocumentError

DOCUMENTS_PORT = 5567
ADVICE_PORT = 5570
RESULTS_PORT = 5571
# Libzmq cuts off a peer that announces more: an image of 16 megapixels in float64 fits.
MAX_MESSAGE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class NumberedDocument:
    """A document as it came over the wire.

    Attributes
    ----------
    name : str
        Its kind, one of Bluesky's.
    doc : dict
    sender : str
        Made up by the sender when it started; empty where documents are not numbered.
    number : int
        How many documents the sender had sent before.
    """

    name: str
    doc: Document
    sender: str
    number: int


@dataclass(slots=True)
class NumberingSerializer:
    """The serializer for a `bluesky.callbacks.zmq.Publisher`, one for each publisher."""

    sender: str = field(default_factory=lambda: secrets.token_hex(8))
    n_sent: int = 0

    def __call__(self, doc: Document) -> bytes:
        """Return the payload of the next document."""
        payload = encode_value([self.sender, self.n_sent, doc])
        self.n_sent += 1
        return payload


def read_message(message: bytes) -> NumberedDocument:
    """Return the document in a message.

    Raises
    ------
    DocumentError
        If it is not one, is damaged, has an unknown name, or holds an array of objects.
    """
    _, _, rest = message.partition(b" ")
    name_bytes, _, payload = rest.partition(b" ")
    name = name_bytes.decode("ascii", "replace")
    if name not in DocumentNames.__members__:
        raise DocumentError(
            f"expected prefix, name of a Bluesky document and payload, but came {message[:40]!r};"
            f" Bluesky has {sorted(DocumentNames.__members__)}."
        )
    sender, number, doc = _payload(name, payload)
    return NumberedDocument(name, doc, sender, number)


def _payload(name: str, payload: bytes) -> tuple[str, int, Document]:
    value = decode_value(payload)
    match value:
        case [str(sender), int(number), dict(doc)]:
            return sender, number, doc
        case dict(doc):  # of a publisher with `encode_value` as its serializer
            return "", -1, doc
    raise DocumentError(
        f"expected sender, number and document in a {name}, but came {type(value).__name__};"
        " does the publisher use NumberingSerializer, and not the default, pickle?"
    )


def is_loopback(address: str) -> bool:
    """Return whether an address cannot be reached from another host.

    Examples
    --------
    >>> is_loopback("tcp://127.0.0.1:5567"), is_loopback("0.0.0.0:5567"), is_loopback("ipc:///tmp/x")
    (True, False, True)
    >>> is_loopback("[::1]:5567"), is_loopback("localhost.example.org:5567")
    (True, False)
    """
    protocol, _, rest = address.rpartition("://")
    host = rest.rpartition(":")[0].strip("[]")
    if protocol in ("ipc", "inproc") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name, which may mean any host
        return False


def zmq_address(address: str) -> str:
    """Return an address with its protocol, which is tcp where none is named.

    Examples
    --------
    >>> zmq_address("127.0.0.1:5567")
    'tcp://127.0.0.1:5567'
    """
    return address if "://" in address else f"tcp://{address}"
