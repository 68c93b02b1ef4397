"""Asks an agent over a socket and keeps the answers; one thread owns the socket."""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import zmq

from phasepilot.agent.errors import DocumentError
from phasepilot.agent.sockets.advice_messages import PING, Question, read_answer
from phasepilot.agent.sockets.curve_keys import ClientKeys
from phasepilot.agent.sockets.wire import MAX_MESSAGE_BYTES, zmq_address

logger = logging.getLogger(__name__)

# A question may have died with a former agent, so it is asked again.
_ASKED_AGAIN_AFTER_S = 0.5
_PING_EVERY_S = 0.5
# Plans give up long before; what nobody waits for any more is not asked for ever.
_GIVEN_UP_AFTER_S = 600.0
_POLL_MS = 100
_WAKE_ADDRESS = "inproc://questions"


@dataclass(slots=True)
class _Asked:
    question: Question
    future: "Future[Any]"
    asked_at: float
    sent_at: float


class AdviceClient:
    """Sends questions and sets their futures when answers come.

    Parameters
    ----------
    context : zmq.Context
    address : str
        Where the agent answers.
    keys : ClientKeys, optional
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        address: str,
        *,
        keys: ClientKeys | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self._new: SimpleQueue[_Asked] = SimpleQueue()
        self._asked: dict[int, _Asked] = {}
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.maxmsgsize = MAX_MESSAGE_BYTES
        if keys is not None:
            keys.apply(self._socket)
        self._socket.connect(zmq_address(address))
        self._woken = context.socket(zmq.PULL)
        self._woken.bind(_WAKE_ADDRESS)
        self._waker = context.socket(zmq.PUSH)
        self._waker.linger = 0
        self._waker.connect(_WAKE_ADDRESS)
        self._waker_lock = threading.Lock()
        self._pinged_at = -_PING_EVERY_S
        self._heard_at = clock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="phasepilot-advice", daemon=True)
        self._thread.start()

    @property
    def silent_for_s(self) -> float:
        """Seconds since the agent last said anything."""
        return self._clock() - self._heard_at

    def ask(self, kind: str, **frame: Any) -> "Future[Any]":
        """Return the future answer to a question; see `Question` for what names a frame."""
        now = self._clock()
        asked = _Asked(Question(next(self._numbers), kind, **frame), Future(), now, now)
        self._new.put(asked)
        with self._waker_lock:
            self._waker.send(b"")
        return asked.future

    def close(self) -> None:
        """End the thread; futures that are not set stay so."""
        self._stopping.set()
        self._thread.join()
        for socket in (self._socket, self._woken, self._waker):
            socket.close(0)

    def _work(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._woken, zmq.POLLIN)
        while not self._stopping.is_set():
            ready = dict(poller.poll(_POLL_MS))
            if self._woken in ready:
                self._woken.recv()
                self._send_new()
            if self._socket in ready:
                self._take_answer(self._socket.recv())
            self._send_again()

    def _send_new(self) -> None:
        while True:
            try:
                asked = self._new.get_nowait()
            except Empty:
                return
            self._asked[asked.question.number] = asked
            self._send(asked.question)

    def _take_answer(self, message: bytes) -> None:
        self._heard_at = self._clock()
        try:
            number, value = read_answer(message)
        except DocumentError as error:
            logger.warning("an answer was refused: %s", error)
            return
        asked = self._asked.pop(number, None)
        if asked is not None and not asked.future.done():
            asked.future.set_result(value)

    def _send_again(self) -> None:
        now = self._clock()
        if now - self._pinged_at >= _PING_EVERY_S:
            self._pinged_at = now
            self._send(Question(next(self._numbers), PING))
        for number, asked in list(self._asked.items()):
            if now - asked.asked_at > _GIVEN_UP_AFTER_S:
                del self._asked[number]
            elif now - asked.sent_at > _ASKED_AGAIN_AFTER_S:
                asked.sent_at = now
                self._send(asked.question)

    def _send(self, question: Question) -> None:
        try:
            self._socket.send(question.encoded(), zmq.NOBLOCK)
        except zmq.Again:  # thousands are queued for an agent that is gone; it is asked again
            logger.debug("question %d could not be queued", question.number)
