"""What a training run is told: one YAML file, checked before anything is computed."""

from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from phasepilot.models.errors import TrainingError
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.training.run_configuration import OPEN_LICENCES as OPEN_LICENCES
from phasepilot.models.training.run_configuration import RunConfiguration, Strict

FLAGSHIP = "pilotnet"
_EXAMPLE = "examples/train_pilotnet.yaml"
_Kind = TypeVar("_Kind", bound=RunConfiguration)


class PilotNetSizes(Strict):
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


class NetworkConfiguration(Strict):
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
        if self.kind != FLAGSHIP and "sizes" in self.model_fields_set:
            raise ValueError(f"sizes can be given for {FLAGSHIP} only, but kind is {self.kind!r}")
        return self


class TrainingConfiguration(RunConfiguration):
    """A training run on powder patterns.

    Attributes
    ----------
    sticks : Path or None
        Where stick lists go; runs on the same structures can share them. None for a folder in
        `work_directory`.
    max_rows : int or None
        Rows beyond this number are left out.
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
    """

    sticks: Path | None = None
    max_rows: int | None = Field(default=None, ge=1)
    experimental_sources: tuple[str, ...] = ()
    experimental_weight: float = Field(default=1.0, gt=0)
    preprocessing: Preprocessing = Preprocessing()
    network: NetworkConfiguration = NetworkConfiguration()
    recipe: str = "wide-lattice"
    calibration_recipe: str = "careful-laboratory"

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.network.kind == FLAGSHIP:
            self.network.sizes.check(self.preprocessing.grid.n_bins)
        return self

    @property
    def stick_directory(self) -> Path:
        """Where the stick lists are."""
        return self.sticks or self.work_directory / "sticks"

    @property
    def q_max_per_angstrom(self) -> float:
        """How far stick lists reach: recipes stretch lattices, and lines from beyond move in."""
        return self.preprocessing.grid.q_max_per_angstrom * 1.1


def read_training_configuration(path: Path, data: Path | None = None) -> TrainingConfiguration:
    """Return the checked configuration of a YAML file.

    A relative `structures` starts at the folder `data` if one is given, other relative paths at
    the file's own folder.

    Raises
    ------
    TrainingError
        If the file cannot be read, or holds something unexpected; every such entry is named.
    """
    configuration = configuration_of_file(path, TrainingConfiguration, _EXAMPLE)
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


def configuration_of_file(path: Path, kind: type[_Kind], example: str) -> _Kind:
    """Return what a YAML file says, with paths as they stand there.

    Parameters
    ----------
    kind : type
        What it must describe.
    example : str
        Path of a file that shows every entry.

    Raises
    ------
    TrainingError
        As `read_training_configuration`.
    """
    try:
        return kind.model_validate(_content(path, example))
    except ValidationError as error:
        entries = "; ".join(
            f"{'.'.join(map(str, entry['loc'])) or 'file'}: {entry['msg']}"
            for entry in error.errors()
        )
        raise TrainingError(
            f"{path} must describe a training run, but has {entries}; {example} shows every entry."
        ) from error


def _content(path: Path, example: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(
            f"a training configuration must be a YAML file, but {path} could not be read as one"
            f" ({error}); start from {example}."
        ) from error
