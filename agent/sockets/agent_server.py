"""An agent behind sockets: documents come in, questions are answered, findings are published."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import zmq

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.errors import ConfigurationError, DocumentError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.sockets.advice_messages import (
    ADVICE,
    SETTINGS,
    Question,
    answer,
    read_question,
)
from phasepilot.agent.sockets.curve_keys import AGENT, PROXY, CurveGate, client_keys
from phasepilot.agent.sockets.document_feed import DocumentFeed
from phasepilot.agent.sockets.publisher import DocumentPublisher
from phasepilot.agent.sockets.run_archives import RunArchive
from phasepilot.agent.sockets.subscriber import following_socket, listening_socket
from phasepilot.agent.sockets.wire import (
    ADVICE_PORT,
    DOCUMENTS_PORT,
    RESULTS_PORT,
    is_loopback,
    zmq_address,
)
from phasepilot.models.suggestion import Advice

logger = logging.getLogger(__name__)

# A question that comes before the documents it is about waits so long before they count as lost.
_DOCUMENTS_LATE_S = 0.25
_MAX_QUESTION_BYTES = 65536
_WAKE_ADDRESS = "inproc://answers"


@dataclass(frozen=True, slots=True)
class ServerAddresses:
    """Where an agent is reached; on this host only, unless other addresses are given.

    Attributes
    ----------
    documents : str
        Where publishers connect to; with `proxy` not used.
    advice : str
        Where plans ask.
    results : str
        Where the agent publishes what it finds, as runs with `analysis_of`.
    proxy : str or None
        The side of a proxy that subscribers connect to, instead of `documents`.
    """

    documents: str = f"127.0.0.1:{DOCUMENTS_PORT}"
    advice: str = f"127.0.0.1:{ADVICE_PORT}"
    results: str = f"127.0.0.1:{RESULTS_PORT}"
    proxy: str | None = None

    @property
    def bound(self) -> tuple[str, ...]:
        """Those that others connect to."""
        documents = () if self.proxy else (self.documents,)
        return (*documents, self.advice, self.results)


class AgentServer:
    """Serves one agent until `stop` is called; the sockets are bound when it is made.

    Parameters
    ----------
    agent : PhaseAgent
    addresses : ServerAddresses
    archive : RunArchive, optional
        From which documents are read that did not come.
    keys : Path, optional
        Folder as `curve_keys.make_keys` fills it: only known clients get through, encrypted. A
        proxy must have keys then, too, and its public one stand there as `proxy.key`.
    also : sequence of callables
        Get every document after the agent, in the thread that serves; they must not raise.

    Raises
    ------
    ConfigurationError
        If an address is taken, or open to other hosts without keys.
    """

    def __init__(
        self,
        agent: PhaseAgent,
        addresses: ServerAddresses,
        *,
        archive: RunArchive | None = None,
        keys: Path | None = None,
        also: Sequence[Callable[[str, Document], Any]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_addresses(addresses, keys)
        self._agent = agent
        self._clock = clock
        self.feed = DocumentFeed(agent, archive, also=also)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._gate = CurveGate(self._context, keys) if keys else None
        self._stopping = threading.Event()
        # Questions that wait for documents, with the time until which.
        self._waiting: list[tuple[float, bytes, Question]] = []
        self._answers: SimpleQueue[tuple[bytes, bytes]] = SimpleQueue()
        try:
            self._bind(addresses, keys)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigurationError(
                f"the addresses {addresses.bound} must be free, but are not ({error}); is another"
                " agent running? Give other addresses."
            ) from error

    def _bind(self, addresses: ServerAddresses, keys: Path | None) -> None:
        if addresses.proxy:
            proxy_keys = client_keys(keys, AGENT, server=PROXY) if keys else None
            self._documents = following_socket(self._context, addresses.proxy, proxy_keys)
        else:
            self._documents = listening_socket(self._context, addresses.documents, self._gate)
        self._questions = self._context.socket(zmq.ROUTER)
        self._questions.maxmsgsize = _MAX_QUESTION_BYTES
        self._questions.linger = 0
        if self._gate is not None:
            self._gate.guard(self._questions)
        self._questions.bind(zmq_address(addresses.advice))
        # Answers are ready in the agent's thread; this wakes the one that owns the sockets.
        self._woken = self._context.socket(zmq.PULL)
        self._woken.bind(_WAKE_ADDRESS)
        self._waker = self._context.socket(zmq.PUSH)
        self._waker.connect(_WAKE_ADDRESS)
        self._waker_lock = threading.Lock()
        self._results = DocumentPublisher.bound_to(self._context, addresses.results, self._gate)
        self._agent.subscribe(self._results)

    def serve(self) -> None:
        """Take documents and answer questions until `stop`; then close the sockets."""
        poller = zmq.Poller()
        for socket in (self._documents, self._questions, self._woken):
            poller.register(socket, zmq.POLLIN)
        try:
            self.feed.catch_up()
            while not self._stopping.is_set():
                ready = dict(poller.poll(100))
                if self._documents in ready:
                    self._take_documents()
                if self._questions in ready:
                    self._take_question()
                self._ask_what_can_be_answered()
                self._send_answers()
        finally:
            self.close()

    def stop(self) -> None:
        """Have `serve` return soon; may be called from any thread."""
        self._stopping.set()

    def close(self) -> None:
        """Close the sockets, with whatever is still queued."""
        self._agent.wait(1.0)
        if self._gate is not None:
            self._gate.close()
        self._context.destroy(linger=200)

    def _take_documents(self) -> None:
        # A burst is taken in one go, but not for ever: plans wait for answers meanwhile.
        for _ in range(100):
            try:
                self.feed.take(self._documents.recv(zmq.NOBLOCK))
            except zmq.Again:
                return

    def _take_question(self) -> None:
        client, *_, message = self._questions.recv_multipart()
        try:
            question = read_question(message)
        except DocumentError as error:
            logger.warning("a question was refused: %s", error)
            return
        if question.kind == ADVICE:
            self._waiting.append((self._clock() + _DOCUMENTS_LATE_S, client, question))
        elif question.kind == SETTINGS:
            self._answers.put((client, answer(question.number, self._agent.settings())))
        else:
            self._answers.put((client, answer(question.number, "here")))

    def _ask_what_can_be_answered(self) -> None:
        now = self._clock()
        waiting, self._waiting = self._waiting, []
        for until, client, question in waiting:
            if not self.feed.has_reached(question.sender, question.after):
                if now < until:
                    self._waiting.append((until, client, question))
                    continue
                self.feed.catch_up_to(question.sender, question.after)
            self._ask(client, question)

    def _ask(self, client: bytes, question: Question) -> None:
        def pass_on(done: "Future[Advice]") -> None:
            self._answers.put((client, answer(question.number, done.result())))
            with self._waker_lock:
                self._waker.send(b"")

        future = self._agent.advice(question.run_uid, question.stream, question.seq_num)
        future.add_done_callback(pass_on)

    def _send_answers(self) -> None:
        while self._woken.poll(0):
            self._woken.recv()
        while True:
            try:
                client, message = self._answers.get_nowait()
            except Empty:
                return
            self._questions.send_multipart([client, message])


def _check_addresses(addresses: ServerAddresses, keys: Path | None) -> None:
    for address in addresses.bound:
        if keys is None and not is_loopback(address):
            raise ConfigurationError(
                f"an agent without keys may only be reached from its own host, but {address} is"
                " open to others; make keys with `phasepilot keys DIR NAME` and give --curve DIR."
            )
