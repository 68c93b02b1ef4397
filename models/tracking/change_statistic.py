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

# On null runs (models/benchmarks/compression_runs.py, seeds that the benchmark does not report) the
# statistic rises above t about 10,000 exp(-(t - level) / scale) times in 10,000 frames. Printed by
# `python benchmarks/tracker_null_statistics.py --runs 100`: 10 times above 7.2, 3 times above 7.7;
# there and in 80 runs of another seed together, 27,000 frames, 3 times above 8.8, which is taken
# for a rate of 1. Two of the three reach 13 to 14, where a reflection of a stray crystal met a line
# that was learned wrongly: rates far below 1 are asked for more easily than kept.
NULL_LEVEL = 1.43
NULL_SCALE = 0.8
# The higher line counts at most this much more than the lower one.
_LEAD = 3.0
# Three lines of a height are rarer than two: what a third adds.
_THIRD = 0.0


@dataclass(frozen=True, slots=True)
class NullTail:
    """How often a statistic rises above t without a transition, and how often it may.

    About 10,000 exp(-(t - level) / scale) times in 10,000 frames; `share` is of the false alarms.
    """

    level: float
    scale: float
    share: float

    def on_common_scale(self, statistic: float) -> float:
        """Return the statistic as it would be if its tail were that of the alarm level."""
        surprise = (statistic - self.level) / self.scale + math.log(self.share)
        return NULL_LEVEL + NULL_SCALE * surprise


_NULL_TAILS = {
    SeenIn.NEW_LINES: NullTail(NULL_LEVEL, NULL_SCALE, 0.7),
    SeenIn.FADING: NullTail(0.5, 0.3, 0.1),
    SeenIn.RATIOS: NullTail(0.5, 0.2, 0.1),
    SeenIn.WIDTHS: NullTail(0.5, 0.2, 0.1),
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
        """The kind that speaks most, and how much on the alarm level's scale; never below 0."""
        statistic, kind = max(
            (_NULL_TAILS[kind].on_common_scale(one), kind) for kind, one in self.by_kind.items()
        )
        return kind, max(0.0, statistic)


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
    heights = [line.significance for line in lines]
    first, second, third = (*heights, 0.0, 0.0, 0.0)[:3]
    pair = (min(first, second + _LEAD) + second) / math.sqrt(2)
    three = (min(first, third + _LEAD) + min(second, third + _LEAD) + third) / math.sqrt(3)
    return max(pair, three + _THIRD)


def alarm_level(false_alarms_per_10000_frames: float) -> float:
    """Return the statistic that null runs exceed this often.

    Examples
    --------
    >>> round(alarm_level(1.0), 1)
    8.8
    """
    return NULL_LEVEL + NULL_SCALE * math.log(1e4 / false_alarms_per_10000_frames)


def change_probability(statistic: float, level: float, frames_between_changes: float) -> float:
    """Return the probability that phases have begun to change.

    Odds are even at the alarm level when a change is expected every 100 frames, and in proportion
    to how often one is expected. They follow the statistic as the null runs' tail does.
    """
    odds = (statistic - level) / NULL_SCALE - math.log(frames_between_changes / 100)
    return 1 / (1 + math.exp(-min(max(odds, -500.0), 500.0)))
