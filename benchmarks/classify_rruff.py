"""The shipped network on measured patterns: how many of them it names right.

    PHASEPILOT_DATA=FOLDER python benchmarks/classify_rruff.py [--patterns 20] [--seeds 5]

Exports measured RRUFF patterns (rruff908/rruff908_public.npz, Cu K-alpha, background removed by
its makers) to .xy files and hands them to `phasepilot classify --json`, as a user would. None of
them was trained on or calibrated with. The set holds no trigonal pattern and 35 % are monoclinic.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from phasepilot.models.networks.space_groups import crystal_system_of


def export(data: np.lib.npyio.NpzFile, chosen: np.ndarray, directory: Path) -> list[Path]:
    """Write the chosen patterns as .xy files and return their paths."""
    files = []
    for index in chosen:
        file = directory / f"rruff908-{data['index908'][index]:03d}.xy"
        columns = np.column_stack([data["two_theta"], data["patterns"][index]])
        np.savetxt(file, columns, fmt="%.2f %g")
        files.append(file)
    return files


def classify(files: list[Path], wavelength_angstrom: float) -> list[dict[str, object]]:
    """Return the JSON lines of `phasepilot classify`."""
    program = Path(sys.executable).with_name("phasepilot")
    arguments = [str(program), "classify", "--json", "--wavelength", str(wavelength_angstrom)]
    done = subprocess.run(
        [*arguments, *map(str, files)], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def scores(data: np.lib.npyio.NpzFile, chosen: np.ndarray) -> tuple[float, float, float, float]:
    """Return shares: system right, group right, group in the first five, system in the set."""
    with tempfile.TemporaryDirectory() as directory:
        files = export(data, chosen, Path(directory))
        rows = classify(files, float(np.ravel(data["wavelength"])[0]))
    truth = [int(number) for number in data["space_group"][chosen]]
    systems = [crystal_system_of(number) for number in truth]
    pairs = list(zip(rows, truth, systems, strict=True))
    return (
        float(np.mean([row["crystal_system"] == system for row, _, system in pairs])),
        float(np.mean([row["space_group_number"] == number for row, number, _ in pairs])),
        float(
            np.mean(
                [
                    number in [g["number"] for g in row["space_group_top"]]
                    for row, number, _ in pairs
                ]
            )
        ),
        float(np.mean([system in row["crystal_system_set"] for row, _, system in pairs])),
    )


def main() -> None:
    """Print the shares for several random choices, and for all patterns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    folder = os.environ.get("PHASEPILOT_DATA")
    if not folder:
        sys.exit("set PHASEPILOT_DATA to the folder that holds rruff908/rruff908_public.npz")
    data = np.load(Path(folder) / "rruff908" / "rruff908_public.npz")
    n_all = data["space_group"].size
    choices = {
        f"{options.patterns} of {n_all}, seed {seed}": np.sort(
            np.random.default_rng(seed).permutation(n_all)[: options.patterns]
        )
        for seed in range(options.seeds)
    }
    table = Table("patterns", "crystal system", "space group", "in first five", "system in set")
    results = []
    for label, chosen in choices.items():
        results.append(scores(data, chosen))
        table.add_row(label, *(f"{share:.0%}" for share in results[-1]))
    mean, spread = np.mean(results, axis=0), np.std(results, axis=0)
    table.add_row(
        "mean and spread", *(f"{m:.0%} ± {s:.0%}" for m, s in zip(mean, spread, strict=True))
    )
    table.add_row(f"all {n_all}", *(f"{share:.1%}" for share in scores(data, np.arange(n_all))))
    Console().print(table)


if __name__ == "__main__":
    main()
