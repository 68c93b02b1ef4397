"""The part of `phasepilot classify` that is about images."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phasepilot.agent.cli.console import console, print_error
from phasepilot.agent.errors import AgentError, ConfigurationError
from phasepilot.models.errors import ModelsError

if TYPE_CHECKING:
    from phasepilot.agent.image_classification import ImageClassifier, ImageFinding
    from phasepilot.models.estimation.image_estimator import ImageEstimator
    from phasepilot.models.networks.estimate import PhaseEstimate
    from phasepilot.models.networks.registry import PhaseModel

_NO_NETWORK = "none"


@dataclass(frozen=True, slots=True)
class ImageRow:
    """What is printed of one image.

    Attributes
    ----------
    row : tuple
        File, estimate and seconds.
    more : dict
        What patterns do not have.
    """

    row: tuple[Path, "PhaseEstimate", float]
    more: dict[str, Any]


def image_rows(
    files: list[Path],
    poni: Path,
    wavelength_angstrom: float | None,
    model: "PhaseModel",
    image_model: str,
    pictures: Path | None,
    set_level: float,
) -> tuple[list[ImageRow], int]:
    """Return a row for each image that can be read, and how many could not."""
    from phasepilot.agent.image_classification import ImageClassifier, image_settings

    network = _network(image_model, set_level)
    classifier = ImageClassifier(image_settings(poni), model, network, set_level=set_level)
    rows: list[ImageRow] = []
    for file in files:
        try:
            started = time.perf_counter()
            found = classifier.classify(file, wavelength_angstrom)
            seconds = time.perf_counter() - started
            rows.append(ImageRow((file, found.estimate, seconds), _more(found)))
            if pictures is not None:
                _draw(file, found, classifier, pictures)
        except (AgentError, ModelsError) as error:
            print_error(str(error))
    return rows, len(files) - len(rows)


def _network(name: str, set_level: float) -> "ImageEstimator | None":
    from phasepilot.models.estimation.lattice_model import (
        DEFAULT_LATTICE_MODEL,
        load_lattice_model,
    )

    return (
        None
        if name == _NO_NETWORK
        else load_lattice_model(name or DEFAULT_LATTICE_MODEL, set_level=set_level)
    )


def _more(found: "ImageFinding") -> dict[str, Any]:
    statement, of_image = found.reduced.statement, found.of_image
    return {
        "image_kind": statement.kind.value,
        "image_reason": statement.reason,
        "image_remarks": list(found.remarks),
        "pattern_space_group_number": found.of_pattern.space_group_number,
        "image_space_group_number": None if of_image is None else of_image.space_group_number,
    }


def _draw(file: Path, found: "ImageFinding", classifier: "ImageClassifier", folder: Path) -> None:
    import numpy as np

    from phasepilot.agent.report.image_figure import ImageRecord, draw_image_record
    from phasepilot.models.networks.space_groups import space_group_symbol

    reduced, number = found.reduced, found.estimate.space_group_number
    polar = reduced.seen.polar
    unrolled = np.full(polar.signal.shape, np.nan, dtype=np.float32)
    np.divide(polar.signal, polar.weight, out=unrolled, where=polar.is_measured)
    said = {"pattern": found.of_pattern.crystal_system_probabilities}
    if found.of_image is not None:
        said |= {
            "image": found.of_image.crystal_system_probabilities,
            "both": found.estimate.crystal_system_probabilities,
        }
    record = ImageRecord(
        title=f"{file.name}: {number} {space_group_symbol(number)}"
        f" ({found.estimate.space_group_probabilities.max():.0%})",
        subtitle=f"{reduced.statement.kind.value}: {reduced.statement.reason}",
        image=reduced.seen.counts,
        two_theta_deg=polar.two_theta_deg,
        chi_deg=polar.chi_deg,
        unrolled=unrolled,
        attribution=classifier.attribution(found),
        crystal_systems=said,
    )
    path = folder / f"{file.stem}-shown.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draw_image_record(record, path)
    except OSError as error:
        raise ConfigurationError(
            f"pictures must go where files can be written, but {path} cannot be"
            f" ({error.strerror or error}); choose another --picture."
        ) from error
    console.print(f"wrote {path}", soft_wrap=True, markup=False, highlight=False)
