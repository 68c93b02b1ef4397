"""Repeat exposures until the answer is settled or the budget is spent."""

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any

from bluesky.protocols import Movable, Readable
from bluesky.utils import Msg

from phasepilot.plans.advisor import Advisor
from phasepilot.plans.decision import Obedience
from phasepilot.plans.dwell import DwellLimits, devices_to_read, restoring_dwell
from phasepilot.plans.exposures import ExposureLimits, exposures
from phasepilot.plans.override import Override
from phasepilot.plans.steered_run import names_of, staged_run
from phasepilot.plans.steering import Steering


def count_until_confident(
    detectors: Sequence[Readable[Any]],
    *,
    max_exposures: int,
    dwell_s: float,
    dwell: Movable[Any] | None = None,
    min_dwell_s: float | None = None,
    max_dwell_s: float | None = None,
    max_exposure_s: float = math.inf,
    max_time_s: float = math.inf,
    advisor: Advisor | None = None,
    override: Override | None = None,
    obedience: Obedience = Obedience.OBEY,
    advice_timeout_s: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
    md: Mapping[str, Any] | None = None,
) -> Generator[Msg, Any, str]:
    """Take exposures of one sample until the advisor says stop, at most `max_exposures`.

    Without an advisor, or with one that is late, silent or failing, all of them are taken.

    Parameters
    ----------
    detectors : list of Readable
        Read at each exposure, in the stream ``primary``.
    dwell_s : float
        How long an exposure is without advice.
    dwell : Movable, optional
        What sets the exposure, such as ``detector.exposure_s``; put back at the end. Without it,
        exposures stay as the detector takes them.
    min_dwell_s, max_dwell_s : float, optional
        Limits of advised exposures; a tenth of `dwell_s` and ten times it, if not given.
    max_exposure_s, max_time_s : float
        Sum of exposures, and time of the clock, that are not exceeded whatever the advice; the
        first exposure is always taken.
    advisor, override, obedience, advice_timeout_s
        See `phasepilot.plans.steering.Steering`.
    md : mapping, optional

    Yields
    ------
    Msg

    Returns
    -------
    str
        The uid of the run.
    """
    limits = ExposureLimits(
        DwellLimits.for_signal(dwell, dwell_s, min_dwell_s=min_dwell_s, max_dwell_s=max_dwell_s),
        max_exposures,
        max_exposure_s,
        max_time_s,
    )
    steering = Steering(advisor, override=override, obedience=obedience, timeout_s=advice_timeout_s)
    devices = devices_to_read(detectors, dwell)
    metadata = {
        "plan_name": "count_until_confident",
        "detectors": names_of(detectors),
        "plan_args": limits.plan_args(),
        "hints": {"dimensions": [(("time",), "primary")]},
        **steering.metadata(),
        **(md or {}),
    }
    points = partial(exposures, devices, dwell, limits, steering, clock)
    run_uid: str = yield from restoring_dwell(staged_run(devices, metadata, points), dwell)
    return run_uid
