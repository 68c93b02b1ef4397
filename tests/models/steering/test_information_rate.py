import math
from dataclasses import replace

import numpy as np
import pytest
from scan_cases import (
    AXIS,
    BACKGROUND_PER_S,
    CU_ANGSTROM,
    EXACT,
    KnownLines,
    lines_at,
    make_sight,
    nothing_seen,
)
from scipy import stats

from phasepilot.models.networks.estimate import PhaseEstimate, Verdict
from phasepilot.models.pattern import Pattern
from phasepilot.models.steering.hypotheses import ModelError
from phasepilot.models.steering.information_rate import (
    InformationRate,
    InformationRateSettings,
    action_table,
)
from phasepilot.models.steering.scan import ScanCost, ScanState, believed
from phasepilot.models.suggestion import Action

A, B = lines_at(30.0, 50.5), lines_at(30.0, 54.5)
SETTINGS = InformationRateSettings(steps_deg=(0.04, 0.1), dwells_s=(0.01, 0.1))


def suggested(source, sight, settings=SETTINGS):
    suggestion, _ = InformationRate(settings, source).advise(ScanState(), sight)
    return suggestion


def test_begins_with_the_first_pass() -> None:
    suggestion = suggested(KnownLines({"a": A, "b": B}), nothing_seen())
    assert suggestion.action is Action.CONTINUE
    assert (suggestion.region_start, suggestion.region_stop) == (10.0, 60.0)
    assert suggestion.cost_s == pytest.approx(0.5 + 2500 * 0.01)


def test_measures_where_the_hypotheses_differ_and_says_why_in_numbers() -> None:
    suggestion = suggested(KnownLines({"a": A, "b": B}), make_sight(A, 10.0, 45.0, dwell_s=0.01))
    middles = np.array([50.5, 54.5])
    assert ((suggestion.region_start <= middles) & (middles <= suggestion.region_stop)).any()
    assert suggestion.error_bound == pytest.approx(0.5, abs=1e-3)
    assert suggestion.expected_error_bound < suggestion.error_bound
    drop = suggestion.error_bound - suggestion.expected_error_bound
    assert suggestion.gain_per_s == pytest.approx(drop / suggestion.cost_s)
    assert f"{suggestion.expected_error_bound:.2g} in" in suggestion.reason


def test_extends_the_range_when_only_new_angles_tell_the_hypotheses_apart() -> None:
    suggestion = suggested(KnownLines({"a": A, "b": B}), make_sight(A, 10.0, 45.0))
    assert suggestion.action is Action.EXTEND
    assert suggestion.region_start >= 45.0


def test_no_window_is_worth_more_per_second_than_the_one_suggested() -> None:
    source, sight = KnownLines({"a": A, "b": B}), make_sight(A, 10.0, 45.0)
    belief = believed(source, sight)
    table = action_table(belief, EXACT, SETTINGS, sight.axis_value)
    assert suggested(source, sight).gain_per_s == pytest.approx(table.gain_per_s.max())
    assert (table.expected_bound <= table.bound + 1e-6).all()


def test_the_expected_bound_of_two_poisson_hypotheses_is_exact() -> None:
    source, sight = KnownLines({"a": A, "b": B}), make_sight(A, 10.0, 45.0)
    settings = InformationRateSettings(windows_deg=(10.0,), steps_deg=(0.02,), dwells_s=(0.01,))
    table = action_table(believed(source, sight), EXACT, settings, 45.0)
    row = int(np.flatnonzero(table.start_deg == 50.0)[0])
    points = slice(*np.searchsorted(AXIS.two_theta_deg, (50.0, 60.0)))
    sums = [
        ((rate[points] + BACKGROUND_PER_S) * 0.01).reshape(-1, AXIS.points_per_cell).sum(axis=1)
        for rate in (A, B)
    ]
    coefficient = np.exp(-((np.sqrt(sums[0]) - np.sqrt(sums[1])) ** 2).sum() / 2)
    assert table.expected_bound[row] == pytest.approx(0.5 * coefficient, rel=1e-3)


def test_with_one_window_and_two_hypotheses_it_is_walds_sequential_test() -> None:
    """It stops just when the likelihood ratio leaves an interval, and errs as seldom as it says."""
    settings = InformationRateSettings(
        start_deg=50.0,
        stop_deg=51.0,
        windows_deg=(1.0,),
        largest_error=0.1,
        settled_by="bound",
        largest_unexplained=1.0,
        value_per_s=0.0,
    )
    a, b = lines_at(50.5, height=60.0), lines_at(50.5, height=30.0)
    source = KnownLines({"a": a, "b": b}, prior_unknown=1e-30)
    # B = sqrt(p (1 - p)) <= 0.1.
    least = (1 + math.sqrt(1 - 4 * 0.1**2)) / 2
    boundary = math.log(least / (1 - least))
    rng = np.random.default_rng(3)
    n_wrong, n_runs = 0, 60
    # In the middle of points: those on an edge may fall to either side.
    angles = np.arange(50.01, 51.0, 0.04)
    rates = [(rate + BACKGROUND_PER_S)[AXIS.point_of(angles)] for rate in (a, b)]
    cells = AXIS.cell_of(angles)
    for _ in range(n_runs):
        counts, exposure = np.zeros(angles.size), 0.0
        for _ in range(60):
            counts += rng.poisson(rates[0] * 0.02)
            exposure += 0.02
            sums = [np.bincount(cells, row)[cells.min() :] for row in (counts, *rates)]
            ratio = sum(
                stats.poisson.logpmf(sums[0], sums[1] * exposure)
                - stats.poisson.logpmf(sums[0], sums[2] * exposure)
            )
            pattern = Pattern.from_two_theta(angles, counts + 0.0, wavelength_angstrom=CU_ANGSTROM)
            sight = replace(
                nothing_seen(), pattern=pattern, exposure_s=np.full(angles.size, exposure)
            )
            is_over = suggested(source, sight, settings).action is Action.STOP
            assert is_over == (abs(ratio) >= boundary)
            if is_over:
                break
        n_wrong += ratio < 0
    # Wald's bound is 1 - least = 1 %.
    assert n_wrong <= 4


def test_stops_when_the_bound_is_reached_and_the_best_phase_explains_the_pattern() -> None:
    suggestion = suggested(KnownLines({"a": A, "b": B}), make_sight(A, 10.0, 60.0))
    assert suggestion.action is Action.STOP
    assert suggestion.reason.startswith("settled: a at 100.0%")


def test_is_not_settled_by_a_phase_that_leaves_most_of_the_intensity() -> None:
    strange = A + lines_at(*np.arange(15.0, 60.0, 3.0), height=900.0)
    source = KnownLines({"a": A, "b": B})
    suggestion = suggested(source, make_sight(strange, 10.0, 60.0, dwell_s=1.0))
    assert not suggestion.reason.startswith("settled")


def test_flags_what_more_beam_cannot_settle() -> None:
    alike = KnownLines({"a": A, "b": 1.0001 * A}, error=ModelError())
    suggestion = suggested(alike, make_sight(A, 10.0, 60.0))
    assert suggestion.action is Action.STOP
    assert suggestion.reason.startswith("irreducible, flag it")


def test_stops_when_the_budget_is_used() -> None:
    settings = SETTINGS.model_copy(update={"budget_s": 10.0})
    suggestion = suggested(KnownLines({"a": A, "b": B}), make_sight(A, 10.0, 45.0), settings)
    assert suggestion.reason.startswith("the budget of 10 s is used")


def test_a_conformal_set_of_one_space_group_can_settle_it() -> None:
    settings = SETTINGS.model_copy(update={"settles_with_set": 0.6})
    sight = make_sight(A, 10.0, 45.0)
    estimate = PhaseEstimate(
        np.full(230, 1 / 230), ("cubic",), (225,), 0.9, 0.1, 0.0, 0.1, Verdict(True, "")
    )
    source = KnownLines({"a": A, "b": B})
    assert suggested(source, replace(sight, estimate=estimate), settings).action is Action.STOP
    assert suggested(source, sight, settings).action is not Action.STOP


def test_model_error_makes_more_counting_in_the_same_place_worthless() -> None:
    alike = {"a": lines_at(30.0), "b": 0.8 * lines_at(30.0)}
    settings = InformationRateSettings(windows_deg=(2.0,))

    def best_gain(error, dwell_s=100.0):
        source = KnownLines(alike, error=error)
        sight = make_sight(alike["a"], 10.0, 60.0, dwell_s=dwell_s)
        belief = replace(believed(source, sight), error_bound=0.5)
        even = replace(belief.judgement, probability=np.array([0.5, 0.5, 0.0]))
        return action_table(replace(belief, judgement=even), error, settings, 60.0).gain_per_s.max()

    assert best_gain(ModelError(temperature=1.0)) < 1e-6
    assert best_gain(ModelError(temperature=1.0), dwell_s=0.001) > 1e-3


def test_the_coarsest_step_wins_until_lines_fall_between_its_points() -> None:
    source = KnownLines({"a": lines_at(30.0, 50.5), "b": lines_at(30.0, 54.7)})
    sight = make_sight(A, 10.0, 45.0)
    cost = ScanCost(settle_s=0.0, speed_deg_per_s=1e9)

    def best_step(steps):
        settings = InformationRateSettings(
            windows_deg=(10.0,), steps_deg=steps, dwells_s=(0.2,), cost=cost
        )
        table = action_table(believed(source, sight), EXACT, settings, math.nan)
        return table.step_deg[table.gain_per_s.argmax()]

    assert best_step((0.02, 0.04, 0.1)) == 0.1
    # Points 0.6 degree apart pass the lines, 0.17 degree wide, at 0.3 degree.
    assert best_step((0.1, 0.6)) == 0.1
