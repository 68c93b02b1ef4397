"""Many runs judged again, one after another, and the folder where their results are kept.

A run is judged from its start, because every decision depends on the frames before: what a kill
interrupts is the run under way, which is judged anew, and never those that were finished.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from phasepilot.agent.archive.parquet_results import ResultsHeader, read_header, write_results
from phasepilot.agent.archive.run_query import RunSource
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AgentError, ArchiveError
from phasepilot.agent.phase_agent import PhaseAgent, known_structures
from phasepilot.agent.replay import Document, Replay, ReplayResult
from phasepilot.models.errors import ModelsError
from phasepilot.models.networks.registry import open_model

if TYPE_CHECKING:
    from phasepilot.models.identification.search_index import SearchIndex
    from phasepilot.models.networks.registry import PhaseModel

logger = logging.getLogger(__name__)

# A uid becomes the name of a file.
_SAFE_UID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_EVENT_NAMES = ("event", "event_page", "bulk_events")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run.

    Attributes
    ----------
    result : ReplayResult or None
    failure : str
        Why there is no result, in a sentence; empty where there is one.
    process_id, n_models_loaded : int
        Which process judged it, and how many networks that has loaded so far.
    """

    run_uid: str
    result: ReplayResult | None = None
    failure: str = ""
    process_id: int = field(default_factory=os.getpid)
    n_models_loaded: int = 0


def judge_run(
    source: RunSource,
    run_uid: str,
    configuration: AgentConfiguration | None,
    *,
    pace: Callable[[Iterable[Document]], Iterable[Document]] = iter,
    on_events: Callable[[], None] = lambda: None,
) -> Outcome:
    """Judge one run of an archive; whatever is wrong with it is in the outcome.

    Parameters
    ----------
    configuration : AgentConfiguration or None
        None takes the one that the run carries.
    pace : callable
        What delays the documents, such as `at_recorded_speed`.
    on_events : callable
        Called after each document that holds events.
    """
    notes: list[str] = []
    name = ""
    try:
        with closing(Replay(configuration, make_agent=agent_from_memory)) as replay:
            for name, doc in pace(source.documents(run_uid, notes.append)):
                replay.take(name, doc)
                if name in _EVENT_NAMES:
                    on_events()
            result = replay.result()
        if name != "stop":
            notes.append(
                f"run {run_uid[:8]} has no stop document: it is under way, or its file is cut off;"
                " what there is was judged"
            )
    except (AgentError, ModelsError) as error:
        return Outcome(run_uid, failure=str(error))
    except Exception as error:  # documents of strangers: the next run may be better
        logger.exception("run %s could not be judged", run_uid)
        sentence = f"run {run_uid} could not be judged ({type(error).__name__}: {error})"
        return Outcome(run_uid, failure=sentence.splitlines()[0])
    return Outcome(
        run_uid,
        replace(result, problems=(*notes, *result.problems)),
        n_models_loaded=_judges.cache_info().misses,
    )


def at_recorded_speed(
    documents: Iterable[Document],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Document]:
    """Yield documents as far apart in time as they were made."""
    first_s: float | None = None
    began_s = clock()
    for name, doc in documents:
        made = doc.get("time")
        made_s = made[0] if isinstance(made, list) and made else made
        if isinstance(made_s, int | float):
            first_s = made_s if first_s is None else first_s
            if (ahead_s := (made_s - first_s) - (clock() - began_s)) > 0:
                sleep(ahead_s)
        yield name, doc


def agent_from_memory(configuration: AgentConfiguration) -> PhaseAgent:
    """Return a fresh agent whose network and known phases this process loads only once."""
    judges = _judges(configuration.model, configuration.library, configuration.set_level)
    return PhaseAgent(configuration, model=judges.model, index=judges.index)


@dataclass(frozen=True, slots=True)
class _Judges:
    model: "PhaseModel"
    index: "SearchIndex | None"


@lru_cache(maxsize=2)
def _judges(model: str, library: str | None, set_level: float) -> _Judges:
    index = known_structures(library)
    return _Judges(open_model(model, index=index, set_level=set_level), index)


class AnalysisStore(Protocol):
    """Where runs of analysis are stored beside the raw ones."""

    def store(self, documents: Iterable[tuple[str, Any]]) -> str:
        """Store a complete run of analysis and return its uid."""
        ...

    def is_stored(self, uid: str) -> bool:
        """Whether that run stands there whole; one that was broken off is removed."""
        ...


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """A Parquet file for each run, which appears under its name when all of it is done."""

    path: Path

    def file(self, run_uid: str) -> Path:
        """Return where the results of a run are.

        Raises
        ------
        ArchiveError
            If the uid cannot name a file.
        """
        if not _SAFE_UID.fullmatch(run_uid):
            raise ArchiveError(
                f"expected a run uid of letters, digits, '-', '_' and '.', but came {run_uid!r};"
                " it cannot name a file of results"
            )
        return self.path / f"{run_uid}.parquet"

    def is_done(
        self,
        run_uid: str,
        configuration: AgentConfiguration | None,
        store: AnalysisStore | None = None,
    ) -> bool:
        """Whether a run that had stopped was judged in this way before, and all of it kept."""
        done, part = self.file(run_uid), self._part(run_uid)
        if not done.exists() and part.exists():
            self._take_up(part, done, store)
        if not done.exists():
            return False
        header = read_header(done)
        asked = None if configuration is None else configuration.model_dump_json()
        is_same = asked in (None, header.settings.get("agent_configuration"))
        return header.is_complete and is_same

    def _take_up(self, part: Path, done: Path, store: AnalysisStore | None) -> None:
        """Finish what a kill interrupted between the file and the store, or forget it."""
        try:
            header = read_header(part)
        except ArchiveError:  # the kill came while it was written, so nothing was stored
            part.unlink()
            return
        if store is None or store.is_stored(header.analysis_uid):
            part.replace(done)
        else:
            part.unlink()

    def keep(self, run_uid: str, result: ReplayResult, store: AnalysisStore | None = None) -> None:
        """Write the file of a run, and store its analysis; the file gets its name at last."""
        part = self._part(run_uid)
        start = result.documents[0][1] if result.documents else {}
        header = ResultsHeader(
            run_uid, str(start.get("uid", "")), result.settings, result.is_complete
        )
        write_results(part, result.advice, header)
        if store is not None and result.is_complete:
            store.store(result.documents)
        part.replace(self.file(run_uid))

    def _part(self, run_uid: str) -> Path:
        return self.file(run_uid).with_suffix(".part")
