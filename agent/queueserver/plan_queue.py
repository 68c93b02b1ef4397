"""The queue of an RE Manager, as far as one plan for one sample at a time is concerned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bluesky_queueserver_api import BPlan
from bluesky_queueserver_api.zmq import REManagerAPI

from phasepilot.agent.errors import QueueError


@dataclass(frozen=True, slots=True)
class WaitingPlan:
    """A plan in the queue.

    Attributes
    ----------
    uid : str
    sample : str
    is_first : bool
        Whether it is the next to run.
    """

    uid: str
    sample: str
    is_first: bool


class PlanQueue:
    """Puts ``plan_name(sample=..., dwell_s=...)`` into the queue of an RE Manager.

    Plans of other names, and samples of other names, are never touched.

    Parameters
    ----------
    address : str
        Where the manager is controlled, such as ``tcp://127.0.0.1:60615``.
    plan_name : str
    user : str
        Under which plans are added, so that people see whose they are.
    public_key : str, optional
        Of the manager, where it encrypts.
    """

    def __init__(
        self,
        address: str,
        plan_name: str = "measure_sample",
        *,
        user: str = "phasepilot",
        user_group: str = "primary",
        public_key: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._address = address
        self._plan_name = plan_name
        self._manager = REManagerAPI(
            zmq_control_addr=address,
            zmq_public_key=public_key,
            timeout_recv=timeout_s,
            request_fail_exceptions=True,
        )
        self._manager.user = user
        self._manager.user_group = user_group

    def waiting(self) -> tuple[WaitingPlan, ...]:
        """Return the plans for samples that wait, in order."""
        items = self._told("queue_get", reload=True)["items"]
        return tuple(
            WaitingPlan(item["item_uid"], str(item["kwargs"]["sample"]), position == 0)
            for position, item in enumerate(items)
            if item["name"] == self._plan_name and "sample" in item.get("kwargs", {})
        )

    def put_first(self, sample: str, dwell_s: float) -> None:
        """Add a plan that is the next to run."""
        plan = BPlan(self._plan_name, sample=sample, dwell_s=dwell_s)
        self._told("item_add", plan, pos="front")

    def bring_forward(self, waiting: WaitingPlan) -> None:
        """Make a plan that waits the next to run."""
        if not waiting.is_first:
            self._told("item_move", uid=waiting.uid, pos_dest="front")

    def close(self) -> None:
        """Close the connection."""
        self._manager.close()

    def _told(self, request: str, *arguments: Any, **options: Any) -> Mapping[str, Any]:
        try:
            answered: Mapping[str, Any] = getattr(self._manager, request)(*arguments, **options)
        except Exception as error:  # time-outs, refusals and the wire have a tree of errors each
            raise QueueError(
                f"the RE Manager at {self._address} must take {request}, but does not ({error});"
                " is it running, and is the plan allowed?"
            ) from error
        return answered
