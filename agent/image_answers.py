"""What the network of images adds to that of patterns, view by view."""

import logging
from dataclasses import dataclass, replace

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frame_pattern import CountedPattern
from phasepilot.agent.ignored_ranges import without_ignored
from phasepilot.agent.image_reduction import ReducedImage
from phasepilot.models.estimation.crystal_views import CrystalViews
from phasepilot.models.estimation.image_estimator import ImageEstimator
from phasepilot.models.estimation.view_combination import joined
from phasepilot.models.estimation.view_powers import powers_for
from phasepilot.models.networks.estimate import PhaseEstimate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A frame after its image was looked at.

    Attributes
    ----------
    counted : CountedPattern
        Of all views, where they are of one crystal.
    views : CrystalViews or None
        None for frames that hold no image.
    problem : str
    """

    counted: CountedPattern
    views: CrystalViews | None
    problem: str = ""


class ImageAnswers:
    """Looks at images and joins what the two networks say; a function of its arguments alone.

    Parameters
    ----------
    configuration : AgentConfiguration
    network : ImageEstimator or None
        None leaves the answer to the pattern.
    """

    def __init__(self, configuration: AgentConfiguration, network: ImageEstimator | None) -> None:
        self._configuration = configuration
        self._network = network
        image = configuration.image
        self.is_one_crystal = image is not None and image.views == "one_crystal"

    def look(self, before: CrystalViews | None, counted: CountedPattern) -> Looked:
        """Return the frame with all views so far behind it.

        Raises
        ------
        PatternError
            If the views cannot be a pattern.
        """
        wavelength = counted.pattern.wavelength_angstrom
        if counted.image is None or wavelength is None:
            return Looked(counted, None)
        estimate, problem = self._estimate(counted.image)
        polar = counted.image.seen.polar
        if before is None or not self.is_one_crystal:
            return Looked(counted, CrystalViews.first(polar, wavelength, estimate), problem)
        views = before.with_view(polar, estimate)
        pattern = without_ignored(views.pattern, self._configuration.ignore)
        return Looked(replace(counted, pattern=pattern), views, problem)

    def joined(
        self, looked: Looked, of_pattern: PhaseEstimate | None
    ) -> tuple[PhaseEstimate | None, str]:
        """Return what both networks say together, and what went wrong.

        A pattern that known phases explain has its answer.
        """
        image, views = looked.counted.image, looked.views
        if self._network is None or image is None or views is None or not views.estimates:
            return of_pattern, looked.problem
        fused = self._network.fuse(views.estimates)
        if of_pattern is None:
            return fused, looked.problem
        if of_pattern.phases:
            # Known structures explain the lines: a stronger witness than either network.
            return of_pattern, looked.problem
        powers = powers_for(image.statement.kind)
        level = self._configuration.set_level
        return joined(of_pattern, fused, powers, set_level=level), looked.problem

    def _estimate(self, image: ReducedImage) -> tuple[PhaseEstimate | None, str]:
        if self._network is None:
            return None, ""
        try:
            return self._network.estimate_image(image.seen), ""
        except Exception as error:  # whatever a network throws, the pattern still has its own
            logger.exception("the network of images failed")
            problem = f"the network of images failed ({type(error).__name__}: {error})"
            return None, f"{problem}; went on without it"
