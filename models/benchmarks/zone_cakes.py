"""The network of cakes in the benchmark of zone axes: spot lists and frames become its cakes."""

from functools import lru_cache

import numpy as np
import scipy.sparse

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray
from phasepilot.models.benchmarks.zone_patterns import Answers, SpotFrames
from phasepilot.models.diffraction.images.azimuthal_integration import Cake
from phasepilot.models.diffraction.images.cake_drawing import ReflectionList, SpotShape, layer_cake
from phasepilot.models.diffraction.images.cake_grid import CakeGrid
from phasepilot.models.diffraction.images.zone_spots import SpotLists
from phasepilot.models.estimation.image_model import N_TURNS, ImageModel
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.cake_input import cake_input

# Cells of the cake that a frame is first unrolled onto, for each of the network's.
_FINER = 2
# Points a pixel and side that stand for its area.
_POINTS = 6
_LEAST_POINTS = 1e-3


class CakeEstimator:
    """A `ZoneEstimator` of an image model; it satisfies the protocol of `zone_axes`."""

    def __init__(self, model: ImageModel) -> None:
        self._model = model

    def answer_spots(self, patterns: SpotLists) -> Answers:
        """Return answers for ideal patterns."""
        inputs = [self._turned(*spots) for spots in _each(patterns)]
        return Answers.of_space_groups(self._model.probabilities(np.array(inputs)))

    def _turned(self, x: FloatArray, y: FloatArray, intensity: FloatArray) -> Float32Array:
        """Return the inputs for spots turned by parts of a cell."""
        grid = self._model.grid
        turns = np.arange(N_TURNS) * (2 * np.pi / grid.n_chi / N_TURNS)
        pairs = [
            (np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y)
            for turn in turns
        ]
        return np.array([spot_input(*pair, intensity, grid) for pair in pairs])

    def fused(self, space_group: FloatArray) -> Answers:
        """Return answers from several directions of each crystal, (n, n_directions, 230)."""
        fused = self._model.calibration.fused_log_probabilities
        return Answers.of_space_groups(np.exp([fused(one) for one in space_group]))

    def answer_frames(self, patterns: SpotFrames) -> Answers:
        """Return answers for patterns as a detector shows them."""
        inputs = [
            self._model.turned_inputs(frame_cake(image, is_measured, patterns, self._model.grid))
            for image, is_measured in zip(patterns.image, patterns.is_measured, strict=True)
        ]
        return Answers.of_space_groups(self._model.probabilities(np.array(inputs)))


def spot_input(
    x_per_angstrom: FloatArray, y_per_angstrom: FloatArray, intensity: FloatArray, grid: CakeGrid
) -> Float32Array:
    """Return the network's input for spots in a plane; of each Friedel pair both or one."""
    vectors = np.stack([x_per_angstrom, y_per_angstrom, np.zeros_like(x_per_angstrom)], axis=1)
    cake = layer_cake(
        ReflectionList(vectors.astype(np.float64), intensity.astype(np.float64)),
        np.eye(3),
        grid,
        SpotShape(),
        half_thickness_per_angstrom=1.0,
    )
    return cake_input(cake, np.ones(grid.shape, dtype=bool))


def frame_cake(
    image: Float32Array, is_measured: BoolArray, patterns: SpotFrames, grid: CakeGrid
) -> Cake:
    """Return the cake of a frame whose pixels are even in 1/d, finer than the grid."""
    fine = LogQGrid(
        grid.radial.q_min_per_angstrom, grid.radial.q_max_per_angstrom, _FINER * grid.radial.n_bins
    )
    n_chi = _FINER * grid.n_chi
    unrolled = _unrolled(
        image.shape, tuple(patterns.centre_px), patterns.inverse_angstrom_per_pixel, fine, n_chi
    )
    weight = unrolled @ is_measured.ravel().astype(np.float32)
    signal = unrolled @ np.where(is_measured, image, 0).ravel().astype(np.float32)
    has_pixels = weight > _LEAST_POINTS
    mean = np.where(has_pixels, signal / np.maximum(weight, _LEAST_POINTS), 0.0)
    return Cake(
        mean.reshape(n_chi, -1),
        has_pixels.reshape(n_chi, -1),
        np.asarray(-180 + (np.arange(n_chi) + 0.5) * (360 / n_chi)),
        fine.q_per_angstrom,
    )


@lru_cache(maxsize=2)
def _unrolled(
    shape: tuple[int, int],
    centre_px: tuple[float, float],
    inverse_angstrom_per_pixel: float,
    fine: LogQGrid,
    n_chi: int,
) -> scipy.sparse.csr_matrix:
    """Return the points of each pixel in each cell, shape (n_chi * n_bins, n_pixels)."""
    offsets = (np.arange(_POINTS) + 0.5) / _POINTS - 0.5
    row, column, down, right = np.meshgrid(
        np.arange(shape[0]), np.arange(shape[1]), offsets, offsets, indexing="ij"
    )
    x = (column + right - centre_px[1]).ravel()
    y = (row + down - centre_px[0]).ravel()
    radius = np.maximum(np.hypot(x, y), 1e-6) * inverse_angstrom_per_pixel
    place = (np.log(2 * np.pi * radius) - fine.log_edges[0]) / fine.bin_width
    around = np.floor((np.arctan2(y, x) / (2 * np.pi) + 0.5) * n_chi).astype(np.int64) % n_chi
    inside = (place >= 0) & (place < fine.n_bins)
    cell = around * fine.n_bins + np.floor(np.where(inside, place, 0)).astype(np.int64)
    pixel = (row * shape[1] + column).ravel()
    points = (
        np.full(inside.sum(), 1 / _POINTS**2, dtype=np.float32),
        (cell[inside], pixel[inside]),
    )
    n_cells = n_chi * fine.n_bins
    return scipy.sparse.coo_matrix(points, shape=(n_cells, shape[0] * shape[1])).tocsr()


def _each(patterns: SpotLists) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
    parts = [slice(*pair) for pair in zip(patterns.offsets[:-1], patterns.offsets[1:], strict=True)]
    return [
        (patterns.x_per_angstrom[own], patterns.y_per_angstrom[own], patterns.intensity[own])
        for own in parts
    ]
