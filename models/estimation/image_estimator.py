"""What networks of images are shown, and what they answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from phasepilot.models.arrays import Float32Array
from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry
from phasepilot.models.diffraction.images.frame_reduction import PolarImage
from phasepilot.models.networks.estimate import PhaseEstimate


@dataclass(frozen=True, slots=True, eq=False)
class SeenImage:
    """An image of a detector that stands somewhere.

    Attributes
    ----------
    counts : ndarray, shape (rows, columns)
        As the detector gave them, dead pixels marked as it marks them.
    polar : PolarImage
        The same unrolled around the beam, with dark and flat image taken out.
    geometry : DetectorGeometry
        Its wavelength is that of the beam.
    """

    counts: NDArray[Any]
    polar: PolarImage
    geometry: DetectorGeometry


class ImageCard(Protocol):
    """What a record should say of a network."""

    @property
    def name(self) -> str:
        """By which it is asked for."""
        ...

    @property
    def sha256(self) -> str:
        """Of its weights."""
        ...


class ImageEstimator(Protocol):
    """What makes estimates of images, as `phasepilot.models.estimation.lattice_model` does."""

    @property
    def card(self) -> ImageCard:
        """What the network is."""
        ...

    def estimate_image(self, seen: SeenImage) -> PhaseEstimate | None:
        """Return the estimate for one image; None for one that is nothing for this network."""
        ...

    def fuse(self, estimates: Sequence[PhaseEstimate]) -> PhaseEstimate:
        """Return what several orientations of one crystal say together."""
        ...

    def attribution_map(self, seen: SeenImage, space_group: int) -> Float32Array:
        """Return what each pixel adds to ln p of a space group, NaN where nothing is known."""
        ...
