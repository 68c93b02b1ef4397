"""Training of the NPCNN on patterns simulated as it goes, with checkpoints that resume."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread

import numpy as np
import torch
from torch import nn

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.errors import TrainingError
from phasepilot.models.networks.npcnn import Npcnn, NpcnnShape
from phasepilot.models.networks.space_groups import crystal_system_index
from phasepilot.models.training.configuration import TrainingConfiguration
from phasepilot.models.training.synthesis import Batch, sampling_weights, synthesise

_AVERAGE_DECAY = 0.999
_WARM_UP_BATCHES = 200
# The second word of the seed: training, validation and weights draw from unrelated streams.
_TRAINING_STREAM, _VALIDATION_STREAM = 1, 2


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training run stands."""

    batch: int
    n_batches: int
    loss: float
    space_group_accuracy: float


class Trainer:
    """A training run: `run` it; it resumes from its last checkpoint by itself.

    Attributes
    ----------
    network : Npcnn
        The network being trained.
    averaged : Npcnn
        Its running average over batches, which is what ships.
    """

    def __init__(self, configuration: TrainingConfiguration, store: StickStore) -> None:
        self.configuration = configuration
        self._store = store
        self._recipe = named_recipe(configuration.recipe)
        torch.set_num_threads(configuration.n_threads)
        torch.manual_seed(configuration.seed)
        sizes = configuration.network
        shape = NpcnnShape(
            configuration.preprocessing.grid.n_bins,
            sizes.channels,
            sizes.kernels,
            sizes.strides,
            sizes.dense,
            sizes.convolution_dropout,
            sizes.dense_dropout,
        )
        self.network = Npcnn(shape)
        self.averaged = Npcnn(shape)
        self.averaged.load_state_dict(self.network.state_dict())
        self.averaged.eval()
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=configuration.learning_rate,
            weight_decay=configuration.weight_decay,
        )
        self._loss = nn.CrossEntropyLoss(label_smoothing=configuration.label_smoothing)
        self._systems = torch.from_numpy(crystal_system_index(np.arange(1, 231)))
        self.n_done = 0

    @property
    def checkpoint_path(self) -> Path:
        """Where the run is saved."""
        return self.configuration.work_directory / "checkpoint.pt"

    def run(self, progress: Callable[[Progress], None] = lambda _: None) -> None:
        """Train to the end, from the last checkpoint if there is one."""
        if self.checkpoint_path.exists():
            self._resume()
        n_batches = self.configuration.n_batches
        batches = self._batches_ahead(range(self.n_done, n_batches))
        self.network.train()
        while self.n_done < n_batches:
            loss, accuracy = self._step(batches.get())
            self.n_done += 1
            progress(Progress(self.n_done, n_batches, loss, accuracy))
            if self.n_done % self.configuration.checkpoint_every == 0 or self.n_done == n_batches:
                self._save()

    def _step(self, batch: Batch | Exception) -> tuple[float, float]:
        if isinstance(batch, Exception):
            raise batch
        for group in self._optimiser.param_groups:
            group["lr"] = self.configuration.learning_rate * self._schedule(self.n_done)
        groups = torch.from_numpy(batch.space_group_index)
        system_logits, group_logits = self.network(torch.from_numpy(batch.inputs))
        loss = self._loss(group_logits, groups) + self._loss(system_logits, self._systems[groups])
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimiser.step()
        decay = min(_AVERAGE_DECAY, (1 + self.n_done) / (10 + self.n_done))
        with torch.no_grad():
            pairs = zip(self.averaged.parameters(), self.network.parameters(), strict=True)
            for average, current in pairs:
                average.lerp_(current, 1 - decay)
        hits = (group_logits.argmax(dim=1) == groups).float().mean()
        return float(loss.detach()), float(hits)

    def _schedule(self, batch: int) -> float:
        warm = min(1.0, (batch + 1) / _WARM_UP_BATCHES)
        return warm * (0.5 + 0.5 * float(np.cos(np.pi * batch / self.configuration.n_batches)))

    def _batches_ahead(self, numbers: range) -> "Queue[Batch | Exception]":
        """Return a queue that a thread keeps filled: numpy simulates while torch trains."""
        ahead: Queue[Batch | Exception] = Queue(maxsize=4)
        is_trained_on = ~self._store.is_held_out
        structures = np.flatnonzero(is_trained_on)
        weights = sampling_weights(
            np.asarray(self._store.space_group_number)[structures],
            self.configuration.class_exponent,
        )

        def fill() -> None:
            try:
                for number in numbers:
                    ahead.put(self._batch(structures, weights, number))
            except Exception as error:  # handed over: the training thread raises it
                ahead.put(error)

        Thread(target=fill, name="synthesis", daemon=True).start()
        return ahead

    def _batch(self, structures: IntArray, weights: FloatArray, number: int) -> Batch:
        # A batch depends on its number alone, so a resumed run sees what an unbroken one would.
        rng = np.random.default_rng([self.configuration.seed, _TRAINING_STREAM, number])
        size = self.configuration.batch_size
        chosen = rng.choice(structures, size, p=weights)
        impurities = rng.choice(structures, size)
        return synthesise(
            self._store,
            chosen,
            impurities,
            recipe=self._recipe,
            preprocessing=self.configuration.preprocessing,
            rng=rng,
        )

    def _save(self) -> None:
        state = {
            "n_done": self.n_done,
            "configuration": self.configuration.model_dump_json(),
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "torch_random": torch.get_rng_state(),
        }
        # Written beside and moved over: a kill in the middle leaves the previous checkpoint.
        self.checkpoint_path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint_path)

    def _resume(self) -> None:
        try:
            state = torch.load(self.checkpoint_path, weights_only=True)
            saved = TrainingConfiguration.model_validate_json(state["configuration"])
        except Exception as error:  # torch raises something else for every way of being damaged
            raise TrainingError(
                f"{self.checkpoint_path} must be a checkpoint of a training run, but could not be"
                f" read as one ({type(error).__name__}); use another work_directory or delete the"
                " checkpoint."
            ) from error
        if saved != self.configuration:
            changed = [
                name
                for name in TrainingConfiguration.model_fields
                if getattr(saved, name) != getattr(self.configuration, name)
            ]
            raise TrainingError(
                f"{self.checkpoint_path} must belong to this configuration, but differs in"
                f" {', '.join(changed)}; use another work_directory or delete the checkpoint."
            )
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["torch_random"])
        self.n_done = int(state["n_done"])


def validation_batches(
    configuration: TrainingConfiguration, store: StickStore, batch_size: int = 256
) -> list[Batch]:
    """Return patterns of structures whose families are never trained on, a fixed set per seed.

    Space groups come as often as the training stream draws them.
    """
    rng = np.random.default_rng([configuration.seed, _VALIDATION_STREAM])
    structures = np.flatnonzero(store.is_held_out)
    if structures.size == 0:
        raise TrainingError(
            f"validation needs structures of held-out families, but none of the"
            f" {store.n_structures} in the store is one; use more rows of the table."
        )
    weights = sampling_weights(
        np.asarray(store.space_group_number)[structures], configuration.class_exponent
    )
    recipe = named_recipe(configuration.recipe)
    batches = []
    for start in range(0, configuration.n_validation, batch_size):
        size = min(batch_size, configuration.n_validation - start)
        chosen = rng.choice(structures, size, p=weights)
        impurities = rng.choice(structures, size)
        batches.append(
            synthesise(
                store,
                chosen,
                impurities,
                recipe=recipe,
                preprocessing=configuration.preprocessing,
                rng=rng,
            )
        )
    return batches
