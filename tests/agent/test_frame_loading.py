"""Frames filled from files."""

import numpy as np

from phasepilot.agent.frame_loading import summed_exposures


def test_exposures_of_an_event_keep_the_marks_of_dead_pixels() -> None:
    stack = np.ones((3, 4, 4), dtype=np.int32)
    stack[1, 0, 0] = -1
    summed, _ = summed_exposures(stack, 2)
    assert np.isnan(summed[0, 0])
    assert summed[1, 1] == 3
