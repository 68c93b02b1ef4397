"""What holds for every network that ships, whatever it was trained on."""

from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.testing import assert_allclose

from phasepilot.models.arrays import Float32Array
from phasepilot.models.networks.model_card import ModelCard, read_card
from phasepilot.models.networks.npcnn import Npcnn, NpcnnShape
from phasepilot.models.networks.onnx_file import INPUT, OUTPUTS, read_state_dict
from phasepilot.models.networks.registry import DEFAULT_MODEL, model_names

WEIGHTS = Path(str(files("phasepilot.models.weights")))
MIB = 2**20
MOST_MIB_A_FILE, MOST_MIB_IN_ALL, MOST_PARAMETERS = 16, 48, 8_000_000


@pytest.fixture(scope="module", params=model_names())
def card(request: pytest.FixtureRequest) -> ModelCard:
    return read_card(WEIGHTS / f"{request.param}.json")


@pytest.fixture(scope="module")
def torch_network(card: ModelCard) -> Npcnn:
    sizes = card.training
    shape = NpcnnShape(
        card.n_bins, sizes["channels"], *(tuple(sizes[k]) for k in ("kernels", "strides", "dense"))
    )
    network = Npcnn(shape)
    network.load_state_dict(read_state_dict(WEIGHTS / card.file))
    return network.eval()


@pytest.fixture(scope="module")
def onnx_session(card: ModelCard) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(WEIGHTS / card.file, providers=["CPUExecutionProvider"])


def make_inputs(n_patterns: int, n_bins: int) -> Float32Array:
    """Random root intensities below random masks, as a network meets them."""
    rng = np.random.default_rng(n_patterns)
    is_measured = np.arange(n_bins) < rng.integers(n_bins // 2, n_bins, (n_patterns, 1))
    signal = rng.random((n_patterns, n_bins)) ** 4 * is_measured
    return np.stack([signal, is_measured], axis=1).astype(np.float32)


@pytest.mark.parametrize("n_patterns", [1, 5])
def test_onnx_runtime_and_torch_say_the_same(
    card: ModelCard,
    torch_network: Npcnn,
    onnx_session: onnxruntime.InferenceSession,
    n_patterns: int,
) -> None:
    inputs = make_inputs(n_patterns, card.n_bins)
    of_onnx = onnx_session.run(list(OUTPUTS), {INPUT: inputs})
    with torch.inference_mode():
        of_torch = torch_network(torch.from_numpy(inputs))
    for from_onnx, from_torch in zip(of_onnx, of_torch, strict=True):
        # Both compute in float32 and add up in another order.
        assert_allclose(from_onnx, from_torch.numpy(), rtol=1e-4, atol=1e-4)


def test_a_pattern_in_a_batch_is_judged_as_alone(
    card: ModelCard, onnx_session: onnxruntime.InferenceSession
) -> None:
    inputs = make_inputs(5, card.n_bins)
    together = onnx_session.run(None, {INPUT: inputs})
    for row in range(5):
        alone = onnx_session.run(None, {INPUT: inputs[row : row + 1]})
        for batch, one in zip(together, alone, strict=True):
            assert_allclose(batch[row], one[0], rtol=1e-4, atol=1e-4)


def test_the_card_fits_its_file(card: ModelCard, torch_network: Npcnn) -> None:
    assert sha256((WEIGHTS / card.file).read_bytes()).hexdigest() == card.sha256
    assert torch_network.n_parameters() == card.n_parameters <= MOST_PARAMETERS
    assert card.q_min_per_angstrom < card.q_max_per_angstrom
    assert list(card.calibration.familiarity_quantiles) == sorted(
        card.calibration.familiarity_quantiles
    )


def test_the_name_of_a_card_is_that_of_its_file() -> None:
    names = {name: read_card(WEIGHTS / f"{name}.json").name for name in model_names()}
    assert names == {name: name for name in names}
    assert DEFAULT_MODEL in names


def test_weights_stay_small() -> None:
    sizes = [
        file.stat().st_size for file in WEIGHTS.rglob("*") if file.suffix not in (".py", ".pyc")
    ]
    assert max(sizes) <= MOST_MIB_A_FILE * MIB
    assert sum(sizes) <= MOST_MIB_IN_ALL * MIB
