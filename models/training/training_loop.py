"""Training on patterns simulated as it goes, with checkpoints that resume."""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from phasepilot.models.diffraction.stick_store import open_stick_store
from phasepilot.models.training.checkpoint import load_checkpoint, save_checkpoint
from phasepilot.models.training.configuration import TrainingConfiguration
from phasepilot.models.training.hierarchical_loss import HierarchicalLoss
from phasepilot.models.training.learning_curve import CurvePoint, write_learning_curve
from phasepilot.models.training.network_choice import create_network
from phasepilot.models.training.pattern_stream import (
    TensorBatch,
    batches_ahead,
    training_stream,
    validation_batches,
)
from phasepilot.models.training.processes import Processes, autocast_type
from phasepilot.models.training.validation import network_outputs, score

_LARGEST_GRADIENT = 1.0
# The second word of the seed: dropout draws from a stream of its own.
_DROPOUT = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training run stands.

    Attributes
    ----------
    batch, n_batches : int
        How many are done, of how many.
    loss, space_group_accuracy : float
        Of the last batch.
    curve : tuple of CurvePoint
        How it learned so far.
    """

    batch: int
    n_batches: int
    loss: float
    space_group_accuracy: float
    curve: tuple[CurvePoint, ...] = ()


class Trainer:
    """A training run: `run` it; it resumes from its last checkpoint by itself.

    A batch and its dropout depend on the seed and the batch's number alone, so that a resumed run
    learns what an unbroken one does.

    Parameters
    ----------
    configuration : TrainingConfiguration
        Its stick lists must have been built.
    processes : Processes
        This process among those that train together.

    Attributes
    ----------
    network : Module
        The network being trained.
    averaged : Module
        Its running average over batches, which is what ships.
    curve : list of CurvePoint
    n_done : int
        Batches trained.

    Raises
    ------
    StickStoreError, TrainingError, UnknownModelError
        If stick lists, structures, parts of batches, GPU or network are not there.
    """

    def __init__(
        self, configuration: TrainingConfiguration, processes: Processes | None = None
    ) -> None:
        self.configuration = configuration
        self._processes = processes or Processes()
        self._store = open_stick_store(configuration.stick_directory)
        parts = self._processes.parts(configuration.batch_parts)
        self._stream = training_stream(configuration, self._store, parts)
        self._device = self._processes.device(configuration.device)
        self._type = autocast_type(configuration.precision, self._device)
        torch.set_num_threads(configuration.n_threads)
        torch.manual_seed(configuration.seed)
        self.network = create_network(configuration).to(self._device)
        self.averaged = create_network(configuration).to(self._device)
        self.averaged.load_state_dict(self.network.state_dict())
        self.averaged.eval()
        self._shared = self._processes.shared(self.network)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=configuration.learning_rate,
            weight_decay=configuration.weight_decay,
        )
        log_frequency = self._stream.choice.log_space_group_frequency
        self._loss = HierarchicalLoss(
            configuration.loss, configuration.logit_adjustment * log_frequency
        ).to(self._device)
        self._watched: list[TensorBatch] = []
        self._since_point: list[tuple[float, float]] = []
        self.curve: list[CurvePoint] = []
        self.n_done = 0

    @property
    def checkpoint_path(self) -> Path:
        """Where the run is saved."""
        return self.configuration.work_directory / "checkpoint.pt"

    @property
    def curve_path(self) -> Path:
        """Where the learning curve is."""
        return self.configuration.work_directory / "curve.csv"

    def run(
        self,
        progress: Callable[[Progress], None] = lambda _: None,
        is_time_up: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train from the last checkpoint, if there is one, and return whether the end is reached.

        Parameters
        ----------
        progress : callable
            Called after every batch.
        is_time_up : callable
            Asked after every batch; the run then ends at a checkpoint.
        """
        if self.checkpoint_path.exists():
            self._resume()
        n_batches = self.configuration.n_batches
        numbers = range(self.n_done, n_batches)
        is_for_gpu = self._device.type == "cuda"
        ahead = batches_ahead(
            self._stream, numbers, self.configuration.n_workers, is_for_gpu=is_for_gpu
        )
        for batch in ahead:
            loss, accuracy, is_to_stop = self._step(batch, is_time_up)
            self._since_point.append((loss, accuracy))
            self.n_done += 1
            is_end = self.n_done == n_batches
            if is_end or self.n_done % self.configuration.validate_every == 0:
                self._add_point()
            if is_end or is_to_stop or self.n_done % self.configuration.checkpoint_every == 0:
                self._save()
            progress(Progress(self.n_done, n_batches, loss, accuracy, tuple(self.curve)))
            if is_to_stop:
                break
        return self.n_done == n_batches

    def _step(
        self, batch: TensorBatch, is_time_up: Callable[[], bool]
    ) -> tuple[float, float, bool]:
        """Return loss, accuracy and whether to stop, the same in all processes."""
        words = [self.configuration.seed, _DROPOUT, self.n_done, self._processes.rank]
        torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))
        self.network.train()
        for group in self._optimiser.param_groups:
            group["lr"] = self._learning_rate()
        inputs, groups = (tensor.to(self._device, non_blocking=True) for tensor in batch)
        with torch.autocast(
            self._device.type, self._type or torch.bfloat16, enabled=self._type is not None
        ):
            logits = self._shared(inputs.float())
        loss = self._loss(logits, groups)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        self._optimiser.step()
        self._follow()
        hits = (logits.detach().argmax(dim=1) == groups).float().mean()
        asked = torch.tensor(float(is_time_up()), device=self._device)
        means = self._processes.mean(torch.stack([loss.detach(), hits, asked]))
        loss_mean, accuracy, share_asked = means.tolist()
        return loss_mean, accuracy, share_asked > 0

    def _learning_rate(self) -> float:
        configuration = self.configuration
        warm = min(1.0, (self.n_done + 1) / configuration.warm_up_batches)
        fall = 0.5 + 0.5 * float(np.cos(np.pi * self.n_done / configuration.n_batches))
        return configuration.learning_rate * warm * fall

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the network; faster at first, away from where it started."""
        n_done = self.n_done + 1
        decay = min(self.configuration.average_decay, (1 + n_done) / (10 + n_done))
        averages: list[Tensor] = list(self.averaged.parameters())
        torch._foreach_lerp_(averages, list(self.network.parameters()), 1 - decay)
        buffers = zip(self.averaged.buffers(), self.network.buffers(), strict=True)
        for averaged, current in buffers:
            averaged.copy_(current)

    def _add_point(self) -> None:
        """Measure the averaged network on held-out patterns, in the first process."""
        loss, accuracy = np.mean(self._since_point, axis=0).tolist()
        self._since_point = []
        if not self._processes.is_first:
            return
        if not self._watched:
            configuration = self.configuration
            n_watched = min(configuration.n_watched, configuration.n_validation)
            self._watched = list(validation_batches(configuration, self._store, n_watched))
        watched = score(network_outputs(self.averaged, self._watched))
        self.curve.append(
            CurvePoint(
                self.n_done,
                self.n_done * self.configuration.batch_size,
                self._learning_rate(),
                loss,
                accuracy,
                watched.loss,
                watched.space_group_accuracy,
                watched.crystal_system_accuracy,
            )
        )

    def _save(self) -> None:
        if not self._processes.is_first:
            return
        state = {
            "n_done": self.n_done,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "since_point": self._since_point,
            "curve": [astuple(point) for point in self.curve],
        }
        save_checkpoint(self.checkpoint_path, self.configuration, state)
        write_learning_curve(self.curve, self.curve_path)

    def _resume(self) -> None:
        state: dict[str, Any] = load_checkpoint(self.checkpoint_path, self.configuration)
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._since_point = [tuple(means) for means in state["since_point"]]
        self.curve = [CurvePoint(*point) for point in state["curve"]]
        self.n_done = int(state["n_done"])
