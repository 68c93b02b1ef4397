"""Training of the paper's two-dimensional network on zone-axis patterns, drawn as it goes."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore
from phasepilot.models.diffraction.images.zone_spots import draw_discs, zone_spots
from phasepilot.models.errors import TrainingError
from phasepilot.models.networks.symmetry_levels import SYSTEM_OF_SPACE_GROUP
from phasepilot.models.networks.vgg_2d import FULL_CHANNELS, FULL_DENSE, Vgg2d, VggShape
from phasepilot.models.training.processes import Processes, autocast_type
from phasepilot.models.training.resumable_run import ResumableRun, read_checkpoint
from phasepilot.models.training.zone_axes import AXES, N_AXES_OF_MODEL

_CHECKPOINT_EVERY_S = 60.0
_POINT_EVERY = 100
_WARM_UP = 100


@dataclass(frozen=True, slots=True)
class ZoneTraining:
    """A training run of one model.

    Attributes
    ----------
    n_axes : int
        Zone axes that it sees, the first of `AXES`.
    n_images : int
        Images to train on; each is of a random structure along a random axis.
    width : float
        Of the layers, against those of the paper.
    shape : tuple of int
        Rows and columns of an image.
    batch_size, learning_rate
        Of Adam; the rate falls to 0 like a cosine. The paper has 128 and a constant 1e-4, over 100
        times as many images.
    seed : int
    """

    n_axes: int
    n_images: int
    width: float = 0.125
    shape: tuple[int, int] = (64, 64)
    batch_size: int = 64
    learning_rate: float = 1e-3
    seed: int = 0

    @property
    def n_batches(self) -> int:
        """Optimiser steps."""
        return -(-self.n_images // self.batch_size)

    @property
    def network_shape(self) -> VggShape:
        """Sizes of the network."""
        channels = tuple(round(self.width * channel) for channel in FULL_CHANNELS)
        return VggShape(channels, round(self.width * FULL_DENSE), self.shape)


@dataclass(frozen=True, slots=True)
class ZoneBatch:
    """Images and what they show.

    Attributes
    ----------
    images : ndarray, shape (n_images, rows, columns)
    space_group_index : ndarray of int, shape (n_images,)
    """

    images: Float32Array
    space_group_index: IntArray


class ZoneTrainer:
    """A training run: `run` it; it resumes from its last checkpoint by itself.

    Parameters
    ----------
    training : ZoneTraining
    store : ReflectionStore
        Structures of held-out families are not trained on.
    directory : Path
        Checkpoint and learning curve go here, as NAME.pt and NAME.csv.
    name : str
    clock : callable
        Seconds; checkpoints are written by it.

    Raises
    ------
    TrainingError
        If the checkpoint there is of another training, or all structures are held out.
    """

    def __init__(
        self,
        training: ZoneTraining,
        store: ReflectionStore,
        directory: Path,
        *,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.training, self._store, self._clock = training, store, clock
        self._structures = np.flatnonzero(~store.is_held_out)
        if not self._structures.size:
            raise TrainingError(
                "training needs structures whose families are not held out, but all"
                f" {store.n_structures} in the store are; build it from more rows."
            )
        self._device = Processes().device("auto")
        self._type = autocast_type("auto", self._device)
        torch.manual_seed(training.seed)
        self.network = _placed(Vgg2d(training.network_shape), self._device)
        self._optimiser = torch.optim.Adam(
            self.network.parameters(), training.learning_rate, fused=True
        )
        self._run = ResumableRun(
            training, self.network, self._optimiser, directory, name=name, counted="batch"
        )

    @property
    def checkpoint_path(self) -> Path:
        """Where the state of the run is kept."""
        return self._run.checkpoint_path

    @property
    def n_done(self) -> int:
        """Batches trained on until now."""
        return self._run.n_done

    def run(self, progress: Callable[[int, int, float], None]) -> None:
        """Train to the end; `progress` is told batches done, batches in all and the mean loss."""
        n_batches = self.training.n_batches
        saved_s, since = self._clock(), []
        while self.n_done < n_batches:
            since.append(self._step())
            self._run.n_done += 1
            if self.n_done % _POINT_EVERY == 0 or self.n_done == n_batches:
                loss, groups, systems = np.mean(since, axis=0).tolist()
                self._run.curve.append((self.n_done, loss, groups, systems))
                since = []
                is_last = self.n_done == n_batches
                if is_last or self._clock() - saved_s > _CHECKPOINT_EVERY_S:
                    self._run.save()
                    saved_s = self._clock()
                progress(self.n_done, n_batches, loss)

    def batch(self, number: int) -> ZoneBatch:
        """Return the batch of that number, always the same."""
        rng = np.random.default_rng([self.training.seed, number])
        chosen = rng.choice(self._structures, self.training.batch_size)
        axes = np.array(AXES[: self.training.n_axes])
        drawn = axes[rng.integers(len(axes), size=chosen.size)]
        images = draw_discs(zone_spots(self._store, chosen, drawn), self.training.shape)
        groups = np.asarray(self._store.space_group_number[chosen], dtype=np.int64) - 1
        return ZoneBatch(images, groups)

    def _step(self) -> tuple[float, float, float]:
        """Return loss and the shares of right space groups and crystal systems."""
        batch = self.batch(self.n_done)
        for group in self._optimiser.param_groups:
            group["lr"] = self._learning_rate()
        images = _images(batch.images, self._device)
        groups = torch.from_numpy(batch.space_group_index).to(self._device)
        systems = torch.from_numpy(SYSTEM_OF_SPACE_GROUP[batch.space_group_index]).to(self._device)
        with torch.autocast(
            self._device.type, self._type or torch.bfloat16, enabled=self._type is not None
        ):
            group_logits, system_logits = self.network(images)
        loss: Tensor = nn.functional.cross_entropy(group_logits.float(), groups)
        loss = loss + nn.functional.cross_entropy(system_logits.float(), systems)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self._optimiser.step()
        right = (group_logits.argmax(1) == groups).float().mean()
        right_systems = (system_logits.argmax(1) == systems).float().mean()
        return loss.item(), right.item(), right_systems.item()

    def _learning_rate(self) -> float:
        warm = min(1.0, (self.n_done + 1) / _WARM_UP)
        fall = 0.5 + 0.5 * float(np.cos(np.pi * self.n_done / self.training.n_batches))
        return self.training.learning_rate * warm * fall


@dataclass(frozen=True, slots=True)
class HeadProbabilities:
    """What the two heads say; shapes (n_images, 230) and (n_images, 7)."""

    space_group: FloatArray
    crystal_system: FloatArray


class TrainedVgg:
    """A trained network that answers images.

    Attributes
    ----------
    training : ZoneTraining
        What it was trained on.
    n_images : int
        It has seen so many; fewer than its training says if that was interrupted.
    """

    def __init__(self, checkpoint: Path) -> None:
        state = read_checkpoint(checkpoint)
        about = json.loads(state["training"])
        self.training = ZoneTraining(**{**about, "shape": tuple(about["shape"])})
        self.n_images = state["n_done"] * self.training.batch_size
        self._device = Processes().device("auto")
        self._type = autocast_type("auto", self._device)
        self._network = _placed(Vgg2d(self.training.network_shape), self._device)
        self._network.load_state_dict(state["network"])
        self._network.eval()

    @torch.no_grad()
    def probabilities(self, images: Float32Array) -> HeadProbabilities:
        """Return what both heads say of images of shape (n_images, rows, columns)."""
        groups, systems = [], []
        for start in range(0, len(images), 256):
            block = _images(images[start : start + 256], self._device)
            with torch.autocast(
                self._device.type, self._type or torch.bfloat16, enabled=self._type is not None
            ):
                group_logits, system_logits = self._network(block)
            groups.append(group_logits.float().softmax(dim=1).cpu().numpy())
            systems.append(system_logits.float().softmax(dim=1).cpu().numpy())
        return HeadProbabilities(
            np.concatenate(groups).astype(np.float64), np.concatenate(systems).astype(np.float64)
        )


def standard_trainings(n_images: int) -> dict[str, ZoneTraining]:
    """Return the trainings of the paper's four models: the last on so many images, others on less.

    Fewer axes are learned from fewer images.
    """
    share = {"model-1": 0.15, "model-2": 0.25, "model-3": 0.4, "model-4": 1.0}
    return {
        name: ZoneTraining(n_axes, max(1, round(share[name] * n_images)))
        for name, n_axes in N_AXES_OF_MODEL.items()
    }


def _placed(network: Vgg2d, device: torch.device) -> Vgg2d:
    # Convolutions of one core are twice as fast with the channels last.
    placed: Vgg2d = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _images(images: Float32Array, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(images)[:, None].to(device)
    return tensor.contiguous(memory_format=torch.channels_last)
