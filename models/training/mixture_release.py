"""Puts a network that tells mixtures beside a trained network, and ranks novelty anew with it."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from sklearn.metrics import roc_auc_score

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.estimation.calibrated_model import CalibratedModel, NetworkView
from phasepilot.models.networks.mixture_net import MixtureNet
from phasepilot.models.networks.model_card import ModelCard, check_sha256, read_card
from phasepilot.models.networks.network_session import MixtureSession, NetworkSession
from phasepilot.models.networks.onnx_file import write_mixture_net
from phasepilot.models.preprocessing.preparation import prepare_pattern
from phasepilot.models.training.mixture_patterns import MixturePatterns, MixtureSource
from phasepilot.models.training.mixture_training import MixtureTraining
from phasepilot.models.uncertainty.novelty import calibrate_novelty

# Of patterns as people measure them, as for the other calibrations.
_CALIBRATION_RECIPE = "careful-laboratory"
_BLOCK = 64


def write_mixture_release(
    network: MixtureNet,
    card_path: Path,
    held_out: MixtureSource,
    training: MixtureTraining,
    *,
    n_patterns: int,
    rng: Generator,
) -> ModelCard:
    """Write NAME.mixture.onnx beside the card, rank novelty with it, and return the new card.

    Calibrations of a search are left as they are, and lack the new sign until they are fitted anew.

    Parameters
    ----------
    held_out : MixtureSource
        Of structures of families that no network is trained on: they measure and calibrate.
    n_patterns : int
        For each of the two.
    """
    card = read_card(card_path)
    path = card_path.with_name(f"{card.name}.mixture.onnx")
    write_mixture_net(network, path)
    patterns = held_out.draw(n_patterns // 2, rng)
    area = _area_under_curve(
        patterns,
        NetworkSession(check_sha256(card_path.with_name(card.file), card.sha256)),
        MixtureSession(path.read_bytes()),
    )
    card = card.model_copy(
        update={
            "mixture_file": path.name,
            "mixture_sha256": _sha256(path),
            "training": card.training | _record(training, held_out),
            "measured": card.measured | {"held_out_laboratory_mixture_auroc": round(area, 4)},
        }
    )
    card_path.write_text(card.model_dump_json(indent=1) + "\n")
    arrays = card_path.with_name(card.calibration_file)
    _calibrate(CalibratedModel(card_path), arrays, held_out, n_patterns, rng)
    card = card.model_copy(update={"calibration_sha256": _sha256(arrays)})
    card_path.write_text(card.model_dump_json(indent=1) + "\n")
    return card


def _area_under_curve(
    patterns: MixturePatterns, beside: NetworkSession, session: MixtureSession
) -> float:
    logits = []
    for start in range(0, patterns.is_mixture.size, _BLOCK):
        inputs = patterns.inputs[start : start + _BLOCK]
        logits.append(session.logits(inputs, beside.run(inputs)))
    return float(roc_auc_score(patterns.is_mixture, np.concatenate(logits)))


def _calibrate(
    model: CalibratedModel, arrays: Path, source: MixtureSource, n_patterns: int, rng: Generator
) -> None:
    """Write the model's calibration again, novelty ranked among careful measurements."""
    views = _views(model, source, rng.choice(source.structures, n_patterns), rng)
    logits, embedding, mixture = (
        np.array([getattr(view, name) for view in views])
        for name in ("logits", "embedding", "mixture_logit")
    )
    prototypes: FloatArray = model.calibration.novelty.prototypes
    novelty = calibrate_novelty(prototypes, logits, embedding, mixture_logit=mixture)
    np.savez(arrays, **replace(model.calibration, novelty=novelty).to_arrays())


def _views(
    model: CalibratedModel, source: MixtureSource, structures: IntArray, rng: Generator
) -> list[NetworkView]:
    """Return what the networks make of one careful measurement of each structure."""
    recipe = named_recipe(_CALIBRATION_RECIPE)
    simulator = PatternSimulator(source.store, NumpyBackend(rng))
    views: list[NetworkView] = []
    for start in range(0, structures.size, _BLOCK):
        block = structures[start : start + _BLOCK]
        impurities = rng.choice(source.structures, block.size)
        measured = simulator.simulate_unchecked(block, recipe.draw(block.size, rng), impurities)
        patterns = (measured.pattern(row) for row in range(block.size))
        views += [model.view(prepare_pattern(one, model.card.preprocessing)) for one in patterns]
    return views


def _record(training: MixtureTraining, source: MixtureSource) -> dict[str, float | int | str]:
    return {
        "mixture_recipe": source.recipe_name,
        "mixture_n_patterns": training.n_patterns,
        "mixture_batch_size": training.batch_size,
        "mixture_learning_rate": training.learning_rate,
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
