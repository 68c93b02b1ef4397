"""The model that answers for spot patterns: dense layers on lattice features, calibrated."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.diffraction.images.detector_geometry import measured_pixels
from phasepilot.models.diffraction.images.flat_frame import FlatFrame, flat_cells, flat_frame
from phasepilot.models.diffraction.images.frame_reduction import is_marked_dead
from phasepilot.models.diffraction.images.spot_lattice import COMPUTED_SPOT_ERROR, FARTHEST_ERRORS
from phasepilot.models.diffraction.images.zone_frame import zone_spots_of_frame
from phasepilot.models.diffraction.images.zone_spots import SpotLists, innermost_spots
from phasepilot.models.errors import PatternError, WeightsError
from phasepilot.models.estimation.answer_calibration import with_prefix, without_prefix
from phasepilot.models.estimation.image_calibration import SET_LEVEL, ImageCalibration
from phasepilot.models.estimation.image_estimator import SeenImage
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.lattice_card import LatticeModelCard, read_lattice_card
from phasepilot.models.networks.model_card import check_sha256
from phasepilot.models.networks.registry import lattice_card_path
from phasepilot.models.preprocessing.lattice_features import N_FEATURES, lattice_features

DEFAULT_LATTICE_MODEL = "pilotlattice-v1"
# Shares of its farthest spot up to which a pattern is looked at besides all of it. No ratios of
# small squares, which rounding would decide.
_REACHES = (0.9537, 0.9037)
# Pixels on each side of a spot on which it is shown what it says.
_SHOWN_PX = 2


@dataclass(frozen=True, slots=True)
class LatticeWeights:
    """The layers of a `LatticeNet`.

    Attributes
    ----------
    mean, scale : ndarray, shape (N_FEATURES,)
    clipped_at : float
        Standardised features are held within this on either side of 0.
    weights, biases : tuple of ndarray
        Of each dense layer, shapes (n_out, n_in) and (n_out,).
    """

    mean: Float32Array
    scale: Float32Array
    clipped_at: float
    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]

    def seen(
        self, spots: SpotLists, position_error_per_angstrom: FloatArray | float
    ) -> tuple[FloatArray, FloatArray]:
        """Return logits and embeddings of patterns, means over the `_REACHES` of each.

        How far a pattern reaches is no property of the crystal, but answers to one reach alone
        depend on which spots are just within it.
        """
        parts = [
            self.outputs(lattice_features(one, position_error_per_angstrom))
            for one in (spots, *(innermost_spots(spots, share) for share in _REACHES))
        ]
        logits, embedding = (np.mean(part, axis=0) for part in zip(*parts, strict=True))
        return logits, embedding

    def outputs(self, features: Float32Array) -> tuple[FloatArray, FloatArray]:
        """Return logits (n_patterns, 230) and what the last layer sees, the embedding.

        Parameters
        ----------
        features : ndarray, shape (n_patterns, N_FEATURES)
        """
        value = np.clip((features - self.mean) / self.scale, -self.clipped_at, self.clipped_at)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            value = np.maximum(value @ weight.T + bias, 0)
        logits = value @ self.weights[-1].T + self.biases[-1]
        return logits.astype(np.float64), value.astype(np.float64)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs; weights as float16."""
        layers = {f"weight.{n}": one.astype(np.float16) for n, one in enumerate(self.weights)}
        layers |= {f"bias.{n}": one.astype(np.float16) for n, one in enumerate(self.biases)}
        clipped = np.array([self.clipped_at], dtype=np.float32)
        return {"mean": self.mean, "scale": self.scale, "clipped_at": clipped, **layers}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the weights that `to_arrays` described.

        Raises
        ------
        ValueError
            If they are for other features.
        """
        read = {name: np.asarray(values, dtype=np.float32) for name, values in arrays.items()}
        if read["mean"].shape != (N_FEATURES,):
            raise ValueError(f"{N_FEATURES} features are known, but {read['mean'].size} came")
        n_layers = sum(name.startswith("weight.") for name in read)
        return cls(
            read["mean"],
            read["scale"],
            float(read["clipped_at"][0]),
            tuple(read[f"weight.{n}"] for n in range(n_layers)),
            tuple(read[f"bias.{n}"] for n in range(n_layers)),
        )


class LatticeModel:
    """A network of spot lattices with its card and calibration.

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

    def __init__(self, card_path: Path, *, set_level: float = SET_LEVEL) -> None:
        self.card: LatticeModelCard = read_lattice_card(card_path)
        path = card_path.with_name(self.card.file)
        content = check_sha256(path, self.card.sha256)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            self.weights = LatticeWeights.from_arrays(without_prefix("network", arrays))
            self.calibration = ImageCalibration.from_arrays(without_prefix("calibration", arrays))
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise WeightsError(
                "weights of spot lattices must be an .npz file with the arrays that this version of"
                f" phasepilot writes, but {path} is not ({type(error).__name__}: {error});"
                " reinstall phasepilot, or train again."
            ) from error
        self._set_level = set_level

    def probabilities(
        self,
        spots: SpotLists,
        position_error_per_angstrom: FloatArray | float = COMPUTED_SPOT_ERROR,
    ) -> FloatArray:
        """Return calibrated probabilities of space groups, shape (n_patterns, 230).

        Parameters
        ----------
        position_error_per_angstrom : float or ndarray, shape (n_patterns,)
            Standard error of a coordinate.
        """
        return np.exp(self._log_probabilities(spots, position_error_per_angstrom))

    def estimate(
        self, spots: SpotLists, position_error_per_angstrom: float = COMPUTED_SPOT_ERROR
    ) -> PhaseEstimate:
        """Return the estimate for one pattern.

        Raises
        ------
        PatternError
            If there is another number of patterns.
        """
        _check_single(spots)
        logits, embedding = self.weights.seen(spots, position_error_per_angstrom)
        return self.calibration.estimate(logits[0], embedding[0], self._set_level)

    def estimate_image(self, seen: SeenImage) -> PhaseEstimate | None:
        """Return the estimate for an image of a detector; None if it shows no zone.

        That is where its spots lie on no plane lattice through the beam: rings, a rotating
        crystal, or too few spots.
        """
        zone = zone_spots_of_frame(_flat(seen))
        if not zone.is_zone:
            return None
        return self.estimate(zone.spots, zone.position_error_per_angstrom)

    def attribution_map(self, seen: SeenImage, space_group: int) -> Float32Array:
        """Return `attribution` on the pixels around each spot, NaN on all others."""
        frame = _flat(seen)
        zone = zone_spots_of_frame(frame)
        values = self.attribution(zone.spots, space_group, zone.position_error_per_angstrom)
        row = frame.centre_px[0] - zone.spots.y_per_angstrom / frame.inverse_angstrom_per_pixel
        column = frame.centre_px[1] + zone.spots.x_per_angstrom / frame.inverse_angstrom_per_pixel
        shown = np.full(frame.image.shape, np.nan, dtype=np.float32)
        for i, j, value in zip(np.rint(row), np.rint(column), values, strict=True):
            top, left = max(int(i) - _SHOWN_PX, 0), max(int(j) - _SHOWN_PX, 0)
            shown[top : int(i) + _SHOWN_PX + 1, left : int(j) + _SHOWN_PX + 1] = value
        return np.asarray(shown.ravel()[flat_cells(seen.geometry).cell])

    def fuse(self, estimates: Sequence[PhaseEstimate]) -> PhaseEstimate:
        """Return what several directions of one crystal say together; see `ImageCalibration`.

        Raises
        ------
        PatternError
            If there are no estimates.
        """
        return self.calibration.fuse(estimates, self._set_level)

    def attribution(
        self,
        spots: SpotLists,
        space_group: int,
        position_error_per_angstrom: float = COMPUTED_SPOT_ERROR,
    ) -> FloatArray:
        """Return what each spot and its Friedel mate add to ln p of a space group, (n_spots,).

        That is how much it falls when they are not seen.

        Raises
        ------
        PatternError
            If there is another number of patterns than one.
        """
        _check_single(spots)
        xy = np.stack([spots.x_per_angstrom, spots.y_per_angstrom], axis=1)
        reach = FARTHEST_ERRORS * position_error_per_angstrom
        # Rows are patterns: the whole one first, then one without each spot and its mate.
        apart = np.linalg.norm(xy[:, None] + xy[None], axis=2)
        is_kept = (apart > reach) & ~np.eye(len(xy), dtype=bool)
        is_kept = np.concatenate([np.ones((1, len(xy)), dtype=bool), is_kept])
        kept = np.nonzero(is_kept)[1]
        offsets = np.concatenate(([0], np.cumsum(is_kept.sum(axis=1))))
        patterns = SpotLists(offsets, xy[kept, 0], xy[kept, 1], spots.intensity[kept])
        log_p = self._log_probabilities(patterns, position_error_per_angstrom)[:, space_group - 1]
        return np.asarray(log_p[0] - log_p[1:])

    def _log_probabilities(self, spots: SpotLists, error: FloatArray | float) -> FloatArray:
        return self.calibration.network.log_probabilities(*self.weights.seen(spots, error))


def _flat(seen: SeenImage) -> FlatFrame:
    is_dead = is_marked_dead(seen.counts, seen.geometry)
    return flat_frame(seen.counts, measured_pixels(seen.geometry) & ~is_dead, seen.geometry)


def _check_single(spots: SpotLists) -> None:
    if spots.n_patterns != 1:
        raise PatternError(
            f"spots must be of one pattern, but are of {spots.n_patterns}; ask for `probabilities`"
            " of several."
        )


def write_lattice_weights(
    weights: LatticeWeights, calibration: ImageCalibration, path: Path
) -> None:
    """Write an .npz file that `LatticeModel` reads."""
    arrays = with_prefix("network", weights.to_arrays())
    arrays |= with_prefix("calibration", calibration.to_arrays())
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(arrays))


def load_lattice_model(
    name: str = DEFAULT_LATTICE_MODEL, *, set_level: float = SET_LEVEL
) -> LatticeModel:
    """Return the network of that name, or of the card at that path (a name ending in .json).

    Raises
    ------
    UnknownModelError
        If there is none.
    WeightsError
        If its files are damaged.
    """
    return LatticeModel(lattice_card_path(name), set_level=set_level)
