"""How fast patterns are answered: the network, the search, and the papers' network beside them.

    python benchmarks/answer_speed.py [--library DIR] [--patterns 1000]

One core unless said otherwise. Patterns are simulated (recipe careful-laboratory): rock salts, all
cubic, the slowest case, since only what may be cubic is indexed; and a mixture, of which a third is
cubic, a third tetragonal (rutile) and a third hexagonal (wurtzite). Figures are medians and 99th
percentiles over them, and ratios come from the same run; what other processes take counts. The
NPCNN is the paper's at full width with its 8,500 points, 31 million parameters, in eager torch.
`--library` names a search index of a whole table (`phasepilot library build`); without it the
search is timed on 50 phases only.
"""

import os

# Before numpy and torch read them: one core is one thread.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.estimation.calibrated_model import CalibratedModel
from phasepilot.models.identification.known_structures import (
    index_of_crystals,
    open_known_structures,
)
from phasepilot.models.networks.network_session import PREDICTED_CLASS
from phasepilot.models.networks.registry import load_model
from phasepilot.models.pattern import Pattern

_PAIRS = tuple(product(
    ("Na", "K", "Rb", "Cs", "Ag", "Ca", "Sr", "Ba", "Mg", "Mn"), ("F", "Cl", "Br", "I", "O")
))  # fmt: skip
N_PHASES = len(_PAIRS)
_FIRST_ANSWER = """
import numpy as np, time
from phasepilot.models.networks.registry import load_model
from phasepilot.models.pattern import Pattern
y = np.random.default_rng(0).poisson(100 + 900 * (np.arange(4000) % 400 < 9)).astype(float)
load_model().predict(Pattern.from_two_theta(np.linspace(5, 90, 4000), y, wavelength_angstrom=1.54))
"""


def crystals() -> list[tuple[str, Crystal]]:
    """Return rock salts of many sizes and compositions: as many phases as a library has."""
    found = []
    for k, (metal, other) in enumerate(_PAIRS):
        a = 4.2 + 0.06 * k
        sites = [(metal, (0.0, 0.0, 0.0)), (other, (0.5, 0.5, 0.5))]
        made = crystal_from_sites(metal + other, "F m -3 m", (a, a, a, 90.0, 90.0, 90.0), sites)
        found.append((made.name, made))
    return found


def mixed_crystals() -> list[tuple[str, Crystal]]:
    """Return as many rutiles and wurtzites as rock salts, of the same elements."""
    mixed = crystals()
    for k, (metal, other) in enumerate(_PAIRS):
        name = metal + other
        a, b = 4.4 + 0.02 * k, 3.0 + 0.03 * k
        rutile = (a, a, 0.65 * a, 90.0, 90.0, 90.0)
        sites = [(metal, (0.0, 0.0, 0.0)), (other, (0.305, 0.305, 0.0))]
        mixed.append((f"{name}2", crystal_from_sites(f"{name}2", "P 42/m n m", rutile, sites)))
        wurtzite = (b, b, 1.63 * b, 90.0, 90.0, 120.0)
        sites = [(metal, (1 / 3, 2 / 3, 0.0)), (other, (1 / 3, 2 / 3, 0.375))]
        mixed.append((name, crystal_from_sites(name, "P 63 m c", wurtzite, sites)))
    return mixed


def patterns(n: int, named: list[tuple[str, Crystal]]) -> list[Pattern]:
    """Return simulated measurements of crystals."""
    store = stick_store([one for _, one in named], 7.0)
    rng = np.random.default_rng(0)
    simulator = PatternSimulator(store, NumpyBackend(rng))
    recipe = named_recipe("careful-laboratory")
    made: list[Pattern] = []
    while len(made) < n:
        chosen = rng.integers(store.n_structures, size=64)
        batch = simulator.simulate(chosen, recipe.draw(64, rng), chosen)
        made += [batch.pattern(row) for row in range(64)]
    return made[:n]


def milliseconds(answer: Callable[[Pattern], object], given: list[Pattern]) -> np.ndarray:
    """Return how long each answer takes, the first few left out."""
    taken = []
    for pattern in [*given[:5], *given]:
        started = time.perf_counter()
        answer(pattern)
        taken.append(1e3 * (time.perf_counter() - started))
    return np.array(taken[5:])


def network_alone(model: CalibratedModel) -> Callable[[Pattern], object]:
    """Return what runs the network and its attribution on one prepared pattern, whatever it is."""
    inputs = np.zeros((1, 2, model.card.n_bins), dtype=np.float32)
    inputs[:, 0, ::40] = inputs[:, 1] = 1
    return lambda _: model.session.run(inputs, PREDICTED_CLASS)


def batched_rate(given: list[Pattern]) -> float:
    """Return patterns per second that one process answers in batches of 64."""
    model = load_model()
    model.predict_many(given[:64])
    started = time.perf_counter()
    for start in range(0, len(given), 64):
        model.predict_many(given[start : start + 64])
    return len(given) / (time.perf_counter() - started)


def npcnn_rate() -> tuple[float, float]:
    """Return patterns per second of the 31-million-parameter NPCNN: one by one, in batches."""
    import torch

    from phasepilot.models.networks.reference_networks import reference_network

    torch.set_num_threads(1)
    network = reference_network("npcnn", n_bins=8500, n_channels=1).eval()
    rates = []
    with torch.inference_mode():
        for n in (1, 64):
            inputs = torch.rand(n, 1, 8500)
            network(inputs)
            started, n_runs = time.perf_counter(), 0
            while time.perf_counter() - started < 5.0:
                network(inputs)
                n_runs += 1
            rates.append(n * n_runs / (time.perf_counter() - started))
    return rates[0], rates[1]


def first_answer_s() -> list[float]:
    """Return how long a fresh process takes until its first answer, three times."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", _FIRST_ANSWER], check=True)
        taken.append(time.perf_counter() - started)
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=Path)
    parser.add_argument("--patterns", type=int, default=1000)
    arguments = parser.parse_args()
    given = patterns(arguments.patterns, crystals())
    mixed = patterns(arguments.patterns, mixed_crystals())
    model = load_model()
    table = Table(
        "what", "median", "99 %", "goal", title=f"{platform.processor() or 'CPU'}, one core"
    )

    def row(what: str, taken: np.ndarray, goal: str) -> None:
        table.add_row(
            what, f"{np.median(taken):.1f} ms", f"{np.quantile(taken, 0.99):.1f} ms", goal
        )

    estimated = milliseconds(model.predict, given)
    for what, some in (("all cubic", given), ("mixed", mixed)):
        row(f"network, {what}: estimate", milliseconds(model.predict, some), "")
        explained = milliseconds(model.predict_explained, some)
        row(f"network, {what}: estimate and attribution", explained, "3 / 10 ms")
    row("of it the network's file alone", milliseconds(network_alone(model), given), "")
    small = load_model(index=index_of_crystals(crystals()))
    row(f"search of {N_PHASES} phases, matched", milliseconds(small.predict, given[:200]), "20 ms")
    if arguments.library is not None:
        index, _ = open_known_structures(arguments.library)
        whole = milliseconds(load_model(index=index).predict, given[:50])
        row(f"search of {index.n_structures:,} structures, matched", whole, "200 ms, two cores")
    table.add_row(
        "process start to first answer", f"{np.median(first_answer_s()):.2f} s", "", "2 s"
    )
    alone = batched_rate(given)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        together = sum(pool.map(batched_rate, [given, given]))
    one_by_one, batched = npcnn_rate()
    single = 1e3 / float(np.median(estimated))
    table.add_row("in batches", f"{alone:.0f} /s", "", "")
    table.add_row("in batches, two processes", f"{together:.0f} /s", "", "1,000 /s")
    table.add_row("NPCNN, 31 million parameters", f"{one_by_one:.1f} /s", "", "")
    table.add_row("NPCNN, in batches", f"{batched:.1f} /s", "", "")
    table.add_row("ours over NPCNN, one by one", f"{single / one_by_one:.1f} times", "", "10 times")
    table.add_row("ours over NPCNN, in batches", f"{alone / batched:.1f} times", "", "10 times")
    Console().print(table)


if __name__ == "__main__":
    main()
