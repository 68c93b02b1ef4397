"""A readable that puts advice and decision on record, in a stream of the run that they steer."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from phasepilot.models.suggestion import Advice, advice_data_keys
from phasepilot.plans.decision import Decision, Obedience, decide, decision_data_keys


class AdviceRecorder:
    """Reads the decision on the current frame; `trigger_and_read([recorder], name="agent")`.

    What it has read last, `latest`, is what the plan obeys: record and scan cannot disagree, also
    when a pause makes the RunEngine repeat both.

    Parameters
    ----------
    settings : mapping
        What goes on record once, as the configuration of the stream.
    clock : callable
        Gives the time stamps.
    """

    parent = None

    def __init__(
        self,
        settings: Mapping[str, str | float | int],
        *,
        name: str = "agent",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.latest = decide(
            Advice.none(0, "no frame yet"), order=None, obedience=Obedience.OBEY, limit=None
        )
        self.source: Callable[[], Decision] = lambda: self.latest
        self._settings = dict(settings)
        self._clock = clock

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the decision as it stands now, one reading a column."""
        self.latest = self.source()
        now = self._clock()
        return {
            f"{self.name}_{column}": {"value": value, "timestamp": now}
            for column, value in self.latest.values().items()
        }

    def describe(self) -> dict[str, Mapping[str, Any]]:
        """Return the data keys of the columns."""
        keys = advice_data_keys("phasepilot") | decision_data_keys("phasepilot")
        return {f"{self.name}_{column}": key for column, key in keys.items()}

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Return version, model and configuration of the advisor."""
        now = self._clock()
        return {name: {"value": value, "timestamp": now} for name, value in self._settings.items()}

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the data keys of the settings."""
        return {
            name: {
                "source": "phasepilot",
                "dtype": "string" if isinstance(value, str) else "number",
                "shape": [],
            }
            for name, value in self._settings.items()
        }
