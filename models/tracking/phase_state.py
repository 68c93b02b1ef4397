"""What the tracker says of a sample, and what it may be told beforehand."""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where the sample stands."""

    STABLE = "stable"
    CHANGING = "changing"
    ESTABLISHED = "established"


class SeenIn(StrEnum):
    """Which lines speak most for a change of phase."""

    NEW_LINES = "new lines"
    FADING = "known lines fade"
    RATIOS = "known lines change their ratios"
    WIDTHS = "known lines broaden or split"


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """What the tracker takes for granted.

    Attributes
    ----------
    false_alarms_per_10000_frames : float
        How many alarms without a phase change are acceptable.
    frames_between_changes : float
        How many frames pass between phase changes on average: the prior of the change detector.
        The rate of false alarms holds from 100 on; expecting changes more often costs more.
    max_strain_step : float
        Largest strain between two frames.
    alarm_probability : float
        From this probability on the sample counts as changing.
    learning_frames : int
        How many first frames teach the noise and which lines belong to the sample; no alarm then.
    declared_d_spacings_angstrom : tuple of float
        Lines to leave out of account: of diamonds, gasket, medium or single crystals.
    declared_tolerance : float
        How far around them, relative.
    established_fraction : float
        Share of intensity in new lines from which the new phase counts as established.
    established_frames : int
        For how many frames running.
    settled_frames : int
        After how many frames at the same share phases that coexist count as established, too.
    quiet_frames : int
        After how many frames without new lines an alarm is taken back.
    lost_beam_ratio : float
        Below this share of the last frame's intensity a frame is not believed.
    """

    false_alarms_per_10000_frames: float = 1.0
    frames_between_changes: float = 100.0
    max_strain_step: float = 0.012
    alarm_probability: float = 0.5
    learning_frames: int = 8
    declared_d_spacings_angstrom: tuple[float, ...] = ()
    declared_tolerance: float = 0.012
    established_fraction: float = 0.9
    established_frames: int = 2
    settled_frames: int = 25
    quiet_frames: int = 5
    lost_beam_ratio: float = 0.03


@dataclass(frozen=True, slots=True)
class PhaseState:
    """What is known of the sample after a frame.

    Attributes
    ----------
    strain : float
        Linear strain of the lattice against the first frame of the current phase; negative when
        compressed. While phases coexist it is the strain of the old one.
    strain_uncertainty : float
        One standard deviation.
    volume_ratio : float
        V / V0 against that frame, (1 + strain)^3.
    excess : float
        Evidence of a change: joint significance of the unexplained lines in standard deviations,
        or what known lines do, brought to the same scale.
    change_probability : float
        Probability that a phase change has begun.
    new_phase_fraction : float
        Share of the line intensity in lines that the old phase does not have; of lines that fade
        the share that is lost.
    stage : Stage
    changed_since_seq_num : int
        Frame since which the change is seen; 0 when there is none.
    is_beam_lost : bool
        The frame had so little intensity that it was passed over.
    seen_in : SeenIn
        What the change, or the suspicion of one, was seen in first.
    """

    strain: float
    strain_uncertainty: float
    volume_ratio: float
    excess: float
    change_probability: float
    new_phase_fraction: float
    stage: Stage
    changed_since_seq_num: int
    is_beam_lost: bool = False
    seen_in: SeenIn = SeenIn.NEW_LINES
