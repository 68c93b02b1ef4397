"""`phasepilot train-novelty`: train what tells patterns that no answer fits."""

from pathlib import Path
from typing import Annotated

import typer

from phasepilot.agent.cli.console import bars_of_counts, console, reporting_errors

# Patterns that tell how far numbers of the network vary.
_N_TO_SCALE = 1024


def train_novelty(
    card: Annotated[Path, typer.Argument(help="Card of the network (.json).", metavar="CARD")],
    sticks: Annotated[
        Path,
        typer.Option(
            help="Stick lists that the network was trained on, see `phasepilot structures sticks`.",
            metavar="DIR",
        ),
    ],
    recipe: Annotated[
        str, typer.Option(help="What patterns are simulated by; see `phasepilot recipes`.")
    ] = "laboratory",
    patterns: Annotated[int, typer.Option(help="Patterns to simulate.", min=256)] = 250_000,
    held_out: Annotated[
        int, typer.Option(help="Patterns of held-out families that measure and calibrate.", min=64)
    ] = 4096,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
) -> None:
    """Train a small network beside another to tell mixtures and wrong wavelengths.

    Writes NAME.novelty.onnx beside the card, names it there, and ranks novelty anew. Run
    `phasepilot library calibrate` afterwards. A core takes an hour for the default.
    """
    with reporting_errors():
        _train(card, sticks, recipe, n_patterns=patterns, n_held_out=held_out, seed=seed)


def _train(
    card_path: Path, sticks: Path, recipe: str, *, n_patterns: int, n_held_out: int, seed: int
) -> None:
    # torch takes a second to import and is only in the train extra.
    import numpy as np
    import torch

    from phasepilot.models.diffraction.powder.recipe import named_recipe
    from phasepilot.models.diffraction.stick_store import open_stick_store
    from phasepilot.models.networks.model_card import check_sha256, read_card
    from phasepilot.models.networks.network_session import NetworkSession
    from phasepilot.models.networks.novelty_net import NoveltyNet, body_shape
    from phasepilot.models.networks.onnx_file import read_state_dict
    from phasepilot.models.training.mixture_patterns import MixtureSource
    from phasepilot.models.training.novelty_release import write_novelty_release
    from phasepilot.models.training.novelty_training import NoveltyTraining, train_novelty_net

    card, store, rng = read_card(card_path), open_stick_store(sticks), np.random.default_rng(seed)
    named_recipe(recipe)  # one that does not exist is told before anything takes long
    trained, held_out = (
        MixtureSource(store, np.flatnonzero(is_used), recipe, card.preprocessing)
        for is_used in (~store.is_held_out, store.is_held_out)
    )
    weights = card_path.with_name(card.file)
    beside = NetworkSession(check_sha256(weights, card.sha256))
    torch.manual_seed(seed)
    network = NoveltyNet(body_shape(card))
    usual = beside.run(trained.draw_usual(min(_N_TO_SCALE, n_patterns), rng))
    network.start_from(read_state_dict(weights), torch.from_numpy(usual.said))
    training = NoveltyTraining(n_patterns)
    with bars_of_counts() as bars:
        task = bars.add_task("training", total=training.n_steps)
        train_novelty_net(
            network,
            beside,
            trained,
            training,
            rng,
            progress=lambda step, _, loss: bars.update(
                task, completed=step, description=f"loss {loss:.3f}"
            ),
        )
    card = write_novelty_release(
        network, card_path, held_out, training, n_patterns=n_held_out, rng=rng
    )
    console.print(f"wrote {card.novelty_file}; on families that are held out:")
    for name, value in card.measured.items():
        if name.endswith("_auroc"):
            console.print(f"  {name.replace('_', ' ')}: {value}")
