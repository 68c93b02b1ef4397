"""Small networks trained in memory."""

import numpy as np
import torch

from phasepilot.models.benchmarks.classifier_training import (
    Schedule,
    binary_cross_entropy_of_softmax,
    class_probabilities,
    train_classifier,
)
from phasepilot.models.networks.acnn import Acnn


def make_steps(n_patterns: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Patterns of two classes: low and high all along."""
    classes = np.arange(n_patterns) % 2
    rng = np.random.default_rng(0)
    return (classes[:, None] + 0.1 * rng.random((n_patterns, 240))).astype(np.float32), classes


SCHEDULE = Schedule(n_epochs=40, batch_size=8, loss=binary_cross_entropy_of_softmax)


def trained(seed: int) -> torch.nn.Module:
    patterns, classes = make_steps()
    return train_classifier(lambda: Acnn(1, 2), patterns, classes, schedule=SCHEDULE, seed=seed)


def test_what_is_easy_is_learned() -> None:
    patterns, classes = make_steps(10)
    probabilities = class_probabilities(trained(0), patterns)
    assert probabilities.argmax(axis=1).tolist() == classes.tolist()
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_the_seed_alone_decides_what_is_learned() -> None:
    patterns, _ = make_steps(4)
    torch.manual_seed(5)
    first = class_probabilities(trained(1), patterns)
    torch.manual_seed(6)
    assert np.array_equal(class_probabilities(trained(1), patterns), first)
    assert not np.array_equal(class_probabilities(trained(2), patterns), first)


def test_training_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained(1)
    assert torch.equal(torch.rand(3), expected)


def test_the_loss_is_that_of_every_class_by_itself() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    probabilities = torch.softmax(logits, dim=1)[0]
    by_hand = -(torch.log(probabilities[0]) + torch.log(1 - probabilities[1:]).sum()) / 3
    found = binary_cross_entropy_of_softmax(logits, torch.tensor([0]))
    torch.testing.assert_close(found, by_hand)
