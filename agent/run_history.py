"""What the agent knows of one run: advice by frame, and the way back when frames repeat."""

from collections import OrderedDict
from dataclasses import dataclass

from phasepilot.agent.compression_report import PhaseCompression
from phasepilot.agent.frame_pipeline import NOTHING_REMEMBERED, FramePipeline, Memory
from phasepilot.agent.frames import Frame
from phasepilot.models.suggestion import Advice

# A paused scan goes back to its last checkpoint, a point or a few; memories hold a pattern each.
MAX_MEMORIES = 256
# Of a run of 100,000 frames, advice on all would take a gigabyte; it is on record anyway.
MAX_ADVICE = 10_000


@dataclass(frozen=True, slots=True)
class RunReport:
    """What was found in a run so far.

    Attributes
    ----------
    advice : tuple of Advice
        One a frame, in order of sequence number; the last one of a repeated frame. Of a run of
        more than `MAX_ADVICE` frames only the newest ones.
    onset_interval : tuple of float or None
        Readings of the scanned axis between which the first phase change began, the lower one
        first: of the last frame without the new lines and of the first with them. None while there
        is none.
    problems : tuple of str
        Sentences on frames and documents that could not be used.
    compression : tuple of PhaseCompression
        The equation of state that each known phase followed, where pressures and enough volumes of
        it are known.
    """

    run_uid: str
    advice: tuple[Advice, ...]
    onset_interval: tuple[float, float] | None
    problems: tuple[str, ...]
    compression: tuple[PhaseCompression, ...] = ()


class RunHistory:
    """Judges the frames of one run in order, and rolls back when a sequence number repeats."""

    def __init__(self, run_uid: str, pipeline: FramePipeline) -> None:
        self.run_uid = run_uid
        self._pipeline = pipeline
        self._memories: OrderedDict[int, Memory] = OrderedDict()
        self._advice: dict[int, Advice] = {}
        self._early_onset: tuple[float, float] | None = None
        self._n_forgotten = 0
        self.problems: list[str] = []

    def judge(self, frame: Frame) -> Advice:
        """Return the advice on a frame, which replaces a former one of its number."""
        memory = self._memory_before(frame.seq_num)
        advice, memory = self._pipeline.judge(memory, frame)
        self._remember(advice, memory)
        return advice

    def skip(self, seq_num: int, problem: str) -> Advice:
        """Put on record that a frame was not looked at, and return that."""
        advice = Advice.none(seq_num, problem)
        self._remember(advice, self._memory_before(seq_num))
        return advice

    def _memory_before(self, seq_num: int) -> Memory:
        """Return what was known before a frame, and forget what came from it on."""
        if self._advice and seq_num <= next(reversed(self._advice)):
            for known in (self._memories, self._advice):
                for number in [number for number in known if number >= seq_num]:
                    del known[number]
        if self._memories:
            return next(reversed(self._memories.values()))
        if self._advice:
            self.problems.append(
                f"frame {seq_num} repeats more than the {MAX_MEMORIES} frames that are remembered;"
                " the sample is followed anew from here."
            )
        return NOTHING_REMEMBERED

    def _remember(self, advice: Advice, memory: Memory) -> None:
        self._memories[advice.frame_seq_num] = memory
        if len(self._memories) > MAX_MEMORIES:
            self._memories.popitem(last=False)
        self._advice[advice.frame_seq_num] = advice
        if len(self._advice) > MAX_ADVICE:
            self._forget_older_half()

    def _forget_older_half(self) -> None:
        numbers = sorted(self._advice)
        if self._early_onset is None:
            known = tuple(self._advice[number] for number in numbers)
            self._early_onset = onset_interval(known)
        # A new dictionary, since a report may be reading the old one in another thread.
        self._advice = {number: self._advice[number] for number in numbers[MAX_ADVICE // 2 :]}
        self._n_forgotten += MAX_ADVICE // 2

    def report(self) -> RunReport:
        """Return what was found so far."""
        # Copied at once: the agent's thread may add to it meanwhile.
        known = dict(self._advice)
        advice = tuple(known[number] for number in sorted(known))
        problems = [f"frame {a.frame_seq_num}: {a.problem}" for a in advice if a.problem]
        if self._n_forgotten:
            problems.append(
                f"the first {self._n_forgotten} frames are no longer in memory; they stand in the"
                " records of the run"
            )
        onset = self._early_onset or onset_interval(advice)
        return RunReport(self.run_uid, advice, onset, (*self.problems, *problems))


def onset_interval(advice: tuple[Advice, ...]) -> tuple[float, float] | None:
    """Return the axis readings around the first frame of the first change, or None.

    The lower one comes first: scans go both ways, and a gauge may be noisier than a step is long.
    """
    changing = next((a for a in advice if a.state == "changing"), None)
    if changing is None:
        return None
    seen = [a for a in advice if a.state]
    first = next(a for a in seen if a.frame_seq_num >= changing.changed_since_seq_num)
    before = [a for a in seen if a.frame_seq_num < first.frame_seq_num]
    last = before[-1] if before else first
    low, high = sorted((last.axis_value, first.axis_value))
    return low, high
