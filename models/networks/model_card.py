"""What stands in the JSON card beside a weights file."""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phasepilot.models.errors import WeightsError
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.refused_entries import refused_entries

_SHA256 = "^[0-9a-f]{64}$"


class ModelCard(BaseModel):
    """Where a network comes from, what it covers and what was measured of it.

    Attributes
    ----------
    file, sha256 : str
        Its weights.
    calibration_file, calibration_sha256 : str
        What turns its outputs into calibrated answers, fitted on held-out simulated patterns.
    search_file, search_sha256 : str or None
        What weighs it against a search over known structures; None if that was not fitted.
    novelty_file, novelty_sha256 : str or None
        The `NoveltyNet` beside it; None if none was trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    network: str
    reference: str
    file: str
    sha256: str = Field(pattern=_SHA256)
    calibration_file: str
    calibration_sha256: str = Field(pattern=_SHA256)
    search_file: str | None = None
    search_sha256: str | None = Field(default=None, pattern=_SHA256)
    novelty_file: str | None = None
    novelty_sha256: str | None = Field(default=None, pattern=_SHA256)
    licence: str
    code_version: str
    trained_on: str
    structure_licences: tuple[str, ...]
    n_structures: int
    n_structures_held_out: int
    n_patterns: int
    n_parameters: int
    seed: int
    training: dict[str, float | int | str | list[int]]
    classes: str
    q_min_per_angstrom: float
    q_max_per_angstrom: float
    n_bins: int
    preprocessing: Preprocessing
    measured: dict[str, float | int]
    limits: str

    @property
    def grid(self) -> LogQGrid:
        """The ln q grid of the network's input."""
        return LogQGrid(self.q_min_per_angstrom, self.q_max_per_angstrom, self.n_bins)


def read_card(path: Path) -> ModelCard:
    """Return the card of a JSON file.

    Raises
    ------
    WeightsError
        If the file is missing or not a card.
    """
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        entries = refused_entries(error, whole="the file", at_most=3)
        raise WeightsError(
            f"a model card must be a JSON file, but {path} is none that `phasepilot train` writes"
            f" ({entries}); reinstall phasepilot, or train the network again."
        ) from error
    except OSError as error:
        raise WeightsError(
            f"a model card must be a JSON file, but {path} could not be read as one ({error});"
            " reinstall phasepilot, or train the network again."
        ) from error


def check_sha256(path: Path, sha256: str) -> bytes:
    """Return the content of a file, which must be the one that a card describes.

    Raises
    ------
    WeightsError
        If it is missing or another file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"a file of the network must lie at {path}, but it cannot be read ({error});"
            " reinstall phasepilot."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise WeightsError(
            f"{path} must have sha256 {sha256[:12]}..., as its card says, but has"
            f" {digest[:12]}...; the file is damaged or not the one of this card: reinstall it."
        )
    return content
