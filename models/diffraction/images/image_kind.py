"""What an image shows, before anyone asks of which crystal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from phasepilot.models.diffraction.images.azimuthal_outliers import Spots
from phasepilot.models.diffraction.images.frame_condition import EMPTY_COUNTS, FrameCondition
from phasepilot.models.diffraction.images.frame_reduction import PolarImage
from phasepilot.models.diffraction.images.ring_evenness import RingEvenness, ring_evenness


class ImageKind(StrEnum):
    """What stands out in an image."""

    POWDER = "powder rings"
    TEXTURED = "textured rings"
    SPOTTY = "spotty rings"
    SINGLE_CRYSTAL = "single crystal"
    DIAMOND = "diamond spots on rings"
    DIFFUSE = "diffuse"
    EMPTY = "empty"
    SATURATED = "saturated"

    @property
    def is_of_spots(self) -> bool:
        """Whether spots are the sample itself."""
        return self in (ImageKind.SINGLE_CRYSTAL, ImageKind.SPOTTY)


@dataclass(frozen=True, slots=True)
class ImageStatement:
    """What an image shows, and the numbers that say so.

    Attributes
    ----------
    kind : ImageKind
    reason : str
        One sentence that a person can read.
    evenness : RingEvenness or None
        None for images that were not looked at further: empty or saturated ones.
    """

    kind: ImageKind
    reason: str
    evenness: RingEvenness | None = None


# Fixed on images that `phasepilot.models.benchmarks.simulated_images` draws of three crystals;
# `phasepilot benchmark image-kinds` draws those of others.
#
# More of the pixels than this part full: what the rings hold is not known.
_MUCH_SATURATED = 1e-3
# Lines whose median is below this part of their mean are made of spots.
_LEAST_BODY = 0.2
# Spots that fill less than this part of a line are those of one crystal, or of few.
_LEAST_FILLED = 0.1
# Relative standard deviations along a line from which it is called uneven.
_GRAINY, _TEXTURED = 0.35, 0.035
# Spots are worth a word if there are several, with such a part of all counts above background.
_SOME_SPOTS, _MUCH_IN_SPOTS = 3, 0.015
# Where nothing else shines, a few hot pixels look like spots.
_SPOTS_IN_THE_DARK = 8
_LEAST_LINES = 3


def image_statement(polar: PolarImage, spots: Spots, condition: FrameCondition) -> ImageStatement:
    """Return what the image shows."""
    if condition.n_saturated > _MUCH_SATURATED * polar.n_pixels:
        share = condition.n_saturated / polar.n_pixels
        return ImageStatement(ImageKind.SATURATED, f"{share:.1%} of the pixels are full")
    found = ring_evenness(polar, spots)
    kind = _kind(found)
    is_blank = kind is ImageKind.DIFFUSE or (
        kind is ImageKind.SINGLE_CRYSTAL and found.n_spots < _SPOTS_IN_THE_DARK
    )
    if is_blank and _mean_beside_spots(polar, spots) < EMPTY_COUNTS:
        told = f"{condition.mean_counts:.2g} counts a pixel, and {found.n_spots} bright places"
        return ImageStatement(ImageKind.EMPTY, told, found)
    return ImageStatement(kind, _REASONS[kind](found), found)


def _kind(found: RingEvenness) -> ImageKind:
    has_spots = found.n_spots >= _SOME_SPOTS and found.spot_part > _MUCH_IN_SPOTS
    if found.n_lines < _LEAST_LINES or found.body < _LEAST_BODY:
        if found.n_lines and found.filled >= _LEAST_FILLED:
            return ImageKind.SPOTTY
        return ImageKind.SINGLE_CRYSTAL if has_spots else ImageKind.DIFFUSE
    if found.fine > _GRAINY:
        return ImageKind.SPOTTY
    if has_spots:
        return ImageKind.DIAMOND
    return ImageKind.TEXTURED if found.coarse > _TEXTURED else ImageKind.POWDER


def _mean_beside_spots(polar: PolarImage, spots: Spots) -> float:
    weight = np.where(spots.is_spot, 0, polar.weight).sum()
    return float(np.where(spots.is_spot, 0, polar.signal).sum() / max(weight, 1e-9))


def _powder(found: RingEvenness) -> str:
    return f"{found.n_lines} rings are even to {max(found.coarse, found.fine):.1%} along them"


def _textured(found: RingEvenness) -> str:
    return f"{found.n_lines} rings vary smoothly by {found.coarse:.0%} along them"


def _spotty(found: RingEvenness) -> str:
    return (
        f"{found.n_lines} rings are made of single grains, which vary by {found.fine:.0%} and fill"
        f" {max(found.filled, found.body):.0%} of them"
    )


def _single_crystal(found: RingEvenness) -> str:
    return f"{found.n_spots} spots hold {found.spot_part:.0%} of the intensity, and no ring is seen"


def _diamond(found: RingEvenness) -> str:
    spots = f"{found.n_spots} spots, with {found.spot_part:.0%} of the intensity, lie on"
    return f"{spots} {found.n_lines} {'textured' if found.coarse > _TEXTURED else 'even'} rings"


def _diffuse(found: RingEvenness) -> str:
    del found
    return "smooth scattering only, no ring and no spot stands out"


_REASONS: Mapping[ImageKind, Callable[[RingEvenness], str]] = {
    ImageKind.POWDER: _powder,
    ImageKind.TEXTURED: _textured,
    ImageKind.SPOTTY: _spotty,
    ImageKind.SINGLE_CRYSTAL: _single_crystal,
    ImageKind.DIAMOND: _diamond,
    ImageKind.DIFFUSE: _diffuse,
}
