"""An EPICS IOC of the agent's latest finding: a process variable for each column that people watch.

Every variable carries the alarm of the frame: MAJOR while a new phase grows, MINOR where the
pattern is of a kind that the answer cannot be trusted for, INVALID where nothing is known or the
agent is not heard of.
"""

import asyncio
import math
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from caproto import AlarmSeverity, AlarmStatus, ChannelType
from caproto.server import PVGroup, pvproperty

from phasepilot.agent.archive.document_codec import Document
from phasepilot.models.suggestion import Advice
from phasepilot.models.tracking.phase_state import Stage

_TEXT_LENGTH = 512
# A frame a minute is slow; after so long without one, nobody should trust what is shown.
DEFAULT_STALE_S = 600.0
_LOOK_EVERY_S = 0.5
_NUMBERS = (
    *("axis_value", "crystal_system_probability", "space_group_number"),
    *("space_group_probability", "entropy_bits", "novelty", "strain", "strain_uncertainty"),
    *("volume_ratio", "change_probability", "new_phase_fraction", "pressure_gpa"),
)


def _number(units: str = "") -> Any:
    return pvproperty(value=math.nan, dtype=float, read_only=True, units=units, precision=4)


def _text() -> Any:
    # An array of characters: a string of EPICS ends after 39.
    return pvproperty(value="", dtype=ChannelType.CHAR, max_length=_TEXT_LENGTH, read_only=True)


class AgentIOC(PVGroup):  # type: ignore[misc]  # caproto carries no types
    """Process variables of what an agent finds in the runs of others.

    Parameters
    ----------
    prefix : str
    stale_s : float
        After so long without a frame everything is INVALID.
    """

    run_uid = _text()
    frame = pvproperty(value=0, read_only=True)
    phase = _text()
    suggestion = _text()
    action = _text()
    state = _text()
    verdict = _text()
    problem = _text()
    severity = pvproperty(value=int(AlarmSeverity.INVALID_ALARM), read_only=True)
    axis_value = _number()
    crystal_system_probability = _number()
    space_group_number = pvproperty(value=0, read_only=True)
    space_group_probability = _number()
    entropy_bits = _number("bit")
    novelty = _number()
    strain = _number()
    strain_uncertainty = _number()
    volume_ratio = _number()
    change_probability = _number()
    new_phase_fraction = _number()
    pressure_gpa = _number("GPa")

    def __init__(self, prefix: str, *, stale_s: float = DEFAULT_STALE_S) -> None:
        super().__init__(prefix=prefix)
        self._stale_s = stale_s
        self._shown_at = -math.inf

    async def show(self, advice: Advice) -> None:
        """Bring all process variables up to the advice on a frame."""
        self._shown_at = time.monotonic()
        for name in _NUMBERS:
            await getattr(self, name).write(getattr(advice, name))
        for name in ("action", "state", "verdict", "problem"):
            await self._write_text(name, getattr(advice, name))
        await self._write_text("phase", phase_text(advice))
        await self._write_text("suggestion", f"{advice.action}: {advice.reason}")
        # The last value, so that who monitors it finds the rest up to date.
        await self.frame.write(advice.frame_seq_num)
        await self._raise_alarm(severity_of(advice))

    async def begin(self, run_uid: str) -> None:
        """Show which run it is from now on."""
        await self._write_text("run_uid", run_uid)

    async def invalidate_if_stale(self) -> None:
        """Raise the alarm when the agent has not been heard of for too long."""
        is_stale = time.monotonic() - self._shown_at > self._stale_s
        if is_stale and self.severity.value != AlarmSeverity.INVALID_ALARM:
            await self._write_text("phase", "unknown: the agent is not heard of")
            await self._write_text("suggestion", "")
            await self._raise_alarm(AlarmSeverity.INVALID_ALARM)

    @frame.startup
    async def frame(self, instance: Any, async_lib: Any) -> None:
        """Raise the alarm until something is known, and after that look for silence."""
        await self._raise_alarm(AlarmSeverity.INVALID_ALARM)
        while True:
            await self.invalidate_if_stale()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _raise_alarm(self, severity: AlarmSeverity) -> None:
        is_calm = severity == AlarmSeverity.NO_ALARM
        status = AlarmStatus.NO_ALARM if is_calm else AlarmStatus.STATE
        await self.severity.write(int(severity))
        # After all values: to write a number takes back the alarm, which all variables share.
        await self.alarms[None].write(status=status, severity=severity)

    async def _write_text(self, name: str, text: str) -> None:
        encoded = text.encode("latin-1", "replace")[: _TEXT_LENGTH - 1]
        await getattr(self, name).write(encoded.decode("latin-1"))


class AnalysisFollower:
    """Shows the runs of analysis among documents; a callback for them, in any thread.

    Parameters
    ----------
    ioc : AgentIOC
    loop : asyncio.AbstractEventLoop
        In which the IOC runs.
    """

    def __init__(self, ioc: AgentIOC, loop: asyncio.AbstractEventLoop) -> None:
        self._ioc = ioc
        self._loop = loop
        self._descriptors: set[str] = set()
        self._run_uid = ""

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Show what a document of a run of analysis says; others are passed over."""
        if name == "start" and "analysis_of" in doc:
            self._run_uid = doc["uid"]
            self._submit(self._ioc.begin(str(doc["analysis_of"])))
        elif name == "descriptor" and doc["run_start"] == self._run_uid:
            self._descriptors = {doc["uid"]}
        elif name == "event" and doc["descriptor"] in self._descriptors:
            self._submit(self._ioc.show(Advice.from_values(doc["data"])))

    def _submit(self, step: Any) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop)


def follow_in_thread(
    follower: AnalysisFollower, documents: Iterable[tuple[str, Document] | None]
) -> threading.Thread:
    """Have a follower take documents in a thread of its own, which ends with the process."""

    def work() -> None:
        for document in documents:
            if document is not None:
                follower(*document)

    thread = threading.Thread(target=work, name="phasepilot-ioc", daemon=True)
    thread.start()
    return thread


def severity_of(advice: Advice) -> AlarmSeverity:
    """Return how alarming a finding is.

    Examples
    --------
    >>> severity_of(Advice.none(1, "the shutter is closed")).name
    'INVALID_ALARM'
    """
    if not advice.crystal_system:
        return AlarmSeverity.INVALID_ALARM
    if advice.state == Stage.CHANGING:
        return AlarmSeverity.MAJOR_ALARM
    return AlarmSeverity.MINOR_ALARM if advice.verdict == "unknown" else AlarmSeverity.NO_ALARM


def phase_text(advice: Advice) -> str:
    """Return what a screen shows for the phase: known phases, or else the crystal system."""
    if not advice.crystal_system:
        return f"unknown: {advice.problem}"
    return advice.phases or advice.crystal_system
