"""What a training run on image frames is told."""

from pathlib import Path

from pydantic import Field

from phasepilot.models.networks.image_card import CakeCells
from phasepilot.models.training.configuration import configuration_of_file
from phasepilot.models.training.run_configuration import RunConfiguration, Strict

_EXAMPLE = "examples/train_pilotcake.yaml"


class CakeNetSizes(Strict):
    """Sizes of the network; see `phasepilot.models.networks.cake_net.CakeNetShape`."""

    n_waves: int = Field(default=13, ge=1)
    local_filters: int = Field(default=32, ge=1)
    local_kernel: int = Field(default=24, ge=1)
    local_stride: int = Field(default=4, ge=1)
    global_filters: int = Field(default=64, ge=1)
    channels: tuple[int, int] = (192, 256)
    dense: int = Field(default=768, ge=1)
    embedding: int = Field(default=320, ge=1)
    dropout: float = Field(default=0.15, ge=0, lt=1)


class ImageTrainingConfiguration(RunConfiguration):
    """A training run on cakes of crystals, grains and powders.

    Attributes
    ----------
    reflections : Path or None
        Where lists of reflections go; None for a folder in `work_directory`.
    max_per_space_group : int
        Rows of the table that are used of each space group, drawn at random.
    cells : CakeCells
    network : CakeNetSizes
    """

    reflections: Path | None = None
    max_per_space_group: int = Field(default=250, ge=1)
    cells: CakeCells = CakeCells()
    network: CakeNetSizes = CakeNetSizes()

    @property
    def reflection_directory(self) -> Path:
        """Where the lists of reflections are."""
        return self.reflections or self.work_directory / "reflections"


def read_image_training_configuration(
    path: Path, data: Path | None = None
) -> ImageTrainingConfiguration:
    """Return the checked configuration of a YAML file; paths and errors as for powder patterns."""
    configuration = configuration_of_file(path, ImageTrainingConfiguration, _EXAMPLE)
    here, reflections = path.parent.absolute(), configuration.reflections
    return configuration.model_copy(
        update={
            "structures": (data or here).absolute() / configuration.structures.expanduser(),
            "work_directory": here / configuration.work_directory.expanduser(),
            "reflections": None if reflections is None else here / reflections.expanduser(),
        }
    )
