"""What is wrong with a frame, in sentences: empty, saturated, shadowed, full of spots."""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.diffraction.images.azimuthal_outliers import Spots
from phasepilot.models.diffraction.images.frame_reduction import PolarImage

# Fewer counts a pixel than this show no ring in a megapixel.
EMPTY_COUNTS = 1e-3
# A part of a ring that is this much darker than the ring's median stands in a shadow.
_SHADOW_RATIO = 0.5
# And is told from chance when the ring would have sent it this many counts.
_LEAST_EXPECTED_COUNTS = 30.0
_N_RINGS = 12
# What is worth a sentence.
_MUCH_SHADOW = 0.1
_MUCH_IN_SPOTS = 0.05


@dataclass(frozen=True, slots=True)
class FrameCondition:
    """What a frame is worth.

    Attributes
    ----------
    mean_counts : float
        Of the pixels that are measured.
    n_saturated : int
        Pixels that were full, and are left out of the pattern.
    shadowed_fraction : float
        Part of the measured area that is less than half as bright as the rest of its ring.
    n_spots : int
    spot_fraction : float
        The largest part of the counts at one angle that is in spots of single crystals.
    """

    mean_counts: float
    n_saturated: int
    shadowed_fraction: float
    n_spots: int
    spot_fraction: float

    @property
    def is_empty(self) -> bool:
        """Whether hardly a photon came."""
        return self.mean_counts < EMPTY_COUNTS

    def remarks(self, *, spots_removed: bool) -> tuple[str, ...]:
        """Return a sentence for each thing that a person should know."""
        found = []
        if self.n_saturated:
            found.append(
                f"{self.n_saturated} pixels were saturated and are left out; expose shorter or"
                " attenuate the beam."
            )
        if self.shadowed_fraction > _MUCH_SHADOW:
            found.append(
                f"{self.shadowed_fraction:.0%} of the detector is in a shadow; mask what always is,"
                " and look at the cell's opening and the beam stop."
            )
        if self.spot_fraction > _MUCH_IN_SPOTS and not spots_removed:
            found.append(
                f"{self.n_spots} spots of single crystals hold up to {self.spot_fraction:.0%} of"
                " the counts at an angle; set image.spots to 'remove' to leave them out."
            )
        return tuple(found)


def frame_condition(polar: PolarImage, spots: Spots) -> FrameCondition:
    """Return the condition of a frame from its polar image and the spots in it."""
    return FrameCondition(
        mean_counts=float(polar.signal.sum(dtype=np.float64)) / polar.n_pixels,
        n_saturated=polar.n_saturated,
        shadowed_fraction=shadowed_fraction(polar, spots),
        n_spots=spots.n_spots,
        spot_fraction=spots.largest_ring_fraction,
    )


def shadowed_fraction(polar: PolarImage, spots: Spots) -> float:
    """Return the part of the measured area that is darker than half of the rest of its ring."""
    # Broad rings: single lines may be textured, and a few photons are no shadow. The few bins that
    # are left over lie in the corners.
    n_rows = polar.signal.shape[0] // _N_RINGS
    in_rings = (_N_RINGS, n_rows, polar.signal.shape[1])
    is_kept = ~spots.is_spot[: _N_RINGS * n_rows]
    # Against the mean of each ring first, since rings of the powder cross the broad ones unevenly
    # where the detector ends.
    signal = polar.signal[: _N_RINGS * n_rows] * is_kept
    weight = polar.weight[: _N_RINGS * n_rows] * is_kept
    in_ring = weight.sum(axis=1)
    mean = np.divide(signal.sum(axis=1), in_ring, out=np.zeros_like(in_ring), where=in_ring > 0)
    weight = weight.reshape(in_rings)
    counts = signal.reshape(in_rings).sum(axis=1)
    expected = (mean.reshape(_N_RINGS, 1, n_rows) @ weight)[:, 0]
    area = weight.sum(axis=1)
    is_seen = expected > _LEAST_EXPECTED_COUNTS
    ratio = np.divide(counts, expected, out=np.full_like(counts, np.nan), where=is_seen)
    rings = is_seen.any(axis=1)
    if not rings.any():
        return 0.0
    usual = np.full(_N_RINGS, np.nan)
    usual[rings] = np.nanmedian(ratio[rings], axis=1)
    is_shadowed = is_seen & (ratio < _SHADOW_RATIO * usual[:, None])
    total = float(area.sum())
    return float(area[is_shadowed].sum()) / total if total > 0 else 0.0
