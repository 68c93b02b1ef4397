"""From a trained network to what ships: weights, calibration arrays and a card."""

import hashlib
import platform
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from phasepilot.models.arrays import Array
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.estimation.cubic_indexing import checked_logits
from phasepilot.models.estimation.network_fit import LabelledOutputs
from phasepilot.models.networks.model_card import ModelCard
from phasepilot.models.networks.onnx_file import read_state_dict, write_network
from phasepilot.models.networks.pilot_net import PilotNet
from phasepilot.models.networks.symmetry_levels import (
    SYSTEM_OF_SPACE_GROUP,
    crystal_system_probabilities,
)
from phasepilot.models.training.calibration import (
    calibrated_log_probabilities,
    fit_calibration,
)
from phasepilot.models.training.configuration import FLAGSHIP, TrainingConfiguration
from phasepilot.models.training.network_choice import create_network, n_parameters
from phasepilot.models.training.pattern_stream import (
    TensorBatch,
    calibration_batches,
    trained_batches,
)
from phasepilot.models.training.structure_choice import held_out_structures, trained_structures
from phasepilot.models.training.validation import network_outputs, score
from phasepilot.models.uncertainty.temperature import expected_calibration_error

_LIMITS = (
    "Trained and calibrated on simulated patterns of one phase with some of a second, of structures"
    " that are mostly relaxed by density-functional theory (lattices 1-3 % off): nothing is"
    " promised of probabilities and sets on measured patterns. Space groups that share their"
    " systematic absences are told apart by what is common, not by what is seen. No class for"
    " amorphous, empty or multi-phase frames."
)
_NETWORKS = {
    FLAGSHIP: ("strided convolutions, flattened, and dense layers; rectifiers only", "phasepilot"),
    "npcnn": ("NPCNN", "Salgado et al., npj Comput. Mater. 9, 214 (2023)"),
    "scnn": ("SCNN", "Salgado et al., npj Comput. Mater. 9, 214 (2023)"),
    "mlp": ("MLP", "Salgado et al., npj Comput. Mater. 9, 214 (2023)"),
    "acnn": ("a-CNN", "Oviedo et al., npj Comput. Mater. 5, 60 (2019)"),
    "b-vggnet": ("B-VGGNet", "npj Comput. Mater. (2025), doi:10.1038/s41524-025-01743-x"),
    "tio2-cnn": ("network of the TiO2 post", "Schuetzke, classification of TiO2 XRD patterns"),
}


def write_release(
    network: nn.Module,
    configuration: TrainingConfiguration,
    store: StickStore,
    *,
    code_version: str,
) -> ModelCard:
    """Write weights, NAME.npz and NAME.json into the work directory and return the card.

    The flagship becomes NAME.onnx; reference networks stay weights of torch, NAME.pt, which
    `open_model` runs. The first half of the validation patterns calibrates, the second half is
    measured, both with the weights as rounded in the file.
    """
    directory = configuration.work_directory
    directory.mkdir(parents=True, exist_ok=True)
    path = write_weights(network, directory / configuration.name)
    shipped = create_network(configuration)
    shipped.load_state_dict(_read_weights(path))
    shipped.eval()
    n_validation = configuration.n_validation
    first, second = _halves(
        _checked_outputs(
            shipped, configuration, calibration_batches(configuration, store, n_validation)
        )
    )
    seen = trained_batches(configuration, store, n_validation // 2)
    chosen = trained_structures(configuration, store)
    arrays = fit_calibration(
        _checked_outputs(shipped, configuration, seen),
        first,
        # Logit adjustment takes part of what is common out of the logits.
        log_prior=(1 - configuration.logit_adjustment) * chosen.log_space_group_frequency,
        n_structures=chosen.structures.size,
        rng=np.random.default_rng(configuration.seed),
    )
    arrays_path = directory / f"{configuration.name}.npz"
    np.savez(arrays_path, **arrays)
    measured = measure(second, arrays)
    card = _card(shipped, configuration, store, (path, arrays_path), measured, code_version)
    path.with_suffix(".json").write_text(card.model_dump_json(indent=1) + "\n")
    return card


def _checked_outputs(
    network: nn.Module, configuration: TrainingConfiguration, batches: Iterable[TensorBatch]
) -> LabelledOutputs:
    """Return outputs as the model that answers has them: cubic lattices checked by indexing."""
    parts = [_checked(network, configuration, batch) for batch in batches]
    return LabelledOutputs(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("logits", "embedding", "space_group_index")
        )
    )


def _checked(
    network: nn.Module, configuration: TrainingConfiguration, batch: TensorBatch
) -> LabelledOutputs:
    outputs = network_outputs(network, [batch])
    if not isinstance(network, PilotNet):
        return outputs
    inputs = batch.inputs.float().numpy()
    grid = configuration.preprocessing.grid.grid()
    return replace(outputs, logits=checked_logits(inputs, outputs.logits, grid))


def write_weights(network: nn.Module, stem: Path) -> Path:
    """Write STEM.onnx, or STEM.pt for a network that is not exported, and return its path."""
    network = network.cpu()
    if isinstance(network, PilotNet):
        path = stem.with_name(f"{stem.name}.onnx")
        write_network(network, path)
    else:
        path = stem.with_name(f"{stem.name}.pt")
        torch.save(network.state_dict(), path)
    return path


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".onnx":
        return read_state_dict(path)
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return state


def _halves(outputs: LabelledOutputs) -> tuple[LabelledOutputs, LabelledOutputs]:
    half = outputs.space_group_index.size // 2
    first, second = (
        LabelledOutputs(
            outputs.logits[part], outputs.embedding[part], outputs.space_group_index[part]
        )
        for part in (slice(None, half), slice(half, None))
    )
    return first, second


def measure(outputs: LabelledOutputs, arrays: dict[str, Array]) -> dict[str, float | int]:
    """Return accuracies and calibration errors on patterns that nothing was fitted to."""
    log_p = calibrated_log_probabilities(outputs, arrays)
    found = asdict(score(replace(outputs, logits=log_p)))
    p, groups = np.exp(log_p), outputs.space_group_index
    systems = crystal_system_probabilities(p), SYSTEM_OF_SPACE_GROUP[groups]
    found["space_group_calibration_error"] = expected_calibration_error(p, groups)
    found["crystal_system_calibration_error"] = expected_calibration_error(*systems)
    n_patterns = int(found.pop("n_patterns"))
    rounded: dict[str, float | int] = {name: round(value, 4) for name, value in found.items()}
    return {"n_simulated_held_out_patterns": n_patterns, **rounded}


def _card(
    network: nn.Module,
    configuration: TrainingConfiguration,
    store: StickStore,
    paths: tuple[Path, Path],
    measured: dict[str, float | int],
    code_version: str,
) -> ModelCard:
    kind = configuration.network.kind
    description, reference = _NETWORKS[kind]
    grid = configuration.preprocessing.grid
    weights, arrays = paths
    return ModelCard(
        name=configuration.name,
        network=description,
        reference=reference,
        file=weights.name,
        sha256=_sha256(weights),
        calibration_file=arrays.name,
        calibration_sha256=_sha256(arrays),
        licence="BSD-3-Clause (weights); structures under the licences listed",
        code_version=code_version,
        trained_on=f"patterns simulated from {configuration.structures.name}",
        structure_licences=configuration.licences,
        n_structures=trained_structures(configuration, store).structures.size,
        n_structures_held_out=held_out_structures(configuration, store).structures.size,
        n_patterns=configuration.n_batches * configuration.batch_size,
        n_parameters=n_parameters(network),
        seed=configuration.seed,
        training=training_record(configuration),
        classes="230 space groups; their sums give extinction classes, Bravais lattices, systems",
        q_min_per_angstrom=grid.q_min_per_angstrom,
        q_max_per_angstrom=grid.q_max_per_angstrom,
        n_bins=grid.n_bins,
        preprocessing=configuration.preprocessing,
        measured=measured,
        limits=_LIMITS,
    )


def training_record(
    configuration: TrainingConfiguration,
) -> dict[str, float | int | str | list[int]]:
    """Return, flat, how the network was trained."""
    names = (
        *(
            "recipe",
            "calibration_recipe",
            "class_exponent",
            "logit_adjustment",
            "experimental_weight",
            "max_atoms",
        ),
        *("batch_size", "learning_rate", "warm_up_batches", "weight_decay", "average_decay"),
        "precision",
    )
    record: dict[str, float | int | str | list[int]] = {
        name: getattr(configuration, name) for name in names
    }
    record["network"] = configuration.network.kind
    record |= {f"loss_{name}": value for name, value in configuration.loss.model_dump().items()}
    if configuration.network.kind == FLAGSHIP:
        sizes = configuration.network.sizes.model_dump()
        record |= {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in sizes.items()
        }
    return record | {"torch": torch.__version__, "python": platform.python_version()}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
