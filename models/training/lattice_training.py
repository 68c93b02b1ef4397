"""Training of the network of spot lattices on zone-axis patterns, drawn as it goes."""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from phasepilot.models.arrays import Float32Array, IntArray
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore
from phasepilot.models.diffraction.images.worn_spots import worn_spots
from phasepilot.models.diffraction.images.zone_spots import zone_spots
from phasepilot.models.errors import TrainingError
from phasepilot.models.networks.lattice_net import WIDTHS, LatticeNet
from phasepilot.models.networks.symmetry_levels import SYSTEM_OF_SPACE_GROUP, membership
from phasepilot.models.preprocessing.lattice_features import lattice_features
from phasepilot.models.training.processes import Processes, autocast_type
from phasepilot.models.training.resumable_run import ResumableRun
from phasepilot.models.training.zone_axes import UNSEEN_AXES, ZoneAxis

_LARGEST_INDEX = 3
# Patterns drawn at once; numba and numpy then take longer than their calls.
_DRAWN = 4096
_CHECKPOINT_EVERY_S = 60.0
_CURVE_EVERY = 50
# Share of the training in which the learning rate rises.
_WARM_UP = 0.04
# Of the loss by crystal system beside that by space group.
_SYSTEM_WEIGHT = 0.3
# Families of this hash mod 10 are not trained on either: they calibrate.
CALIBRATION_HASH = 1


def training_axes() -> list[ZoneAxis]:
    """Return all directions with indices from -3 to 3, of opposite ones one.

    Without the directions that the benchmark calls unseen, and their opposites.

    Examples
    --------
    >>> axes = training_axes()
    >>> len(axes), (1, -3, 0) in axes, (1, 3, 1) in axes
    (141, True, False)
    """
    every = itertools.product(range(-_LARGEST_INDEX, _LARGEST_INDEX + 1), repeat=3)
    return [
        (u, v, w)
        for u, v, w in every
        if math.gcd(u, v, w) == 1 and (u, v, w) > (0, 0, 0) and (u, v, w) not in UNSEEN_AXES
    ]


@dataclass(frozen=True, slots=True)
class LatticeTraining:
    """A training run.

    Attributes
    ----------
    n_patterns : int
        Each of a random structure in a random direction.
    widths : tuple of int
        Of the hidden layers.
    dropout : float
    batch_size, learning_rate, weight_decay
        Of AdamW; the rate falls to 0 like a cosine.
    seed : int
    """

    n_patterns: int = 3_000_000
    widths: tuple[int, ...] = WIDTHS
    dropout: float = 0.1
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    seed: int = 0

    @property
    def n_draws(self) -> int:
        """How many times patterns are drawn."""
        return -(-self.n_patterns // _DRAWN)


@dataclass(frozen=True, slots=True)
class LatticeBatch:
    """Features of patterns, shape (n_patterns, N_FEATURES), and the space groups less 1."""

    features: Float32Array
    space_group_index: IntArray


def draw_patterns(
    store: ReflectionStore, structures: IntArray, n_patterns: int, rng: np.random.Generator
) -> LatticeBatch:
    """Return worn patterns of random structures in random directions of `training_axes`."""
    axes = np.array(training_axes())
    chosen = rng.choice(structures, n_patterns)
    drawn = axes[rng.integers(len(axes), size=n_patterns)]
    worn = worn_spots(zone_spots(store, chosen, drawn), rng)
    features = lattice_features(worn.spots, worn.position_error_per_angstrom)
    groups = np.asarray(store.space_group_number[chosen], dtype=np.int64) - 1
    return LatticeBatch(features, groups)


class LatticeTrainer:
    """A training run: `run` it; it resumes from its last checkpoint by itself.

    Parameters
    ----------
    training : LatticeTraining
    store : ReflectionStore
        Structures of held-out families, and of those that calibrate, are not trained on.
    directory : Path
        Checkpoint and learning curve go here, as NAME.pt and NAME.csv.
    name : str
    clock : callable
        Seconds; checkpoints are written by it.

    Raises
    ------
    TrainingError
        If the checkpoint there is of another training, or no structure is left to train on.
    """

    def __init__(
        self,
        training: LatticeTraining,
        store: ReflectionStore,
        directory: Path,
        *,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.training, self._store, self._clock = training, store, clock
        calibrates = store.family_hash % 10 == CALIBRATION_HASH
        self.structures = np.flatnonzero(~store.is_held_out & ~calibrates)
        self.calibration_structures = np.flatnonzero(calibrates)
        if not self.structures.size:
            raise TrainingError(
                "training needs structures whose families are not held out, but all"
                f" {store.n_structures} in the store are; build it from more rows."
            )
        self._device = Processes().device("auto")
        self._type = autocast_type("auto", self._device)
        torch.manual_seed(training.seed)
        self.network = LatticeNet(training.widths, dropout=training.dropout).to(self._device)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            training.learning_rate,
            weight_decay=training.weight_decay,
            fused=True,
        )
        self._to_system = torch.from_numpy(membership(SYSTEM_OF_SPACE_GROUP)).float()
        self._run = ResumableRun(
            training, self.network, self._optimiser, directory, name=name, counted="patterns"
        )
        if not self._run.n_done:
            first = torch.from_numpy(self.patterns(0).features)
            self.network.standardise_by(first.to(self._device))

    @property
    def checkpoint_path(self) -> Path:
        """Where the state of the run is kept."""
        return self._run.checkpoint_path

    @property
    def n_done(self) -> int:
        """Draws trained on until now."""
        return self._run.n_done

    @property
    def n_patterns(self) -> int:
        """Patterns trained on until now."""
        return self.n_done * _DRAWN

    def run(self, progress: Callable[[int, int, float], None]) -> None:
        """Train to the end; `progress` is told patterns done, patterns in all and the loss."""
        saved_s, since = self._clock(), []
        while self.n_done < self.training.n_draws:
            since.append(self._learn(self.patterns(self.n_done)))
            self._run.n_done += 1
            is_last = self.n_done == self.training.n_draws
            if is_last or self.n_done % _CURVE_EVERY == 0:
                loss = float(np.mean(since))
                since = []
                self._run.curve.append((self.n_done * _DRAWN, loss, *self._calibration_shares()))
                progress(self.n_done * _DRAWN, self.training.n_draws * _DRAWN, loss)
            if is_last or self._clock() - saved_s > _CHECKPOINT_EVERY_S:
                self._run.save()
                saved_s = self._clock()

    def patterns(self, number: int) -> LatticeBatch:
        """Return the patterns of that draw, always the same."""
        rng = np.random.default_rng([self.training.seed, number])
        return draw_patterns(self._store, self.structures, _DRAWN, rng)

    def _learn(self, drawn: LatticeBatch) -> float:
        """Return the mean loss of steps with all patterns of a draw."""
        self.network.train()
        losses = []
        for start in range(0, _DRAWN, self.training.batch_size):
            own = slice(start, start + self.training.batch_size)
            for group in self._optimiser.param_groups:
                group["lr"] = self._learning_rate(start)
            features = torch.from_numpy(drawn.features[own]).to(self._device)
            groups = torch.from_numpy(drawn.space_group_index[own]).to(self._device)
            with torch.autocast(
                self._device.type, self._type or torch.bfloat16, enabled=self._type is not None
            ):
                logits = self.network(features)
            loss = self._loss(logits.float(), groups)
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            self._optimiser.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    def _loss(self, logits: Tensor, groups: Tensor) -> Tensor:
        log_p = logits.log_softmax(dim=1)
        to_system = self._to_system.to(self._device)
        log_system = (log_p.exp() @ to_system).clamp(min=1e-9).log()
        systems = to_system[groups].argmax(dim=1)
        by_system = nn.functional.nll_loss(log_system, systems)
        return nn.functional.nll_loss(log_p, groups) + _SYSTEM_WEIGHT * by_system

    def _learning_rate(self, start: int) -> float:
        share = (self.n_done + start / _DRAWN) / self.training.n_draws
        fall = 0.5 + 0.5 * math.cos(math.pi * share)
        return self.training.learning_rate * min(1.0, share / _WARM_UP) * fall

    @torch.no_grad()
    def _calibration_shares(self) -> tuple[float, float]:
        """Return how often space group and crystal system of calibrating families are right."""
        if not self.calibration_structures.size:
            return math.nan, math.nan
        rng = np.random.default_rng(self.training.seed)
        drawn = draw_patterns(self._store, self.calibration_structures, _DRAWN, rng)
        self.network.eval()
        logits = self.network(torch.from_numpy(drawn.features).to(self._device)).float()
        systems = (logits.softmax(dim=1).cpu() @ self._to_system).argmax(dim=1).numpy()
        said = logits.argmax(dim=1).cpu().numpy()
        truth = drawn.space_group_index
        return float(np.mean(said == truth)), float(
            np.mean(systems == SYSTEM_OF_SPACE_GROUP[truth])
        )
