"""When a method noticed the transitions of simulated runs."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from phasepilot.models.benchmarks.compression_following import TRACKER, FollowedRun
from phasepilot.models.benchmarks.run_courses import Change, RunKind

ALLOWED_DELAY_FRAMES = 2


@dataclass(frozen=True, slots=True)
class Level:
    """From which progress of a change on it should be noticed, and what that is called."""

    progress: float
    meaning: str


_NEW_PHASE = Level(0.05, "5 wt% of the new phase")
NOTICEABLE = {
    RunKind.PRESSURE: _NEW_PHASE,
    RunKind.TEMPERATURE: _NEW_PHASE,
    RunKind.LOOP: _NEW_PHASE,
    RunKind.CONTINUOUS: Level(0.008, "a splitting of 0.8 %, one to two widths of a line,"),
    RunKind.FADING: Level(0.5, "the loss of half the lines' intensity"),
    RunKind.RATIOS: Level(0.5, "half of the change of the lines' ratios"),
}


@dataclass(frozen=True, slots=True)
class Noticing:
    """One transition of a run, and the frame of the first alarm in it; infinity without one."""

    run: FollowedRun
    change: Change
    alarm: float

    @property
    def is_noticed(self) -> bool:
        """Whether there was an alarm at all."""
        return math.isfinite(self.alarm)

    def is_noticed_at(self, progress: float, allowed_frames: int) -> bool:
        """Return whether the alarm came in time; a progress never reached asks for any alarm."""
        frame = self.change.first_frame_with(progress)
        return self.alarm <= (frame if frame is not None else self.run.gauge.size) + allowed_frames

    def delay_frames(self, progress: float) -> float:
        """Return the frames from this progress to the alarm; the rest of the run without one."""
        frame = self.change.first_frame_with(progress)
        last = self.run.gauge.size
        return min(self.alarm, last) - (frame if frame is not None else last)

    def onset_error(self, method: str) -> float:
        """Return by how much the alarm is off, in what is varied; the tracker says since when."""
        since = int(self.alarm)
        if method == TRACKER and self.run.changed_since[since] >= 0:
            since = int(self.run.changed_since[since])
        return abs(float(self.run.gauge[since]) - self.change.onset)


def noticings(
    runs: Sequence[FollowedRun], method: str, threshold: float, kinds: Collection[RunKind]
) -> list[Noticing]:
    """Return every transition of the runs of these kinds, with the first alarm before the next."""
    found = []
    for run in runs:
        if run.kind not in kinds:
            continue
        alarms = run.alarms(method, threshold)
        onsets = [change.first_frame_with(1e-9) or 0 for change in run.changes]
        ends = [*onsets[1:], run.gauge.size]
        for change, first, end in zip(run.changes, onsets, ends, strict=True):
            within = [frame for frame in alarms if first <= frame < end]
            found.append(Noticing(run, change, float(within[0]) if within else math.inf))
    return found
