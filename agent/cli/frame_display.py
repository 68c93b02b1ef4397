"""A line for each frame and a bar for the range, while a scan runs."""

import math
from collections.abc import Mapping
from typing import Any, Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from phasepilot.agent.cli.action_colours import ACTION_COLOURS
from phasepilot.agent.cli.console import console
from phasepilot.models.suggestion import Action, Advice

_HEADING = f"{'frame':>5} {'pressure':>11} {'crystal system':<16} {'strain':>8} action"


class FrameDisplay:
    """A subscriber of the agent that shows what it publishes; use it as a context."""

    def __init__(self, start: float, stop: float, units: str) -> None:
        self._start, self._stop, self._units = start, stop, units
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(40), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task("compressing", total=abs(stop - start))

    def __enter__(self) -> Self:
        console.print(_HEADING, style="bold")
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Show one document of the agent's run of analysis."""
        if name != "event":
            return
        advice = Advice.from_values(doc["data"])
        # Reasons are cut to the width of the screen; the report has them whole.
        self._bar.console.print(self._line(advice), no_wrap=True, overflow="ellipsis")
        if math.isfinite(advice.axis_value):
            self._bar.update(self._task, completed=abs(advice.axis_value - self._start))

    def _line(self, advice: Advice) -> Text:
        system = f"{advice.crystal_system} {advice.crystal_system_probability:.0%}"
        if not advice.crystal_system:
            system = "unknown"
        told = advice.problem or f"{advice.action}: {advice.reason}"
        return Text(
            f"{advice.frame_seq_num:>5} {advice.axis_value:>7.3f} {self._units:<3} {system:<16}"
            f" {advice.strain:>+8.4f} {told}",
            style=ACTION_COLOURS.get(Action(advice.action), "dim"),
        )
