"""What a spot pattern depends on besides the crystal: beam, geometry, image, look of the spots."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from phasepilot.models.diffraction.reflections import DEFAULT_B_SQUARE_ANGSTROM

# The authors' Cu K-alpha line (J. Appl. Cryst. 2026, doi:10.1107/S1600576726000099, section 2.2).
CU_K_ALPHA_ANGSTROM = 1.5406


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ZoneLayer(_Settings):
    """The lattice plane across the beam, projected undistorted: the rule of the paper.

    The paper states no scale and no limit of angle; the values here are ours and let the layer of
    Cu K-alpha fill 321 x 322 pixels.

    Attributes
    ----------
    inverse_angstrom_per_pixel : float
        1/d that one pixel covers.
    half_thickness_per_angstrom : float
        Reflections this near to the plane belong to it. The default only forgives rounding, for
        zone axes; random orientations need about 0.01.
    two_theta_max_deg : float
        The Lorentz factor of the paper diverges at 180 degree.
    """

    kind: Literal["zone_layer"] = "zone_layer"
    inverse_angstrom_per_pixel: float = Field(default=0.008, gt=0)
    half_thickness_per_angstrom: float = Field(default=1e-4, gt=0)
    two_theta_max_deg: float = Field(default=150.0, gt=0, lt=180)


class FlatDetector(_Settings):
    """A flat detector across the beam, and the mosaic spread that brings reflections onto it.

    Attributes
    ----------
    distance_mm, pixel_size_mm : float
        Of the detector from the crystal, and of its square pixels.
    mosaicity_deg : float
        Standard deviation of the angle between the mosaic blocks and their mean.
    polarization_factor : float
        -1 for a beam polarised vertically, 0 not at all, 1 horizontally (pyFAI's convention);
        about 0.99 at a synchrotron.
    """

    kind: Literal["flat_detector"] = "flat_detector"
    distance_mm: float = Field(default=100.0, gt=0)
    pixel_size_mm: float = Field(default=0.172, gt=0)
    mosaicity_deg: float = Field(default=0.5, gt=0, le=20)
    polarization_factor: float = Field(default=0.0, ge=-1, le=1)


class SolidSpots(_Settings):
    """Filled discs with a radius in proportion to the intensity, as the paper draws them.

    Its radius of the strongest spot is 0.1 in the units of its plot, which we take for 1/angstrom:
    12.5 pixels at the default scale.
    """

    kind: Literal["solid"] = "solid"
    largest_radius_px: float = Field(default=12.5, gt=0)


class GaussianSpots(_Settings):
    """Round Gaussians of one width, integrated over each pixel, that hold the intensity."""

    kind: Literal["gaussian"] = "gaussian"
    sigma_px: float = Field(default=1.5, gt=0)


class SpotSettings(_Settings):
    """All that a spot pattern depends on besides the crystal and its orientation.

    Attributes
    ----------
    wavelength_angstrom : float
    shape : tuple of int
        Rows and columns of the image.
    centre_offset_px : tuple of float
        Rows and columns from the middle of the image to the direct beam.
    b_square_angstrom : float
        Isotropic displacement parameter of all atoms.

    Examples
    --------
    >>> settings = SpotSettings(wavelength_angstrom=0.4, geometry=FlatDetector(distance_mm=150))
    >>> SpotSettings.model_validate_json(settings.model_dump_json()) == settings
    True
    """

    wavelength_angstrom: float = CU_K_ALPHA_ANGSTROM
    shape: tuple[int, int] = (321, 322)
    centre_offset_px: tuple[float, float] = (0.0, 0.0)
    geometry: Annotated[ZoneLayer | FlatDetector, Field(discriminator="kind")] = ZoneLayer()
    profile: Annotated[SolidSpots | GaussianSpots, Field(discriminator="kind")] = SolidSpots()
    b_square_angstrom: float = Field(default=DEFAULT_B_SQUARE_ANGSTROM, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0 < self.wavelength_angstrom < np.inf:
            raise ValueError(
                f"wavelength_angstrom must be positive, but is {self.wavelength_angstrom:g}; give"
                f" that of the beam, e.g. {CU_K_ALPHA_ANGSTROM} for Cu K-alpha"
            )
        if min(self.shape) < 1:
            raise ValueError(
                f"shape must be a number of rows and of columns, but is {self.shape}; give two"
                " positive integers"
            )
        return self

    @property
    def centre_px(self) -> tuple[float, float]:
        """Row and column of the direct beam."""
        (rows, columns), (down, right) = self.shape, self.centre_offset_px
        return (rows - 1) / 2 + down, (columns - 1) / 2 + right
