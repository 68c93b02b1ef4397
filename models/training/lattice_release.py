"""From a trained network of spot lattices to what ships: weights, calibration and a card."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore
from phasepilot.models.diffraction.images.worn_spots import worn_spots
from phasepilot.models.diffraction.images.zone_spots import zone_spots
from phasepilot.models.errors import TrainingError
from phasepilot.models.estimation.answer_calibration import NetworkCalibration
from phasepilot.models.estimation.frame_fusion import fit_fusion, fused
from phasepilot.models.estimation.image_calibration import ImageCalibration
from phasepilot.models.estimation.lattice_model import (
    LatticeWeights,
    write_lattice_weights,
)
from phasepilot.models.estimation.network_fit import LabelledOutputs, fit_network
from phasepilot.models.networks.lattice_card import LATTICE_CARD_SUFFIX, LatticeModelCard
from phasepilot.models.networks.lattice_net import CLIPPED_AT, LatticeNet
from phasepilot.models.networks.symmetry_levels import (
    SYSTEM_OF_SPACE_GROUP,
    crystal_system_probabilities,
)
from phasepilot.models.training.configuration import OPEN_LICENCES
from phasepilot.models.training.lattice_training import LatticeTrainer, training_axes

_N_DIRECTIONS = 3
_LEAST_CALIBRATING = 12
# Crystals whose patterns say what the network has seen, at most.
_N_SEEN = 2000
# The second word of the seed.
_CALIBRATION = 1
_LIMITS = (
    "Trained and calibrated on simulated spots of one crystal along a direction of its lattice with"
    " indices up to 3, of structures that are mostly relaxed by density-functional theory: nothing"
    " is promised of probabilities on measured frames. The zone through the origin alone, without"
    " multiple scattering; Friedel's law holds. It needs the position of the direct beam."
)


def write_lattice_release(
    trainer: LatticeTrainer,
    store: ReflectionStore,
    directory: Path,
    *,
    name: str,
    trained_on: str,
    code_version: str,
) -> LatticeModelCard:
    """Write NAME.npz and NAME.lattice.json; return the card.

    Calibrated and measured on halves of the families that are set aside for that.

    Raises
    ------
    TrainingError
        If the store has too few structures of such families.
    """
    if trainer.calibration_structures.size < _LEAST_CALIBRATING:
        raise TrainingError(
            f"a release needs {_LEAST_CALIBRATING} structures of the families that calibrate, but"
            f" the store has {trainer.calibration_structures.size}; build it from more rows."
        )
    weights = rounded_weights(trainer.network)
    chosen = trainer.calibration_structures
    rng = np.random.default_rng([trainer.training.seed, _CALIBRATION])
    # Families, not structures, so that no half knows the other.
    is_first = (store.family_hash[chosen] // 10) % 2 == 0
    calibration = _calibrated(weights, trainer, store, chosen[is_first], rng)
    measured = _measured(weights, calibration, store, chosen[~is_first], rng)
    path = directory / f"{name}.npz"
    write_lattice_weights(weights, calibration, path)
    training = asdict(trainer.training)
    card = LatticeModelCard(
        name=name,
        network="dense layers on features of the lattice of spots",
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        licence="BSD-3-Clause (weights); structures under the licences listed",
        code_version=code_version,
        trained_on=f"zone-axis spots simulated from {trained_on}",
        structure_licences=OPEN_LICENCES,
        n_structures=trainer.structures.size,
        n_structures_calibrating=chosen.size,
        n_patterns=trainer.n_patterns,
        n_parameters=sum(one.numel() for one in trainer.network.parameters()),
        training={**training, "widths": list(training["widths"])},
        measured=measured,
        limits=_LIMITS,
    )
    card_path = directory / f"{name}{LATTICE_CARD_SUFFIX}"
    card_path.write_text(card.model_dump_json(indent=1) + "\n")
    return card


def rounded_weights(network: LatticeNet) -> LatticeWeights:
    """Return the weights as the file will hold them."""

    def numbers(tensor: object) -> Float32Array:
        return np.asarray(tensor.detach().float().cpu().numpy())  # type: ignore[attr-defined]

    weights = LatticeWeights(
        numbers(network.mean),
        numbers(network.scale),
        CLIPPED_AT,
        tuple(numbers(layer.weight) for layer in network.layers),
        tuple(numbers(layer.bias) for layer in network.layers),
    )
    return LatticeWeights.from_arrays(weights.to_arrays())


def _calibrated(
    weights: LatticeWeights,
    trainer: LatticeTrainer,
    store: ReflectionStore,
    structures: IntArray,
    rng: np.random.Generator,
) -> ImageCalibration:
    known = rng.permutation(trainer.structures)[:_N_SEEN]
    seen = _several_directions(weights, store, known, rng)
    held_out = _several_directions(weights, store, structures, rng)
    trained = np.asarray(store.space_group_number)[trainer.structures] - 1
    # Half a structure for groups without any: their logarithm is finite.
    counts = np.bincount(trained, minlength=230) + 0.5
    network = fit_network(
        seen,
        held_out,
        log_prior=np.log(counts / counts.sum()),
        n_structures=trainer.structures.size,
        rng=rng,
    )
    probabilities, labels = _of_crystals(network, held_out)
    return ImageCalibration(network, fit_fusion(probabilities, labels, network.log_prior))


def _several_directions(
    weights: LatticeWeights,
    store: ReflectionStore,
    structures: IntArray,
    rng: np.random.Generator,
) -> LabelledOutputs:
    """Return outputs for worn patterns, `_N_DIRECTIONS` of a structure one after the other."""
    axes = np.array(training_axes())
    order = rng.permuted(np.tile(np.arange(len(axes)), (structures.size, 1)), axis=1)
    drawn = axes[order[:, :_N_DIRECTIONS].ravel()]
    chosen = np.repeat(rng.permutation(structures), _N_DIRECTIONS)
    worn = worn_spots(zone_spots(store, chosen, drawn), rng)
    outputs = weights.seen(worn.spots, worn.position_error_per_angstrom)
    labels = np.asarray(store.space_group_number, dtype=np.int64)[chosen] - 1
    return LabelledOutputs(*outputs, labels)


def _of_crystals(
    network: NetworkCalibration, outputs: LabelledOutputs
) -> tuple[FloatArray, IntArray]:
    """Return probabilities (n_structures, n_directions, 230), and the labels."""
    log_p = network.log_probabilities(outputs.logits, outputs.embedding)
    labels = outputs.space_group_index[::_N_DIRECTIONS]
    return np.exp(log_p).reshape(labels.size, _N_DIRECTIONS, -1), labels


def _measured(
    weights: LatticeWeights,
    calibration: ImageCalibration,
    store: ReflectionStore,
    structures: IntArray,
    rng: np.random.Generator,
) -> dict[str, float | int]:
    network = calibration.network
    outputs = _several_directions(weights, store, structures, rng)
    probabilities, labels = _of_crystals(network, outputs)
    joint = np.exp(fused(probabilities, network.log_prior, calibration.fusion.sameness))
    found: dict[str, float | int] = {"n_structures": int(labels.size)}
    for name, one in (("one_direction", probabilities), ("three_directions", joint[:, None])):
        systems = crystal_system_probabilities(one).argmax(axis=2)
        right_group = one.argmax(axis=2) == labels[:, None]
        right_system = systems == SYSTEM_OF_SPACE_GROUP[labels][:, None]
        found[f"{name}_space_group_accuracy"] = round(float(right_group.mean()), 4)
        found[f"{name}_crystal_system_accuracy"] = round(float(right_system.mean()), 4)
    return found
