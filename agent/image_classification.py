"""Names what image files show, as the agent does with the images of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phasepilot.agent.assets.image_file import read_image_file
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AssetError, ConfigurationError
from phasepilot.agent.frame_loading import summed_exposures
from phasepilot.agent.frame_pattern import CountedPattern
from phasepilot.agent.frame_settings import ImageSettings
from phasepilot.agent.image_answers import ImageAnswers
from phasepilot.agent.image_reduction import ImageReduction, ReducedImage
from phasepilot.models.arrays import Float32Array
from phasepilot.models.estimation.image_estimator import ImageEstimator
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.registry import PhaseModel


@dataclass(frozen=True, slots=True, eq=False)
class ImageFinding:
    """What one image shows.

    Attributes
    ----------
    reduced : ReducedImage
        The image unrolled, and what kind of image it is.
    of_pattern, of_image : PhaseEstimate or None
        By the network of patterns, and by that of images where there is one.
    estimate : PhaseEstimate
        What both say together.
    remarks : tuple of str
        What a person should know of the image.
    """

    reduced: ReducedImage
    of_pattern: PhaseEstimate
    of_image: PhaseEstimate | None
    estimate: PhaseEstimate
    remarks: tuple[str, ...]


class ImageClassifier:
    """Reads images of one detector and names what they show.

    Parameters
    ----------
    settings : ImageSettings
        Where the detector stands.
    model : PhaseModel
    network : ImageEstimator or None
        Looks at the image itself; None leaves the answer to the pattern.
    set_level : float
        Of the sets of common answers; those of a network alone are its own.
    """

    def __init__(
        self,
        settings: ImageSettings,
        model: PhaseModel,
        network: ImageEstimator | None,
        *,
        set_level: float,
    ) -> None:
        configuration = AgentConfiguration(
            intensity_field="image", image=settings, set_level=set_level
        )
        self._model, self._network = model, network
        self._reduction = ImageReduction(settings)
        self._answers = ImageAnswers(configuration, network)

    def classify(self, file: Path, wavelength_angstrom: float | None) -> ImageFinding:
        """Return what the image of a file shows; several frames in it are added up.

        Parameters
        ----------
        wavelength_angstrom : float or None
            None takes that of the .poni file.

        Raises
        ------
        AgentError, ModelsError
            If the file cannot be read, or holds no image of this detector.
        """
        image, _ = summed_exposures(read_image_file(file), 2)
        if image.ndim != 2:
            raise AssetError(
                f"{file} must hold an image, but its shape is {np.shape(image)}; patterns in"
                " columns are classified without --poni."
            )
        reduced = self._reduction.pattern(image, wavelength_angstrom)
        counted = CountedPattern(reduced.pattern, None, image=reduced)
        looked = self._answers.look(None, counted)
        of_pattern = self._model.predict(reduced.pattern)
        answered = self._answers.joined(looked, of_pattern)
        views, problem = answered.views, answered.problem
        return ImageFinding(
            reduced,
            of_pattern,
            views.estimates[0] if views is not None and views.estimates else None,
            answered.estimate or of_pattern,
            tuple(told for told in (*reduced.remarks, problem) if told),
        )

    def attribution(self, finding: ImageFinding) -> Float32Array | None:
        """Return what each pixel adds to ln p of the space group that is named.

        Shape (rows, columns), NaN where nothing is known; None without a network of images.
        """
        if self._network is None or finding.of_image is None:
            return None
        number = finding.estimate.space_group_number
        return self._network.attribution_map(finding.reduced.seen, number)


def image_settings(poni: Path) -> ImageSettings:
    """Return the settings of a detector that a .poni file describes.

    Raises
    ------
    ConfigurationError
        If there is no such file.
    """
    if not poni.is_file():
        raise ConfigurationError(
            f"--poni must be the .poni file of the detector, but {poni} is no file; give the one"
            " that pyfai-calib2 or Dioptas saved."
        )
    return ImageSettings.model_validate({"poni": str(poni)})
