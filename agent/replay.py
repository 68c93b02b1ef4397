"""An archived run through a fresh agent, and whether it says the same again."""

import contextlib
import math
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from event_model import bulk_events_to_event_pages, unpack_event_page

from phasepilot.agent.configuration import AgentConfiguration, configuration_from_json
from phasepilot.agent.errors import ConfigurationError, ReplayError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.report.build_record import AGENT_STREAM
from phasepilot.models.suggestion import Advice, Suggestion

# Under this key a record says that suggestions came from an order of samples.
SAMPLE_ORDER_KEY = "agent_sample_order"
Document = tuple[str, Mapping[str, Any]]
# Far longer than any run takes to judge; a hung network must not hang the replay for ever.
_TIMEOUT_S = 3600.0
_NO_CONFIGURATION = (
    "a run must carry the agent's configuration in its stream 'agent', but this one does not;"
    " it was not steered by phasepilot: give the configuration with --config."
)
_SUGGESTED = frozenset(column.name for column in fields(Suggestion))
_ADVICE = frozenset(column.name for column in fields(Advice))


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay gave.

    Attributes
    ----------
    advice : tuple of Advice
        One a frame.
    n_recorded : int
        Frames with advice on record in the run itself; 0 for a run that was not steered.
    differences : tuple of str
        A sentence for each recorded frame on which the replay disagrees in any bit.
    documents : tuple
        The run of analysis, with `analysis_of`, ready to be stored.
    problems : tuple of str
        Why things may differ, or what could not be judged.
    is_same_network : bool
        Whether the network is the one on record, or none is.
    compares_suggestions : bool
        False for a sample of a screening: what was suggested there depends on the other samples.
    settings : mapping
        Of the agent that judged: version, network, configuration.
    """

    advice: tuple[Advice, ...]
    n_recorded: int
    differences: tuple[str, ...]
    documents: tuple[Document, ...]
    problems: tuple[str, ...]
    is_same_network: bool
    compares_suggestions: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether `documents` are a whole run, from start to stop."""
        return bool(self.documents) and self.documents[-1][0] == "stop"


class Replay:
    """One run on its way through a fresh agent: `take` its documents in order, then `result`.

    Nothing of a run is kept but what was said of it, so that it may be longer than the memory.

    Parameters
    ----------
    configuration : AgentConfiguration, optional
        Instead of the one that the run carries.
    make_agent : callable, optional
        What makes the agent, for those who have its network in memory already.
    """

    def __init__(
        self,
        configuration: AgentConfiguration | None = None,
        *,
        make_agent: Callable[[AgentConfiguration], PhaseAgent] = PhaseAgent,
    ) -> None:
        self._make_agent = make_agent
        self._agent: PhaseAgent | None = None
        # Until the run's own configuration comes: it stands behind the first frames.
        self._held: list[Document] = []
        self._published: list[Document] = []
        self._settings: dict[str, Any] = {}
        self._agent_descriptors: set[str] = set()
        self._recorded: dict[int, Advice] = {}
        # Records of older versions have fewer columns.
        self._recorded_columns = _ADVICE
        self._run_uid = ""
        if configuration is not None:
            self._begin(configuration)

    def _begin(self, configuration: AgentConfiguration) -> None:
        self._agent = self._make_agent(configuration)
        self._agent.subscribe(lambda name, doc: self._published.append((name, doc)))

    def take(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take one document; returns when every frame that it brought has been judged.

        Raises
        ------
        ConfigurationError
            If none was given and the one that the run carries cannot be used.
        """
        if name == "descriptor" and doc.get("name") == AGENT_STREAM:
            self._agent_descriptors.add(doc["uid"])
            self._settings |= doc.get("configuration", {}).get(AGENT_STREAM, {}).get("data", {})
            if self._agent is None:
                self._begin(_recorded_configuration(self._settings))
        for event_name, event in _single_events(name, doc):
            if self._agent is None:
                self._held.append((event_name, event))
                continue
            for held_name, held in (*self._held, (event_name, event)):
                self._feed(self._agent, held_name, held)
            self._held.clear()

    def _feed(self, agent: PhaseAgent, name: str, doc: Mapping[str, Any]) -> None:
        agent(name, doc)
        if name == "event" and doc["descriptor"] in self._agent_descriptors:
            columns = {
                key.removeprefix(f"{AGENT_STREAM}_"): value for key, value in doc["data"].items()
            }
            self._recorded_columns = self._recorded_columns & frozenset(columns)
            recorded = Advice.from_values(columns)
            self._recorded[recorded.frame_seq_num] = recorded
            # A growing pattern is judged when a plan asks: ask where the plan did.
            agent.advice(self._run_uid, agent.configuration.stream, recorded.frame_seq_num)
        elif name == "start":
            self._run_uid = str(doc["uid"])
        # In step, or frames that come faster than they are judged would be skipped.
        if not agent.wait(_TIMEOUT_S):
            raise ReplayError(f"the agent has not judged a frame within {_TIMEOUT_S:g} s")

    def close(self) -> None:
        """Let the agent's thread end."""
        if self._agent is not None:
            self._agent.close()

    def result(self) -> ReplayResult:
        """Return what was said of the run, and in what it differs from what is on record."""
        if self._agent is None:
            raise ConfigurationError(_NO_CONFIGURATION)
        agent, report = self._agent, self._agent.report()
        model_problems = _model_problems(self._settings, agent)
        problems = [*agent.problems, *model_problems]
        is_ordered = SAMPLE_ORDER_KEY in self._settings
        if is_ordered:
            problems.append(
                "an order of samples decided here, by what was known of all of them; one sample's"
                " run cannot repeat that, and its suggestions are not compared"
            )
        left_out = (_SUGGESTED if is_ordered else frozenset()) | (_ADVICE - self._recorded_columns)
        return ReplayResult(
            advice=report.advice,
            n_recorded=len(self._recorded),
            differences=tuple(differences(report.advice, self._recorded, left_out=left_out)),
            documents=tuple(self._published),
            problems=tuple(problems),
            is_same_network=not model_problems,
            compares_suggestions=not is_ordered,
            settings=agent.settings(),
        )


def replay(
    documents: Iterable[Document],
    configuration: AgentConfiguration | None = None,
    *,
    make_agent: Callable[[AgentConfiguration], PhaseAgent] = PhaseAgent,
) -> ReplayResult:
    """Feed the documents of one run to a fresh agent and compare it with what is on record.

    Parameters
    ----------
    configuration : AgentConfiguration, optional
        Instead of the one that the run carries.
    make_agent : callable, optional
        As for `Replay`.

    Raises
    ------
    ConfigurationError
        If none is given and the run carries none.
    """
    with contextlib.closing(Replay(configuration, make_agent=make_agent)) as run:
        for name, doc in documents:
            run.take(name, doc)
        return run.result()


def _single_events(name: str, doc: Mapping[str, Any]) -> Iterator[Document]:
    """Yield a document, or the events that a page of them holds."""
    if name == "event_page":
        yield from (("event", event) for event in unpack_event_page(doc))  # type: ignore[arg-type]
    elif name == "bulk_events":
        for page in bulk_events_to_event_pages(dict(doc)):
            yield from (("event", event) for event in unpack_event_page(page))
    else:
        yield name, doc


def differences(
    advice: Iterable[Advice], recorded: Mapping[int, Advice], *, left_out: Collection[str] = ()
) -> Iterable[str]:
    """Yield a sentence for each recorded frame on which the advice is not the same to the bit.

    Columns that are left out are not compared.
    """
    replayed = {one.frame_seq_num: one for one in advice}
    for number, was in sorted(recorded.items()):
        now = replayed.get(number)
        if now is None:
            yield f"frame {number} is on record, but the replay has not seen it"
            continue
        for column, before in was.values().items():
            if column in left_out:
                continue
            after = now.values()[column]
            if not _is_same(before, after):
                was_text, is_text = reprlib.repr(before), reprlib.repr(after)
                yield f"frame {number}: {column} was {was_text} and is {is_text}"


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def _recorded_configuration(settings: Mapping[str, Any]) -> AgentConfiguration:
    text = settings.get("agent_configuration")
    if not isinstance(text, str):
        raise ConfigurationError(_NO_CONFIGURATION)
    return configuration_from_json(text)


def _model_problems(settings: Mapping[str, Any], agent: PhaseAgent) -> list[str]:
    now = agent.settings()
    judges = {
        "agent_model_sha256": "network",
        "agent_image_sha256": "geometry or mask of images",
        "agent_image_model_sha256": "network of images",
    }
    return [
        f"the run was judged by another {what} (sha256 {str(settings[key])[:12]}, now"
        f" {str(now.get(key))[:12]})"
        for key, what in judges.items()
        if key in settings and settings[key] != now.get(key)
    ]
