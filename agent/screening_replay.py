"""An archived screening, all of its runs, through a fresh agent and a fresh order of samples.

What was suggested on one sample depends on all that came before it, so the runs are repeated
together, in the order in which they were measured.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from phasepilot.agent.archive.run_query import Condition, RunQuery, RunSource
from phasepilot.agent.configuration import configuration_from_json
from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.replay import SAMPLE_ORDER_KEY, Document, differences
from phasepilot.agent.report.build_record import AGENT_STREAM, recorded_advice
from phasepilot.agent.screening import SAMPLES_KEY, TIME_FIELD_KEY, ScreeningAdvisor
from phasepilot.models.steering.sample_belief import SampleSite
from phasepilot.models.steering.sample_order import SampleOrder, SampleOrderSettings
from phasepilot.models.suggestion import Advice

# In the start document of each sample's run: the uid of the screening's summary run.
SCREENING_UID_KEY = "screening_uid"


@dataclass(frozen=True, slots=True)
class ScreeningReplay:
    """What a replay gave.

    Attributes
    ----------
    advisor : ScreeningAdvisor
        As it stands at the end, with what is known of every sample.
    n_recorded : int
        Exposures with advice on record.
    differences : tuple of str
        A sentence for each of them on which the replay disagrees in any bit.
    """

    advisor: ScreeningAdvisor
    n_recorded: int
    differences: tuple[str, ...]


def screenings_of(source: RunSource, run_uids: Iterable[str]) -> dict[str, list[str]]:
    """Return the screenings to which runs belong, and for each the uids of all its runs."""
    found: dict[str, list[str]] = {}
    for run_uid in run_uids:
        _, start = next(source.documents(run_uid, lambda _: None))
        screening_uid = str(start.get(SCREENING_UID_KEY, ""))
        if screening_uid and screening_uid not in found:
            condition = Condition(SCREENING_UID_KEY, screening_uid)
            runs = source.find(RunQuery(conditions=(condition,)))
            found[screening_uid] = [run.uid for run in runs]
    return found


def replay_screening(runs: Iterable[Sequence[Document]]) -> ScreeningReplay:
    """Repeat a screening from the documents of its runs and compare it with what is on record.

    Parameters
    ----------
    runs : iterable of sequences of documents
        Of each sample's run; in any order, and the summary run may be among them.

    Raises
    ------
    ConfigurationError
        If no run carries the settings of an order of samples.
    """
    of_samples = sorted(
        (list(run) for run in runs if run and "sample_name" in run[0][1]),
        key=lambda run: float(run[0][1]["time"]),
    )
    settings = next(filter(None, map(_recorded_settings, of_samples)), {})
    agent, advisor = _fresh(settings)
    told: list[str] = []
    n_recorded = 0
    for run in of_samples:
        recorded = recorded_advice(run, stream=AGENT_STREAM, prefix=f"{AGENT_STREAM}_")
        n_recorded += len(recorded)
        repeated = _repeated(run, agent, advisor)
        name = run[0][1]["sample_name"]
        told += [f"{name}, {one}" for one in differences(repeated, recorded)]
    return ScreeningReplay(advisor, n_recorded, tuple(told))


def _recorded_settings(run: Sequence[Document]) -> dict[str, Any]:
    """Return the settings of the agent that steered a run; empty if none is on record."""
    for name, doc in run:
        if name == "descriptor" and doc.get("name") == AGENT_STREAM:
            return dict(doc.get("configuration", {}).get(AGENT_STREAM, {}).get("data", {}))
    return {}


def _fresh(settings: dict[str, Any]) -> tuple[PhaseAgent, ScreeningAdvisor]:
    missing = {"agent_configuration", SAMPLE_ORDER_KEY, SAMPLES_KEY} - settings.keys()
    if missing:
        raise ConfigurationError(
            "the runs of a screening must carry the settings of agent and order in their stream"
            f" 'agent', but {sorted(missing)} are missing; give the runs of one screening that a"
            " ScreeningAdvisor steered."
        )
    agent = PhaseAgent(configuration_from_json(str(settings["agent_configuration"])))
    order = SampleOrder(SampleOrderSettings.model_validate_json(str(settings[SAMPLE_ORDER_KEY])))
    sites = [
        SampleSite(one["name"], tuple(one["position_mm"]), tuple(one["composition"]))
        for one in json.loads(str(settings[SAMPLES_KEY]))
    ]
    time_field = str(settings.get(TIME_FIELD_KEY, ""))
    return agent, ScreeningAdvisor(agent, order, sites, time_field=time_field)


def _repeated(
    run: Sequence[Document], agent: PhaseAgent, advisor: ScreeningAdvisor
) -> Iterable[Advice]:
    """Yield the advice on each exposure, asked for where the plan did."""
    agent_descriptors: set[str] = set()
    for name, doc in run:
        if name == "event" and doc["descriptor"] in agent_descriptors:
            frame = int(doc["data"].get(f"{AGENT_STREAM}_frame_seq_num", 0))
            asked = advisor.advice(run[0][1]["uid"], agent.configuration.stream, frame)
            yield asked.result()
        if name == "descriptor" and doc.get("name") == AGENT_STREAM:
            agent_descriptors.add(doc["uid"])
        agent(name, doc)
        advisor(name, doc)
