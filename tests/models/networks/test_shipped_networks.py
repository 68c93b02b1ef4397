"""What holds for every network that ships, whatever it was trained on."""

from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from phasepilot.models.arrays import Float32Array
from phasepilot.models.networks.model_card import ModelCard, read_card
from phasepilot.models.networks.network_session import NetworkSession, NoveltySession
from phasepilot.models.networks.novelty_net import NoveltyNet, body_shape
from phasepilot.models.networks.onnx_file import read_state_dict
from phasepilot.models.networks.pilot_net import PilotNet, PilotNetShape
from phasepilot.models.networks.registry import DEFAULT_MODEL, model_names

WEIGHTS = Path(str(files("phasepilot.models.weights")))
MIB = 2**20
MOST_MIB_A_FILE, MOST_MIB_IN_ALL, MOST_PARAMETERS = 16, 48, 8_000_000


@pytest.fixture(scope="module", params=model_names())
def card(request: pytest.FixtureRequest) -> ModelCard:
    return read_card(WEIGHTS / f"{request.param}.json")


@pytest.fixture(scope="module")
def torch_network(card: ModelCard) -> PilotNet:
    sizes = card.training
    shape = PilotNetShape(
        card.n_bins, *(tuple(sizes[k]) for k in ("channels", "kernels", "strides", "dense"))
    )
    network = PilotNet(shape)
    network.load_state_dict(read_state_dict(WEIGHTS / card.file))
    return network.eval()


@pytest.fixture(scope="module")
def session(card: ModelCard) -> NetworkSession:
    return NetworkSession((WEIGHTS / card.file).read_bytes())


def make_inputs(n_patterns: int, n_bins: int) -> Float32Array:
    """Random root intensities below random masks, as a network meets them."""
    rng = np.random.default_rng(n_patterns)
    is_measured = np.arange(n_bins) < rng.integers(n_bins // 2, n_bins, (n_patterns, 1))
    signal = rng.random((n_patterns, n_bins)) ** 4 * is_measured
    return np.stack([signal, is_measured], axis=1).astype(np.float32)


@pytest.mark.parametrize("n_patterns", [1, 5])
def test_onnx_runtime_and_torch_say_the_same(
    card: ModelCard, torch_network: PilotNet, session: NetworkSession, n_patterns: int
) -> None:
    inputs = make_inputs(n_patterns, card.n_bins)
    of_onnx = session.run(inputs)
    with torch.inference_mode():
        embedding = torch_network.embedding(torch.from_numpy(inputs))
        logits = torch_network(torch.from_numpy(inputs))
    # Both compute in float32 and add up in another order.
    assert_allclose(of_onnx.space_group_logits, logits.numpy(), rtol=1e-4, atol=1e-4)
    assert_allclose(of_onnx.embedding, embedding.numpy(), rtol=1e-4, atol=1e-4)
    assert of_onnx.attribution.size == 0


def test_a_pattern_in_a_batch_is_judged_as_alone(card: ModelCard, session: NetworkSession) -> None:
    inputs = make_inputs(5, card.n_bins)
    together = session.run(inputs)
    for row in range(5):
        alone = session.run(inputs[row : row + 1])
        for name in ("space_group_logits", "embedding"):
            batch, one = getattr(together, name)[row], getattr(alone, name)[0]
            assert_allclose(batch, one, rtol=1e-4, atol=1e-4)


def test_the_card_fits_its_files(card: ModelCard, torch_network: PilotNet) -> None:
    named = {
        card.file: card.sha256,
        card.calibration_file: card.calibration_sha256,
        card.search_file: card.search_sha256,
        card.novelty_file: card.novelty_sha256,
    }
    found = {name: sha256((WEIGHTS / str(name)).read_bytes()).hexdigest() for name in named}
    assert found == named
    assert torch_network.n_parameters() == card.n_parameters <= MOST_PARAMETERS
    assert card.q_min_per_angstrom < card.q_max_per_angstrom


def test_all_that_the_card_needs_and_nothing_else_ships(card: ModelCard) -> None:
    shipped = {file.name for file in WEIGHTS.glob(f"{card.name}.*")}
    named = {card.file, card.calibration_file, card.search_file, card.novelty_file}
    assert shipped == named | {f"{card.name}.json"}


def test_what_tells_mixtures_is_small_and_says_what_torch_says(
    card: ModelCard, session: NetworkSession
) -> None:
    content = (WEIGHTS / str(card.novelty_file)).read_bytes()
    assert len(content) < MIB
    network = NoveltyNet(body_shape(card))
    network.load_state_dict(read_state_dict(WEIGHTS / str(card.novelty_file)))
    network.eval()
    inputs = make_inputs(4, card.n_bins)
    outputs = session.run(inputs)
    with torch.inference_mode():
        expected = network(torch.from_numpy(inputs), torch.from_numpy(outputs.said))[:, 0]
    found = NoveltySession(content).logits(inputs, outputs)
    assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_weights_are_stored_in_half_precision(card: ModelCard) -> None:
    assert (WEIGHTS / card.file).stat().st_size < 2.2 * card.n_parameters


@pytest.mark.parametrize("kind", ["calibration_file", "search_file"])
def test_calibrations_hold_plain_finite_numbers(card: ModelCard, kind: str) -> None:
    with np.load(WEIGHTS / getattr(card, kind), allow_pickle=False) as arrays:
        for name in arrays.files:
            assert arrays[name].dtype.kind in "fiu", name
            assert np.isfinite(arrays[name]).all(), name


def test_held_out_structures_were_kept_from_training(card: ModelCard) -> None:
    # A tenth of the families.
    share = card.n_structures_held_out / (card.n_structures + card.n_structures_held_out)
    assert 0.08 < share < 0.12


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
