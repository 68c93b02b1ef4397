import gemmi
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from phasepilot.models.arrays import FloatArray
from phasepilot.models.networks.estimate import PhaseEstimate, combine_heads
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

SYSTEM_OF_GROUP = np.array(
    [
        CRYSTAL_SYSTEMS.index(gemmi.find_spacegroup_by_number(number).crystal_system_str())
        for number in range(1, 231)
    ]
)
# Far beyond what a calibrated network says: a class at -200 has a probability of 1e-87.
LOGITS = st.floats(-100.0, 100.0, allow_subnormal=False)


def logits(n_classes: int) -> st.SearchStrategy[FloatArray]:
    return arrays(np.float64, (1, n_classes), elements=LOGITS)


def make_estimate(groups: FloatArray) -> PhaseEstimate:
    systems = np.bincount(SYSTEM_OF_GROUP, groups, minlength=7)
    return PhaseEstimate(systems, groups, ("cubic",), 0.9, 0.5, 0.0)


@given(logits(7), logits(230))
def test_combined_probabilities_sum_to_one_and_groups_to_their_system(
    system_logits: FloatArray, group_logits: FloatArray
) -> None:
    systems, groups = combine_heads(softmax(system_logits, axis=1), softmax(group_logits, axis=1))
    assert (systems >= 0).all()
    assert (groups >= 0).all()
    np.testing.assert_allclose(systems.sum(axis=1), 1.0, rtol=1e-9)
    of_system = np.bincount(SYSTEM_OF_GROUP, groups[0], minlength=7)
    np.testing.assert_allclose(of_system, systems[0], rtol=1e-9, atol=1e-12)


@given(logits(230))
def test_heads_that_agree_are_left_as_they_are(group_logits: FloatArray) -> None:
    groups = softmax(group_logits, axis=1)
    systems = np.bincount(SYSTEM_OF_GROUP, groups[0], minlength=7)[None]
    joint, joint_groups = combine_heads(systems, groups)
    np.testing.assert_allclose(joint, systems, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(joint_groups, groups, rtol=1e-9, atol=1e-12)


def test_each_pattern_of_a_batch_is_combined_by_itself() -> None:
    rng = np.random.default_rng(0)
    systems, groups = rng.dirichlet(np.ones(7), 4), rng.dirichlet(np.ones(230), 4)
    together = combine_heads(systems, groups)
    for row in range(4):
        alone = combine_heads(systems[row : row + 1], groups[row : row + 1])
        for joint, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(joint[row], one[0], rtol=1e-12)


def test_top_space_groups_come_with_the_most_probable_first() -> None:
    groups = np.full(230, 0.1 / 227)
    groups[[224, 226, 61]] = 0.5, 0.3, 0.1
    estimate = make_estimate(groups)
    top = estimate.top_space_groups(3)
    assert [number for number, _ in top] == [225, 227, 62]
    assert top[0] == (estimate.space_group_number, 0.5)
    assert estimate.crystal_system == "cubic"


def test_the_group_may_lie_outside_a_system_that_is_spread_over_many() -> None:
    groups = np.zeros(230)
    groups[194:] = 0.6 / 36
    groups[61] = 0.4
    estimate = make_estimate(groups)
    assert estimate.crystal_system == "cubic"
    assert estimate.space_group_number == 62
