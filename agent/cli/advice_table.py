"""A live table of what an agent finds, for whoever watches."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from phasepilot.agent.cli.action_colours import ACTION_COLOURS
from phasepilot.models.suggestion import Action, Advice

_N_ROWS = 20
_COLUMNS = ("frame", "axis", "phases", "space group", "strain", "change", "action", "reason")
_NUMBERS = ("frame", "axis", "strain", "change")


class AdviceTable:
    """Shows runs of analysis: a callback for their documents; use it as a context.

    Attributes
    ----------
    n_runs_ended : int
        Runs of analysis that have stopped.
    n_raw_runs : int
        Runs that are no analyses: an agent is needed to make something of them.
    """

    def __init__(self, console: Console) -> None:
        self._rows: deque[Advice] = deque(maxlen=_N_ROWS)
        self._title = "waiting for a run"
        self._analyses: set[str] = set()
        self._live = Live(self._table(), console=console, auto_refresh=False)
        self.n_runs_ended = 0
        self.n_raw_runs = 0

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Show one document of a run of analysis; those of other runs are passed over."""
        if name == "start":
            self._begin(doc)
        elif name == "descriptor" and doc["run_start"] in self._analyses:
            self._analyses.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._analyses:
            self._rows.append(Advice.from_values(doc["data"]))
        elif name == "stop" and doc["run_start"] in self._analyses:
            self._title += f", ended: {doc.get('exit_status', '')}"
            self.n_runs_ended += 1
        self._live.update(self._table(), refresh=True)

    def _begin(self, doc: Mapping[str, Any]) -> None:
        if "analysis_of" not in doc:
            self.n_raw_runs += 1
            return
        self._analyses = {doc["uid"]}
        self._rows.clear()
        self._title = f"run {doc['analysis_of']}"

    def _table(self) -> Table:
        table = Table(title=self._title, title_style="bold", expand=True)
        for column in _COLUMNS:
            is_number = column in _NUMBERS
            table.add_column(column, justify="right" if is_number else "left", no_wrap=is_number)
        for advice in self._rows:
            table.add_row(*_cells(advice), style=ACTION_COLOURS.get(Action(advice.action), ""))
        return table


def _cells(advice: Advice) -> tuple[Text | str, ...]:
    phases = advice.phases or f"{advice.crystal_system} {advice.crystal_system_probability:.0%}"
    group = f"{advice.space_group_number} {advice.space_group_probability:.0%}"
    return (
        str(advice.frame_seq_num),
        _number(advice.axis_value, ".4g"),
        Text(phases if advice.crystal_system else "unknown"),
        group if advice.space_group_number else "",
        _number(advice.strain, "+.4f"),
        _number(advice.change_probability, ".2f"),
        advice.action,
        Text(advice.problem or advice.reason),
    )


def _number(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else ""
