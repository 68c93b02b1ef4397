"""Documents through Kafka, by Bluesky's own client, with our codec in place of msgpack_numpy's.

Importing `bluesky_kafka` makes msgpack unpickle arrays of objects in the whole process. Here that
is undone right after, and both ends are given functions that never do it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgpack

from phasepilot.agent.archive.document_codec import decode_document, encode_document
from phasepilot.agent.sockets.document_feed import DocumentFeed

logger = logging.getLogger(__name__)


@contextmanager
def _msgpack_left_as_it_was() -> Iterator[None]:
    before = dict(vars(msgpack))
    try:
        yield
    finally:
        vars(msgpack).update(before)


with _msgpack_left_as_it_was():
    import bluesky_kafka


class KafkaPublisher:
    """A callback that sends documents to a topic, in order, and neither waits nor raises.

    Parameters
    ----------
    topic : str
    servers : str
        As Kafka's ``bootstrap.servers``.
    settings : mapping, optional
        Of the producer; by default idempotent, so that nothing is lost, doubled or reordered while
        brokers come and go.
    """

    def __init__(
        self, topic: str, servers: str, *, settings: Mapping[str, Any] | None = None
    ) -> None:
        self._publisher = bluesky_kafka.Publisher(
            topic=topic,
            bootstrap_servers=servers,
            key="phasepilot",  # one key, one partition: only within that is there an order
            producer_config=dict(settings or {"enable.idempotence": True}),
            # Kafka's thread sends; a flush holds up the scan for minutes while no broker is there.
            flush_on_stop_doc=False,
            serializer=lambda message: encode_document(message[0], dict(message[1])),
        )

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Queue one document for Kafka's own thread."""
        try:
            self._publisher(name, doc)
        except Exception:  # a full queue, or a broker that is gone; the measurement goes on
            logger.exception("a %s document could not be sent to Kafka", name)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Send what is queued and disconnect; False when something was left after `timeout_s`.

        A publisher that is not closed logs errors for as long as its brokers are gone.
        """
        producer = self._publisher._producer
        n_left = producer.flush(timeout_s)
        if n_left:
            logger.warning("%d documents did not get into Kafka within %g s", n_left, timeout_s)
            producer.purge()
        producer.close()
        return not n_left


def follow_topics(
    feed: DocumentFeed,
    topics: list[str],
    servers: str,
    *,
    group: str,
    go_on: Callable[[], bool] = lambda: True,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Hand the documents of topics to an agent, until `go_on` returns False.

    Runs that are in progress are read from the feed's archive first. What is no document is
    logged and passed over.

    Parameters
    ----------
    group : str
        Kafka's ``group.id``: agents that share one share the documents, so give each its own.
    settings : mapping, optional
        Of the consumer; by default it begins with what is published next.
    """
    dispatcher = bluesky_kafka.RemoteDispatcher(
        topics=topics,
        bootstrap_servers=servers,
        group_id=group,
        consumer_config=dict(settings or {"auto.offset.reset": "latest"}),
        deserializer=decode_document,
    )
    dispatcher.subscribe(feed.take_document)
    feed.catch_up()
    dispatcher.start(continue_polling=go_on)
