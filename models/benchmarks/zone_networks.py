"""The paper's networks as they answer the zone-axis benchmark, trained first where they are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, median, uniform_filter

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.benchmarks.zone_patterns import Answers, SpotFrames
from phasepilot.models.diffraction.images.detector_effects import radius_px
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore
from phasepilot.models.diffraction.images.zone_spots import SpotLists, draw_discs
from phasepilot.models.training.zone_training import TrainedVgg, ZoneTrainer, standard_trainings

# A spot is this much above what surrounds it, in standard deviations of its count.
_LEAST_SIGNIFICANCE = 5.0
_SPOT_PX = 7
# And its middle is this much above its rim.
_LEAST_CONTRAST = 3.0


class VggEstimator:
    """A network of the paper: it sees what its pipeline draws of the spots.

    On frames of a detector, which it was never shown, spots are looked for first and drawn as in
    its training: without that it would see nothing that it knows.
    """

    def __init__(self, network: TrainedVgg) -> None:
        self._network = network

    def answer_spots(self, patterns: SpotLists) -> Answers:
        """Return what the two heads say."""
        found = self._network.probabilities(draw_discs(patterns, self._network.training.shape))
        return Answers(found.space_group, found.crystal_system)

    def answer_frames(self, patterns: SpotFrames) -> Answers:
        """Return what the two heads say of the spots that are found."""
        return self.answer_spots(found_spots(patterns))


def found_spots(frames: SpotFrames) -> SpotLists:
    """Return the spots that stand out of each frame, with what they hold above their surroundings.

    A spot is the brightest pixel of 7 x 7, five standard deviations above the median of its ring
    around the beam.
    """
    pieces = [
        _spots_of(image, is_measured.astype(np.float32), frames)
        for image, is_measured in zip(frames.image, frames.is_measured, strict=True)
    ]
    offsets = np.concatenate(([0], np.cumsum([len(piece) for piece in pieces])))
    x, y, intensity = np.concatenate([*pieces, np.zeros((0, 3))]).T
    return SpotLists(offsets, x, y, intensity)


def _spots_of(image: Float32Array, weight: Float32Array, frames: SpotFrames) -> FloatArray:
    """Return x, y and relative intensity, shape (n_spots, 3)."""
    rings = np.where(weight > 0, radius_px(image.shape, frames.centre_px).astype(int) + 1, 0)
    around = _background(image, rings)
    above = ((image - around) * weight).astype(np.float32)
    box = _SPOT_PX**2
    held = uniform_filter(above, _SPOT_PX) * box
    noise = np.sqrt(np.maximum(uniform_filter(image, _SPOT_PX) * box, 1.0))
    smooth = gaussian_filter(above, 1.0)
    is_spot = (smooth == maximum_filter(smooth, _SPOT_PX)) & (held > _LEAST_SIGNIFICANCE * noise)
    is_spot &= _contrast(image, weight) > _LEAST_CONTRAST
    found = np.nonzero(is_spot & (weight > 0))
    if not found[0].size:
        return np.zeros((0, 3))
    intensity = held[found]
    row, column = (found[axis] + _summit(smooth, found, axis) for axis in (0, 1))
    pixel, (centre_row, centre_column) = frames.inverse_angstrom_per_pixel, frames.centre_px
    x, y = (column - centre_column) * pixel, (centre_row - row) * pixel
    return np.stack([x, y, intensity / intensity.max()], axis=1)


def _background(image: Float32Array, rings: IntArray) -> Float32Array:
    """Return the mean of each ring without what stands out of it.

    The median alone is a whole number: of the many counts below 1 it would make 0.
    """
    middle = np.asarray(median(image, rings, np.arange(rings.max() + 1)))[rings]
    is_usual = image <= middle + 3 * np.sqrt(middle + 1)
    n_usual = np.bincount(rings[is_usual], minlength=rings.max() + 1)
    total = np.bincount(rings[is_usual], image[is_usual], minlength=rings.max() + 1)
    return np.asarray(total / np.maximum(n_usual, 1), dtype=np.float32)[rings]


def _contrast(image: Float32Array, weight: Float32Array) -> FloatArray:
    """Return by how many standard deviations 3 x 3 pixels exceed the rim of 7 x 7 around them.

    Noise on the slope of a strong spot has summits too, but none that stands out of the slope.
    """
    counts, pixels = (
        {size: uniform_filter(one, size) * size**2 for size in (3, 5, 7)}
        for one in ((image * weight).astype(np.float64), weight.astype(np.float64))
    )
    rim = (counts[7] - counts[5]) / np.maximum(pixels[7] - pixels[5], 1.0)
    expected = rim * pixels[3]
    return np.asarray((counts[3] - expected) / np.sqrt(np.maximum(counts[3], expected) + 1.0))


def _summit(smooth: Float32Array, found: tuple[IntArray, ...], axis: int) -> FloatArray:
    """Return how far the summit is from the brightest pixel, along rows or columns, in pixels.

    That of the parabola through the pixel and its neighbours.
    """
    size = smooth.shape[axis]
    before, after = list(found), list(found)
    before[axis], after[axis] = (
        np.maximum(found[axis] - 1, 0),
        np.minimum(found[axis] + 1, size - 1),
    )
    low, middle, high = (smooth[tuple(at)].astype(np.float64) for at in (before, found, after))
    curvature = np.maximum(2 * middle - low - high, 1e-9)
    return np.asarray(np.clip(0.5 * (high - low) / curvature, -0.5, 0.5))


def trained_networks(
    store: ReflectionStore,
    directory: Path,
    *,
    n_images: int,
    progress: Callable[[str, int, int], None],
) -> dict[str, TrainedVgg]:
    """Return model-1 to model-4; those that the folder does not hold are trained for n_images."""
    networks = {}
    for name, training in standard_trainings(n_images).items():
        path = directory / f"{name}.pt"
        if not path.exists():
            trainer = ZoneTrainer(training, store, directory, name=name)
            step = f"training {name}"
            trainer.run(lambda done, total, _, step=step: progress(step, done, total))  # type: ignore[misc]
        networks[name] = TrainedVgg(path)
    return networks
