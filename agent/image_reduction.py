"""From the image of a frame to its pattern, as the configuration of the detector says."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.agent.assets.image_file import read_image_file
from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.frame_settings import ImageSettings
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern

if TYPE_CHECKING:
    from phasepilot.models.diffraction.images.frame_condition import FrameCondition
    from phasepilot.models.diffraction.images.frame_reduction import Corrections, FrameReducer
    from phasepilot.models.diffraction.images.image_kind import ImageStatement
    from phasepilot.models.estimation.image_estimator import SeenImage

# The wavelength is known with each frame; where a pixel is, is an angle and does not depend on it.
_ANY_WAVELENGTH_ANGSTROM = 1.0
_TURNS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "as_read": lambda image: image,
    "flipped_up_down": lambda image: image[::-1],
    "flipped_left_right": lambda image: image[:, ::-1],
    "rotated_half_turn": lambda image: image[::-1, ::-1],
}


@dataclass(frozen=True, slots=True)
class ReducedImage:
    """A pattern, and what a person should know of the image that it comes from.

    Attributes
    ----------
    seen : SeenImage
        The image as it was read, and unrolled, spots and all.
    statement : ImageStatement
        What the image shows.
    remarks : tuple of str
        Sentences; empty for an image that is as it should be.
    """

    pattern: Pattern
    seen: "SeenImage"
    condition: "FrameCondition"
    statement: "ImageStatement"
    remarks: tuple[str, ...]


class ImageReduction:
    """Reduces images of one detector; prepared at the first one, whose shape it takes."""

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings
        self._reducer: FrameReducer | None = None
        self._poni_wavelength_angstrom: float | None = None

    def prepare(self, shape: tuple[int, int]) -> "FrameReducer":
        """Return what reduces images of that shape; takes seconds the first time.

        Raises
        ------
        ModelsError, AgentError
            If geometry, mask, dark or flat image cannot be read or do not fit.
        """
        if self._reducer is None or self._reducer.geometry.shape != shape:
            self._reducer = self._prepared(shape)
        return self._reducer

    def pattern(self, image: NDArray[Any], wavelength_angstrom: float | None) -> ReducedImage:
        """Return the pattern of an image.

        Parameters
        ----------
        wavelength_angstrom : float or None
            None takes that of the .poni file.

        Raises
        ------
        ModelsError
            If the image cannot be one of this detector, or is empty.
        """
        from phasepilot.models.diffraction.images.azimuthal_outliers import find_spots
        from phasepilot.models.diffraction.images.frame_condition import frame_condition
        from phasepilot.models.diffraction.images.image_kind import image_statement
        from phasepilot.models.diffraction.images.polar_views import pattern_of_polar
        from phasepilot.models.estimation.image_estimator import SeenImage

        turned = _TURNS[self._settings.orientation](image)
        reducer = self.prepare((int(turned.shape[0]), int(turned.shape[1])))
        polar = reducer.reduce(turned)
        spots = find_spots(polar)
        condition = frame_condition(polar, spots)
        if condition.is_empty:
            raise PatternError(
                f"the image must show a sample, but has {condition.mean_counts:.2g} counts a pixel;"
                " the beam may be off or the shutter closed."
            )
        removes = self._settings.spots == "remove"
        wavelength = wavelength_angstrom or self.poni_wavelength(reducer.geometry.shape)
        is_left_out = spots.is_spot if removes else None
        pattern = pattern_of_polar(polar, wavelength, is_left_out=is_left_out)
        statement = image_statement(polar, spots, condition)
        # The spots of a sample that is a crystal are no nuisance.
        are_wanted = statement.kind.is_of_spots
        remarks = condition.remarks(spots_removed=removes or are_wanted)
        geometry = replace(reducer.geometry, wavelength_angstrom=wavelength)
        seen = SeenImage(turned, polar, geometry)
        return ReducedImage(pattern, seen, condition, statement, remarks)

    def poni_wavelength(self, shape: tuple[int, int]) -> float:
        """Return the wavelength that the .poni file states.

        Raises
        ------
        GeometryError
            If it states none.
        """
        from phasepilot.models.diffraction.images.poni_file import read_geometry

        if self._poni_wavelength_angstrom is None:
            path = Path(self._settings.poni).expanduser()
            self._poni_wavelength_angstrom = read_geometry(
                path, image_shape=shape
            ).wavelength_angstrom
        return self._poni_wavelength_angstrom

    def _prepared(self, shape: tuple[int, int]) -> "FrameReducer":
        try:
            from phasepilot.models.diffraction.images.frame_reduction import FrameReducer
            from phasepilot.models.diffraction.images.poni_file import read_geometry

            return FrameReducer(
                read_geometry(
                    Path(self._settings.poni).expanduser(),
                    image_shape=shape,
                    wavelength_angstrom=_ANY_WAVELENGTH_ANGSTROM,
                ),
                self._corrections(),
                n_bins=self._settings.n_bins,
                n_chi=self._settings.n_chi,
            )
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "images are integrated by pyFAI, which is not installed; install it with: pip"
                " install 'phasepilot[images]'."
            ) from error

    def _corrections(self) -> "Corrections":
        from phasepilot.models.diffraction.images.frame_reduction import Corrections

        settings = self._settings
        mask, dark, flat = (_image(path) for path in (settings.mask, settings.dark, settings.flat))
        return Corrections(
            is_measured=None if mask is None else mask == 0,
            dark=dark,
            flat=flat,
            polarization_factor=settings.polarization_factor,
            solid_angle=settings.solid_angle,
            saturation_counts=settings.saturation_counts,
        )


def files_sha256(settings: ImageSettings) -> str:
    """Return a checksum of the files that reduce images, so that a record tells if they changed."""
    digest = hashlib.sha256()
    for path in (settings.poni, settings.mask, settings.dark, settings.flat):
        with contextlib.suppress(OSError):  # frames say that it is missing
            digest.update(Path(path).expanduser().read_bytes() if path else b"")
        digest.update(b"|")
    return digest.hexdigest()


def _image(path: str | None) -> NDArray[Any] | None:
    return None if path is None else np.asarray(read_image_file(Path(path).expanduser()))
