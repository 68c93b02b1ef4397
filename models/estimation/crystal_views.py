"""What images of one crystal in several orientations amount to: one pattern, and one answer."""

from dataclasses import dataclass, replace

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.images.frame_reduction import PolarImage
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.pattern import Pattern

_LEAST_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class CrystalViews:
    """Images of one sample so far, added up around the beam, and what each says by itself.

    Turned far enough, a single crystal fills its rings: the sum comes near a powder pattern.

    Attributes
    ----------
    counts, weight : ndarray, shape (n_bins,)
        Of all images: counts, and response of the pixels that hold them.
    two_theta_deg : ndarray, shape (n_bins,)
    wavelength_angstrom : float
    estimates : tuple of PhaseEstimate
        Of single images, by their network; empty without one.
    n_views : int
    """

    counts: FloatArray
    weight: FloatArray
    two_theta_deg: FloatArray
    wavelength_angstrom: float
    estimates: tuple[PhaseEstimate, ...] = ()
    n_views: int = 1

    @classmethod
    def first(cls, polar: PolarImage, wavelength_angstrom: float) -> "CrystalViews":
        """Return the views after the first image."""
        return cls(
            polar.signal.sum(axis=1, dtype=np.float64),
            polar.weight.sum(axis=1, dtype=np.float64),
            polar.two_theta_deg,
            wavelength_angstrom,
        )

    def with_view(self, polar: PolarImage) -> "CrystalViews":
        """Return the views after one more image of the same detector."""
        more = CrystalViews.first(polar, self.wavelength_angstrom)
        return replace(
            self,
            counts=self.counts + more.counts,
            weight=self.weight + more.weight,
            n_views=self.n_views + 1,
        )

    def with_estimate(self, estimate: PhaseEstimate | None) -> "CrystalViews":
        """Return the views with what the network of images says of the last one, if it does."""
        return self if estimate is None else replace(self, estimates=(*self.estimates, estimate))

    @property
    def pattern(self) -> Pattern:
        """The powder pattern of the sum.

        Raises
        ------
        PatternError
            If the counts cannot be a pattern, as `Pattern.from_q` says.
        """
        intensity = np.full(self.weight.size, np.nan)
        is_measured = self.weight > _LEAST_WEIGHT
        # As counts of one image, so that the pattern keeps its counting statistics by pixel.
        scale = float(self.n_views)
        np.divide(self.counts * scale, self.weight, out=intensity, where=is_measured)
        return Pattern.from_two_theta(
            self.two_theta_deg, intensity, wavelength_angstrom=self.wavelength_angstrom
        )
