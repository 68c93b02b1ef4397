import pytest
import torch

from phasepilot.models.networks.vgg_2d import Vgg2d, VggShape


def test_the_dense_layers_of_the_full_size_have_the_papers_856_million_parameters():
    with torch.device("meta"):
        network = Vgg2d(VggShape())
    dense = sum(
        parameter.numel()
        for layer in (network.dense, network.space_group, network.crystal_system)
        for parameter in layer.parameters()
    )
    assert dense == pytest.approx(856e6, rel=2e-3)


def test_a_narrow_network_answers_with_both_heads():
    network = Vgg2d(VggShape((4, 4, 8, 8), 16, (32, 48)))
    groups, systems = network(torch.zeros(3, 1, 32, 48))
    assert groups.shape == (3, 230)
    assert systems.shape == (3, 7)
