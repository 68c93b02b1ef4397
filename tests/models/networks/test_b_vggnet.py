"""The B-VGGNet and the three ways it doubts."""

import pytest
import torch

from phasepilot.models.networks.b_vggnet import BVggNet, VariationalLinear, divergence


def test_it_has_the_flattened_width_of_the_authors_code() -> None:
    network = BVggNet(700, 1, 30, 8)
    assert network(torch.zeros(2, 1, 700)).shape == (2, 30)
    assert network.classifier[2].in_features == 512 * 43 // 8


def test_only_the_plain_network_says_the_same_while_it_trains() -> None:
    torch.manual_seed(0)
    pattern = torch.rand(1, 1, 700)
    dropping, plain = BVggNet(700, 1, 5, 16), BVggNet(700, 1, 5, 16).plain()
    varied = BVggNet(700, 1, 5, 16).variational().eval()
    assert torch.equal(plain(pattern), plain(pattern))
    assert not torch.equal(dropping(pattern), dropping(pattern))
    assert not torch.equal(varied(pattern), varied(pattern))


def test_the_divergence_is_that_of_normal_distributions() -> None:
    layer = VariationalLinear(torch.nn.Linear(3, 2))
    expected = 0.0
    for mean, rho in ((layer.weight, layer.weight_rho), (layer.bias, layer.bias_rho)):
        posterior = torch.distributions.Normal(mean, torch.nn.functional.softplus(rho))
        prior = torch.distributions.Normal(0.0, 1.0)
        expected += float(torch.distributions.kl_divergence(posterior, prior).sum().detach())
    assert float(divergence(layer).detach()) == pytest.approx(expected, rel=1e-5)
