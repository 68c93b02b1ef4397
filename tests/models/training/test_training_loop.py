import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training_run import REFERENCE, TINY, Configure

from phasepilot.models.errors import StickStoreError, TrainingError, UnknownModelError
from phasepilot.models.training.learning_curve import read_learning_curve
from phasepilot.models.training.training_loop import Progress, Trainer


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    expected = other.state_dict()
    assert one.state_dict().keys() == expected.keys()
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, expected[name]), name


def killed_after(n_batches: int) -> Callable[[Progress], None]:
    def progress(step: Progress) -> None:
        if step.batch == n_batches:
            raise KeyboardInterrupt

    return progress


def times_up_after(n_batches: int) -> Callable[[], bool]:
    asked = iter([*[False] * (n_batches - 1), True])
    return lambda: next(asked)


def test_a_run_that_was_killed_ends_like_an_unbroken_one(configure: Configure) -> None:
    unbroken = Trainer(configure("unbroken"))
    seen: list[Progress] = []
    assert unbroken.run(seen.append)
    killed = configure("killed")
    for n_batches in (3, 4):
        with pytest.raises(KeyboardInterrupt):
            Trainer(killed).run(killed_after(n_batches))
    resumed = Trainer(killed)
    resumed_at: list[Progress] = []
    assert resumed.run(resumed_at.append)
    # Batch 4 was trained, and the kill came after its checkpoint, that of 3 before.
    assert [step.batch for step in seen] == [1, 2, 3, 4, 5]
    assert [step.batch for step in resumed_at] == [5]
    assert resumed_at == seen[4:]
    assert_same_weights(resumed.network, unbroken.network)
    assert_same_weights(resumed.averaged, unbroken.averaged)
    assert resumed.curve_path.read_bytes() == unbroken.curve_path.read_bytes()


def test_a_run_in_pieces_ends_like_an_unbroken_one(configure: Configure) -> None:
    unbroken = Trainer(configure("unbroken"))
    unbroken.run()
    pieces = configure("pieces")
    for n_done in (3, 4):
        piece = Trainer(pieces)
        # The first stops between checkpoints, and makes one.
        assert not piece.run(is_time_up=times_up_after(n_done - piece_start(piece)))
        assert piece.n_done == n_done
    last = Trainer(pieces)
    assert last.run()
    assert_same_weights(last.averaged, unbroken.averaged)
    assert last.curve == unbroken.curve


def piece_start(trainer: Trainer) -> int:
    if not trainer.checkpoint_path.exists():
        return 0
    return int(torch.load(trainer.checkpoint_path, weights_only=True)["n_done"])


def test_a_finished_run_is_not_trained_further(configure: Configure) -> None:
    first = Trainer(configure())
    first.run()
    again = Trainer(configure())
    assert again.run(lambda step: pytest.fail(f"batch {step.batch} was trained again"))
    assert_same_weights(again.averaged, first.averaged)


def test_training_moves_the_weights_and_the_average_follows(configure: Configure) -> None:
    at_start = Trainer(configure("start")).network.state_dict()
    trainer = Trainer(configure())
    trainer.run()
    for name, weights in trainer.network.state_dict().items():
        assert not torch.equal(weights, at_start[name]), name
        assert not torch.equal(trainer.averaged.state_dict()[name], weights), name


def test_training_lowers_the_loss(configure: Configure) -> None:
    trainer = Trainer(configure(n_patterns=640, batch_size=16, recipe="ideal", learning_rate=0.01))
    losses: list[float] = []
    trainer.run(lambda step: losses.append(step.loss))
    # It starts at what guessing among all groups costs, and soon knows the few that there are.
    assert np.mean(losses[:5]) > 10
    assert np.mean(losses[-5:]) < 8


def test_reference_networks_are_trained_by_the_same_loop(configure: Configure) -> None:
    # The others have tens of millions of weights.
    trainer = Trainer(configure(**REFERENCE, n_patterns=8, n_watched=2))
    assert trainer.run()
    (point,) = trainer.curve
    assert np.isfinite([point.loss, point.validation_loss]).all()


def test_an_unknown_network_is_told(configure: Configure) -> None:
    with pytest.raises(UnknownModelError, match=r"is 'npccn'. Did you mean 'npcnn'\?"):
        Trainer(configure(network={"kind": "npccn"}))


def test_bfloat16_learns_nearly_what_float32_does(configure: Configure) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        trainer = Trainer(configure(precision, precision=precision))
        trainer.run()
        losses.append(trainer.curve[-1].loss)
        assert next(trainer.network.parameters()).dtype == torch.float32
    assert losses[0] != losses[1]
    # Eight bits of mantissa, on losses of about 12.
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


def test_the_curve_has_a_point_every_so_many_batches_and_at_the_end(configure: Configure) -> None:
    trainer = Trainer(configure())
    steps: list[Progress] = []
    trainer.run(steps.append)
    assert [point.batch for point in trainer.curve] == [2, 4, 5]
    assert [len(step.curve) for step in steps] == [0, 1, 1, 2, 3]
    assert [point.n_patterns for point in trainer.curve] == [16, 32, 40]
    means = [np.mean([steps[0].loss, steps[1].loss]), np.mean([steps[2].loss, steps[3].loss])]
    np.testing.assert_allclose([point.loss for point in trainer.curve[:2]], means)
    assert read_learning_curve(trainer.curve_path) == trainer.curve


def test_the_learning_rate_rises_and_falls_like_a_cosine(configure: Configure) -> None:
    configuration = configure(n_patterns=80, warm_up_batches=4, validate_every=1, n_watched=1)
    trainer = Trainer(configuration)
    trainer.run()
    rates = np.array([point.learning_rate for point in trainer.curve])
    batch = np.arange(1, 11)
    warm = np.minimum(1, (batch + 1) / 4)
    np.testing.assert_allclose(rates, 1e-3 * warm * (0.5 + 0.5 * np.cos(np.pi * batch / 10)))


def test_harmless_changes_leave_the_run_the_same(configure: Configure) -> None:
    with pytest.raises(KeyboardInterrupt):
        Trainer(configure()).run(killed_after(3))
    resumed = Trainer(configure(checkpoint_every=5, n_threads=2))
    resumed.run()
    unbroken = Trainer(configure("unbroken"))
    unbroken.run()
    np.testing.assert_allclose(resumed.curve[-1].loss, unbroken.curve[-1].loss, rtol=1e-4)


def test_another_configuration_on_the_same_checkpoint_is_refused(configure: Configure) -> None:
    Trainer(configure(n_patterns=16)).run()
    changed = configure(n_patterns=24, learning_rate=0.01)
    with pytest.raises(TrainingError, match=r"differs in n_patterns, learning_rate; use another"):
        Trainer(changed).run()


@pytest.mark.parametrize("n_bytes", [0, 100, -100])
def test_a_damaged_checkpoint_is_refused(configure: Configure, n_bytes: int) -> None:
    trainer = Trainer(configure(n_patterns=16))
    trainer.run()
    content = trainer.checkpoint_path.read_bytes()
    trainer.checkpoint_path.write_bytes(content[:n_bytes])
    with pytest.raises(TrainingError, match=r"must be a checkpoint .* delete the checkpoint"):
        Trainer(configure(n_patterns=16)).run()


def test_stick_lists_are_needed(configure: Configure, tmp_path: Path) -> None:
    configuration = configure().model_copy(update={"sticks": tmp_path / "none"})
    with pytest.raises(StickStoreError, match=r"a stick store must hold"):
        Trainer(configuration)


TOGETHER = """
import os, sys
from pathlib import Path
from phasepilot.models.training.configuration import read_training_configuration
from phasepilot.models.training.processes import joined_processes
from phasepilot.models.training.training_loop import Trainer

configuration = read_training_configuration(Path(sys.argv[1]))
with joined_processes(int(os.environ["LOCAL_RANK"]), "cpu") as processes:
    first = Trainer(configuration, processes)
    # Only the second process is asked to stop: all do.
    is_asked = lambda: processes.rank == 1 and first.n_done == 2
    print("first piece", first.run(is_time_up=is_asked), first.n_done, flush=True)
    second = Trainer(configuration, processes)
    print("second piece", second.run(), second.n_done, flush=True)
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_does(configure: Configure, tmp_path: Path) -> None:
    """Without dropout, which differs, gradients are the same but for the order of sums."""
    sizes = {"sizes": {**TINY, "dropout": 0.0}}
    alone = Trainer(configure("alone", network=sizes, batch_parts=2))
    alone.run()
    together = configure("together", network=sizes, batch_parts=2)
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", str(script), str(tmp_path / "together" / "train.yaml")),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    for said in ("first piece False 3", "second piece True 5"):
        assert ended.stdout.count(said) == 2, ended.stdout + ended.stderr
    shared = Trainer(together)
    shared.run()
    for name, weights in alone.averaged.state_dict().items():
        torch.testing.assert_close(
            shared.averaged.state_dict()[name], weights, rtol=1e-4, atol=1e-6
        )
    for one, other in zip(shared.curve, alone.curve, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-4)
        assert one.space_group_accuracy == pytest.approx(other.space_group_accuracy)
