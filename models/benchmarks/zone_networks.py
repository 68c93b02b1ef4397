"""The paper's networks as they answer the zone-axis benchmark, trained first where they are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, median, uniform_filter

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.benchmarks.zone_patterns import Answers, SpotFrames
from phasepilot.models.diffraction.images.detector_effects import radius_px
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore
from phasepilot.models.diffraction.images.zone_spots import SpotLists, draw_discs
from phasepilot.models.training.zone_training import TrainedVgg, ZoneTrainer, standard_trainings

# A spot is this much above what surrounds it, in standard deviations of its count.
_LEAST_SIGNIFICANCE = 5.0
_SPOT_PX = 7


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
    around = np.asarray(median(image, rings, np.arange(rings.max() + 1)))[rings]
    above = ((image - around) * weight).astype(np.float32)
    box = _SPOT_PX**2
    held = uniform_filter(above, _SPOT_PX) * box
    noise = np.sqrt(np.maximum(uniform_filter(image, _SPOT_PX) * box, 1.0))
    smooth = gaussian_filter(above, 1.0)
    is_spot = (smooth == maximum_filter(smooth, _SPOT_PX)) & (held > _LEAST_SIGNIFICANCE * noise)
    rows, columns = np.nonzero(is_spot & (weight > 0))
    if not rows.size:
        return np.zeros((0, 3))
    intensity = held[rows, columns]
    pixel, (centre_row, centre_column) = frames.inverse_angstrom_per_pixel, frames.centre_px
    x, y = (columns - centre_column) * pixel, (centre_row - rows) * pixel
    return np.stack([x, y, intensity / intensity.max()], axis=1)


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
