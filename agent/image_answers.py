"""What the network of images adds to that of patterns, view by view."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frame_pattern import CountedPattern
from phasepilot.agent.ignored_ranges import without_ignored
from phasepilot.models.estimation.crystal_views import CrystalViews
from phasepilot.models.estimation.image_estimator import ImageEstimator
from phasepilot.models.estimation.view_combination import joined
from phasepilot.models.estimation.view_powers import POWERS
from phasepilot.models.networks.estimate import PhaseEstimate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A frame whose image is being looked at.

    Attributes
    ----------
    counted : CountedPattern
        Of all views, where they are of one crystal.
    views : CrystalViews or None
        Without what the network says of this image; None for frames that hold no image.
    answer : Future of PhaseEstimate or None, or None
        What the network says of this image; None without a network.
    """

    counted: CountedPattern
    views: CrystalViews | None
    answer: Future[PhaseEstimate | None] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """What both networks say together.

    Attributes
    ----------
    estimate : PhaseEstimate or None
    views : CrystalViews or None
        With what the network says of each image.
    problem : str
    """

    estimate: PhaseEstimate | None
    views: CrystalViews | None
    problem: str = ""


class ImageAnswers:
    """Looks at images and joins what the two networks say; a function of its arguments alone.

    The network of images is shown images of crystals. It works while the pattern is tracked and
    named.

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
        # Starts its thread with the first image.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="phasepilot-images")

    def look(self, before: CrystalViews | None, counted: CountedPattern) -> Looked:
        """Return the frame with all views so far behind it.

        Raises
        ------
        PatternError
            If the views cannot be a pattern.
        """
        image, wavelength = counted.image, counted.pattern.wavelength_angstrom
        if image is None or wavelength is None:
            return Looked(counted, None)
        answer = None
        if self._network is not None and image.statement.kind.is_of_spots:
            answer = self._worker.submit(self._network.estimate_image, image.seen)
        polar = image.seen.polar
        if before is None or not self.is_one_crystal:
            return Looked(counted, CrystalViews.first(polar, wavelength), answer)
        views = before.with_view(polar)
        pattern = without_ignored(views.pattern, self._configuration.ignore)
        return Looked(replace(counted, pattern=pattern), views, answer)

    def joined(self, looked: Looked, of_pattern: PhaseEstimate | None) -> Joined:
        """Return what both networks say together.

        A pattern that known phases explain has its answer.
        """
        image, views = looked.counted.image, looked.views
        of_image, problem = self._awaited(looked)
        if self._network is None or image is None or views is None:
            return Joined(of_pattern, views)
        views = views.with_estimate(of_image)
        # Known structures that explain the lines are a stronger witness than either network.
        has_phases = of_pattern is not None and bool(of_pattern.phases)
        if has_phases or not views.estimates:
            return Joined(of_pattern, views, problem)
        fused = self._network.fuse(views.estimates)
        if of_pattern is None:
            return Joined(fused, views, problem)
        level = self._configuration.set_level
        estimate = joined(of_pattern, fused, POWERS, set_level=level)
        return Joined(estimate, views, problem)

    def _awaited(self, looked: Looked) -> tuple[PhaseEstimate | None, str]:
        """Return what the network says of the last image, and what went wrong."""
        if looked.answer is None:
            return None, ""
        try:
            return looked.answer.result(), ""
        except Exception as error:  # whatever a network throws, the pattern still has its own
            logger.exception("the network of images failed")
            problem = f"the network of images failed ({type(error).__name__}: {error})"
            return None, f"{problem}; went on without it"
