"""Spots as an image: filled discs whose size is the intensity, or Gaussians that hold it."""

import numpy as np
from scipy.special import erf

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.spot_pattern import Spots
from phasepilot.models.diffraction.images.spot_settings import SolidSpots, SpotSettings


def draw_spots(spots: Spots, settings: SpotSettings) -> Float32Array:
    """Return the image of the spots, shape `settings.shape`, 0 where there is none.

    Solid spots are 1 inside, with an edge one pixel wide. Gaussian spots sum to their intensity
    relative to the strongest. The direct beam is not drawn.
    """
    share = spots.intensity / spots.intensity.max()
    if isinstance(settings.profile, SolidSpots):
        image = _draw_discs(spots, settings.profile.largest_radius_px * share, settings.shape)
        return np.minimum(image, np.float32(1.0))
    return _draw_gaussians(spots, share, settings.profile.sigma_px, settings.shape)


def _draw_discs(spots: Spots, radius_px: FloatArray, shape: tuple[int, int]) -> Float32Array:
    """Return the sum of discs; one smaller than a pixel keeps its size and fades with its area."""
    drawn_px = np.maximum(radius_px, 0.5)
    reach = np.ceil(drawn_px + 0.5).astype(np.int64)
    pieces = []
    for size in np.unique(reach):
        chosen = reach == size
        rows, columns = _pixels_around(spots, chosen, int(size))
        down, right = rows - spots.row_px[chosen, None], columns - spots.column_px[chosen, None]
        distance = np.hypot(down[:, :, None], right[:, None, :])
        covered = np.clip(drawn_px[chosen, None, None] + 0.5 - distance, 0.0, 1.0)
        covered *= ((radius_px / drawn_px) ** 2)[chosen, None, None]
        pieces.append((rows, columns, covered))
    return _sum_of_pieces(pieces, shape, int(reach.max()))


def _draw_gaussians(
    spots: Spots, share: FloatArray, sigma_px: float, shape: tuple[int, int]
) -> Float32Array:
    """Return the sum of Gaussians, cut where less than 4e-6 of their height is left."""
    reach = int(np.ceil(5 * sigma_px + 0.5))
    rows, columns = _pixels_around(spots, np.ones(share.size, dtype=bool), reach)
    down = _in_pixels(rows - spots.row_px[:, None], sigma_px)
    right = _in_pixels(columns - spots.column_px[:, None], sigma_px)
    piece = share[:, None, None] * down[:, :, None] * right[:, None, :]
    return _sum_of_pieces([(rows, columns, piece)], shape, reach)


def _in_pixels(offset_px: FloatArray, sigma_px: float) -> FloatArray:
    """Return the part of a unit Gaussian in each pixel of a row, shape (n_spots, n_pixels)."""
    edges = np.concatenate([offset_px - 0.5, offset_px[:, -1:] + 0.5], axis=1)
    return np.asarray(np.diff(erf(edges / (np.sqrt(2) * sigma_px)), axis=1) / 2)


def _pixels_around(spots: Spots, chosen: BoolArray, reach: int) -> tuple[IntArray, IntArray]:
    """Return rows and columns of the squares about the chosen spots, (n_chosen, 2 reach + 1)."""
    around = np.arange(-reach, reach + 1)
    row = np.rint(spots.row_px[chosen]).astype(np.int64)
    column = np.rint(spots.column_px[chosen]).astype(np.int64)
    return row[:, None] + around, column[:, None] + around


def _sum_of_pieces(
    pieces: list[tuple[IntArray, IntArray, FloatArray]], shape: tuple[int, int], reach: int
) -> Float32Array:
    """Return the image to which all squares are added, those over its edge in part.

    Summed once, in an image with a margin, because that is faster than pasting them one by one.
    """
    margin = reach + 1
    n_rows, n_columns = shape[0] + 2 * margin, shape[1] + 2 * margin
    places = [
        ((rows + margin) * n_columns)[:, :, None] + (columns + margin)[:, None, :]
        for rows, columns, _ in pieces
    ]
    image = np.bincount(
        np.concatenate([place.ravel() for place in places]),
        weights=np.concatenate([piece.ravel() for _, _, piece in pieces]),
        minlength=n_rows * n_columns,
    ).reshape(n_rows, n_columns)
    return image[margin:-margin, margin:-margin].astype(np.float32)
