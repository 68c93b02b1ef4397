"""From messages to an agent: in order, none twice, and what was lost read from an archive."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.report.build_record import AGENT_STREAM
from phasepilot.agent.sockets.run_archives import RunArchive
from phasepilot.agent.sockets.taken_documents import TakenDocuments
from phasepilot.agent.sockets.wire import NumberedDocument, read_message

logger = logging.getLogger(__name__)

_MAX_PROBLEMS = 1000
_MAX_SENDERS = 1000
# The agent skips frames when too many wait; an archive gives them as fast as a disk reads.
_FED_AT_ONCE = 500
_PATIENCE_S = 60.0


class DocumentFeed:
    """Hands the documents of messages to an agent; never raises.

    Parameters
    ----------
    agent : PhaseAgent
    archive : RunArchive, optional
        Where documents are read that did not come: those lost on the way, and those from before
        this process was there.
    also : sequence of callables
        Get every document after the agent.

    Attributes
    ----------
    problems : deque of str
        Gaps and messages that were refused, the newest last.
    n_lost : int
        Documents that never came over the wire, whether or not the archive had them.
    """

    def __init__(
        self,
        agent: PhaseAgent,
        archive: RunArchive | None = None,
        *,
        also: Sequence[Callable[[str, Document], Any]] = (),
    ) -> None:
        self._agent = agent
        self._also = also
        self._archive = archive
        self._taken = TakenDocuments()
        self._last_number: dict[str, int] = {}
        self._agent_streams: dict[str, str] = {}
        self.problems: deque[str] = deque(maxlen=_MAX_PROBLEMS)
        self.n_lost = 0

    def take(self, message: bytes) -> None:
        """Take one message as it came from the wire."""
        try:
            document = read_message(message)
            self._close_gap_before(document)
            self._hand_on(document.name, document.doc)
            self._note_number(document.sender, document.number)
        except Exception as error:  # anyone may send anything; the next message may be good
            self._note(f"a message was refused: {error}")

    def take_document(self, name: str, doc: Document) -> None:
        """Take a document that came whole and in order, such as from Kafka.

        One of a run that is not known makes the feed look into the archive.
        """
        try:
            if name != "start" and self._taken.run_of(name, doc) is None:
                self.catch_up()
            self._hand_on(name, doc)
        except Exception as error:  # anyone may send anything; the next document may be good
            self._note(f"a {name} document was refused: {error}")

    def has_reached(self, sender: str, number: int) -> bool:
        """Return whether the document of that number came, or a later one."""
        return self._last_number.get(sender, -1) >= number

    def catch_up_to(self, sender: str, number: int) -> None:
        """Read from the archive what a sender says it has sent and has not come."""
        n_missing = number - self._last_number.get(sender, -1)
        self._note_number(sender, number)
        self._report_gap(n_missing, self.catch_up())

    def catch_up(self) -> int:
        """Hand on what the archive has of runs in progress; return how many documents were new."""
        if self._archive is None:
            return 0
        n_new = 0
        try:
            for run_uid in dict.fromkeys((*self._taken.open_runs, *self._archive.open_runs())):
                for name, doc in self._archive.documents(run_uid):
                    n_new += self._hand_on(name, doc)
                    if n_new % _FED_AT_ONCE == _FED_AT_ONCE - 1:
                        self._agent.wait(_PATIENCE_S)
        except Exception as error:  # a run that is being written may look odd
            self._note(f"the archive could not be read: {type(error).__name__}: {error}")
        return n_new

    def _close_gap_before(self, document: NumberedDocument) -> None:
        n_missing = document.number - self._last_number.get(document.sender, -1) - 1
        if document.sender and n_missing > 0:
            self._report_gap(n_missing, self.catch_up())

    def _note_number(self, sender: str, number: int) -> None:
        # What was slow, and read from the archive meanwhile, still comes.
        self._last_number[sender] = max(number, self._last_number.pop(sender, -1))
        if len(self._last_number) > _MAX_SENDERS:
            del self._last_number[next(iter(self._last_number))]

    def _report_gap(self, n_missing: int, n_read: int) -> None:
        self.n_lost += n_missing
        source = "there is no archive to read them from"
        if self._archive is not None:
            source = f"{n_read} of runs in progress were read from the archive"
        self._note(f"{n_missing} documents did not come over the wire; {source}")

    def _hand_on(self, name: str, doc: Document) -> bool:
        if not self._taken.take(name, doc):
            return False
        self._agent(name, doc)
        self._ask_where_the_plan_did(name, doc)
        for callback in self._also:
            callback(name, doc)
        return True

    def _ask_where_the_plan_did(self, name: str, doc: Document) -> None:
        """Have a growing pattern judged at the points where the record says a plan asked."""
        if name == "descriptor" and doc.get("name") == AGENT_STREAM:
            self._agent_streams[doc["uid"]] = doc["run_start"]
        elif name == "event" and doc["descriptor"] in self._agent_streams:
            number = int(doc["data"].get(f"{AGENT_STREAM}_frame_seq_num", 0))
            run_uid = self._agent_streams[doc["descriptor"]]
            self._agent.advice(run_uid, self._agent.configuration.stream, number)
        elif name == "stop":
            ended: Any = doc["run_start"]
            streams = self._agent_streams
            self._agent_streams = {key: run for key, run in streams.items() if run != ended}

    def _note(self, sentence: str) -> None:
        logger.warning("%s", sentence)
        self.problems.append(sentence)
