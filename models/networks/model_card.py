"""What stands in the JSON card beside a weights file."""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phasepilot.models.errors import WeightsError
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.configuration import NPCNN_V1, GridConfiguration, Preprocessing


class Calibration(BaseModel):
    """Numbers fitted on held-out simulated patterns, applied to the logits of the network.

    Attributes
    ----------
    crystal_system_temperature, space_group_temperature : float
        Logits are divided by these.
    set_level : float
        Coverage aimed at by the conformal sets.
    crystal_system_threshold, space_group_threshold : float
        A class is in the set when its probability is at least this (split conformal, least
        ambiguous sets: Sadinle, Lei & Wasserman, J. Am. Stat. Assoc. 114, 223 (2019)).
    familiarity_quantiles : tuple of float
        Quantiles, evenly spaced from 0 to 1, of the log-sum-exp of the space-group logits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crystal_system_temperature: float = Field(gt=0)
    space_group_temperature: float = Field(gt=0)
    set_level: float = Field(gt=0, lt=1)
    crystal_system_threshold: float
    space_group_threshold: float
    familiarity_quantiles: tuple[float, ...] = Field(min_length=2)


class ModelCard(BaseModel):
    """Where a network comes from, what it covers and what was measured of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    network: str
    reference: str
    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
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
    calibration: Calibration
    measured: dict[str, float | int]
    limits: str

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preprocessing(cls, content: Any) -> Any:
        # Cards from before this was written down belong to networks trained like the first.
        if not isinstance(content, dict) or "preprocessing" in content:
            return content
        grid = {name: content.get(name) for name in GridConfiguration.model_fields}
        return {**content, "preprocessing": {**NPCNN_V1.model_dump(), "grid": grid}}

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
    except (OSError, ValidationError) as error:
        raise WeightsError(
            f"a model card must be a JSON file, but {path} could not be read as one ({error});"
            " reinstall phasepilot, or train the network again."
        ) from error


def check_sha256(path: Path, card: ModelCard) -> bytes:
    """Return the content of the weights file, which must be the one that the card describes.

    Raises
    ------
    WeightsError
        If it is missing or another file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"the network {card.name} must lie at {path}, but it cannot be read ({error});"
            " reinstall phasepilot."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise WeightsError(
            f"the network {card.name} must have sha256 {card.sha256[:12]}..., but {path} has"
            f" {digest[:12]}...; the file is damaged or not the one of this card: reinstall it."
        )
    return content
