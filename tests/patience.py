"""How long tests wait for what must come: long, for the machine may be busy with other things."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest

from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.sockets.remote_agent import RemoteAgent
from phasepilot.plans.adaptive_two_theta_scan import adaptive_two_theta_scan
from phasepilot.plans.compression_scan import compression_scan
from phasepilot.plans.count_until_confident import count_until_confident
from phasepilot.plans.rotation_scan import rotation_scan
from phasepilot.plans.screening_loop import screening_loop

# A first frame may wait for numba to compile, on processors that others use.
PATIENCE_S = 240.0
_PLANS: tuple[Any, ...] = (
    *(adaptive_two_theta_scan, compression_scan),
    *(count_until_confident, rotation_scan, screening_loop),
)


def be_patient(change: pytest.MonkeyPatch) -> None:
    """Let whoever names no time-out wait long; what is tested of time-outs names its own."""
    for plan in _PLANS:
        change.setitem(plan.__kwdefaults__, "advice_timeout_s", PATIENCE_S)
    change.setitem(RemoteAgent.__init__.__kwdefaults__, "silence_s", PATIENCE_S)
    for method in (RemoteAgent.wait_until_connected, PhaseAgent.wait):
        change.setattr(method, "__defaults__", (PATIENCE_S,))


def wait_until(is_so: Callable[[], object], *, look_every_s: float = 0.02) -> None:
    """Wait until something is so; raise when it never becomes so."""
    deadline = monotonic() + PATIENCE_S
    while not is_so():
        if monotonic() > deadline:
            raise TimeoutError(f"it did not come about within {PATIENCE_S:g} s")
        sleep(look_every_s)
