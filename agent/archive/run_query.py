"""Which runs of an archive are meant: by uid, by age, by what their start documents say."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from phasepilot.agent.archive.document_codec import Document
from phasepilot.agent.errors import ArchiveError

_AGE = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Condition:
    """That the start document holds `value` at `key`, a path such as `sample.name`."""

    key: str
    value: Any

    def holds_for(self, start: Mapping[str, Any]) -> bool:
        """Whether it is so in a start document."""
        found: Any = start
        for part in self.key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        # In Python True equals 1.
        is_same_kind = isinstance(found, bool) == isinstance(self.value, bool)
        return is_same_kind and bool(found == self.value)


@dataclass(frozen=True, slots=True)
class RunQuery:
    """What is asked of an archive; without any part, all runs.

    Attributes
    ----------
    uids : tuple of str
        Uids, or their beginnings.
    since_s : float or None
        Runs that began before this time, in seconds since 1970, are left out.
    conditions : tuple of Condition
        All must hold.
    """

    uids: tuple[str, ...] = ()
    since_s: float | None = None
    conditions: tuple[Condition, ...] = ()

    def holds_for(self, start: Mapping[str, Any]) -> bool:
        """Whether a run is meant, by time and conditions; analyses of other runs never are."""
        if start.get("analysis_of"):
            return False
        is_recent = self.since_s is None or float(start.get("time", 0.0)) >= self.since_s
        return is_recent and all(condition.holds_for(start) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run of an archive.

    Attributes
    ----------
    n_events : int or None
        Events of all streams; None where only reading it would tell.
    """

    uid: str
    n_events: int | None = None


class RunSource(Protocol):
    """An archive to replay from. Small and without connections: it travels to other processes."""

    def find(self, query: RunQuery) -> list[FoundRun]:
        """Return the runs that are meant, oldest first.

        Raises
        ------
        ArchiveError
            If a uid is unknown or the beginning of several, or the archive cannot be read.
        """
        ...

    def documents(self, uid: str, note: Callable[[str], None]) -> Iterator[tuple[str, Document]]:
        """Yield the documents of a run, and note, in a sentence each, what had to be left out.

        Raises
        ------
        ArchiveError
            If they cannot be read.
        """
        ...


def condition(text: str) -> Condition:
    """Return the condition that a text such as `start.sample=KCl` states.

    The value is read as JSON where it is JSON (`3`, `0.5`, `true`, `"3"`), else as text.

    Raises
    ------
    ArchiveError
        If it states none.

    Examples
    --------
    >>> condition("start.sample=KCl")
    Condition(key='sample', value='KCl')
    >>> condition('scan_id=3')
    Condition(key='scan_id', value=3)
    """
    key, equals, value = text.partition("=")
    key = key.strip().removeprefix("start.")
    if not (key and equals and value.strip()):
        raise ArchiveError(
            f"a condition must read KEY=VALUE, as in start.sample=KCl, but came {text!r}"
        )
    try:
        return Condition(key, json.loads(value))
    except ValueError:
        return Condition(key, value.strip())


def since(text: str, *, now: datetime | None = None) -> float:
    """Return the time in seconds since 1970 that a date, a date and time, or an age states.

    Raises
    ------
    ArchiveError
        If it states none.

    Examples
    --------
    >>> since("3d", now=datetime(2026, 5, 4, tzinfo=UTC)) == since("2026-05-01T00:00+00:00")
    True
    """
    if match := _AGE.fullmatch(text.strip()):
        age = timedelta(**{_UNITS[match[2]]: float(match[1])})
        return ((now or datetime.now(UTC)) - age).timestamp()
    try:
        # A time without a zone is the clock on the wall here.
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError as error:
        raise ArchiveError(
            "a time must be a date (2026-05-04), a date and time (2026-05-04T13:00) or an age"
            f" (90m, 12h, 3d, 2w), but came {text!r}"
        ) from error


def chosen(runs: Mapping[str, Mapping[str, Any]], query: RunQuery, where: str) -> list[str]:
    """Return the uids that are meant among runs given by their start documents, in their order.

    Parameters
    ----------
    where : str
        Where they stand, for the sentence that says that there is no such run.

    Raises
    ------
    ArchiveError
        If a uid is unknown, or the beginning of several.
    """
    if not query.uids:
        return [uid for uid, start in runs.items() if query.holds_for(start)]
    return [_only_match(uid, list(runs), where) for uid in query.uids]


def _only_match(wanted: str, uids: list[str], where: str) -> str:
    if wanted in uids:
        return wanted
    matches = sorted(uid for uid in uids if uid.startswith(wanted))
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ArchiveError(
            f"{len(matches)} runs begin with {wanted!r}: {matches[:10]}; give more of the uid"
        )
    raise ArchiveError(f"no run {wanted!r} in {where}; there are {sorted(uids)[-10:]}")
