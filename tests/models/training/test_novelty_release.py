"""A `NoveltyNet` put beside a tiny network that was trained for it."""

import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from training_run import training_configuration

from phasepilot.models.diffraction.stick_store import StickStore, open_stick_store
from phasepilot.models.errors import WeightsError
from phasepilot.models.estimation.calibrated_model import CalibratedModel
from phasepilot.models.networks.model_card import ModelCard, read_card
from phasepilot.models.networks.network_session import NetworkSession
from phasepilot.models.networks.novelty_net import NoveltyNet, body_shape
from phasepilot.models.networks.onnx_file import read_state_dict
from phasepilot.models.pattern import Pattern
from phasepilot.models.training.mixture_patterns import MixtureSource
from phasepilot.models.training.novelty_release import write_novelty_release
from phasepilot.models.training.novelty_training import NoveltyTraining, train_novelty_net
from phasepilot.models.training.release import write_release
from phasepilot.models.training.training_loop import Trainer

TRAINING = NoveltyTraining(320, batch_size=32, learning_rate=0.02, n_for_labels=64, n_for_places=80)


@pytest.fixture(scope="module")
def card_path(tmp_path_factory: pytest.TempPathFactory, store_directory: Path) -> Path:
    """The card of a tiny network without a `NoveltyNet`."""
    configuration = training_configuration(
        tmp_path_factory.mktemp("beside"), sticks=str(store_directory), n_patterns=16
    )
    trainer = Trainer(configuration)
    trainer.run()
    write_release(
        trainer.averaged, configuration, open_stick_store(store_directory), code_version="1"
    )
    return configuration.work_directory / "tiny.json"


@pytest.fixture
def card(card_path: Path) -> ModelCard:
    return read_card(card_path)


def trained(card_path: Path, source: MixtureSource) -> tuple[NoveltyNet, list[float]]:
    """A network after a short training, and its losses."""
    card = read_card(card_path)
    weights = card_path.with_name(card.file)
    beside = NetworkSession(weights.read_bytes())
    torch.manual_seed(0)
    network = NoveltyNet(body_shape(card))
    rng = np.random.default_rng(0)
    said = beside.run(source.draw(16, rng).inputs).said
    network.start_from(read_state_dict(weights), torch.from_numpy(said))
    losses: list[float] = []
    train_novelty_net(
        network, beside, source, TRAINING, rng, progress=lambda *told: losses.append(told[2])
    )
    return network, losses


@pytest.fixture
def source(card: ModelCard, store: StickStore) -> MixtureSource:
    every = np.arange(store.n_structures)
    return MixtureSource(store, every, "laboratory", card.preprocessing)


def test_training_runs_its_steps_and_comes_out_the_same_every_time(
    card_path: Path, source: MixtureSource
) -> None:
    one, losses = trained(card_path, source)
    other, again = trained(card_path, source)
    assert losses == again
    assert len(losses) == TRAINING.n_steps == 40
    # Better than tossing a coin on what it learns from.
    assert np.mean(losses[-12:]) < np.log(2)
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, other.state_dict()[name]), name


def test_a_release_is_named_in_the_card_and_counts_in_the_novelty(
    card_path: Path, source: MixtureSource, tmp_path: Path
) -> None:
    shutil.copytree(card_path.parent, tmp_path, dirs_exist_ok=True)
    path = tmp_path / card_path.name
    before = CalibratedModel(path)
    network, _ = trained(path, source)
    card = write_novelty_release(
        network, path, source, TRAINING, n_patterns=80, rng=np.random.default_rng(1)
    )
    assert read_card(path) == card
    assert card.novelty_file == "tiny.novelty.onnx"
    digest = sha256((tmp_path / "tiny.novelty.onnx").read_bytes()).hexdigest()
    assert digest == card.novelty_sha256
    for kind in ("mixture", "misplaced"):
        assert 0 <= card.measured[f"held_out_laboratory_{kind}_auroc"] <= 1
    assert card.training["novelty_n_patterns"] == 320
    after = CalibratedModel(path)
    assert after.calibration.novelty.logit_scores.size == 1001
    q = np.linspace(0.8, 6.0, 3000)
    lines = np.exp(-(((q[:, None] - np.array([1.9, 2.2, 3.1, 4.4])) / 0.02) ** 2)).sum(axis=1)
    pattern = Pattern.from_q(q, 20 + 900 * lines)
    one, other = before.predict(pattern), after.predict(pattern)
    np.testing.assert_array_equal(one.space_group_probabilities, other.space_group_probabilities)
    assert 0 <= other.novelty <= 1


def test_a_damaged_novelty_network_is_refused(
    card_path: Path, source: MixtureSource, tmp_path: Path
) -> None:
    shutil.copytree(card_path.parent, tmp_path, dirs_exist_ok=True)
    path = tmp_path / card_path.name
    network = NoveltyNet(body_shape(read_card(path)))
    write_novelty_release(
        network, path, source, TRAINING, n_patterns=80, rng=np.random.default_rng(1)
    )
    (tmp_path / "tiny.novelty.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"tiny\.novelty\.onnx must have sha256"):
        CalibratedModel(path)


def test_the_convolutions_of_another_kind_of_network_cannot_be_taken_over(card: ModelCard) -> None:
    other = card.model_copy(update={"training": {"network": "npcnn"}})
    with pytest.raises(WeightsError, match="does not say its channels, kernels, strides, dense"):
        body_shape(other)
