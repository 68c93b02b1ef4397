"""How right and how fast the 1D diffraction engine is, against pymatgen and gemmi.

    OMP_NUM_THREADS=1 python benchmarks/diffraction_engine.py [--data FOLDER] [--quick]
        [--patterns 60000] [--processes 2] [--store FOLDER]

The same random rows of the structure table, equally many of each crystal system, serve all parts:

- lines against pymatgen's, given the same form factors, and gemmi's: Cu K-alpha, 2-theta to 90;
- stick lists a second against pymatgen's;
- finished patterns of the recipe "laboratory" (8,192 bins, every effect, stick lists at hand)
  against pymatgen's lines with a Gaussian each on as many bins;
- resident memory while these patterns are made (--patterns 1000000 for a million).

Rates are of all processes together, one thread each. Spreads are standard deviations over repeats.
With --store, the stick lists of the whole table are computed and timed as well.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
from pymatgen.core.structure import Structure
from reference_lines import (
    B_SQUARE_ANGSTROM,
    MAX_TWO_THETA_DEG,
    Q_MAX,
    SYSTEMS,
    Comparison,
    compare,
    correctness_table,
    pymatgen_calculator,
    pymatgen_structure,
)
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.crystals.symmetry import standard_setting
from phasepilot.models.diffraction.powder.backend import Backend, NumpyBackend, TorchBackend
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.diffraction.stick_store import build_stick_store, open_stick_store

MAX_ATOMS = 200
# The last bin of the recipe, with room for strain.
STORE_Q_MAX = 7.0
# The recipe's shortest range ends at 3.8; a structure whose first line lies beyond shows nothing.
LAST_FIRST_LINE = 3.4
N_BINS = 8192
GAUSSIAN_FWHM_DEG = 0.1
N_TENTHS = 10
BATCH, GPU_BATCH = 128, 2048


@dataclass(frozen=True, slots=True)
class Run:
    """Patterns that one process made: their rates, and its memory before and after each tenth."""

    rates: FloatArray
    resident_mib: FloatArray


def write_sample(table: Path, sample: Path, n_per_system: int, seed: int) -> None:
    """Write random rows of the table, as many of each crystal system."""
    rows = pyarrow.parquet.read_table(table)
    system = np.array([0, *map(_system_of, range(1, 231))])[rows["sg"].to_numpy()]
    usable = rows["n_conv"].to_numpy() <= MAX_ATOMS
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(np.flatnonzero(usable & (system == number)))[:n_per_system]
        for number in range(len(SYSTEMS))
    ]
    # Shuffled, so that every process gets crystals of each kind.
    pyarrow.parquet.write_table(rows.take(rng.permutation(np.concatenate(chosen))), sample)


def _system_of(space_group_number: int) -> int:
    return SYSTEMS.index(standard_setting(space_group_number).crystal_system)


def rates_of_lines(crystals: list[Crystal], n_repeats: int) -> FloatArray:
    """Return what pymatgen and we do in a second, shape (n_repeats, 3).

    Columns are pymatgen's stick lists, pymatgen's patterns and our stick lists. Turn and turn
    about, so that whatever else the machine does slows both.
    """
    structures = [pymatgen_structure(crystal) for crystal in crystals]
    return np.array(
        [(*pymatgen_rates(structures), our_stick_rate(crystals)) for _ in range(n_repeats)]
    )


def our_stick_rate(crystals: list[Crystal], n_passes: int = 5) -> float:
    """Return stick lists a second."""
    fresh = [replace(crystal) for crystal in crystals * n_passes]  # nothing cached
    started = time.perf_counter()
    for crystal in fresh:
        powder_sticks(crystal, Q_MAX, b_square_angstrom=B_SQUARE_ANGSTROM)
    return len(fresh) / (time.perf_counter() - started)


def pymatgen_rates(structures: list[Structure]) -> tuple[float, float]:
    """Return stick lists a second, and patterns a second of lines with a Gaussian each."""
    axis = np.linspace(0.0, MAX_TWO_THETA_DEG, N_BINS)
    sigma = GAUSSIAN_FWHM_DEG / np.sqrt(8 * np.log(2))
    lines_s = broadening_s = 0.0
    for structure in structures:
        started = time.perf_counter()
        lines = pymatgen_calculator(structure).get_pattern(structure)
        between = time.perf_counter()
        pattern = np.zeros(N_BINS)
        for two_theta, height in zip(lines.x, lines.y, strict=True):
            pattern += height * np.exp(-0.5 * ((axis - two_theta) / sigma) ** 2)
        broadening_s += time.perf_counter() - between
        lines_s += between - started
    return len(structures) / lines_s, len(structures) / (lines_s + broadening_s)


def numpy_backend(seed: int) -> Backend:
    """Return numpy on this process' processor."""
    return NumpyBackend(np.random.default_rng(seed))


def torch_backend(seed: int) -> Backend:
    """Return torch on one thread."""
    torch.set_num_threads(1)
    return TorchBackend(seed)


def gpu_backend(seed: int) -> Backend:
    """Return torch on the GPU."""
    return TorchBackend(seed, "cuda")


def simulate(
    store_folder: Path, make_backend: Callable[[int], Backend], seed: int, n_patterns: int
) -> Run:
    """Make patterns of random structures in batches and throw them away."""
    store, recipe = open_stick_store(store_folder), named_recipe("laboratory")
    simulator = PatternSimulator(store, make_backend(seed))
    rng = np.random.default_rng(seed)
    able = np.flatnonzero(store.q_per_angstrom[store.offsets[:-1]] < LAST_FIRST_LINE)
    batch = GPU_BATCH if make_backend is gpu_backend else BATCH

    def make_batches(n_batches: int) -> None:
        for _ in range(n_batches):
            settings = recipe.draw(batch, rng)
            simulator.simulate(rng.choice(able, batch), settings, rng.choice(able, batch))
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    make_batches(2)  # warm up
    n_batches = max(1, round(n_patterns / batch / N_TENTHS))
    rates, resident = [], [resident_mib()]
    for _ in range(N_TENTHS):
        started = time.perf_counter()
        make_batches(n_batches)
        rates.append(n_batches * batch / (time.perf_counter() - started))
        resident.append(resident_mib())
    return Run(np.array(rates), np.array(resident))


def resident_mib() -> float:
    """Return the memory of this process that is in use, as Linux counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes that do the same thing at the same time, each on its share.

    Every call has processes of its own, so that their memory holds nothing else.
    """

    n: int

    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.n, mp_context=get_context("spawn"))

    def compare(self, crystals: list[Crystal]) -> list[Comparison]:
        """Return what `compare` says of each crystal."""
        with self._pool() as pool:
            return list(pool.map(compare, crystals, chunksize=10))

    def rates_of_lines(self, crystals: list[Crystal], n_repeats: int) -> FloatArray:
        """Return the rates of all processes together, see `rates_of_lines`."""
        shares = [crystals[start :: self.n] for start in range(self.n)]
        with self._pool() as pool:
            return np.sum(list(pool.map(rates_of_lines, shares, [n_repeats] * self.n)), axis=0)

    def simulate(self, store: Path, make_backend: Callable[[int], Backend], n_patterns: int) -> Run:
        """Return rates and memory of all processes together, see `simulate`."""
        with self._pool() as pool:
            tasks = [
                pool.submit(simulate, store, make_backend, seed, n_patterns // self.n)
                for seed in range(self.n)
            ]
            runs = [task.result() for task in tasks]
        rates = np.sum([run.rates for run in runs], axis=0)
        return Run(rates, np.sum([run.resident_mib for run in runs], axis=0))


def speed_table(
    workers: Workers, crystals: list[Crystal], store: Path, n_patterns: int, n_repeats: int
) -> tuple[Table, Run]:
    """Return rates and ratios, and the run that the patterns' memory is of."""
    rates = workers.rates_of_lines(crystals, n_repeats)
    their_sticks, their_patterns, our_sticks = rates.T
    run = workers.simulate(store, numpy_backend, n_patterns)
    on_torch = workers.simulate(store, torch_backend, n_patterns // 20)
    table = Table(title=f"Speed of {workers.n} processes, {len(crystals)} structures")
    for heading in ("case", "a second", "times pymatgen", "goal"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    table.add_row("stick lists, pymatgen", _spread(their_sticks))
    table.add_row(
        "stick lists", _spread(our_sticks), _spread(our_sticks / their_sticks), "20 times"
    )
    table.add_row("patterns, pymatgen", _spread(their_patterns))
    for label, rates, goal in (
        ("patterns, numpy", run.rates, "100 times, 3,000/s"),
        ("patterns, torch", on_torch.rates, ""),
        *_on_gpu(store, n_patterns),
    ):
        table.add_row(label, _spread(rates), _spread(rates.mean() / their_patterns), goal)
    return table, run


def _on_gpu(store: Path, n_patterns: int) -> list[tuple[str, FloatArray, str]]:
    if not torch.cuda.is_available():
        return []
    run = simulate(store, gpu_backend, 0, max(n_patterns, 10 * GPU_BATCH))
    return [(f"finished patterns, {torch.cuda.get_device_name()}", run.rates, "100,000/s")]


def _spread(values: FloatArray) -> str:
    return f"{values.mean():,.0f} ± {values.std():,.0f}"


def time_store(table: Path, folder: Path, n_processes: int) -> None:
    """Compute the stick lists of the whole table and print how long that took."""
    started = time.perf_counter()
    with Progress() as progress:
        task = progress.add_task("stick lists", total=None)
        store = build_stick_store(
            table,
            folder,
            licences=None,
            q_max_per_angstrom=STORE_Q_MAX,
            max_atoms=MAX_ATOMS,
            n_workers=n_processes,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    seconds = time.perf_counter() - started
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(
        f"Stick lists of {store.n_structures:,} structures ({store.q_per_angstrom.size:,} lines to"
        f" q = {STORE_Q_MAX:g} 1/angstrom) in {seconds:.0f} s; {size / 2**20:,.0f} MiB on disk."
    )


def parsed_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("PHASEPILOT_DATA"))
    parser.add_argument("--quick", action="store_true", help="few structures and patterns")
    parser.add_argument("--structures", type=int, default=315)
    parser.add_argument("--patterns", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", type=Path, help="folder for the lists of the whole table")
    options = parser.parse_args()
    if not options.data:
        sys.exit("give --data, or PHASEPILOT_DATA, the folder of structures/structures.parquet")
    if options.quick:
        options.structures, options.patterns, options.repeats = 70, 6_000, 2
    return options


def main() -> None:
    """Print what is right and what is fast."""
    options = parsed_arguments()
    whole = Path(options.data) / "structures" / "structures.parquet"
    console, workers = Console(width=130), Workers(options.processes)
    with tempfile.TemporaryDirectory() as folder:
        sample, store = Path(folder) / "sample.parquet", Path(folder) / "store"
        write_sample(whole, sample, options.structures // len(SYSTEMS), options.seed)
        crystals = [row.crystal for row in read_structures(sample, max_atoms=MAX_ATOMS)]
        build_stick_store(
            *(sample, store),
            licences=None,
            q_max_per_angstrom=STORE_Q_MAX,
            max_atoms=MAX_ATOMS,
            n_workers=1,
        )
        console.print(correctness_table(workers.compare(crystals)))
        print("Goals: positions within 0.005 degree, intensities within 1 % of the strongest line.")
        table, run = speed_table(workers, crystals, store, options.patterns, options.repeats)
    console.print(table)
    start, tenth, end = run.resident_mib[[0, 1, -1]]
    print(
        f"Memory of all processes over {options.patterns:,} patterns: {start:.0f} MiB at the start,"
        f" {tenth:.0f} after a tenth, {end:.0f} at the end."
    )
    if not torch.cuda.is_available():
        print("No GPU here.")
    if options.store:
        time_store(whole, options.store, options.processes)


if __name__ == "__main__":
    main()
