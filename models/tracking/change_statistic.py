"""How strongly a frame speaks for a change of phase, and how often noise alone does.

Unexplained lines are one kind of evidence; how known lines fade, change their ratios and broaden
are three others. Each has a tail of its own in runs without a transition. They are brought to the
same scale, and the strongest counts.

A new phase brings several lines; a reflection of a diamond or of a stray crystal is a single one.
So the evidence of new lines takes the two highest, and lets the higher one count only a little more
than the lower one. A phase that shows a single line in the measured range is missed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from phasepilot.models.tracking.left_over import UnexplainedLine
from phasepilot.models.tracking.phase_state import SeenIn
from phasepilot.models.tracking.watched_lines import LineChanges

# On null runs of samples and seeds that no benchmark reports, evidence rises above t about 10,000
# exp(-(t - level) / scale) times in 10,000 frames, drawn through where that happens 10 times and
# once: all as `python benchmarks/tracker_null_statistics.py --runs 142` prints it. New lines come
# highest where the axes of a cell yield differently (quartz, ZnO). While lines are still told apart
# none of the frames came near, so that they need no tail of their own.
NULL_LEVEL = -9.3
NULL_SCALE = 2.19
# Of the false alarms, new lines may raise so many; the three other kinds share the rest.
_SHARE_OF_NEW_LINES = 0.7
# The higher line counts at most this much more than the lower one.
_LEAD = 3.0


@dataclass(frozen=True, slots=True)
class NullTail:
    """How often a statistic of known lines rises above t without a transition.

    About 10,000 exp(-(t - level) / scale) times in 10,000 frames.
    """

    level: float
    scale: float

    def on_scale_of_new_lines(self, statistic: float) -> float:
        """Return the evidence of new lines that is as rare, for its share of false alarms."""
        share = (1 - _SHARE_OF_NEW_LINES) / len(_KNOWN_LINES)
        surprise = (statistic - self.level) / self.scale + math.log(share / _SHARE_OF_NEW_LINES)
        return NULL_LEVEL + NULL_SCALE * surprise


_KNOWN_LINES = {
    SeenIn.FADING: NullTail(-0.90, 0.28),
    SeenIn.RATIOS: NullTail(-1.90, 0.39),
    SeenIn.WIDTHS: NullTail(-1.35, 0.30),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a change in a frame; see `change_statistic` and `LineChanges`."""

    new_lines: float
    known_lines: LineChanges

    @property
    def by_kind(self) -> dict[SeenIn, float]:
        """Each kind of evidence, as it is."""
        known = self.known_lines
        return {
            SeenIn.NEW_LINES: self.new_lines,
            SeenIn.FADING: known.fading,
            SeenIn.RATIOS: known.ratios,
            SeenIn.WIDTHS: known.widths,
        }

    @property
    def strongest(self) -> tuple[SeenIn, float]:
        """The kind that speaks most, and how much, on the scale of new lines."""
        kind, statistic = SeenIn.NEW_LINES, self.new_lines
        for known, tail in _KNOWN_LINES.items():
            rare = tail.on_scale_of_new_lines(self.by_kind[known])
            if rare > statistic:
                kind, statistic = known, rare
        return kind, statistic


def change_statistic(lines: Sequence[UnexplainedLine]) -> float:
    """Return the joint significance of the two highest lines, in standard deviations.

    Parameters
    ----------
    lines : sequence of UnexplainedLine
        Highest first.

    Examples
    --------
    >>> lone = [UnexplainedLine(100, 90.0), UnexplainedLine(300, 3.0)]
    >>> pair = [UnexplainedLine(100, 9.0), UnexplainedLine(300, 8.0)]
    >>> round(change_statistic(lone), 1), round(change_statistic(pair), 1)
    (6.4, 12.0)
    """
    heights = [line.significance for line in lines[:2]]
    first, second = (*heights, 0.0, 0.0)[:2]
    return (min(first, second + _LEAD) + second) / math.sqrt(2)


def alarm_level(false_alarms_per_10000_frames: float) -> float:
    """Return the evidence that null runs exceed this often, on the scale of new lines.

    Examples
    --------
    >>> round(alarm_level(1.0), 1)
    11.7
    """
    of_new_lines = _SHARE_OF_NEW_LINES * false_alarms_per_10000_frames
    return NULL_LEVEL + NULL_SCALE * math.log(1e4 / of_new_lines)


def change_probability(statistic: float, level: float, frames_between_changes: float) -> float:
    """Return the probability that phases have begun to change.

    Odds are even at the alarm level when a change is expected every 100 frames, and in proportion
    to how often one is expected. They follow the statistic as the null runs' tail does.
    """
    odds = (statistic - level) / NULL_SCALE - math.log(frames_between_changes / 100)
    return 1 / (1 + math.exp(-min(max(odds, -500.0), 500.0)))
