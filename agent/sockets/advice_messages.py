"""What a plan's process and an agent say to each other, beside documents."""

from dataclasses import dataclass
from typing import Any

from phasepilot.agent.archive.document_codec import decode_value, encode_value
from phasepilot.agent.errors import DocumentError
from phasepilot.models.suggestion import Advice

ADVICE, SETTINGS, PING = "advice", "settings", "ping"


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks; it is asked again, under the same number, until it is answered.

    Attributes
    ----------
    number : int
        By which the client knows the answer.
    kind : {"advice", "settings", "ping"}
    run_uid, stream, seq_num
        The frame that advice is wanted on.
    sender, after : str, int
        The agent answers once it has taken the document of that number of that sender, so that it
        knows what the plan knows.
    """

    number: int
    kind: str
    run_uid: str = ""
    stream: str = ""
    seq_num: int = 0
    sender: str = ""
    after: int = -1

    def encoded(self) -> bytes:
        """Return the message."""
        frame = [self.run_uid, self.stream, self.seq_num, self.sender, self.after]
        return encode_value([self.number, self.kind, frame])


def read_question(message: bytes) -> Question:
    """Return the question in a message; raises DocumentError if there is none."""
    match decode_value(message):
        case [
            int(number),
            "advice" | "settings" | "ping" as kind,
            [str(run_uid), str(stream), int(seq_num), str(sender), int(after)],
        ]:
            return Question(number, kind, run_uid, stream, seq_num, sender, after)
    raise DocumentError(f"expected a question to the agent, but came {message[:40]!r}")


def answer(number: int, value: Any) -> bytes:
    """Return the message that answers a question."""
    return encode_value([number, value.values() if isinstance(value, Advice) else value])


def read_answer(message: bytes) -> tuple[int, Any]:
    """Return number and value of an answer; raises DocumentError if it is none."""
    match decode_value(message):
        case [int(number), value]:
            return number, value
    raise DocumentError(f"expected an answer of the agent, but came {message[:40]!r}")
