import numpy as np
import pytest
from scan_cases import (
    AXIS,
    BACKGROUND_PER_S,
    EXACT,
    KnownLines,
    lines_at,
    make_sight,
)
from scipy import stats

from phasepilot.models.steering.hypotheses import UNKNOWN, ModelError, counted_cells, judged
from phasepilot.models.steering.scan import believed

A, B = lines_at(30.0, 50.0), lines_at(30.0, 54.0)


def test_the_posterior_of_exact_expectations_is_bayes_rule_with_poisson_counts() -> None:
    source = KnownLines({"a": A, "b": B})
    sight = make_sight(A, 49.0, 52.0, dwell_s=0.01, rng=np.random.default_rng(1))
    counted = counted_cells(sight, AXIS)
    points = AXIS.point_of(counted.two_theta_deg)
    # Counts of a cell are summed: the evidence is that of the sums.
    log = []
    for rate in (A, B):
        expected = counted.summed((rate[points] + BACKGROUND_PER_S) * counted.exposure_s)
        used = expected > 0
        counts = counted.summed(counted.counts)[used]
        log.append(stats.poisson.logpmf(np.round(counts), expected[used]).sum())
    judgement = judged(source.hypotheses(counted, sight), counted, EXACT)
    found = dict(zip(judgement.hypotheses.names, judgement.probability, strict=True))
    assert np.log(found["a"] / found["b"]) == pytest.approx(log[0] - log[1], rel=1e-5)


def test_two_structures_of_one_name_are_one_answer() -> None:
    sight = make_sight(A, 45.0, 60.0, dwell_s=0.01)

    class Twice(KnownLines):
        def hypotheses(self, counted, sight):
            once = super().hypotheses(counted, sight)
            return type(once)(
                once.axis,
                ("a", "a", "b", UNKNOWN),
                np.append(np.log([1 / 3] * 3), once.log_prior[-1]),
                once.signal_per_s[[0, 0, 1, 2]],
                once.background_per_s,
            )

    judgement = believed(Twice({"a": A, "b": B}), sight).judgement
    probabilities = {
        name: judgement.probability[[n == name for n in judgement.hypotheses.names]]
        for name in ("a", "b")
    }
    assert (probabilities["a"] > 0).sum() == 1
    assert judgement.best_name == "a"


def test_lines_where_no_phase_has_any_are_unknown() -> None:
    source = KnownLines({"a": A, "b": B}, error=ModelError(), prior_unknown=0.01)
    strange = lines_at(22.0, 37.0, 44.0, 63.0, 71.0)
    judgement = believed(source, make_sight(strange, 15.0, 80.0)).judgement
    assert judgement.best_name == UNKNOWN


def test_intensity_that_the_best_phase_leaves_is_reported() -> None:
    source = KnownLines({"a": A, "b": B}, error=ModelError())
    pure = believed(source, make_sight(A, 20.0, 60.0, dwell_s=300.0)).judgement.unexplained
    sight = make_sight(A + lines_at(40.0), 20.0, 60.0, dwell_s=300.0)
    mixed = believed(source, sight).judgement.unexplained
    assert pure < 0.02
    # A third of the intensity lies in the new line; half of what is off counts.
    assert mixed == pytest.approx(1 / 6, abs=0.03)


def test_evidence_counts_less_when_even_the_best_hypothesis_fits_badly() -> None:
    source = KnownLines({"a": A, "b": B}, error=ModelError(lines=0.1))
    good = make_sight(A, 20.0, 60.0, dwell_s=0.004, rng=np.random.default_rng(2))
    extra = lines_at(25.0, 35.0, 57.0, height=3000.0)
    bad = make_sight(A + extra, 20.0, 60.0, dwell_s=0.004, rng=np.random.default_rng(2))
    assert believed(source, bad).error_bound > believed(source, good).error_bound
