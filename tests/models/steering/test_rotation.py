"""Where a crystal is turned next, and when that ends."""

from dataclasses import dataclass

import numpy as np
import pytest

from phasepilot.models.networks.estimate import PhaseEstimate, Verdict
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.rotation import RotationRule, Views
from phasepilot.models.steering.rotation_settings import RotationCost, RotationSettings
from phasepilot.models.steering.spot_candidates import Belief
from phasepilot.models.suggestion import Action, Suggestion


def make_rule(**changes: object) -> RotationRule:
    cost = RotationCost(speed_deg_per_s=20.0, settle_s=0.3, exposure_s=1.0, readout_s=0.1)
    settings = {"start_deg": 0.0, "stop_deg": 170.0, "cost": cost} | changes
    return RotationRule(RotationSettings(**settings))  # type: ignore[arg-type]


def estimate(probability: float, space_group: int = 225) -> PhaseEstimate:
    probabilities = np.full(230, (1 - probability) / 229)
    probabilities[space_group - 1] = probability
    return PhaseEstimate(
        probabilities, ("cubic",), (space_group,), 0.9, 1.0, 0.1, 0.1, Verdict(True, "")
    )


@dataclass
class Turned:
    """A rule that is followed."""

    rule: RotationRule
    state: Views
    angle_deg: float = 0.0
    n_images: int = 0

    def image(self, found: PhaseEstimate | None) -> Suggestion:
        self.n_images += 1
        sight = Sight(
            seq_num=self.n_images, axis_value=self.angle_deg, elapsed_s=0.0, estimate=found
        )
        suggestion, self.state = self.rule.advise(self.state, sight)
        if suggestion.action is Action.MOVE:
            self.angle_deg = suggestion.region_start
        return suggestion


def start(**changes: object) -> Turned:
    rule = make_rule(**changes)
    return Turned(rule, rule.first_state())


def test_stops_once_the_error_is_improbable_enough() -> None:
    turned = start(largest_error=0.1)
    assert turned.image(estimate(0.5)).action is Action.MOVE
    last = turned.image(estimate(0.95))
    assert last.action is Action.STOP
    assert last.answer == "space group 225"
    assert last.answer_probability == pytest.approx(0.95)
    assert "after 2 images" in last.reason


def test_goes_far_enough_for_news_and_not_farther() -> None:
    turned = start(view_width_deg=4.0)
    turned.image(estimate(0.3))
    assert 4.0 < turned.angle_deg < 20.0


def test_a_slow_axis_takes_smaller_steps_than_a_fast_one() -> None:
    steps = []
    for speed in (1.0, 1000.0):
        turned = start(cost=RotationCost(speed_deg_per_s=speed, exposure_s=1.0))
        turned.image(estimate(0.3))
        steps.append(turned.angle_deg)
    assert steps[0] < steps[1]


def test_an_angle_half_a_turn_away_is_no_news_where_friedel_pairs_are_equal() -> None:
    state = Views(angles_deg=(0.0,), n_new=1.0, first_bound=0.5, first_n_new=1.0)
    settings = {"start_deg": 0.0, "stop_deg": 200.0}
    belief = Belief("", np.array([0.5]), np.array([1.0]))
    pairs = make_rule(**settings).gains_per_s(state, 90.0, belief)
    apart = make_rule(**settings, has_friedel_pairs=False).gains_per_s(state, 90.0, belief)
    assert pairs[180] == pytest.approx(0.0, abs=1e-9)
    assert apart[180] > 0


def test_no_angle_is_gone_to_twice_before_all_are_seen() -> None:
    turned = start(stop_deg=60.0, view_width_deg=5.0)
    seen = [0.0]
    for _ in range(4):
        turned.image(estimate(0.3 + 0.1 * len(seen)))
        assert min(abs(turned.angle_deg - one) for one in seen) > 4.0
        seen.append(turned.angle_deg)


def test_the_rate_is_learned_from_what_the_images_gave() -> None:
    rule = make_rule()
    helpful = Views((0.0, 10.0, 20.0), 3.0, first_bound=0.8, first_n_new=1.0)
    assert rule.rate(helpful, bound=0.05) > rule.rate(helpful, bound=0.7)


def test_gives_up_when_the_range_cannot_settle_it() -> None:
    turned = start(largest_error=0.01)
    actions = [turned.image(estimate(0.5)).action for _ in range(12)]
    assert Action.STOP in actions
    assert actions.index(Action.STOP) >= 4


def test_an_image_without_an_estimate_sends_it_elsewhere() -> None:
    turned = start()
    suggestion = turned.image(None)
    assert suggestion.action is Action.MOVE
    assert turned.angle_deg != 0.0


def test_without_an_angle_nothing_is_suggested() -> None:
    turned = start()
    turned.angle_deg = float("nan")
    assert turned.image(estimate(0.5)).action is Action.CONTINUE


def test_other_levels_are_settled_earlier() -> None:
    spread = np.zeros(230)
    spread[[224, 226]] = 0.5  # two cubic groups
    found = PhaseEstimate(spread, (), (), 0.9, 1.0, 0.1, 0.1, Verdict(True, ""))
    sight = Sight(seq_num=1, axis_value=0.0, elapsed_s=0.0, estimate=found)
    for level, action in (("crystal_system", Action.STOP), ("space_group", Action.MOVE)):
        rule = make_rule(level=level)
        assert rule.advise(rule.first_state(), sight)[0].action is action
