import threading
from typing import Any

import pytest

from phasepilot.models.suggestion import Action, Suggestion
from phasepilot.plans.override import Override


def test_the_newest_order_replaces_the_one_before() -> None:
    override = Override()
    override.veto("no")
    override.stop("enough")
    assert override.pending is not None
    assert override.pending.ends_plan


def test_an_order_given_while_another_is_followed_is_kept() -> None:
    override = Override()
    override.veto("no")
    followed = override.pending
    override.stop("enough")
    assert followed is not None
    override.settle(followed)
    assert override.pending is not None
    override.withdraw()
    assert override.pending is None


def test_orders_from_many_threads_leave_one_of_them() -> None:
    override = Override()
    threads = [
        threading.Thread(target=override.veto, args=(f"reason {number}",)) for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert override.pending is not None
    assert override.pending.suggestion.reason.startswith("vetoed: reason ")


@pytest.mark.parametrize("wrong", [{"step": "0.1"}, {"region_start": None}, {"target": 3}])
def test_refuses_an_order_that_a_plan_could_not_follow(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Override().next(Suggestion(Action.REFINE, "typed by hand", **wrong))
