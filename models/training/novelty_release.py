"""Puts a `NoveltyNet` beside the trained network that it was made for; novelty is ranked anew."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from sklearn.metrics import roc_auc_score

from phasepilot.models.arrays import Array, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.estimation.calibrated_model import CalibratedModel, NetworkView
from phasepilot.models.networks.model_card import ModelCard, check_sha256, read_card
from phasepilot.models.networks.network_session import NetworkSession, NoveltySession
from phasepilot.models.networks.novelty_net import NoveltyNet
from phasepilot.models.networks.onnx_file import write_novelty_net
from phasepilot.models.preprocessing.preparation import prepare_pattern
from phasepilot.models.training.misplaced_lines import placed_patterns
from phasepilot.models.training.mixture_patterns import MixtureSource
from phasepilot.models.training.novelty_training import NoveltyTraining
from phasepilot.models.uncertainty.novelty import calibrate_novelty

# Of patterns as people measure them, as for the other calibrations.
_CALIBRATION_RECIPE = "careful-laboratory"
_BLOCK = 64


def write_novelty_release(
    network: NoveltyNet,
    card_path: Path,
    held_out: MixtureSource,
    training: NoveltyTraining,
    *,
    n_patterns: int,
    rng: Generator,
) -> ModelCard:
    """Write NAME.novelty.onnx beside the card, rank novelty with it, and return the new card.

    Calibrations of a search are left as they are, and lack the new sign until they are fitted anew.

    Parameters
    ----------
    held_out : MixtureSource
        Of structures of families that no network is trained on: they measure and calibrate.
    n_patterns : int
        For each of these.
    """
    card = read_card(card_path)
    path = card_path.with_name(f"{card.name}.novelty.onnx")
    write_novelty_net(network, path)
    measured = _measured(
        held_out,
        NetworkSession(check_sha256(card_path.with_name(card.file), card.sha256)),
        NoveltySession(path.read_bytes()),
        n_patterns=n_patterns,
        rng=rng,
    )
    card = card.model_copy(
        update={
            "novelty_file": path.name,
            "novelty_sha256": _sha256(path),
            "training": card.training | _record(training, held_out),
            "measured": card.measured | measured,
        }
    )
    card_path.write_text(card.model_dump_json(indent=1) + "\n")
    arrays = card_path.with_name(card.calibration_file)
    _calibrate(CalibratedModel(card_path), arrays, held_out, n_patterns, rng)
    card = card.model_copy(update={"calibration_sha256": _sha256(arrays)})
    card_path.write_text(card.model_dump_json(indent=1) + "\n")
    return card


def _measured(
    source: MixtureSource,
    beside: NetworkSession,
    session: NoveltySession,
    *,
    n_patterns: int,
    rng: Generator,
) -> dict[str, float]:
    """Return areas under the curve, of mixtures and of misplaced patterns against usual ones."""
    mixtures = source.draw(n_patterns // 2, rng)
    placed = placed_patterns(source, n_patterns, rng)
    samples = {
        "mixture": (mixtures.inputs, mixtures.is_mixture),
        "misplaced": (placed.inputs, placed.is_misplaced),
    }
    return {
        f"held_out_{source.recipe_name}_{name}_auroc": round(
            float(roc_auc_score(is_unusual, _logits(beside, session, inputs))), 4
        )
        for name, (inputs, is_unusual) in samples.items()
    }


def _logits(beside: NetworkSession, session: NoveltySession, inputs: Float32Array) -> Float32Array:
    parts = (inputs[start : start + _BLOCK] for start in range(0, inputs.shape[0], _BLOCK))
    return np.concatenate([session.logits(part, beside.run(part)) for part in parts])


def _calibrate(
    model: CalibratedModel, arrays: Path, source: MixtureSource, n_patterns: int, rng: Generator
) -> None:
    """Write the model's calibration again, novelty ranked among careful measurements."""
    views = _views(model, source, rng.choice(source.structures, n_patterns), rng)
    logits, embedding, novelty = (
        np.array([getattr(view, name) for view in views])
        for name in ("logits", "embedding", "novelty_logit")
    )
    prototypes: FloatArray = model.calibration.novelty.prototypes
    detector = calibrate_novelty(prototypes, logits, embedding, novelty_logit=novelty)
    calibration: dict[str, Array] = dict(replace(model.calibration, novelty=detector).to_arrays())
    np.savez(arrays, **calibration)


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


def _record(training: NoveltyTraining, source: MixtureSource) -> dict[str, float | int | str]:
    return {
        "novelty_recipe": source.recipe_name,
        "novelty_n_patterns": training.n_patterns,
        "novelty_batch_size": training.batch_size,
        "novelty_learning_rate": training.learning_rate,
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
