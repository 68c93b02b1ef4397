"""What stands in the JSON card of a network of image frames."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phasepilot.models.diffraction.images.cake_grid import CakeGrid
from phasepilot.models.errors import WeightsError
from phasepilot.models.log_q import LogQGrid

_SHA256 = "^[0-9a-f]{64}$"
# Networks of powder patterns end in .json alone; see `registry`.
CARD_SUFFIX = ".image.json"


class CakeCells(BaseModel):
    """The cells that images are unrolled onto; see `CakeGrid`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_chi: int = Field(default=72, ge=8)
    n_bins: int = Field(default=160, ge=16)
    q_min_per_angstrom: float = Field(default=0.5, gt=0)
    q_max_per_angstrom: float = Field(default=7.9, gt=0)
    blur_bins: float = Field(default=0.85, gt=0)

    def grid(self) -> CakeGrid:
        """Return the grid of these cells."""
        radial = LogQGrid(self.q_min_per_angstrom, self.q_max_per_angstrom, self.n_bins)
        return CakeGrid(radial, self.n_chi, self.blur_bins)


class ImageModelCard(BaseModel):
    """Where a network of image frames comes from, what it covers and what was measured of it.

    Attributes
    ----------
    file, sha256 : str
        Its weights, ONNX.
    calibration_file, calibration_sha256 : str
        What turns its outputs into calibrated answers, fitted on cakes of held-out families.
    cells : CakeCells
        What it sees.
    training : dict
        How it was trained, flat.
    measured : dict
        On families that neither trained nor calibrated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    network: str
    file: str
    sha256: str = Field(pattern=_SHA256)
    calibration_file: str
    calibration_sha256: str = Field(pattern=_SHA256)
    licence: str
    code_version: str
    trained_on: str
    structure_licences: tuple[str, ...]
    n_structures: int
    n_structures_held_out: int
    n_patterns: int
    n_parameters: int
    seed: int
    cells: CakeCells
    training: dict[str, float | int | str | list[int]]
    measured: dict[str, float | int]
    limits: str


def read_image_card(path: Path) -> ImageModelCard:
    """Return the card of a JSON file.

    Raises
    ------
    WeightsError
        If the file is missing or not a card.
    """
    try:
        return ImageModelCard.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise WeightsError(
            f"a card of an image network must be a JSON file, but {path} could not be read as one"
            f" ({error}); reinstall phasepilot, or train the network again."
        ) from error
