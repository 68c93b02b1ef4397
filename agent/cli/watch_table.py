"""The latest frames of live runs in a table that is drawn anew as they come."""

from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.live import Live
from rich.table import Table

from phasepilot.agent.cli.console import console
from phasepilot.models.suggestion import Advice

_N_ROWS = 15
_REDRAWS_PER_S = 8


class WatchTable:
    """A subscriber of the agent that shows what it publishes; use it as a context."""

    def __init__(self) -> None:
        self._rows: deque[tuple[str, ...]] = deque(maxlen=_N_ROWS)
        self._title = "waiting for a run"
        self._n_frames = 0
        self._live = Live(console=console, refresh_per_second=_REDRAWS_PER_S)

    def __enter__(self) -> Self:
        self._live.start()
        self._live.update(self._table())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.update(self._table(), refresh=True)
        self._live.stop()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Show one document of the agent's run of analysis; called in the agent's thread."""
        if name == "start":
            self._title, self._n_frames = f"run {doc['analysis_of']}", 0
            self._rows.clear()
        elif name == "event":
            self._n_frames += 1
            self._rows.append(_row(Advice.from_values(doc["data"])))
        elif name == "stop":
            self._title += f" ({doc['exit_status']}, {self._n_frames} frames)"
        self._live.update(self._table())

    def _table(self) -> Table:
        table = Table(title=self._title, title_justify="left")
        for heading in ("frame", "axis", "crystal system", "strain", "change", "action"):
            is_number = heading in ("frame", "axis", "strain", "change")
            table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
        for row in self._rows:
            table.add_row(*row)
        return table


def _row(advice: Advice) -> tuple[str, ...]:
    system = "unknown"
    if advice.crystal_system:
        system = f"{advice.crystal_system} {advice.crystal_system_probability:.0%}"
    return (
        str(advice.frame_seq_num),
        f"{advice.axis_value:.3f}",
        system,
        f"{advice.strain:+.4f}",
        f"{advice.change_probability:.0%}",
        advice.problem or f"{advice.action}: {advice.reason}",
    )
