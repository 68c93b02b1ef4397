"""What stands in the JSON card of a network of spot lattices."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phasepilot.models.errors import WeightsError
from phasepilot.models.refused_entries import refused_entries

# Networks of powder patterns end in .json alone; see `registry`.
LATTICE_CARD_SUFFIX = ".lattice.json"


class LatticeModelCard(BaseModel):
    """Where a network of spot lattices comes from, what it covers and what was measured of it.

    Attributes
    ----------
    file, sha256 : str
        Weights, float16, and what turns logits into answers, fitted on families of their own.
    n_structures, n_structures_calibrating : int
        Trained on, and calibrated on; those of the families that are tested are neither.
    measured : dict
        On calibrating families.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    network: str
    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    licence: str
    code_version: str
    trained_on: str
    structure_licences: tuple[str, ...]
    n_structures: int
    n_structures_calibrating: int
    n_patterns: int
    n_parameters: int
    training: dict[str, float | int | str | list[int]]
    measured: dict[str, float | int]
    limits: str


def read_lattice_card(path: Path) -> LatticeModelCard:
    """Return the card of a JSON file.

    Raises
    ------
    WeightsError
        If the file is missing or not a card.
    """
    try:
        return LatticeModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        entries = refused_entries(error, whole="the file", at_most=3)
        raise WeightsError(
            f"a card of a network of spot lattices must be a JSON file, but {path} is none that"
            f" `phasepilot train-lattice` writes ({entries}); reinstall phasepilot, or train again."
        ) from error
    except OSError as error:
        raise WeightsError(
            "a card of a network of spot lattices must be a JSON file, but"
            f" {path} could not be read as one ({error}); reinstall phasepilot, or train again."
        ) from error
