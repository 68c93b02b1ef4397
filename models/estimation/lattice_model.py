"""The model that answers for spot patterns: dense layers on lattice features, calibrated."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.diffraction.images.spot_lattice import COMPUTED_SPOT_ERROR
from phasepilot.models.diffraction.images.zone_spots import SpotLists
from phasepilot.models.errors import WeightsError
from phasepilot.models.estimation.answer_calibration import (
    SymmetrySets,
    with_prefix,
    without_prefix,
)
from phasepilot.models.estimation.frame_fusion import FrameFusion
from phasepilot.models.networks.lattice_card import LatticeModelCard, read_lattice_card
from phasepilot.models.networks.model_card import check_sha256
from phasepilot.models.networks.registry import lattice_card_path
from phasepilot.models.preprocessing.lattice_features import N_FEATURES, lattice_features

DEFAULT_LATTICE_MODEL = "pilotlattice-v1"


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

    def logits(self, features: Float32Array) -> FloatArray:
        """Return the logits (n_patterns, 230) of features (n_patterns, N_FEATURES)."""
        value = np.clip((features - self.mean) / self.scale, -self.clipped_at, self.clipped_at)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            value = np.maximum(value @ weight.T + bias, 0)
        return np.asarray(value @ self.weights[-1].T + self.biases[-1], dtype=np.float64)

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


@dataclass(frozen=True, slots=True)
class LatticeCalibration:
    """What turns logits into answers, fitted on families that were not trained on.

    Attributes
    ----------
    temperature : float
        Logits are divided by it.
    log_prior : ndarray, shape (230,)
        How common each space group was in training.
    sets : SymmetrySets
    fusion : FrameFusion
        Of several directions of one crystal.
    """

    temperature: float
    log_prior: FloatArray
    sets: SymmetrySets
    fusion: FrameFusion

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs."""
        return {
            "temperature": np.array([self.temperature]),
            "log_prior": self.log_prior.astype(np.float32),
            **with_prefix("sets", self.sets.to_arrays()),
            **with_prefix("fusion", self.fusion.to_arrays()),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the calibration that `to_arrays` described."""
        return cls(
            float(np.asarray(arrays["temperature"], dtype=np.float64)[0]),
            np.asarray(arrays["log_prior"], dtype=np.float64),
            SymmetrySets.from_arrays(without_prefix("sets", arrays)),
            FrameFusion.from_arrays(without_prefix("fusion", arrays)),
        )


class LatticeModel:
    """A network of spot lattices with its card and calibration.

    Parameters
    ----------
    card_path : Path

    Raises
    ------
    WeightsError
        If files are missing, damaged or do not belong together.
    """

    def __init__(self, card_path: Path) -> None:
        self.card: LatticeModelCard = read_lattice_card(card_path)
        path = card_path.with_name(self.card.file)
        content = check_sha256(path, self.card.sha256)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            self.weights = LatticeWeights.from_arrays(without_prefix("network", arrays))
            self.calibration = LatticeCalibration.from_arrays(without_prefix("calibration", arrays))
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise WeightsError(
                "weights of spot lattices must be an .npz file with the arrays that this version of"
                f" phasepilot writes, but {path} is not ({type(error).__name__}: {error});"
                " reinstall phasepilot, or train again."
            ) from error

    def probabilities(
        self, spots: SpotLists, position_error_per_angstrom: float = COMPUTED_SPOT_ERROR
    ) -> FloatArray:
        """Return calibrated probabilities of space groups, shape (n_patterns, 230).

        Parameters
        ----------
        position_error_per_angstrom : float
            Standard error of a coordinate.
        """
        logits = self.weights.logits(lattice_features(spots, position_error_per_angstrom))
        return np.asarray(np.exp(log_softmax(logits / self.calibration.temperature, axis=1)))

    def fuse(self, probabilities: FloatArray) -> FloatArray:
        """Return what directions of one crystal say together, (230,) from (n_directions, 230)."""
        log_prior = self.calibration.log_prior
        return np.asarray(
            np.exp(self.calibration.fusion.log_probabilities(probabilities, log_prior))
        )


def write_lattice_weights(
    weights: LatticeWeights, calibration: LatticeCalibration, path: Path
) -> None:
    """Write an .npz file that `LatticeModel` reads."""
    arrays = with_prefix("network", weights.to_arrays())
    arrays |= with_prefix("calibration", calibration.to_arrays())
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(arrays))


def load_lattice_model(name: str = DEFAULT_LATTICE_MODEL) -> LatticeModel:
    """Return the network of that name, or of the card at that path (a name ending in .json).

    Raises
    ------
    UnknownModelError
        If there is none.
    WeightsError
        If its files are damaged.
    """
    return LatticeModel(lattice_card_path(name))
