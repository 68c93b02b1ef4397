"""Networks asked for by name or by the path of a card, and files that are not what they should be.

What is asserted of estimates holds for any network: the files that ship may change.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasepilot.models.errors import UnknownModelError, WeightsError
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.onnx_file import read_state_dict
from phasepilot.models.networks.registry import (
    DEFAULT_MODEL,
    PhaseModel,
    load_model,
    model_names,
)
from phasepilot.models.networks.registry import (
    card_path as path_of_card,
)
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import prepare_pattern

WEIGHTS = Path(str(files("phasepilot.models.weights")))


@pytest.fixture
def card_path(tmp_path: Path) -> Path:
    """The card of a copy of the default network, which a test may spoil."""
    for file in WEIGHTS.glob(f"{DEFAULT_MODEL}.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / f"{DEFAULT_MODEL}.json"


def change_card(card_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads(card_path.read_text())
    change(card)
    card_path.write_text(json.dumps(card))


def make_pattern(seed: int, n_lines: int = 12) -> Pattern:
    rng = np.random.default_rng(seed)
    two_theta_deg = np.arange(10.0, 90.0, 0.02)
    lines = rng.uniform(15, 85, n_lines)[:, None]
    heights = rng.uniform(20, 2000, n_lines)[:, None]
    clean = 40 + (heights * np.exp(-(((two_theta_deg - lines) / 0.08) ** 2))).sum(axis=0)
    return Pattern.from_two_theta(
        two_theta_deg, rng.poisson(clean).astype(float), wavelength_angstrom=1.5406
    )


def assert_same_to_the_bit(one: PhaseEstimate, other: PhaseEstimate) -> None:
    groups, others = one.space_group_probabilities, other.space_group_probabilities
    assert groups.tobytes() == others.tobytes()
    for field in fields(PhaseEstimate):
        if field.name != "space_group_probabilities":
            assert getattr(one, field.name) == getattr(other, field.name), field.name


@pytest.mark.parametrize(
    ("name", "hint"), [("pilotnet-v2", " Did you mean 'pilotnet-v1'?"), ("transformer", "")]
)
def test_an_unknown_name_is_answered_with_the_choices(name: str, hint: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        load_model(name)
    assert str(caught.value) == (
        f"the model must be one of {model_names()}, of the cards in the folder that"
        f" PHASEPILOT_MODELS names, or the path of a card, but is {name!r}.{hint}"
    )


def test_a_copy_elsewhere_is_loaded_by_the_path_of_its_card(
    card_path: Path, model: PhaseModel
) -> None:
    copied = load_model(str(card_path))
    pattern = make_pattern(seed=1)
    assert copied.card == model.card
    assert_same_to_the_bit(copied.predict(pattern), model.predict(pattern))


def test_the_card_of_a_name_lies_with_the_weights_that_ship() -> None:
    assert path_of_card(DEFAULT_MODEL) == WEIGHTS / f"{DEFAULT_MODEL}.json"
    assert path_of_card("some/where/else.json") == Path("some/where/else.json")


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize("spoil", [flip_a_byte, truncate])
def test_a_damaged_weights_file_is_refused(
    card_path: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(card_path.with_suffix(".onnx"))
    with pytest.raises(
        WeightsError,
        match=r"v1\.onnx must have sha256 \w{12}\.\.\., as .*: reinstall it",
    ):
        load_model(str(card_path))


def test_a_missing_weights_file_is_told_with_its_place(card_path: Path) -> None:
    card_path.with_suffix(".onnx").unlink()
    with pytest.raises(WeightsError, match=r"must lie at .*v1\.onnx, but it cannot be read"):
        load_model(str(card_path))


@pytest.mark.parametrize("content", [b"not ONNX at all", b""])
def test_a_file_that_is_no_network_is_refused_though_its_card_fits(
    card_path: Path, content: bytes
) -> None:
    card_path.with_suffix(".onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change_card(card_path, lambda card: card.update(sha256=digest))
    with pytest.raises(WeightsError, match="must be an ONNX file that ONNX Runtime"):
        load_model(str(card_path))


def test_torch_gets_no_weights_from_a_file_that_is_not_onnx(tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    path.write_bytes(b"not ONNX at all")
    with pytest.raises(WeightsError, match=r"must be an ONNX file, but .*weights.onnx could not"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_text('{"name": "npcnn'), "Invalid JSON"),
        (lambda path: change_card(path, lambda card: card.pop("sha256")), "sha256"),
        (lambda path: change_card(path, lambda card: card.update(sha256="beef")), "sha256"),
        (lambda path: change_card(path, lambda card: card.update(extra=1)), "extra"),
    ],
    ids=["missing", "not JSON", "entry missing", "no sha256", "entry unknown"],
)
def test_a_broken_card_is_refused_and_the_reason_named(
    card_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    spoil(card_path)
    with pytest.raises(WeightsError, match=r"a model card must be a JSON file, but") as caught:
        load_model(str(card_path))
    assert told in str(caught.value)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_estimates_of_any_pattern_are_probabilities(model: PhaseModel, seed: int) -> None:
    estimate = model.predict(make_pattern(seed))
    assert estimate.crystal_system_probabilities.sum() == pytest.approx(1)
    assert estimate.space_group_probabilities.sum() == pytest.approx(1)
    assert 0 <= estimate.novelty <= 1
    assert 0 <= estimate.epistemic_bits <= estimate.entropy_bits <= np.log2(230)
    assert estimate.crystal_system_set[0] == estimate.crystal_system


def test_predict_is_predict_prepared_of_a_prepared_pattern(model: PhaseModel) -> None:
    pattern = make_pattern(seed=3)
    ready = prepare_pattern(pattern, model.card.preprocessing)
    assert_same_to_the_bit(model.predict(pattern), model.predict_prepared(ready))


def test_the_same_pattern_gets_the_same_answer_to_the_bit(model: PhaseModel) -> None:
    pattern = make_pattern(seed=4)
    first = model.predict(pattern)
    model.predict(make_pattern(seed=5))
    assert_same_to_the_bit(model.predict(pattern), first)
    assert_same_to_the_bit(load_model().predict(pattern), first)
