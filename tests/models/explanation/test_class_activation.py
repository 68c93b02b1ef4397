import numpy as np
import pytest
import torch

from phasepilot.models.arrays import Float32Array
from phasepilot.models.errors import ModelsError
from phasepilot.models.explanation.class_activation import (
    ReceptiveField,
    average_class_activation_map,
    class_activation_maps,
    gradient_activation_maps,
    receptive_field,
    spread_over_bins,
)
from phasepilot.models.networks.acnn import Acnn
from phasepilot.models.networks.npcnn import Npcnn
from phasepilot.models.networks.scnn import Scnn


@pytest.fixture(scope="module")
def network() -> Acnn:
    torch.manual_seed(0)
    return Acnn(n_channels=2, n_classes=5).eval()


@pytest.fixture(scope="module")
def inputs() -> Float32Array:
    return np.random.default_rng(0).random((4, 2, 1250), dtype=np.float32) ** 4


def logits_of(network: Acnn, inputs: Float32Array) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(inputs)).double().numpy()


def test_a_map_adds_up_to_the_logit_less_its_bias(network: Acnn, inputs: Float32Array) -> None:
    # Oviedo et al., equation 5.
    logits, bias = logits_of(network, inputs), network.class_layer.bias.detach().numpy()
    for class_index in range(5):
        maps = class_activation_maps(network, inputs, class_index)
        assert maps.shape == (4, 10)
        np.testing.assert_allclose(
            maps.sum(axis=1), logits[:, class_index] - bias[class_index], atol=1e-6
        )


def test_each_pattern_may_have_its_own_class(network: Acnn, inputs: Float32Array) -> None:
    classes = np.array([3, 0, 0, 4])
    maps = class_activation_maps(network, inputs, classes)
    for row, class_index in enumerate(classes):
        alone = class_activation_maps(network, inputs[[row]], int(class_index))
        np.testing.assert_allclose(maps[row], alone[0], atol=1e-7)


def test_the_average_map_is_over_the_patterns_of_its_class(
    network: Acnn, inputs: Float32Array
) -> None:
    # Oviedo et al., equation 6.
    average = average_class_activation_map(network, inputs, np.array([2, 1, 2, 0]), of_class=2)
    maps = class_activation_maps(network, inputs, 2)
    np.testing.assert_allclose(average, (maps[0] + maps[2]) / 2, atol=1e-7)


def test_no_average_is_made_of_no_patterns(network: Acnn, inputs: Float32Array) -> None:
    with pytest.raises(ModelsError, match=r"none of 4 is labelled 3; choose one of \[0, 1, 2\]"):
        average_class_activation_map(network, inputs, np.array([2, 1, 2, 0]), of_class=3)


def test_grad_cam_is_the_positive_class_activation_map_where_both_exist(
    network: Acnn, inputs: Float32Array
) -> None:
    # Selvaraju et al., section 3.1: Grad-CAM generalises CAM.
    maps = np.stack([class_activation_maps(network, inputs, c) for c in range(5)])
    gradient_maps = np.stack([gradient_activation_maps(network, inputs, c) for c in range(5)])
    np.testing.assert_allclose(gradient_maps, np.maximum(maps, 0), atol=1e-7)
    assert (maps < 0).any()
    assert (gradient_maps > 0).any()


@pytest.mark.parametrize("kind", [Npcnn, Scnn])
def test_grad_cam_of_a_network_with_dense_layers_is_that_of_its_formula(
    kind: type[Npcnn | Scnn],
) -> None:
    torch.manual_seed(0)
    network = kind(2100, n_channels=1, n_classes=3).double().eval()
    inputs = np.random.default_rng(1).random((1, 1, 2100))
    maps = network.convolutions(torch.from_numpy(inputs)).detach()
    of_filter = torch.eye(maps.shape[1], dtype=torch.float64)[:, :, None]
    # The mean of the gradient over the places of a filter, by raising that filter everywhere.
    with torch.no_grad():
        raised = maps + 1e-6 * of_filter
        change = network.classifier(raised)[:, 1] - network.classifier(maps)[0, 1]
    weights = change / 1e-6 / maps.shape[2]
    expected = (weights[:, None] * maps[0]).sum(dim=0).clamp_min(0).numpy()
    found = gradient_activation_maps(network, inputs, 1)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_fields_of_the_papers_networks() -> None:
    # 100 + 49 x 5 + 24 x 25 points; three kernels laid end to end.
    npcnn = Npcnn(2100, n_channels=1, n_classes=2)
    assert receptive_field(npcnn.convolutions) == ReceptiveField(945, 50)
    acnn = Acnn(n_channels=1, n_classes=2)
    assert receptive_field(acnn.convolutions) == ReceptiveField(120, 120)


def test_a_place_sees_its_field_and_nothing_else() -> None:
    torch.manual_seed(0)
    network = Scnn(2500, n_channels=1, n_classes=2).eval()
    field = receptive_field(network.convolutions)
    values = torch.rand(1, 1, 2500, requires_grad=True)
    network.convolutions(values)[0, :, 2].sum().backward()
    seen = torch.nonzero(values.grad[0, 0]).flatten()
    assert seen.min() == 2 * field.stride
    assert seen.max() == 2 * field.stride + field.size - 1


def test_spreading_keeps_the_sum_where_fields_overlap() -> None:
    maps = np.array([[1.0, -2.0, 4.0], [0.0, 3.0, 0.0]])
    spread = spread_over_bins(maps, ReceptiveField(size=5, stride=2), 12)
    np.testing.assert_allclose(spread.sum(axis=1), maps.sum(axis=1))
    np.testing.assert_allclose(
        spread[1], [0, 0, 0.6, 0.6, 0.6, 0.6, 0.6, 0, 0, 0, 0, 0], atol=1e-12
    )
