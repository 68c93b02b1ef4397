import pytest
import torch
from torch import Tensor, nn

from phasepilot.models.errors import TrainingError, UnknownModelError
from phasepilot.models.networks.acnn import Acnn
from phasepilot.models.networks.mlp import Mlp
from phasepilot.models.networks.npcnn import Npcnn
from phasepilot.models.networks.reference_networks import (
    MIN_BINS,
    REFERENCE_NETWORKS,
    reference_network,
)
from phasepilot.models.networks.scnn import Scnn
from phasepilot.models.networks.tio2_cnn import Tio2Cnn

# 5 to 90 degree in steps of 0.01, the axis of Salgado et al.
PAPER_BINS = 8500


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def dense_widths(network: nn.Module) -> list[int]:
    """Widths of the dense layers, with that of their input."""
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    return [dense[0].in_features, *(layer.out_features for layer in dense)]


def dropouts(network: nn.Module) -> list[float]:
    return [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]


def hump(n_bins: int, start: int) -> Tensor:
    """A pattern of one channel that is 0 but in 300 bins."""
    pattern = torch.zeros(1, 1, n_bins)
    pattern[0, 0, start : start + 300] = torch.linspace(0, 1, 300) ** 2
    return pattern


def test_the_npcnn_has_the_papers_31_million_parameters() -> None:
    network = Npcnn(PAPER_BINS, n_channels=1, n_classes=7)
    assert dense_widths(network) == [12160, 2300, 1150, 7]
    assert dropouts(network) == [0.3, 0.3, 0.3, 0.5, 0.5]
    # 80 x 100 + 80, 80 x 80 x 50 + 80 and 80 x 80 x 25 + 80 of the convolutions, then the dense.
    convolutions = 8_080 + 320_080 + 160_080
    dense = 12_161 * 2_300 + 2_301 * 1_150 + 1_151 * 7
    assert n_parameters(network) == convolutions + dense == 31_112_747


def test_the_scnn_is_the_npcnn_with_pooling_between() -> None:
    pooled, plain = (kind(PAPER_BINS, n_channels=1, n_classes=7) for kind in (Scnn, Npcnn))
    assert n_parameters(pooled.convolutions) == n_parameters(plain.convolutions)
    pools = [layer for layer in pooled.modules() if isinstance(layer, nn.AvgPool1d)]
    assert [(pool.kernel_size, pool.stride) for pool in pools] == [
        ((3,), (2,)),
        ((3,), (1,)),
        ((3,), (1,)),
    ]
    # 8500 points become 1681, 840, 159, 157, 67 and 65 places of 80 filters.
    assert dense_widths(pooled) == [65 * 80, 2300, 1150, 7]


def test_the_mlp_has_the_papers_layers() -> None:
    network = Mlp(PAPER_BINS, n_channels=1, n_classes=230)
    assert dense_widths(network) == [8500, 4000, 3000, 1000, 800, 230]
    assert dropouts(network) == [0.6, 0.5, 0.4, 0.3]


@pytest.mark.parametrize(("kind", "stride"), [(Npcnn, 5 * 5 * 2), (Scnn, 5 * 2 * 5 * 2)])
def test_maps_move_with_the_pattern_and_the_logits_tell(
    kind: type[Npcnn | Scnn], stride: int
) -> None:
    # Salgado et al., figure 10d: convolutions are equivariant; dense layers know the place.
    torch.manual_seed(0)
    network = kind(3000, n_channels=1, n_classes=3).eval()
    with torch.inference_mode():
        before, after = hump(3000, 1300), hump(3000, 1300 + stride)
        torch.testing.assert_close(
            network.convolutions(after)[..., 1:], network.convolutions(before)[..., :-1]
        )
        assert not torch.allclose(network(before), network(after), rtol=1e-3)


def test_the_acnn_does_not_see_where_a_pattern_lies() -> None:
    # 8 x 5 x 3 bins are one place of its maps, and it averages over the places.
    torch.manual_seed(0)
    network = Acnn(n_channels=1, n_classes=3).eval()
    with torch.inference_mode():
        here, there = network(hump(4096, 480)), network(hump(4096, 480 + 7 * 120))
        torch.testing.assert_close(here, there)
        assert not torch.allclose(here, network(hump(4096, 480 + 60)), rtol=1e-3)


def test_the_acnn_has_three_layers_of_32_filters() -> None:
    network = Acnn(n_channels=1, n_classes=7)
    assert n_parameters(network) == (8 * 32 + 32) + (5 * 32 * 32 + 32) + (3 * 32 * 32 + 32) + 231
    assert network.convolutions(torch.zeros(1, 1, 1200)).shape == (1, 32, 10)


def test_the_acnn_multiplies_matrices_to_the_same_effect() -> None:
    torch.manual_seed(0)
    network = Acnn(n_channels=2, n_classes=3)
    inputs = torch.rand(4, 2, 1237)
    slowly = network.classifier(network.convolutions(inputs))
    torch.testing.assert_close(network(inputs), slowly)


def test_the_network_of_the_post_has_the_layers_of_the_post() -> None:
    network = Tio2Cnn(8501, n_channels=1, n_classes=5)
    convolutions = (35 * 16 + 16) + (25 * 16 * 16 + 16) + (15 * 16 * 16 + 16)
    # 8501 points are halved three times, as Keras does: 4250, 2125, 1062.
    dense = (1062 * 16 * 50 + 50) + (50 * 5 + 5)
    assert n_parameters(network) == convolutions + dense
    assert network(torch.zeros(2, 1, 8501)).shape == (2, 5)


@pytest.mark.parametrize("name", REFERENCE_NETWORKS)
def test_each_gives_230_logits_of_two_channels_down_to_the_coarsest_grid(name: str) -> None:
    network = reference_network(name, n_bins=MIN_BINS)
    assert network(torch.zeros(3, 2, MIN_BINS)).shape == (3, 230)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownModelError, match=r"one of \['acnn'.*Did you mean 'npcnn'"):
        reference_network("npcn", n_bins=4096)


def test_a_grid_too_coarse_for_the_kernels_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"at least 2100 bins .* n_bins is 2099; use a finer"):
        reference_network("scnn", n_bins=2099)
