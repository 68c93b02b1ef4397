"""What simulated devices do wrong on request.

Every device takes ``fault_at``, a mapping from the number of an act to its fault, and acts are
counted from 1 since the device was staged: moves of a positioner, exposures of a detector. In a
plain scan the number is the `seq_num` of the event. A beam that is lost for a while is several
exposures::

    detector.fault_at = dict.fromkeys(range(40, 61), CountingFault.DROPPED_BEAM)

The mapping may be replaced at any time. `powder_detector.Fault` lists what whole frames may be
instead.
"""

from enum import Enum


class MoveFault(Enum):
    """What may become of a move."""

    STUCK = "it stays where it was, and the move fails after the positioner's time-out"
    NOISY_READBACK = "it arrives, but until the next move its readings scatter"


class CountingFault(Enum):
    """What may become of an exposure."""

    DROPPED_BEAM = "the detector counts its own dark counts only"
    ZEROS = "a dead detector that counts nothing at all"
    NAN = "a dead detector that hands over NaN"
    MISSING = "the field is not in the reading at all"
    ERROR = "the exposure fails with an error"
