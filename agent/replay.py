"""An archived run through a fresh agent, and whether it says the same again."""

import math
import reprlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from phasepilot.agent.configuration import AgentConfiguration, configuration_from_json
from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.report.build_record import AGENT_STREAM, recorded_advice
from phasepilot.models.suggestion import Advice, Suggestion

# Under this key a record says that suggestions came from an order of samples.
SAMPLE_ORDER_KEY = "agent_sample_order"
Document = tuple[str, Mapping[str, Any]]
# Far longer than any run takes to judge; a hung network must not hang the replay for ever.
_TIMEOUT_S = 3600.0
_SUGGESTED = frozenset(column.name for column in fields(Suggestion))


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
    """

    advice: tuple[Advice, ...]
    n_recorded: int
    differences: tuple[str, ...]
    documents: tuple[Document, ...]
    problems: tuple[str, ...]
    is_same_network: bool
    compares_suggestions: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether `documents` are a whole run, from start to stop."""
        return bool(self.documents) and self.documents[-1][0] == "stop"


def replay(
    documents: Sequence[Document], configuration: AgentConfiguration | None = None
) -> ReplayResult:
    """Feed the documents of one run to a fresh agent and compare it with what is on record.

    Parameters
    ----------
    configuration : AgentConfiguration, optional
        Instead of the one that the run carries.

    Raises
    ------
    ConfigurationError
        If none is given and the run carries none.
    """
    settings = recorded_settings(documents)
    agent = PhaseAgent(configuration or _recorded_configuration(settings))
    published: list[Document] = []
    agent.subscribe(lambda name, doc: published.append((name, doc)))
    agent_descriptors: set[str] = set()
    for name, doc in documents:
        agent(name, doc)
        if name == "descriptor" and doc.get("name") == AGENT_STREAM:
            run_uid = str(doc["run_start"])
            agent_descriptors.add(doc["uid"])
        if name == "event" and doc["descriptor"] in agent_descriptors:
            # A growing pattern is judged when a plan asks: ask where the plan did.
            frame = int(doc["data"].get(f"{AGENT_STREAM}_frame_seq_num", 0))
            agent.advice(run_uid, agent.configuration.stream, frame)
    is_done = agent.wait(_TIMEOUT_S)
    report = agent.report()
    recorded = recorded_advice(documents, stream=AGENT_STREAM, prefix=f"{AGENT_STREAM}_")
    model_problems = _model_problems(settings, agent)
    problems = [*agent.problems, *model_problems]
    is_ordered = SAMPLE_ORDER_KEY in settings
    if is_ordered:
        problems.append(
            "an order of samples decided here, by what was known of all of them; one sample's run"
            " cannot repeat that, and its suggestions are not compared"
        )
    if not is_done:
        problems.append(f"the agent has not finished within {_TIMEOUT_S:g} s")
    return ReplayResult(
        advice=report.advice,
        n_recorded=len(recorded),
        differences=tuple(
            differences(report.advice, recorded, left_out=_SUGGESTED if is_ordered else ())
        ),
        documents=tuple(published),
        problems=tuple(problems),
        is_same_network=not model_problems,
        compares_suggestions=not is_ordered,
    )


def recorded_settings(documents: Iterable[Document]) -> dict[str, Any]:
    """Return the settings of the agent that steered a run; empty if none is on record."""
    for name, doc in documents:
        if name == "descriptor" and doc.get("name") == AGENT_STREAM:
            return dict(doc.get("configuration", {}).get(AGENT_STREAM, {}).get("data", {}))
    return {}


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
        raise ConfigurationError(
            "a run must carry the agent's configuration in its stream 'agent', but this one does"
            " not; it was not steered by phasepilot: give the configuration with --config."
        )
    return configuration_from_json(text)


def _model_problems(settings: Mapping[str, Any], agent: PhaseAgent) -> list[str]:
    was, now = settings.get("agent_model_sha256"), agent.settings()["agent_model_sha256"]
    if was is None or was == now:
        return []
    return [f"the run was judged by another network (sha256 {str(was)[:12]}, now {str(now)[:12]})"]
