from dataclasses import replace

import pytest
from advised_plans import advise, continuing

from phasepilot.models.suggestion import Action, Advice, Suggestion
from phasepilot.plans.decision import DecidedBy, Obedience, decide, decision_data_keys
from phasepilot.plans.override import Order

REFINE = advise(Action.REFINE, step=0.3)
VETO = Order(Suggestion(Action.CONTINUE, "vetoed: no"))


def at_most(step: float):  # type: ignore[no-untyped-def]
    return lambda asked: replace(asked, step=min(asked.step, step))


def refused(asked: Suggestion) -> Suggestion:
    return replace(asked, action=Action.STOP, reason="the range is over")


@pytest.mark.parametrize(
    ("advice", "order", "obedience", "limit", "decided_by"),
    [
        (REFINE, None, Obedience.OBEY, None, DecidedBy.ADVISOR),
        (REFINE, None, Obedience.OBEY, at_most(0.1), DecidedBy.ADVISOR),
        (REFINE, None, Obedience.OBEY, refused, DecidedBy.PLAN),
        (REFINE, None, Obedience.ADVISE_ONLY, None, DecidedBy.PLAN),
        (REFINE, VETO, Obedience.OBEY, None, DecidedBy.PERSON),
        (REFINE, VETO, Obedience.ADVISE_ONLY, None, DecidedBy.PERSON),
        (Advice.none(3, "late"), None, Obedience.OBEY, None, DecidedBy.FALLBACK),
        (Advice.none(3, "late"), VETO, Obedience.OBEY, None, DecidedBy.PERSON),
        (continuing(3), None, Obedience.OBEY, None, DecidedBy.ADVISOR),
        (
            replace(continuing(3), problem="the network failed; tracked without it"),
            None,
            Obedience.OBEY,
            None,
            DecidedBy.ADVISOR,
        ),
    ],
)
def test_the_record_says_who_decided(
    advice: Advice, order: Order | None, obedience: Obedience, limit, decided_by: DecidedBy
) -> None:
    decision = decide(advice, order=order, obedience=obedience, limit=limit)
    assert decision.decided_by is decided_by
    assert decision.values()["obeyed"] is (decided_by is DecidedBy.ADVISOR)


def test_only_a_number_that_was_asked_for_and_changed_counts_as_limited() -> None:
    def decided(advice: Advice, step: float) -> bool:
        limit = at_most(step)
        return decide(advice, order=None, obedience=Obedience.OBEY, limit=limit).is_limited

    assert decided(REFINE, 0.1)
    assert not decided(REFINE, 0.3 - 1e-12)
    assert not decided(continuing(1), 0.1)


def test_every_column_of_a_decision_is_described_and_none_is_a_column_of_advice() -> None:
    decision = decide(REFINE, order=None, obedience=Obedience.OBEY, limit=None)
    ours = set(decision.values()) - set(REFINE.values())
    assert ours == set(decision_data_keys("phasepilot"))
    assert ours.isdisjoint(REFINE.values())
