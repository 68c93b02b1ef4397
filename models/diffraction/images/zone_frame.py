"""From a frame of a single crystal along a zone axis to the intensities of its reflections.

Spots that stand out give the lattice; the frame is then read at every point of it, by least squares
of Gaussian spots, so that weak reflections count as far as their photons say. Friedel mates share
one intensity: where one is in a gap, the other is read.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import spsolve

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.images.flat_frame import FlatFrame
from phasepilot.models.diffraction.images.spot_lattice import (
    COMPUTED_SPOT_ERROR,
    FARTHEST_ERRORS,
    SpotLattice,
    spot_lattice,
)
from phasepilot.models.diffraction.images.spot_search import FoundSpots, search_spots
from phasepilot.models.diffraction.images.zone_spots import SpotLists
from phasepilot.models.errors import PatternError

# Standard error of the place of a spot that is found; neighbours that overlap make it what it is.
_FOUND_ERROR_PX = 0.5
# Of one that stands alone, however strong; and width of a spot against which photons refine it.
_LEAST_ERROR_PX = 0.1
_SPOT_SIGMA_PX = 1.5
_SIGMA_PX = (0.8, 2.5)
_STRONGEST = 6
_HALF_BOX = 5
# Points nearer to each other than this are not told apart.
_LEAST_SPACING_PX = 2.5
# A spot is seen from this many standard errors, if this share of it lies on pixels that measure.
_LEAST_SIGNIFICANCE = 3.5
_LEAST_COVERED = 0.5
_FARTHEST_INDEX = 60
# What is taken for a zone.
_FEWEST_SPOTS = 6
_LEAST_BEYOND_CHANCE = 0.6
_LEAST_PHOTONS = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class ZoneSpots:
    """What a frame shows of one zone.

    Attributes
    ----------
    spots : SpotLists
        One pattern. Integrated intensities, or what the search found if these are no zone.
    position_error_per_angstrom : float
    n_found : int
        Spots that stand out of the frame.
    indexed_share : float
        Of those, the share that lies on one plane lattice; 0 if there is none.
    chance_share : float
        What that share would be of spots anywhere.
    """

    spots: SpotLists
    position_error_per_angstrom: float
    n_found: int
    indexed_share: float
    chance_share: float

    @property
    def is_zone(self) -> bool:
        """Whether enough spots lie on one plane lattice to say that these are one zone."""
        is_lattice = self.indexed_share - self.chance_share >= _LEAST_BEYOND_CHANCE
        return self.n_found >= _FEWEST_SPOTS and is_lattice


def zone_spots_of_frame(frame: FlatFrame) -> ZoneSpots:
    """Return the reflections that a frame shows; without a zone, the spots that were found."""
    pixel, found = frame.inverse_angstrom_per_pixel, search_spots(frame)
    error = _FOUND_ERROR_PX * pixel
    xy = np.stack([found.right_px, found.up_px], axis=1)
    try:
        lattice = spot_lattice(*(pixel * xy.T), position_error_per_angstrom=error)
    except PatternError:
        return ZoneSpots(_listed(pixel * xy, found.photons), error, len(xy), 0.0, 0.0)
    basis_px = _refined(lattice, found)
    share, chance = float(lattice.is_indexed.mean()), _chance_share(basis_px)
    is_wide = np.linalg.norm(basis_px[0]) >= _LEAST_SPACING_PX
    if is_wide and share - chance >= _LEAST_BEYOND_CHANCE:
        indices, photons = _integrated(frame, found, basis_px)
        if len(photons) > 1:
            places = pixel * indices @ basis_px
            spots = _listed(np.concatenate([places, -places]), np.tile(photons, 2))
            return ZoneSpots(spots, COMPUTED_SPOT_ERROR, len(xy), share, chance)
    return ZoneSpots(_listed(pixel * xy, found.photons), error, len(xy), share, chance)


def _listed(xy: FloatArray, photons: FloatArray) -> SpotLists:
    strongest = photons.max(initial=1e-30)
    return SpotLists(
        np.array([0, len(photons)]),
        np.ascontiguousarray(xy[:, 0]),
        np.ascontiguousarray(xy[:, 1]),
        photons / strongest,
    )


def _refined(lattice: SpotLattice, found: FoundSpots) -> FloatArray:
    """Return the basis in pixels, fitted to places that are as sure as photons make them."""
    on = lattice.is_indexed
    error = np.hypot(_LEAST_ERROR_PX, _SPOT_SIGMA_PX * np.sqrt(2 / found.photons[on]))
    places = np.stack([found.right_px[on], found.up_px[on]], axis=1)
    indices, weight = lattice.indices[on], 1 / error[:, None]
    basis = np.linalg.lstsq(indices * weight, places * weight, rcond=None)[0]
    return np.asarray(basis, dtype=np.float64)


def _chance_share(basis_px: FloatArray) -> float:
    """Return how often a place anywhere is as near to a point as an indexed spot must be."""
    reach = FARTHEST_ERRORS * _FOUND_ERROR_PX
    return float(min(1.0, np.pi * reach**2 / abs(np.linalg.det(basis_px))))


def _integrated(
    frame: FlatFrame, found: FoundSpots, basis_px: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Return points, of h k and -h -k one, and photons of those that are seen."""
    indices = _points(frame, basis_px)
    profiles = _profiles(frame, indices @ basis_px, _spot_sigma(frame, found))
    covered = np.asarray(profiles.sum(axis=0)).ravel() > _LEAST_COVERED
    indices, profiles = indices[covered], profiles[:, covered]
    pixels = np.unique(profiles.indices)
    profiles = profiles.tocsr()[pixels]
    background = np.maximum(found.background.ravel()[pixels], _LEAST_PHOTONS).astype(np.float64)
    above = frame.image.ravel()[pixels] - found.background.ravel()[pixels]
    variance: FloatArray = background
    # Once more with the noise of the spots themselves.
    for _ in range(2):
        weighted = profiles.multiply(1 / variance[:, None]).tocsc()
        normal = (profiles.T @ weighted).tocsc()
        photons = np.atleast_1d(spsolve(normal, weighted.T @ above))
        variance = np.asarray(background + profiles @ np.maximum(photons, 0.0), dtype=np.float64)
    weighted = profiles.multiply(1 / variance[:, None])
    error = 1 / np.sqrt((profiles.T @ weighted).diagonal())
    is_seen = photons > _LEAST_SIGNIFICANCE * error
    return indices[is_seen], photons[is_seen]


def _points(frame: FlatFrame, basis_px: FloatArray) -> IntArray:
    """Return the indices of half of the points on the frame."""
    rows, columns = frame.image.shape
    (row, column) = frame.centre_px
    reach = min(row, column, rows - 1 - row, columns - 1 - column)
    most = min(_FARTHEST_INDEX, int(1.5 * reach / np.linalg.norm(basis_px[0])) + 1)
    h, k = (part.ravel() for part in np.mgrid[-most : most + 1, 0 : most + 1])
    is_half = (k > 0) | (h > 0)
    indices = np.stack([h, k], axis=1)[is_half]
    return np.asarray(indices[np.linalg.norm(indices @ basis_px, axis=1) < reach])


def _profiles(frame: FlatFrame, places_px: FloatArray, sigma_px: float) -> scipy.sparse.csc_matrix:
    """Return what each point and its mate give to each pixel a photon, (n_pixels, n_points)."""
    (n_rows, n_columns), (row, column) = frame.image.shape, frame.centre_px
    reach = int(np.ceil(3 * sigma_px))
    down, right = (part.ravel() for part in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    values, pixels, owners = [], [], []
    for x, y in (places_px.T, -places_px.T):
        i = np.rint(row - y).astype(int)[:, None] + down
        j = np.rint(column + x).astype(int)[:, None] + right
        squared = (i - (row - y)[:, None]) ** 2 + (j - (column + x)[:, None]) ** 2
        height = np.exp(-squared / (2 * sigma_px**2)) / (2 * np.pi * sigma_px**2)
        is_on = (i >= 0) & (j >= 0) & (i < n_rows) & (j < n_columns)
        is_on[is_on] = frame.is_measured[i[is_on], j[is_on]]
        values.append(height[is_on])
        pixels.append((i * n_columns + j)[is_on])
        owners.append(np.broadcast_to(np.arange(len(x))[:, None], i.shape)[is_on])
    entries = np.concatenate(values), (np.concatenate(pixels), np.concatenate(owners))
    return scipy.sparse.csc_matrix(entries, shape=(frame.image.size, len(places_px)))


def _spot_sigma(frame: FlatFrame, found: FoundSpots) -> float:
    """Return the width of the strongest spots, from moments under a Gaussian window."""
    (n_rows, n_columns), (row, column) = frame.image.shape, frame.centre_px
    offsets = np.arange(-_HALF_BOX, _HALF_BOX + 1)
    variances = []
    for spot in np.argsort(-found.photons)[:_STRONGEST]:
        y, x = row - found.up_px[spot], column + found.right_px[spot]
        i, j = round(y) + offsets, round(x) + offsets
        if min(i[0], j[0]) < 0 or i[-1] >= n_rows or j[-1] >= n_columns:
            continue
        at = np.ix_(i, j)
        seen = np.where(frame.is_measured[at], frame.image[at] - found.background[at], 0.0)
        squared = (i[:, None] - y) ** 2 + (j - x) ** 2
        seen = seen * np.exp(-squared / (2 * _SPOT_SIGMA_PX**2))
        variance = float((seen * squared).sum() / max(2 * seen.sum(), 1e-9))
        # A window of width w makes a Gaussian of width s one of 1 / (1 / s^2 + 1 / w^2).
        if 0 < variance < 0.98 * _SPOT_SIGMA_PX**2:
            variances.append(1 / (1 / variance - 1 / _SPOT_SIGMA_PX**2))
    middle = float(np.sqrt(np.median(variances))) if variances else _SPOT_SIGMA_PX
    return float(np.clip(middle, *_SIGMA_PX))
