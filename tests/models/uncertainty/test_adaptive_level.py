import numpy as np
import pytest
from scipy.special import softmax

from phasepilot.models.errors import ModelsError
from phasepilot.models.uncertainty.adaptive_level import AdaptiveLevel
from phasepilot.models.uncertainty.conformal import calibrate_sets


def covered_on_a_drifting_stream(perfect_answers, n_patterns, step):
    """Sets of a classifier whose logits lose their meaning along the stream."""
    logits, labels = perfect_answers(4000, 8, seed=1)
    sets = calibrate_sets(softmax(logits, axis=1), labels, pool_of_class=np.zeros(8, dtype=int))
    logits, labels = perfect_answers(n_patterns, 8, seed=2)
    noise = np.random.default_rng(3).normal(size=logits.shape)
    drift = np.linspace(0, 3, n_patterns)[:, None]
    probabilities = softmax(logits + drift * noise, axis=1)
    level, fixed, adapted = AdaptiveLevel.start(0.9, step=step), [], []
    for row, label in zip(probabilities, labels, strict=True):
        fixed.append(sets.membership(row, 0.9)[label])
        adapted.append(sets.membership(row, level.level)[label])
        level = level.updated(was_covered=bool(adapted[-1]))
    return np.array(fixed), np.array(adapted)


def test_coverage_is_kept_where_fixed_sets_lose_it(perfect_answers):
    fixed, adapted = covered_on_a_drifting_stream(perfect_answers, 4000, step=0.02)
    assert fixed[-1000:].mean() < 0.75
    assert adapted.mean() == pytest.approx(0.9, abs=0.01)
    assert adapted[-1000:].mean() == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("step", [0.01, 0.1])
def test_adversary_cannot_break_the_bound(step):
    # The worst stream: the truth is missed whenever the set leaves anything out.
    level, n_covered, target = AdaptiveLevel.start(0.9, step=step), 0, 0.9
    for n_seen in range(1, 400):
        was_covered = level.level >= 1
        n_covered += was_covered
        level = level.updated(was_covered=was_covered)
        assert n_covered / n_seen >= target - (1 - target + step) / (step * n_seen) - 1e-9


def test_level_stays_where_sets_are_tabulated():
    level = AdaptiveLevel.start(0.6, step=0.5)
    for _ in range(50):
        level = level.updated(was_covered=True)
    assert level.level == 0.5


def test_targets_and_steps_out_of_range_are_refused():
    with pytest.raises(ModelsError, match=r"lie in \[0.5, 1\), but is 90; 0.9 asks"):
        AdaptiveLevel.start(90)
    with pytest.raises(ModelsError, match=r"step must lie in \(0, 1\), but is 0; try 0.02"):
        AdaptiveLevel.start(0.9, step=0)
