"""What a training run is told: one YAML file, checked before anything is computed."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phasepilot.models.errors import TrainingError
from phasepilot.models.preprocessing.configuration import Preprocessing

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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkConfiguration(_Strict):
    """Sizes of the NPCNN; see `phasepilot.models.networks.npcnn.NpcnnShape`."""

    channels: int = Field(default=80, ge=1)
    kernels: tuple[int, int, int] = (32, 16, 8)
    strides: tuple[int, int, int] = (8, 4, 2)
    dense: tuple[int, int] = (1024, 512)
    convolution_dropout: float = Field(default=0.3, ge=0, lt=1)
    dense_dropout: float = Field(default=0.5, ge=0, lt=1)


class TrainingConfiguration(_Strict):
    """A whole training run.

    Attributes
    ----------
    name : str
        Name of the network and of its files.
    structures : Path
        The structure table in Parquet.
    work_directory : Path
        Where stick lists, checkpoints and results go.
    licences : tuple of str
        Rows with another licence are not used.
    max_atoms, max_rows
        Rows with more atoms in the conventional cell, and rows beyond this number, are left out.
    recipe : str
        Name of the recipe that patterns are simulated by, see `phasepilot recipes`.
    preprocessing : Preprocessing
        What is done to patterns before the network sees them; it goes with the network.
    class_exponent : float
        Space groups are drawn in proportion to their count to this power.
    n_patterns : int
        Patterns to train on, each simulated afresh.
    n_validation : int
        Patterns of held-out families that measure and calibrate.
    checkpoint_every : int
        Batches between checkpoints.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    structures: Path
    work_directory: Path
    licences: tuple[str, ...] = OPEN_LICENCES
    max_atoms: int = Field(default=120, ge=1)
    max_rows: int | None = Field(default=None, ge=1)
    preprocessing: Preprocessing = Preprocessing()
    network: NetworkConfiguration = NetworkConfiguration()
    recipe: str = "laboratory"
    class_exponent: float = Field(default=0.5, ge=0, le=1)
    n_patterns: int = Field(default=1_000_000, ge=1)
    batch_size: int = Field(default=256, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    n_validation: int = Field(default=8192, ge=64)
    checkpoint_every: int = Field(default=200, ge=1)
    n_threads: int = Field(default=2, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        length = self.preprocessing.grid.n_bins
        for kernel, stride in zip(self.network.kernels, self.network.strides, strict=True):
            length = (length - kernel) // stride + 1 if min(kernel, stride) > 0 else 0
            if length < 1:
                raise ValueError(
                    f"the convolutions must leave at least one point, but kernels"
                    f" {self.network.kernels} with strides {self.network.strides} leave nothing of"
                    f" {self.preprocessing.grid.n_bins} bins"
                )
        return self

    @property
    def n_batches(self) -> int:
        """Number of optimiser steps."""
        return -(-self.n_patterns // self.batch_size)


def read_training_configuration(path: Path, data: Path | None = None) -> TrainingConfiguration:
    """Return the checked configuration of a YAML file.

    A relative `structures` starts at the folder `data` if one is given, other relative paths at
    the file's own folder.

    Raises
    ------
    TrainingError
        If the file cannot be read, or holds something unexpected; every such entry is named.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(
            f"a training configuration must be a YAML file, but {path} could not be read as one"
            f" ({error}); start from examples/train_npcnn.yaml."
        ) from error
    try:
        configuration = TrainingConfiguration.model_validate(content)
    except ValidationError as error:
        entries = "; ".join(
            f"{'.'.join(map(str, entry['loc'])) or 'file'}: {entry['msg']}"
            for entry in error.errors()
        )
        raise TrainingError(
            f"{path} must describe a training run, but has {entries};"
            " examples/train_npcnn.yaml shows every entry."
        ) from error
    # Absolute: a checkpoint belongs to the same run wherever it is resumed from.
    here = path.parent.absolute()
    return configuration.model_copy(
        update={
            "structures": (data or here).absolute() / configuration.structures.expanduser(),
            "work_directory": here / configuration.work_directory.expanduser(),
        }
    )
