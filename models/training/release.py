"""From a trained network to what ships: one ONNX file and its card."""

import hashlib
import platform
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.networks.estimate import combine_heads
from phasepilot.models.networks.model_card import Calibration, ModelCard
from phasepilot.models.networks.npcnn import Npcnn
from phasepilot.models.networks.onnx_file import read_state_dict, write_npcnn
from phasepilot.models.networks.space_groups import crystal_system_index
from phasepilot.models.training.configuration import TrainingConfiguration
from phasepilot.models.training.synthesis import Batch

SET_LEVEL = 0.9
_LIMITS = (
    "Trained on simulated single-phase patterns with up to 20 % of one impurity, on structures"
    " relaxed by density-functional theory (lattices 1-3 % off), without preferred orientation as"
    " such, without low-angle asymmetry and without K-alpha doublets. Calibrated on simulated"
    " patterns: nothing is promised of probabilities and sets on measured ones. No class for"
    " amorphous, empty or multi-phase frames; `novelty` is a first indication only."
)


def write_release(
    network: Npcnn,
    configuration: TrainingConfiguration,
    store: StickStore,
    validation: list[Batch],
    *,
    code_version: str,
) -> ModelCard:
    """Write NAME.onnx and NAME.json into the work directory and return the card.

    The first half of the validation patterns calibrates, the second half is measured. Both use
    the weights as rounded in the file.
    """
    path = configuration.work_directory / f"{configuration.name}.onnx"
    write_npcnn(network, path)
    shipped = Npcnn(network.shape)
    shipped.load_state_dict(read_state_dict(path))
    shipped.eval()
    groups = np.concatenate([batch.space_group_index for batch in validation])
    system_logits, group_logits = _logits(shipped, validation)
    half = groups.size // 2
    calibration = calibrate(system_logits[:half], group_logits[:half], groups[:half])
    measured = measure(calibration, system_logits[half:], group_logits[half:], groups[half:])
    card = _card(network, configuration, store, path, calibration, measured, code_version)
    path.with_suffix(".json").write_text(card.model_dump_json(indent=1) + "\n")
    return card


def _logits(network: Npcnn, batches: list[Batch]) -> tuple[FloatArray, FloatArray]:
    with torch.inference_mode():
        pairs = [network(torch.from_numpy(batch.inputs)) for batch in batches]
    systems, groups = (torch.cat(outputs).double().numpy() for outputs in zip(*pairs, strict=True))
    return systems, groups


def calibrate(
    system_logits: FloatArray, group_logits: FloatArray, space_group_index: IntArray
) -> Calibration:
    """Return temperatures, set thresholds and familiarity quantiles fitted on these logits.

    References
    ----------
    Temperature scaling: Guo et al., ICML 2017, section 4.2.
    """
    systems = crystal_system_index(space_group_index + 1)
    system_temperature = _temperature(system_logits, systems)
    group_temperature = _temperature(group_logits, space_group_index)
    system_p, group_p = combine_heads(
        softmax(system_logits / system_temperature, axis=1),
        softmax(group_logits / group_temperature, axis=1),
    )
    familiarity = logsumexp(group_logits, axis=1)
    return Calibration(
        crystal_system_temperature=system_temperature,
        space_group_temperature=group_temperature,
        set_level=SET_LEVEL,
        crystal_system_threshold=_conformal_threshold(system_p, systems),
        space_group_threshold=_conformal_threshold(group_p, space_group_index),
        familiarity_quantiles=tuple(np.quantile(familiarity, np.linspace(0, 1, 101)).tolist()),
    )


def _temperature(logits: FloatArray, labels: IntArray) -> float:
    def loss(log_temperature: float) -> float:
        log_p = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(log_p[np.arange(labels.size), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))


def _conformal_threshold(probabilities: FloatArray, labels: IntArray) -> float:
    """Return the probability that the true class reaches in SET_LEVEL of exchangeable patterns."""
    true_p = np.sort(probabilities[np.arange(labels.size), labels])
    rank = int(np.floor((labels.size + 1) * (1 - SET_LEVEL))) - 1
    return float(true_p[max(rank, 0)])


def measure(
    calibration: Calibration,
    system_logits: FloatArray,
    group_logits: FloatArray,
    space_group_index: IntArray,
) -> dict[str, float | int]:
    """Return accuracy, calibration error and set coverage on patterns not used to fit anything."""
    systems = crystal_system_index(space_group_index + 1)
    system_p, group_p = combine_heads(
        softmax(system_logits / calibration.crystal_system_temperature, axis=1),
        softmax(group_logits / calibration.space_group_temperature, axis=1),
    )
    rows = np.arange(systems.size)
    top3 = np.argsort(group_p, axis=1)[:, -3:]
    in_set = system_p >= calibration.crystal_system_threshold
    group_in_set = group_p >= calibration.space_group_threshold
    values = {
        "crystal_system_accuracy": (system_p.argmax(axis=1) == systems).mean(),
        "space_group_accuracy": (group_p.argmax(axis=1) == space_group_index).mean(),
        "space_group_top3": (top3 == space_group_index[:, None]).any(axis=1).mean(),
        "crystal_system_calibration_error": _calibration_error(system_p, systems),
        "crystal_system_set_coverage": in_set[rows, systems].mean(),
        "crystal_system_set_size": in_set.sum(axis=1).mean(),
        "space_group_set_coverage": group_in_set[rows, space_group_index].mean(),
        "space_group_set_size": group_in_set.sum(axis=1).mean(),
    }
    rounded: dict[str, float | int] = {name: round(float(v), 4) for name, v in values.items()}
    return {"n_simulated_held_out_patterns": int(systems.size), **rounded}


def _calibration_error(probabilities: FloatArray, labels: IntArray, n_bins: int = 15) -> float:
    """Return the expected calibration error of the top class over bins of equal count."""
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    bins = np.array_split(np.argsort(confidence), n_bins)
    gaps = [abs(confidence[b].mean() - is_right[b].mean()) * b.size for b in bins if b.size]
    return float(np.sum(gaps) / labels.size)


def _card(
    network: Npcnn,
    configuration: TrainingConfiguration,
    store: StickStore,
    path: Path,
    calibration: Calibration,
    measured: dict[str, float | int],
    code_version: str,
) -> ModelCard:
    shape, grid = network.shape, configuration.preprocessing.grid
    training: dict[str, float | int | str | list[int]] = {
        "batch_size": configuration.batch_size,
        "learning_rate": configuration.learning_rate,
        "weight_decay": configuration.weight_decay,
        "label_smoothing": configuration.label_smoothing,
        "recipe": configuration.recipe,
        "class_exponent": configuration.class_exponent,
        "max_atoms": configuration.max_atoms,
        "channels": shape.channels,
        "kernels": list(shape.kernels),
        "strides": list(shape.strides),
        "dense": list(shape.dense),
        "convolution_dropout": shape.convolution_dropout,
        "dense_dropout": shape.dense_dropout,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    return ModelCard(
        name=configuration.name,
        network="NPCNN: three strided convolutions, no pooling, dense head",
        reference="Salgado et al., npj Comput. Mater. 9, 214 (2023)",
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        licence="BSD-3-Clause (weights); structures under the licences listed",
        code_version=code_version,
        trained_on=f"patterns simulated from {configuration.structures.name}",
        structure_licences=configuration.licences,
        n_structures=int((~store.is_held_out).sum()),
        n_structures_held_out=int(store.is_held_out.sum()),
        n_patterns=configuration.n_patterns,
        n_parameters=network.n_parameters(),
        seed=configuration.seed,
        training=training,
        classes="7 crystal systems and 230 space groups",
        q_min_per_angstrom=grid.q_min_per_angstrom,
        q_max_per_angstrom=grid.q_max_per_angstrom,
        n_bins=grid.n_bins,
        preprocessing=configuration.preprocessing,
        calibration=calibration,
        measured=measured,
        limits=_LIMITS,
    )
