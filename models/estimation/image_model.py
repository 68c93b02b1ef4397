"""The model that answers for image frames: a network on cakes, calibrated as that of patterns."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy.special import log_softmax

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.diffraction.images.azimuthal_integration import Cake
from phasepilot.models.diffraction.images.cake_grid import CakeGrid, cake_on_grid
from phasepilot.models.diffraction.images.polar_views import cake_of_polar
from phasepilot.models.errors import PatternError, WeightsError
from phasepilot.models.estimation.image_calibration import SET_LEVEL, ImageCalibration
from phasepilot.models.estimation.image_estimator import SeenImage
from phasepilot.models.explanation.cake_on_detector import on_detector
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.image_card import ImageModelCard, read_image_card
from phasepilot.models.networks.model_card import check_sha256
from phasepilot.models.networks.network_session import CakeSession
from phasepilot.models.networks.registry import image_card_path
from phasepilot.models.preprocessing.cake_input import cake_input

DEFAULT_IMAGE_MODEL = "pilotcake-v1"
# Turns by parts of a cell, whose answers are averaged.
N_TURNS = 3
# What is left out at a time to see what it says: cells in azimuth, cells along ln q.
_PATCH = (6, 8)
# A cake that is brought onto the network's cells should be finer than they are.
_FINER = 2


class ImageModel:
    """A network of image frames with its card and calibration.

    Parameters
    ----------
    card_path : Path
    set_level : float
        Level of the conformal sets.

    Raises
    ------
    WeightsError
        If files are missing, damaged or do not belong together.
    """

    def __init__(
        self, card_path: Path, *, set_level: float = SET_LEVEL, n_threads: int = 1
    ) -> None:
        self.card: ImageModelCard = read_image_card(card_path)
        content = check_sha256(card_path.with_name(self.card.file), self.card.sha256)
        self.session = CakeSession(content, n_threads=n_threads)
        self.calibration = _read_calibration(card_path, self.card)
        self.grid: CakeGrid = self.card.cells.grid()
        self._set_level = set_level

    @property
    def cake_grid(self) -> LogQGrid:
        """The ln q grid that an image should be unrolled onto for `estimate`."""
        radial = self.grid.radial
        return LogQGrid(
            radial.q_min_per_angstrom, radial.q_max_per_angstrom, _FINER * radial.n_bins
        )

    def estimate_image(self, seen: SeenImage) -> PhaseEstimate:
        """Return the estimate for an image of a detector.

        Raises
        ------
        PatternError, GeometryError
            If nothing of it lies within the network's range.
        """
        return self.estimate(self._cake_of(seen))

    def attribution_map(self, seen: SeenImage, space_group: int) -> Float32Array:
        """Return `attribution` on the pixels of the detector, NaN outside the network's range."""
        values = self.attribution(self._cake_of(seen), space_group)
        return on_detector(values, self.grid, seen.geometry)

    def _cake_of(self, seen: SeenImage) -> Cake:
        return cake_of_polar(seen.polar, seen.geometry.wavelength_angstrom, self.cake_grid)

    def estimate(self, cake: Cake) -> PhaseEstimate:
        """Return the estimate for one image.

        Raises
        ------
        PatternError
            If nothing of the cake lies within the network's range.
        """
        logits, embedding = self._seen(self.turned_inputs(cake)[None])
        return self.calibration.estimate(logits[0], embedding[0], self._set_level)

    def turned_inputs(self, cake: Cake) -> Float32Array:
        """Return what the network sees of a cake turned by parts of a cell, (n_turns, 2, ...).

        Roots of overlapping spots hold what is finer than a cell: answers to one turn alone would
        depend a little on how the detector stands.

        Raises
        ------
        PatternError
            As `estimate`.
        """
        cell_deg = 360 / self.grid.n_chi
        turns_deg = np.arange(N_TURNS) * (cell_deg / N_TURNS)
        turned = (replace(cake, chi_deg=cake.chi_deg + turn_deg) for turn_deg in turns_deg)
        return np.array([self.input_of(one) for one in turned])

    def input_of(self, cake: Cake) -> Float32Array:
        """Return what the network sees of a cake, shape (2, n_chi, n_bins).

        Raises
        ------
        PatternError
            As `estimate`.
        """
        signal, is_measured = cake_on_grid(cake, self.grid)
        if not is_measured.any():
            radial = self.grid.radial
            raise PatternError(
                f"a cake must hold part of q = {radial.q_min_per_angstrom:g} to"
                f" {radial.q_max_per_angstrom:g} 1/angstrom, but this one has nothing there; check"
                " the wavelength and the distance."
            )
        return cake_input(signal, is_measured)

    def estimate_inputs(self, inputs: Float32Array) -> list[PhaseEstimate]:
        """Return the estimates for network inputs (n, 2, n_chi, n_bins)."""
        logits, embedding = (one.astype(np.float64) for one in self.session.run(inputs))
        return [
            self.calibration.estimate(*row, self._set_level)
            for row in zip(logits, embedding, strict=True)
        ]

    def probabilities(self, inputs: Float32Array) -> FloatArray:
        """Return calibrated probabilities (n, 230) for (n, n_turns, 2, n_chi, n_bins)."""
        return np.exp(self.calibration.network.log_probabilities(*self._seen(inputs)))

    def _seen(self, inputs: Float32Array) -> tuple[FloatArray, FloatArray]:
        """Return logits and embeddings, means over the second axis: turns of the same cake."""
        n, n_turns = inputs.shape[:2]
        outputs = self.session.run(inputs.reshape(n * n_turns, *inputs.shape[2:]))
        logits, embedding = (
            one.astype(np.float64).reshape(n, n_turns, -1).mean(axis=1) for one in outputs
        )
        return logits, embedding

    def fuse(self, estimates: Sequence[PhaseEstimate]) -> PhaseEstimate:
        """Return what several orientations of one crystal say together; see `ImageCalibration`.

        Raises
        ------
        PatternError
            If there are no estimates.
        """
        return self.calibration.fuse(estimates, self._set_level)

    def attribution(self, cake: Cake, space_group: int) -> Float32Array:
        """Return what each part of the cake adds to ln p of a space group, (n_chi, n_bins).

        That is how much it falls when the part is not measured; on the network's own cells, `grid`.

        Raises
        ------
        PatternError
            As `estimate`.
        """
        whole = self.input_of(cake)
        (n_chi, n_bins), (high, wide) = self.grid.shape, _PATCH
        rows, columns = -(-n_chi // high), -(-n_bins // wide)
        without = np.repeat(whole[None], rows * columns, axis=0)
        for place in range(rows * columns):
            row, column = divmod(place, columns)
            without[
                place, :, row * high : (row + 1) * high, column * wide : (column + 1) * wide
            ] = 0
        logits, _ = self.session.run(np.concatenate([whole[None], without]))
        log_p = log_softmax(logits / self.calibration.network.temperature, axis=1)
        fallen = (log_p[0] - log_p[1:])[:, space_group - 1].reshape(rows, columns)
        cells = fallen.repeat(high, axis=0)[:n_chi].repeat(wide, axis=1)[:, :n_bins]
        return np.asarray(cells, dtype=np.float32)


def load_image_model(
    name: str = DEFAULT_IMAGE_MODEL, *, set_level: float = SET_LEVEL, n_threads: int = 1
) -> ImageModel:
    """Return the image network of that name, or of the card at that path (a name in .json).

    Raises
    ------
    UnknownModelError
        If there is none.
    WeightsError
        If its files are damaged.
    """
    return ImageModel(image_card_path(name), set_level=set_level, n_threads=n_threads)


def _read_calibration(card_path: Path, card: ImageModelCard) -> ImageCalibration:
    path = card_path.with_name(card.calibration_file)
    content = check_sha256(path, card.calibration_sha256)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return ImageCalibration.from_arrays({name: arrays[name] for name in arrays.files})
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise WeightsError(
            f"calibration must be an .npz file with the arrays that this version of phasepilot"
            f" writes, but {path} is not ({type(error).__name__}: {error}); reinstall phasepilot,"
            " or calibrate the network again."
        ) from error
