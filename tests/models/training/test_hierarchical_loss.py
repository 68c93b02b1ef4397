import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from phasepilot.models.networks.space_groups import crystal_system_index
from phasepilot.models.networks.symmetry_levels import (
    BRAVAIS_OF_SPACE_GROUP,
    EXTINCTION_OF_SPACE_GROUP,
    SYSTEM_OF_SPACE_GROUP,
    membership,
)
from phasepilot.models.training.configuration import LossConfiguration
from phasepilot.models.training.hierarchical_loss import HierarchicalLoss

ALONE = LossConfiguration(extinction_class=0, bravais_lattice=0, crystal_system=0)


def make_logits(n: int = 12, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, scale, (n, 230)).astype(np.float32))
    return logits, torch.from_numpy(rng.integers(0, 230, n))


def test_it_is_the_sum_of_the_cross_entropies_of_summed_probabilities() -> None:
    logits, groups = make_logits()
    p = logits.double().softmax(dim=1)
    expected = cross_entropy(logits.double(), groups)
    for weight, classes in (
        (1.0, EXTINCTION_OF_SPACE_GROUP),
        (0.3, BRAVAIS_OF_SPACE_GROUP),
        (0.5, SYSTEM_OF_SPACE_GROUP),
    ):
        of_class = (p @ torch.from_numpy(membership(classes))).log()
        expected += weight * cross_entropy(of_class, torch.tensor(classes)[groups])
    loss = HierarchicalLoss(LossConfiguration())(logits, groups)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_knowing_nothing_costs_what_guessing_among_all_groups_does() -> None:
    p1, fm3m = torch.tensor([0]), torch.tensor([224])
    # 36 of 230 space groups are cubic, 2 triclinic.
    for group, n_in_system in ((p1, 2), (fm3m, 36)):
        weights = ALONE.model_copy(update={"crystal_system": 1.0})
        loss = HierarchicalLoss(weights)(torch.zeros(1, 230), group)
        expected = np.log(230) - np.log(n_in_system / 230)
        assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_an_error_within_the_crystal_system_costs_less() -> None:
    near, far = torch.zeros(1, 230), torch.zeros(1, 230)
    near[0, 226], far[0, 13] = 8.0, 8.0
    truth = torch.tensor([224])
    loss = HierarchicalLoss(LossConfiguration())
    assert float(loss(near, truth)) < float(loss(far, truth)) - 1
    assert float(HierarchicalLoss(ALONE)(near, truth)) == pytest.approx(
        float(HierarchicalLoss(ALONE)(far, truth))
    )


def test_it_stays_finite_where_a_class_has_no_probability_left() -> None:
    logits = torch.zeros(1, 230, requires_grad=True)
    with torch.no_grad():
        logits[0, :2] = 200.0
    loss = HierarchicalLoss(LossConfiguration())(logits, torch.tensor([224]))
    loss.backward()
    assert float(loss.detach()) > 300
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_are_summed_in_single_precision() -> None:
    logits, groups = make_logits()
    loss = HierarchicalLoss(LossConfiguration())
    rounded = logits.bfloat16()
    assert float(loss(rounded, groups)) == float(loss(rounded.float(), groups))


def test_smoothing_spreads_the_target_of_the_space_group_alone() -> None:
    logits, groups = make_logits()
    smoothed = HierarchicalLoss(ALONE.model_copy(update={"label_smoothing": 0.1}))
    expected = cross_entropy(logits, groups, label_smoothing=0.1)
    assert float(smoothed(logits, groups)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_logit_adjustment_takes_what_is_common_out_of_the_logits(strength: float) -> None:
    """Patterns that tell nothing leave the logits at what is not adjusted of the frequencies."""
    counts = np.random.default_rng(0).integers(1, 9, 230)
    labels = torch.from_numpy(np.repeat(np.arange(230), counts))
    frequency = counts / counts.sum()
    loss = HierarchicalLoss(LossConfiguration(), strength * np.log(frequency))
    logits = torch.tensor((1 - strength) * np.log(frequency), dtype=torch.float32)
    logits.requires_grad_()
    loss(logits.expand(labels.numel(), 230), labels).backward()
    assert logits.grad is not None
    # The loss is least there: labels pull as often up as down.
    np.testing.assert_allclose(logits.grad.numpy(), 0, atol=1e-6)


def test_levels_are_those_of_the_international_tables() -> None:
    loss = HierarchicalLoss(LossConfiguration())
    elsewhere = loss.get_buffer("system").numpy()
    systems = crystal_system_index(np.arange(1, 231))
    assert (elsewhere[224] == (systems != 6)).all()
