"""What a training run is told: one YAML file, checked before anything is computed."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phasepilot.models.errors import TrainingError
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.refused_entries import refused_entries

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
FLAGSHIP = "pilotnet"
# A run goes on when these change: none of them alters what is learned.
HARMLESS = frozenset(
    (
        *("structures", "work_directory", "sticks"),
        *("device", "n_threads", "n_workers", "checkpoint_every", "validate_every"),
    )
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PilotNetSizes(_Strict):
    """Sizes of the flagship; see `phasepilot.models.networks.pilot_net.PilotNetShape`."""

    channels: tuple[int, ...] = (96, 96, 96)
    kernels: tuple[int, ...] = (64, 8, 8)
    strides: tuple[int, ...] = (16, 4, 2)
    dense: tuple[int, ...] = Field(default=(1024, 256), min_length=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    def check(self, n_bins: int) -> None:
        """Raise ValueError if these convolutions cannot run over so many bins."""
        if not len(self.channels) == len(self.kernels) == len(self.strides):
            raise ValueError(
                "channels, kernels and strides must have an entry a convolution, but have"
                f" {len(self.channels)}, {len(self.kernels)} and {len(self.strides)}"
            )
        length = n_bins
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            length = (length - kernel) // stride + 1 if min(kernel, stride) > 0 else 0
            if length < 1:
                raise ValueError(
                    f"the convolutions must leave at least one point, but kernels {self.kernels}"
                    f" with strides {self.strides} leave nothing of {n_bins} bins"
                )


class NetworkConfiguration(_Strict):
    """Which network is trained.

    Attributes
    ----------
    kind : str
        ``pilotnet``, or a name of `phasepilot.models.networks.reference_networks`.
    sizes : PilotNetSizes
        Of the flagship; reference networks are as wide as their papers say.
    """

    kind: str = FLAGSHIP
    sizes: PilotNetSizes = PilotNetSizes()

    @model_validator(mode="after")
    def _check_sizes_are_used(self) -> Self:
        # A checkpoint states the default sizes too: a run of a reference network must go on.
        if self.kind != FLAGSHIP and self.sizes != PilotNetSizes():
            raise ValueError(f"sizes can be given for {FLAGSHIP} only, but kind is {self.kind!r}")
        return self


class LossConfiguration(_Strict):
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


class TrainingConfiguration(_Strict):
    """A whole training run.

    Attributes
    ----------
    name : str
        Name of the network and of its files.
    structures : Path
        The structure table in Parquet.
    work_directory : Path
        Where checkpoints, learning curves and results go.
    sticks : Path or None
        Where stick lists go; runs on the same structures can share them. None for a folder in
        `work_directory`.
    licences : tuple of str
        Rows with another licence are not used.
    max_atoms, max_rows
        Rows with more atoms in the conventional cell, and rows beyond this number, are left out.
    experimental_sources : tuple of str
        Rows whose `source` starts with one of these, and all rows that name a mineral, count as
        structures determined by an experiment; the others come from calculations.
    experimental_weight : float
        How many times as often a structure from an experiment is drawn.
    recipe : str
        Name of the recipe that patterns are simulated by, see `phasepilot recipes`.
    calibration_recipe : str
        Of the patterns that probabilities, sets and novelty are calibrated on at the end.
    preprocessing : Preprocessing
        What is done to patterns before the network sees them; it goes with the network.
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
    sticks: Path | None = None
    licences: tuple[str, ...] = OPEN_LICENCES
    max_atoms: int = Field(default=300, ge=1)
    max_rows: int | None = Field(default=None, ge=1)
    experimental_sources: tuple[str, ...] = ()
    experimental_weight: float = Field(default=1.0, gt=0)
    preprocessing: Preprocessing = Preprocessing()
    network: NetworkConfiguration = NetworkConfiguration()
    loss: LossConfiguration = LossConfiguration()
    recipe: str = "wide-lattice"
    calibration_recipe: str = "careful-laboratory"
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
    def _check_sizes(self) -> Self:
        if self.network.kind == FLAGSHIP:
            self.network.sizes.check(self.preprocessing.grid.n_bins)
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

    @property
    def stick_directory(self) -> Path:
        """Where the stick lists are."""
        return self.sticks or self.work_directory / "sticks"

    @property
    def q_max_per_angstrom(self) -> float:
        """How far stick lists reach: recipes stretch lattices, and lines from beyond move in."""
        return self.preprocessing.grid.q_max_per_angstrom * 1.1

    def changes(self, other: Self) -> list[str]:
        """Return the names of what differs and alters what is learned."""
        return [
            name
            for name in type(self).model_fields
            if name not in HARMLESS and getattr(self, name) != getattr(other, name)
        ]


def read_training_configuration(path: Path, data: Path | None = None) -> TrainingConfiguration:
    """Return the checked configuration of a YAML file.

    A relative `structures` starts at the folder `data` if one is given, other relative paths at
    the file's own folder.

    Raises
    ------
    TrainingError
        If the file cannot be read, or holds something unexpected; every such entry is named.
    """
    configuration = _checked(path, _content(path))
    # Absolute: a checkpoint belongs to the same run wherever it is resumed from.
    here = path.parent.absolute()
    sticks = configuration.sticks
    return configuration.model_copy(
        update={
            "structures": (data or here).absolute() / configuration.structures.expanduser(),
            "work_directory": here / configuration.work_directory.expanduser(),
            "sticks": None if sticks is None else here / sticks.expanduser(),
        }
    )


def _content(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(
            f"a training configuration must be a YAML file, but {path} could not be read as one"
            f" ({error}); start from examples/train_pilotnet.yaml."
        ) from error


def _checked(path: Path, content: Any) -> TrainingConfiguration:
    try:
        return TrainingConfiguration.model_validate(content)
    except ValidationError as error:
        entries = refused_entries(error, whole="file")
        raise TrainingError(
            f"{path} must describe a training run, but has {entries};"
            " examples/train_pilotnet.yaml shows every entry."
        ) from error
