"""From a trained network of image frames to what ships: weights, calibration and a card."""

import hashlib
import platform
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from phasepilot.models.arrays import Array, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.reflection_store import ReflectionStore
from phasepilot.models.estimation.answer_calibration import NetworkCalibration
from phasepilot.models.estimation.frame_fusion import FrameFusion, fit_fusion, fused
from phasepilot.models.estimation.image_calibration import ImageCalibration
from phasepilot.models.estimation.network_fit import LabelledOutputs, fit_network
from phasepilot.models.networks.cake_file import write_cake_network
from phasepilot.models.networks.cake_net import CakeNet
from phasepilot.models.networks.image_card import CARD_SUFFIX, ImageModelCard
from phasepilot.models.networks.network_session import CakeSession
from phasepilot.models.training.cake_stream import (
    cake_training_stream,
    cake_validation_batches,
    tested_choice,
    trained_choice,
    validated_choice,
)
from phasepilot.models.training.cake_synthesis import KINDS, CakeKind, CakeRecipe, drawn_cake
from phasepilot.models.training.image_configuration import ImageTrainingConfiguration
from phasepilot.models.training.pattern_stream import TensorBatch, first_patterns
from phasepilot.models.training.validation import score

# The second word of the seed.
_FUSION, _TEST = 4, 5
_N_FRAMES = 3
_FUSED_KINDS: tuple[CakeKind, ...] = ("ideal", "zone", "crystal")
_LIMITS = (
    "Trained and calibrated on simulated cakes of one phase, of structures that are mostly relaxed"
    " by density-functional theory (lattices 1-3 % off): nothing is promised of probabilities and"
    " sets on measured frames. One orientation shows a part of reciprocal space; space groups that"
    " share their systematic absences there are told apart by what is common. Friedel's law holds"
    " in all cakes. No class for amorphous, empty or multi-phase frames, or for diamond spots."
)


def write_image_release(
    network: CakeNet,
    configuration: ImageTrainingConfiguration,
    store: ReflectionStore,
    *,
    n_patterns: int,
    code_version: str,
) -> ImageModelCard:
    """Write NAME.onnx, NAME.npz and NAME.image.json into the work directory; return the card.

    One tenth of the families calibrates, another is measured, both with weights as in the file.

    Parameters
    ----------
    n_patterns : int
        That the network was trained on until now.
    """
    directory = configuration.work_directory
    path = directory / f"{configuration.name}.onnx"
    write_cake_network(network, path)
    session = CakeSession(path.read_bytes(), n_threads=configuration.n_threads)
    rng = np.random.default_rng([configuration.seed, _FUSION])
    calibration = _calibrated(session, configuration, store, rng)
    arrays_path = directory / f"{configuration.name}.npz"
    arrays: dict[str, Array] = dict(calibration.to_arrays())
    np.savez(arrays_path, **arrays)
    measured = measured_on_tested(session, calibration, configuration, store)
    cells = configuration.cells
    card = ImageModelCard(
        name=configuration.name,
        network="complex filters on azimuthal harmonics, then real layers on their strengths",
        file=path.name,
        sha256=_sha256(path),
        calibration_file=arrays_path.name,
        calibration_sha256=_sha256(arrays_path),
        licence="BSD-3-Clause (weights); structures under the licences listed",
        code_version=code_version,
        trained_on=f"cakes simulated from {configuration.structures.name}",
        structure_licences=configuration.licences,
        n_structures=trained_choice(configuration, store).structures.size,
        n_structures_held_out=validated_choice(store).structures.size
        + tested_choice(store).structures.size,
        n_patterns=n_patterns,
        n_parameters=network.n_parameters(),
        seed=configuration.seed,
        cells=cells,
        training=_training_record(configuration),
        measured=measured,
        limits=_LIMITS,
    )
    card_path = directory / f"{configuration.name}{CARD_SUFFIX}"
    card_path.write_text(card.model_dump_json(indent=1) + "\n")
    return card


def _calibrated(
    session: CakeSession,
    configuration: ImageTrainingConfiguration,
    store: ReflectionStore,
    rng: np.random.Generator,
) -> ImageCalibration:
    n_validation = configuration.n_validation
    stream = cake_training_stream(configuration, store, range(configuration.batch_parts))
    seen = _outputs(session, first_patterns(stream, n_validation // 2, configuration.n_workers))
    held_out = _outputs(session, cake_validation_batches(configuration, store, n_validation))
    chosen = trained_choice(configuration, store)
    network = fit_network(
        seen,
        held_out,
        log_prior=(1 - configuration.logit_adjustment) * chosen.log_space_group_frequency,
        n_structures=chosen.structures.size,
        rng=rng,
    )
    validated = validated_choice(store)
    structures = validated.draw(n_validation // 2, rng)
    frames = _frames(session, network, configuration, store, structures, rng)
    labels = np.asarray(store.space_group_number)[structures] - 1
    return ImageCalibration(network, fit_fusion(frames, labels, network.log_prior))


def measured_on_tested(
    session: CakeSession,
    calibration: ImageCalibration,
    configuration: ImageTrainingConfiguration,
    store: ReflectionStore,
) -> dict[str, float | int]:
    """Return accuracies on families that neither trained nor calibrated, by kind of cake."""
    rng = np.random.default_rng([configuration.seed, _TEST])
    structures = tested_choice(store).draw(configuration.n_validation // 4, rng)
    labels = np.asarray(store.space_group_number)[structures] - 1
    found: dict[str, float | int] = {"n_simulated_test_cakes_of_a_kind": int(labels.size)}
    recipe, grid = CakeRecipe(scaling=0.0), configuration.cells.grid()
    for kind in KINDS:
        inputs = (
            drawn_cake(store, number, kind, recipe=recipe, grid=grid, rng=rng)
            for number in structures.tolist()
        )
        logits, embedding = _run(session, inputs)
        log_p = calibration.network.log_probabilities(logits, embedding)
        right = score(LabelledOutputs(log_p, embedding, labels))
        found[f"{kind}_crystal_system_accuracy"] = round(right.crystal_system_accuracy, 4)
        found[f"{kind}_space_group_accuracy"] = round(right.space_group_accuracy, 4)
        found[f"{kind}_space_group_top3"] = round(right.space_group_top3, 4)
    frames = _frames(session, calibration.network, configuration, store, structures, rng)
    found |= _fusion_gain(frames, labels, calibration.fusion, calibration.network)
    return found


def _fusion_gain(
    frames: FloatArray, labels: IntArray, fusion: FrameFusion, network: NetworkCalibration
) -> dict[str, float | int]:
    joint = fused(frames, network.log_prior, fusion.sameness)
    single = (frames.argmax(axis=2) == labels[:, None]).mean()
    return {
        "one_orientation_space_group_accuracy": round(float(single), 4),
        "three_orientations_space_group_accuracy": round(
            float((joint.argmax(axis=1) == labels).mean()), 4
        ),
    }


def _frames(
    session: CakeSession,
    network: NetworkCalibration,
    configuration: ImageTrainingConfiguration,
    store: ReflectionStore,
    structures: IntArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Return calibrated probabilities (n_structures, n_frames, 230) of random orientations."""
    recipe, grid = CakeRecipe(scaling=0.0), configuration.cells.grid()
    inputs = (
        drawn_cake(store, number, kind, recipe=recipe, grid=grid, rng=rng)
        for number in structures.tolist()
        for kind in [_FUSED_KINDS[rng.integers(len(_FUSED_KINDS))]] * _N_FRAMES
    )
    log_p = network.log_probabilities(*_run(session, inputs))
    return np.exp(log_p).reshape(structures.size, _N_FRAMES, -1)


def _run(session: CakeSession, inputs: Iterable[Float32Array]) -> tuple[FloatArray, FloatArray]:
    """Return logits and embeddings of cakes one after the other, a few at a time."""
    logits, embeddings, waiting = [], [], []
    for cake in inputs:
        waiting.append(cake)
        if len(waiting) == 64:
            outputs = session.run(np.array(waiting))
            logits.append(outputs[0])
            embeddings.append(outputs[1])
            waiting = []
    if waiting:
        outputs = session.run(np.array(waiting))
        logits.append(outputs[0])
        embeddings.append(outputs[1])
    return (
        np.concatenate(logits).astype(np.float64),
        np.concatenate(embeddings).astype(np.float64),
    )


def _outputs(session: CakeSession, batches: Iterable[TensorBatch]) -> LabelledOutputs:
    parts = [(session.run(one.inputs.float().numpy()), one.space_group_index) for one in batches]
    return LabelledOutputs(
        np.concatenate([outputs[0] for outputs, _ in parts]).astype(np.float64),
        np.concatenate([outputs[1] for outputs, _ in parts]).astype(np.float64),
        np.concatenate([labels.numpy() for _, labels in parts]),
    )


def _training_record(
    configuration: ImageTrainingConfiguration,
) -> dict[str, float | int | str | list[int]]:
    names = (
        *("class_exponent", "logit_adjustment", "max_atoms", "max_per_space_group"),
        *("batch_size", "learning_rate", "warm_up_batches", "weight_decay", "average_decay"),
        "precision",
    )
    record: dict[str, float | int | str | list[int]] = {
        name: getattr(configuration, name) for name in names
    }
    for name, value in configuration.network.model_dump().items():
        record[name] = list(value) if isinstance(value, tuple) else value
    record |= {f"loss_{name}": value for name, value in configuration.loss.model_dump().items()}
    recipe = CakeRecipe()
    record |= {f"share_{kind}": share for kind, share in recipe.shares.items()}
    record["scaling"] = recipe.scaling
    return record | {"torch": torch.__version__, "python": platform.python_version()}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
