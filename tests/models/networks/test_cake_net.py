from pathlib import Path

import numpy as np
import pytest
import torch

from phasepilot.models.networks.cake_file import write_cake_network
from phasepilot.models.networks.cake_net import CakeNet, CakeNetShape
from phasepilot.models.networks.network_session import CakeSession
from phasepilot.models.networks.onnx_file import read_state_dict

SMALL = CakeNetShape(
    n_chi=24, n_bins=32, n_waves=6, local_filters=4, local_kernel=8, global_filters=6,
    channels=(8, 8), dense=16, embedding=12,
)  # fmt: skip


@pytest.fixture
def network() -> CakeNet:
    torch.manual_seed(0)
    network = CakeNet(SMALL)
    # As stored.
    halved = {name: tensor.half().float() for name, tensor in network.state_dict().items()}
    network.load_state_dict(halved)
    return network.eval()


def make_cakes(n: int) -> torch.Tensor:
    cakes = torch.rand(n, 2, 24, 32, generator=torch.Generator().manual_seed(1))
    cakes[:, 1] = (cakes[:, 1] > 0.2).float()
    cakes[:, 0] *= cakes[:, 1]
    return cakes


def test_a_turn_by_whole_cells_changes_nothing(network: CakeNet) -> None:
    cakes = make_cakes(3)
    torch.testing.assert_close(network(cakes), network(cakes.roll(5, dims=2)), rtol=0, atol=1e-5)


def test_a_mirrored_image_gives_another_answer_than_a_shuffled_one(network: CakeNet) -> None:
    cakes = make_cakes(1)
    shuffled = cakes[:, :, torch.randperm(24, generator=torch.Generator().manual_seed(2))]
    assert (network(cakes) - network(shuffled)).abs().max() > 1e-2


def test_rings_that_turn_against_each_other_are_seen(network: CakeNet) -> None:
    cakes = make_cakes(1)
    twisted = cakes.clone()
    twisted[..., 16:] = twisted[..., 16:].roll(3, dims=2)
    assert (network(cakes) - network(twisted)).abs().max() > 1e-2


def test_onnx_runtime_gives_what_torch_gives(network: CakeNet, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    write_cake_network(network, path)
    cakes = make_cakes(4)
    logits, embedding = CakeSession(path.read_bytes()).run(cakes.numpy())
    with torch.no_grad():
        expected = network.embedding(cakes)
        np.testing.assert_allclose(embedding, expected.numpy(), atol=2e-5)
        np.testing.assert_allclose(logits, network.space_group(expected).numpy(), atol=2e-5)


def test_weights_come_back_from_the_file(network: CakeNet, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    write_cake_network(network, path)
    again = CakeNet(SMALL).eval()
    again.load_state_dict(read_state_dict(path))
    cakes = make_cakes(2)
    torch.testing.assert_close(again(cakes), network(cakes))


def test_the_network_of_the_default_shape_is_small_enough() -> None:
    assert CakeNet(CakeNetShape()).n_parameters() <= 6_000_000
