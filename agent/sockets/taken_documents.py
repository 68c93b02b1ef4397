"""Which documents of a run came already, so that none counts twice after a catch-up."""

from collections import OrderedDict
from typing import Any

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.frames import MAX_OPEN_RUNS

_PARENTS = ("descriptor", "resource", "stream_resource")


class TakenDocuments:
    """Remembers the documents of the runs that are open.

    Events are known by descriptor, number and time, since an archive may give them other uids; a
    frame that was repeated after a pause has another time.
    """

    def __init__(self) -> None:
        # Hashes, not the identities themselves: a run may have 100,000 events.
        self._taken: OrderedDict[str, set[int]] = OrderedDict()
        self._has_stopped: set[str] = set()
        self._run_of: dict[str, str] = {}

    @property
    def open_runs(self) -> tuple[str, ...]:
        """Runs that have started and not stopped."""
        return tuple(uid for uid in self._taken if uid not in self._has_stopped)

    def run_of(self, name: str, doc: Document) -> str | None:
        """Return the run that a document belongs to; None if that was never seen to start."""
        if name == "start":
            return str(doc["uid"])
        if name == "stop" or name in _PARENTS:
            uid = doc.get("run_start")
        elif name == "bulk_events":
            uid = self._run_of.get(next(iter(doc), ""))
        else:
            uid = self._run_of.get(doc.get("descriptor") or doc.get("resource") or "")
        return uid if uid in self._taken else None

    def take(self, name: str, doc: Document) -> bool:
        """Note a document and return whether it is new; one of an unknown run always is."""
        run_uid = self.run_of(name, doc)
        if run_uid is None:
            return True
        taken = self._taken.setdefault(run_uid, set())
        identity = hash(_identity(name, doc))
        if identity in taken:
            return False
        taken.add(identity)
        if name in _PARENTS:
            self._run_of[doc["uid"]] = run_uid
        if name == "stop":
            self._has_stopped.add(run_uid)
        self._forget_oldest()
        return True

    def _forget_oldest(self) -> None:
        # A document of a run that has just stopped may still be under way: keep the last few.
        surplus = [uid for uid in self._taken if uid in self._has_stopped][:-2]
        if len(self._taken) > MAX_OPEN_RUNS:
            surplus.append(next(iter(self._taken)))
        for uid in surplus:
            self._taken.pop(uid, None)
            self._has_stopped.discard(uid)
            self._run_of = {key: run for key, run in self._run_of.items() if run != uid}


def _identity(name: str, doc: Document) -> tuple[Any, ...]:
    if name == "event":
        return name, doc["descriptor"], doc["seq_num"], doc["time"]
    if name == "event_page":
        return name, doc["descriptor"], *doc["seq_num"], *doc["time"]
    if name == "bulk_events":
        return (name, *(_identity("event", event) for events in doc.values() for event in events))
    uid = doc.get("uid") or doc.get("datum_id")
    return name, tuple(uid) if isinstance(uid, list) else uid
