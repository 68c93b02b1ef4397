"""The agent of another process, in the hands of a plan."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Self

import zmq

from phasepilot.agent.configuration import AgentConfiguration, configuration_from_json
from phasepilot.agent.errors import AgentSilentError, ConfigurationError
from phasepilot.agent.sockets.advice_client import AdviceClient
from phasepilot.agent.sockets.advice_messages import ADVICE, SETTINGS
from phasepilot.agent.sockets.curve_keys import ClientKeys
from phasepilot.agent.sockets.publisher import DocumentPublisher
from phasepilot.agent.sockets.wire import ADVICE_PORT, DOCUMENTS_PORT
from phasepilot.models.suggestion import Advice

logger = logging.getLogger(__name__)

_MAX_FUTURES = 1000
# Longer than the agent is ever busy with other things, shorter than anyone waits for a plan.
_SILENCE_S = 5.0


class RemoteAgent:
    """Stands for an agent that is served elsewhere.

    Subscribe it, and hand it to a plan as its advisor::

        agent = RemoteAgent()
        RE.subscribe(agent)
        RE(compression_scan([det], cell, 0.5, 5.0, step=0.2, advisor=agent))

    Documents go to the agent, directly or through a proxy, and questions are answered once it has
    taken all documents that were sent before. Late advice, and an agent that is gone, are told to
    the plan as those of an agent in its own process. The RunEngine never sees an exception of ours.

    Parameters
    ----------
    documents : str
        Where documents are sent: the agent's address for them, or the side of a proxy that
        publishers connect to.
    advice : str
        Where the agent answers.
    keys : ClientKeys, optional
        If the agent was started with `--curve`.
    silence_s : float
        An agent not heard of for so long is not waited for any more, until it is heard of again.

    Raises
    ------
    ConfigurationError
        If an address is none.
    """

    def __init__(
        self,
        documents: str = f"127.0.0.1:{DOCUMENTS_PORT}",
        advice: str = f"127.0.0.1:{ADVICE_PORT}",
        *,
        keys: ClientKeys | None = None,
        silence_s: float = _SILENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = documents, advice
        self._silence_s = silence_s
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._publisher = DocumentPublisher.connected_to(self._context, documents, keys)
            self._client = AdviceClient(self._context, advice, keys=keys, clock=clock)
        except zmq.ZMQError as error:
            # A context that is collected with open sockets waits for them, for ever.
            self._context.destroy(linger=0)
            raise ConfigurationError(
                f"documents and advice must each be an address such as 127.0.0.1:{DOCUMENTS_PORT},"
                f" but are {documents!r} and {advice!r} ({error}); give those that `phasepilot"
                " serve` names."
            ) from error
        self._settings: dict[str, str | float | int] = {}
        self._streams: dict[str, tuple[str, str]] = {}
        self._futures: OrderedDict[tuple[str, str, int], Future[Advice]] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_until_connected(self, timeout_s: float = 5.0) -> bool:
        """Wait until documents are listened to and the agent answers; False when it is too late.

        What is sent before somebody listens is lost, unless the agent reads an archive. Through a
        proxy of Bluesky's this tells that the proxy listens, not that the agent has found it.
        """
        listens = self._publisher.wait_for_subscriber(timeout_s)
        try:
            self._fetch_settings(timeout_s)
        except AgentSilentError:
            return False
        return listens

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Send one document; the callback for the RunEngine."""
        self._publisher(name, doc)
        try:
            self._follow(name, doc)
        except Exception:  # the one place where nothing may pass to the RunEngine
            logger.exception("a %s document was passed over", name)

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        """Return the future advice on a frame; the same one until the frame is measured anew."""
        key = (run_uid, stream, seq_num)
        if key in self._futures:
            return self._futures[key]
        future: Future[Advice] = Future()
        if self._client.silent_for_s > self._silence_s:
            told = f"the agent at {self._addresses[1]} was not heard of for {self._silence_s:g} s"
            future.set_result(Advice.none(seq_num, told))
            return future
        asked = self._client.ask(
            ADVICE,
            run_uid=run_uid,
            stream=stream,
            seq_num=seq_num,
            sender=self._publisher.sender,
            after=self._publisher.last_number,
        )
        asked.add_done_callback(lambda done: future.set_result(_advice(seq_num, done.result())))
        self._futures[key] = future
        if len(self._futures) > _MAX_FUTURES:
            self._futures.popitem(last=False)
        return future

    def settings(self) -> dict[str, str | float | int]:
        """Return the settings of the served agent.

        Raises
        ------
        AgentSilentError
            If it does not answer; plans put that on record.
        """
        if not self._settings:
            self._fetch_settings(2.0)
        return dict(self._settings)

    @property
    def configuration(self) -> AgentConfiguration:
        """The configuration of the served agent; raises AgentSilentError if it does not answer."""
        return configuration_from_json(str(self.settings()["agent_configuration"]))

    def close(self) -> None:
        """Close the sockets."""
        self._client.close()
        self._publisher.close()
        self._context.term()

    def _follow(self, name: str, doc: Mapping[str, Any]) -> None:
        """Forget what was asked on a frame that is repeated after a pause."""
        if name == "descriptor":
            self._streams[doc["uid"]] = doc["run_start"], doc.get("name", "primary")
        elif name == "event":
            self._futures.pop((*self._streams[doc["descriptor"]], doc["seq_num"]), None)
        elif name == "event_page":
            for seq_num in doc["seq_num"]:
                self._futures.pop((*self._streams[doc["descriptor"]], seq_num), None)
        elif name == "stop":
            streams = self._streams.items()
            self._streams = {uid: key for uid, key in streams if key[0] != doc["run_start"]}

    def _fetch_settings(self, timeout_s: float) -> None:
        try:
            answered = self._client.ask(SETTINGS).result(timeout_s)
        except FutureTimeoutError as error:
            raise AgentSilentError(
                f"the agent at {self._addresses[1]} must answer within {timeout_s:g} s, but does"
                " not; is `phasepilot serve` running, and are the keys right?"
            ) from error
        self._settings = answered if isinstance(answered, dict) else {}


def _advice(seq_num: int, value: Any) -> Advice:
    try:
        return Advice.from_values(value)
    except Exception as error:  # the other side may be anyone; the plan gets a sentence
        return Advice.none(seq_num, f"the answer of the agent cannot be read ({error})")
