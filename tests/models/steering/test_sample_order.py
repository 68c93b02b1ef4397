"""Which sample next, on toy maps whose answers are known."""

import sys

import numpy as np
import pytest

from phasepilot.models.errors import ModelsError
from phasepilot.models.steering import sample_belief
from phasepilot.models.steering.sample_belief import (
    Neighbours,
    SampleEvidence,
    SampleSite,
    sample_map,
)
from phasepilot.models.steering.sample_order import (
    SampleOrder,
    SampleOrderSettings,
    ScreeningCost,
    ScreeningState,
)
from phasepilot.models.suggestion import Action

LINE = tuple(SampleSite(f"s{k}", (5.0 * k, 0.0)) for k in range(10))
NEIGHBOURS = Neighbours(length_mm=15.0, share_unlike=0.05, lone_labels=frozenset({"nothing"}))
LABELS = ("a", "b", "nothing")


def settled(label: str, *, exposure_s: float = 2.0, is_left: bool = True) -> SampleEvidence:
    return SampleEvidence({label: 0.99}, exposure_s, is_left)


def rule(**changes) -> SampleOrder:
    values = {"neighbour_length_mm": 15.0, "labels": LABELS, "lone_labels": ("nothing",)}
    return SampleOrder(SampleOrderSettings(**{**values, **changes}))


class ToyBeam:
    """A row of samples, whose counts are one normal number for each label."""

    def __init__(self, truth: str, rng: np.random.Generator) -> None:
        self.sites = tuple(SampleSite(f"s{k}", (5.0 * k,)) for k in range(len(truth)))
        self.truth = dict(zip((site.name for site in self.sites), truth, strict=True))
        self.n_exposures = 0
        self._rng = rng
        self._sums = {name: np.zeros(2) for name in self.truth}

    def screened(self, order: SampleOrder) -> tuple[float, float]:
        """Return the share of right answers, and the time."""
        state = ScreeningState(self.sites)
        while (asked := order.advise(state)).action is not Action.END:
            evidence = dict(state.evidence)
            here, dwell_s, cost_s = state.here, asked.dwell_s, asked.cost_s
            if asked.action is Action.MOVE:
                if here:
                    evidence[here] = SampleEvidence(
                        evidence[here].probabilities, evidence[here].exposure_s, is_left=True
                    )
                here, dwell_s = asked.target, order.settings.first_dwell_s
            evidence[here] = self._exposed(here, dwell_s, evidence.get(here, SampleEvidence()))
            state = ScreeningState(self.sites, evidence, here, state.elapsed_s + cost_s)
        known = order.known(state)
        answers = [known.answer(k)[0] for k in range(len(self.sites))]
        right = np.mean([a == t for a, t in zip(answers, self.truth.values(), strict=True)])
        return float(right), sum(one.exposure_s for one in state.evidence.values())

    def _exposed(self, name: str, dwell_s: float, before: SampleEvidence) -> SampleEvidence:
        means = np.array([self.truth[name] == "a", self.truth[name] == "b"], dtype=float)
        self._sums[name] += means * dwell_s + np.sqrt(dwell_s) * self._rng.standard_normal(2)
        self.n_exposures += 1
        weights = np.exp(self._sums[name] - self._sums[name].max())
        shares = weights / weights.sum()
        probabilities = {"a": float(shares[0]), "b": float(shares[1])}
        return SampleEvidence(probabilities, before.exposure_s + dwell_s)


def test_neighbours_of_one_phase_make_a_sample_likely_to_be_that_phase() -> None:
    evidence = {f"s{k}": settled("a" if k < 5 else "b") for k in (0, 1, 2, 4, 5, 7, 8, 9)}
    known = sample_map(LINE, evidence, NEIGHBOURS, labels=LABELS)
    within, other = known.prior[3], known.prior[6]
    assert known.labels[int(within.argmax())] == "a"
    assert known.labels[int(other.argmax())] == "b"
    assert within.max() > 0.8


def test_between_two_phases_neighbours_leave_it_open() -> None:
    evidence = {f"s{k}": settled("a" if k < 5 else "b") for k in range(10) if k != 5}
    known = sample_map(LINE, evidence, NEIGHBOURS, labels=LABELS)
    assert known.prior[5, :2].min() > 0.2
    assert known.prior[5].max() < 0.7


def test_own_counts_are_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    # Samples that were gone to are doubted more; here only the leaving out is looked at.
    monkeypatch.setattr(sample_belief, "_DOUBTED_VARIANCE", 0.0)
    evidence = {f"s{k}": settled("a") for k in range(5)}
    changed = {**evidence, "s2": settled("b")}
    before = sample_map(LINE, evidence, NEIGHBOURS, labels=LABELS)
    after = sample_map(LINE, changed, NEIGHBOURS, labels=LABELS)
    np.testing.assert_allclose(after.prior[2], before.prior[2], rtol=1e-9)
    assert after.posterior[2, 1] > before.posterior[2, 1]
    # What is left out in closed form is the same as what was never there.
    without = sample_map(
        LINE, {k: v for k, v in evidence.items() if k != "s2"}, NEIGHBOURS, labels=LABELS
    )
    np.testing.assert_allclose(before.prior[2], without.prior[2], rtol=1e-6)


def test_an_empty_spot_says_nothing_of_its_neighbours() -> None:
    evidence = {f"s{k}": settled("a") for k in (0, 1, 3)}
    alone = sample_map(LINE, evidence, NEIGHBOURS, labels=LABELS)
    beside = sample_map(LINE, {**evidence, "s2": settled("nothing")}, NEIGHBOURS, labels=LABELS)
    np.testing.assert_allclose(beside.prior[4], alone.prior[4])


@pytest.mark.parametrize("order", ["information", "raster"])
def test_neighbours_save_exposure_at_no_loss(order: str) -> None:
    truth, settings = "a" * 12 + "b" * 12, {"labels": ("a", "b"), "largest_error": 0.02}
    with_map, alone = [], []
    for seed in range(3):
        beam = ToyBeam(truth, np.random.default_rng(seed))
        with_map.append(beam.screened(rule(order=order, **settings)))
        beam = ToyBeam(truth, np.random.default_rng(seed))
        alone.append(beam.screened(rule(order="raster", neighbour_length_mm=None, **settings)))
    (right, time_s), (right_alone, time_alone_s) = np.mean(with_map, 0), np.mean(alone, 0)
    assert time_s < 0.7 * time_alone_s
    assert right > right_alone - 0.03
    assert right > 0.93


def test_a_settled_sample_is_left_for_where_nothing_is_known() -> None:
    evidence = {f"s{k}": settled("a") for k in range(4)} | {"s4": settled("a", is_left=False)}
    fast = rule(cost=ScreeningCost(speed_mm_per_s=100.0))
    asked = fast.advise(ScreeningState(LINE, evidence, here="s4"))
    assert asked.action is Action.MOVE
    assert asked.target in {"s7", "s8", "s9"}
    assert (asked.answer, asked.answer_probability > 0.95) == ("a", True)
    assert asked.gain_per_s > 0


def test_an_open_sample_is_exposed_for_as_long_as_it_should_take() -> None:
    short = {"s0": SampleEvidence({"a": 0.9}, 1.0)}
    long = {"s0": SampleEvidence({"a": 0.6}, 1.0)}
    asked = [rule().advise(ScreeningState(LINE, one, here="s0")) for one in (short, long)]
    assert [one.action for one in asked] == [Action.EXPOSE, Action.EXPOSE]
    assert asked[0].dwell_s < asked[1].dwell_s
    assert asked[0].expected_error_bound < asked[0].error_bound


def test_a_sample_that_counts_do_not_settle_is_left() -> None:
    hopeless = {"s0": SampleEvidence({"a": 0.5, "b": 0.49}, 60.0)}
    asked = rule(least_gain_per_s=0.01).advise(ScreeningState(LINE, hopeless, here="s0"))
    assert asked.action is Action.MOVE
    assert "would not pay" in asked.reason


def test_when_nothing_is_worth_its_time_it_stops() -> None:
    evidence = {"s0": settled("a", is_left=False)}
    asked = rule(least_gain_per_s=1e3).advise(ScreeningState(LINE, evidence, here="s0"))
    assert asked.action is Action.END
    assert "no other sample is worth the time" in asked.reason


def test_a_failed_sample_is_passed_over() -> None:
    failed = {f"s{k}": SampleEvidence(is_failed=True) for k in range(1, 9)}
    evidence = {**failed, "s0": settled("a", is_left=False)}
    assert rule().advise(ScreeningState(LINE, evidence, here="s0")).target == "s9"
    evidence["s9"] = SampleEvidence(is_failed=True)
    assert rule().advise(ScreeningState(LINE, evidence, here="s0")).action is Action.END


def test_the_budget_ends_it() -> None:
    state = ScreeningState(LINE, {"s0": SampleEvidence({"a": 0.5}, 1.0)}, "s0", elapsed_s=100.0)
    asked = rule(budget_s=100.0).advise(state)
    assert asked.action is Action.END
    assert "budget of 100 s" in asked.reason


def test_it_ends_when_few_enough_names_are_expected_to_be_wrong() -> None:
    evidence = {f"s{k}": settled("a", is_left=k < 8) for k in (0, 2, 4, 6, 8)}
    state = ScreeningState(LINE, evidence, here="s8")
    assert rule(largest_mean_error=0.01).advise(state).action is Action.MOVE
    asked = rule(largest_mean_error=0.2).advise(state)
    assert asked.action is Action.END
    assert "of all names are expected to be wrong" in asked.reason


def test_a_border_is_measured_before_the_inside_of_a_region() -> None:
    labels = ("a", "b")
    evidence = {f"s{k}": settled("a" if k < 5 else "b") for k in (0, 2, 4, 6, 8)}
    fast = rule(labels=labels, cost=ScreeningCost(speed_mm_per_s=1e3))
    assert fast.advise(ScreeningState(LINE, evidence, here="s2")).target == "s5"


def test_of_two_borders_the_nearer_is_measured_first() -> None:
    evidence = {f"s{k}": settled("b" if 2 <= k <= 6 else "a") for k in (0, 2, 3, 4, 5, 6, 8)}
    asked = [
        rule(labels=("a", "b")).advise(ScreeningState(LINE, evidence, here=name)).target
        for name in ("s2", "s6")
    ]
    assert asked == ["s1", "s7"]


def test_an_empty_sample_that_was_measured_is_named_empty_among_sure_neighbours() -> None:
    evidence = {f"s{k}": settled("a") for k in range(10) if k != 4}
    evidence["s4"] = SampleEvidence({"nothing": 0.99}, 2.0)
    known = rule(share_unlike=0.03).known(ScreeningState(LINE, evidence, here="s4"))
    assert known.answer(4)[0] == "nothing"
    # One that was not measured may be empty: its neighbours' name is not certain.
    del evidence["s4"]
    inferred, probability = rule(share_unlike=0.03).known(ScreeningState(LINE, evidence)).answer(4)
    assert inferred == "a"
    assert probability < 0.99


def test_a_name_that_counts_do_not_bear_out_is_said_to_be_the_neighbours() -> None:
    evidence = {f"s{k}": settled("a") for k in range(10) if k != 4}
    evidence["s4"] = SampleEvidence({"nothing": 0.5, "a": 0.3}, 120.0)
    asked = rule(share_unlike=0.03).advise(ScreeningState(LINE, evidence, here="s4"))
    assert asked.answer == "a"
    assert "by its neighbours, while its counts say nothing at 50.0%" in asked.reason


def test_names_are_wrong_as_often_as_stated() -> None:
    # Borders anywhere: every third sample is known, the others are inferred.
    rng = np.random.default_rng(0)
    wrong, stated = [], []
    for _ in range(60):
        border = int(rng.integers(1, 30))
        sites = tuple(SampleSite(f"s{k}", (5.0 * k,)) for k in range(30))
        truth = ["a" if k < border else "b" for k in range(30)]
        evidence = {f"s{k}": SampleEvidence({truth[k]: 0.999}, 1.0) for k in range(0, 30, 3)}
        known = sample_map(sites, evidence, Neighbours(20.0, share_unlike=0.02), labels=("a", "b"))
        for k in range(30):
            if k % 3:
                wrong.append(known.answer(k)[0] != truth[k])
                stated.append(known.error[k])
    assert np.mean(wrong) == pytest.approx(np.mean(stated), abs=0.02)


def test_orders_of_other_names_go_by_their_name() -> None:
    state = ScreeningState(LINE, {"s0": settled("a", is_left=False)}, here="s0")
    assert rule(order="raster").advise(state).target == "s1"
    chosen = {rule(order="random", seed=seed).advise(state).target for seed in range(8)}
    assert len(chosen) > 3


def test_without_scikit_learn_neighbours_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.gaussian_process.kernels", None)
    evidence = {"s0": settled("a", is_left=False)}
    with pytest.raises(ModelsError, match=r"install phasepilot\[sim\]"):
        rule().advise(ScreeningState(LINE, evidence, here="s0"))
    alone = rule(neighbour_length_mm=None).advise(ScreeningState(LINE, evidence, here="s0"))
    assert alone.action is Action.MOVE
