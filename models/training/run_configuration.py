"""What every training run is told, whatever it learns from."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

OPEN_LICENCES = (
    "CC-BY-4.0",
    "COD CC0 / MP CC-BY-4.0",
    "NIST public domain",
    "COD CC0",
    "public domain (COD/IZA)",
    "MIT (pymatgen) / AFLOW",
    "CC-BY-4.0 (see repo)",
    "CC-BY (see repo)",
    "MIT",
    "CC0 (COD)",
)
# A run goes on when these change: none of them alters what is learned.
HARMLESS = frozenset(
    (
        *("structures", "work_directory", "sticks", "reflections"),
        *("device", "n_threads", "n_workers", "checkpoint_every", "validate_every"),
    )
)


class Strict(BaseModel):
    """Knows what may stand in it, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LossConfiguration(Strict):
    """Weights of the cross entropies, whose sum is minimised.

    Attributes
    ----------
    space_group, extinction_class, bravais_lattice, crystal_system : float
    label_smoothing : float
        Of the space groups alone: this much of the target is spread evenly over all 230.
    """

    space_group: float = Field(default=1.0, gt=0)
    extinction_class: float = Field(default=1.0, ge=0)
    bravais_lattice: float = Field(default=0.3, ge=0)
    crystal_system: float = Field(default=0.5, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class RunConfiguration(Strict):
    """A training run, but for what it learns from and which network learns.

    Attributes
    ----------
    name : str
        Name of the network and of its files.
    structures : Path
        The structure table in Parquet.
    licences : tuple of str
        Rows with another licence are not used.
    max_atoms : int
        Rows with more atoms in the conventional cell are left out.
    work_directory : Path
        Where checkpoints, learning curves and results go.
    class_exponent : float
        Space groups are drawn in proportion to their count to this power.
    logit_adjustment : float
        Times the logarithm of how often a space group is drawn, added to its logit in the loss
        only; 1 makes the network answer as if all space groups were equally common.
    n_patterns : int
        Patterns to train on, each simulated afresh.
    batch_parts : int
        Parts that a batch is drawn in. As many processes can share the work; what is drawn does
        not depend on how many do.
    warm_up_batches : int
        Batches over which the learning rate rises; from there it falls like a cosine.
    average_decay : float
        Of the running average of the weights, which is what ships.
    precision : str
        ``auto`` takes bfloat16 where the processor or GPU computes with it.
    n_validation : int
        Patterns of held-out families that measure and calibrate at the end.
    n_watched, validate_every : int
        Of these patterns, so many are shown to the network after every so many batches.
    checkpoint_every : int
        Batches between checkpoints.
    n_threads, n_workers : int
        Threads of torch, and processes that simulate; 0 simulates between the training steps.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    structures: Path
    work_directory: Path
    licences: tuple[str, ...] = OPEN_LICENCES
    max_atoms: int = Field(default=300, ge=1)
    loss: LossConfiguration = LossConfiguration()
    class_exponent: float = Field(default=0.7, ge=0, le=1)
    logit_adjustment: float = Field(default=0.0, ge=0)
    n_patterns: int = Field(default=1_000_000, ge=1)
    batch_size: int = Field(default=256, ge=1)
    batch_parts: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warm_up_batches: int = Field(default=300, ge=1)
    weight_decay: float = Field(default=0.02, ge=0)
    average_decay: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    n_validation: int = Field(default=8192, ge=64)
    n_watched: int = Field(default=2048, ge=1)
    validate_every: int = Field(default=400, ge=1)
    checkpoint_every: int = Field(default=200, ge=1)
    n_threads: int = Field(default=1, ge=1)
    n_workers: int = Field(default=1, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.batch_size % self.batch_parts:
            raise ValueError(
                f"batch_size must be a multiple of batch_parts, but {self.batch_size} is not one"
                f" of {self.batch_parts}"
            )
        return self

    @property
    def n_batches(self) -> int:
        """Number of optimiser steps."""
        return -(-self.n_patterns // self.batch_size)

    def changes(self, other: Self) -> list[str]:
        """Return the names of what differs and alters what is learned, sorted."""
        return [
            name
            for name in sorted(type(self).model_fields)
            if name not in HARMLESS and getattr(self, name) != getattr(other, name)
        ]
