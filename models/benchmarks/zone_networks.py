"""The paper's networks as they answer the zone-axis benchmark, trained first where they are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from phasepilot.models.benchmarks.zone_patterns import Answers, SpotFrames
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore
from phasepilot.models.diffraction.images.spot_search import search_spots
from phasepilot.models.diffraction.images.zone_spots import SpotLists, draw_discs
from phasepilot.models.training.zone_training import TrainedVgg, ZoneTrainer, standard_trainings


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
    """Return the spots that stand out of each frame."""
    pieces = []
    for frame in frames.each():
        found = search_spots(frame)
        pixel, strongest = frame.inverse_angstrom_per_pixel, found.photons.max(initial=1e-30)
        columns = (found.right_px * pixel, found.up_px * pixel, found.photons / strongest)
        pieces.append(np.stack(columns, axis=1))
    offsets = np.concatenate(([0], np.cumsum([len(piece) for piece in pieces])))
    x, y, intensity = np.concatenate([*pieces, np.zeros((0, 3))]).T
    return SpotLists(offsets, x, y, intensity)


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
