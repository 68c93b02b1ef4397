#!/usr/bin/env python3
"""Train the flagship from the structure table alone, on a machine with a GPU and no network.

    python3 examples/train_on_one_gpu.py structures.parquet --work runs/gpu --minutes 10

Status 75 means that there is more to do: start it again with the same arguments, until it ends
with 0. Kill it whenever you like; it goes on from its last checkpoint. In a shell:

    until python3 examples/train_on_one_gpu.py structures.parquet; do [ $? = 75 ] || break; done

phasepilot need not be installed: the script runs from its checkout. What it imports must be there;
wheels of what is not can be brought along in a folder and named with --wheels.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

ROOT = Path(__file__).resolve().parents[1]
NEEDED = {
    **{name: name for name in ("gemmi", "spglib", "pydantic", "numba", "onnx", "pyarrow", "scipy")},
    **{"array_api_compat": "array-api-compat", "pybaselines": "pybaselines"},
    **{name: name for name in ("rich", "matplotlib")},
}
# A core simulates about 700 patterns a second, so that 15 of them make this many in 20 minutes.
# Larger batches than on two cores keep a GPU busy; the learning rate grows with their root.
ON_A_GPU = {
    "n_patterns": 12_000_000,
    "batch_size": 1024,
    "batch_parts": 4,
    "learning_rate": 2.0e-3,
    "validate_every": 200,
    "checkpoint_every": 200,
}
# Batches wait in shared memory, three a worker; so much of it each, in bytes.
SHARED_MEMORY_OF_A_WORKER = 3 * 1024 * 2 * 4096 * 2


def main(
    structures: Annotated[Path, typer.Argument(help="The structure table (Parquet).")],
    work: Annotated[Path, typer.Option(help="Folder for all that is written.")] = Path("runs/gpu"),
    minutes: Annotated[float, typer.Option(help="How long this piece may take.")] = 10.0,
    config: Annotated[Path, typer.Option(help="Run to start from.")] = (
        ROOT / "examples" / "train_pilotnet.yaml"
    ),
    wheels: Annotated[Path | None, typer.Option(help="Folder of wheels to install from.")] = None,
) -> None:
    """Train for some minutes; status 75 asks to be started again."""
    work.mkdir(parents=True, exist_ok=True)
    make_importable(work, wheels)
    # Libraries of every worker would each start a thread a core.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from phasepilot.agent.cli.train import train

    path = work / "train.yaml"
    path.write_text(yaml.safe_dump(run_on_this_machine(config, structures.resolve())))
    train(path, minutes=minutes)


def make_importable(work: Path, wheels: Path | None) -> None:
    """Let Python find what is needed, from wheels and from this checkout."""
    packages = work / "packages"
    sys.path.insert(0, str(packages))
    missing = [pip for name, pip in NEEDED.items() if importlib.util.find_spec(name) is None]
    if missing and wheels is not None:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
        places = ["--find-links", str(wheels), "--target", str(packages)]
        subprocess.run([*install, *places, *missing], check=True)
        importlib.invalidate_caches()
    elif missing:
        print(f"error: missing {', '.join(missing)}; name a folder of their wheels with --wheels.")
        raise typer.Exit(1)
    if importlib.util.find_spec("phasepilot") is None:
        # Links to the folders of the checkout, under the names that they are imported by.
        sys.path.insert(0, str(ROOT / "typings"))


def run_on_this_machine(config: Path, structures: Path) -> dict[str, Any]:
    """Return the run of the file, fitted to the cores and the GPU of this machine."""
    import torch

    run = yaml.safe_load(config.read_text())
    run |= {"structures": str(structures), "work_directory": "run", "sticks": "sticks"}
    n_workers = max(len(os.sched_getaffinity(0)) - 1, 1)
    if torch.cuda.is_available():
        run |= ON_A_GPU
        free = shutil.disk_usage("/dev/shm").free
        n_workers = max(1, min(n_workers, free // SHARED_MEMORY_OF_A_WORKER))
    return {**run, "n_workers": n_workers}


if __name__ == "__main__":
    typer.run(main)
