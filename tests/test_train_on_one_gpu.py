"""The script of examples/ in a process of its own, on a processor and a table of 16 crystals."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from training_run import write_training_file

from phasepilot.models.training.configuration import read_training_configuration

SCRIPT = Path(__file__).parents[1] / "examples" / "train_on_one_gpu.py"


@pytest.mark.slow
def test_it_trains_in_pieces_from_the_table_alone(tmp_path: Path) -> None:
    config = write_training_file(tmp_path, n_patterns=16)
    work = tmp_path / "work"
    command = [
        *(sys.executable, str(SCRIPT), str(tmp_path / "structures.parquet")),
        *("--work", str(work), "--config", str(config), "--minutes", "0"),
    ]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert first.returncode == 75, first.stderr
    assert "stopped after 1 of 2 batches" in first.stdout
    assert second.returncode == 0, second.stderr
    assert {"checkpoint.pt", "curve.csv", "curve.png", "tiny.json", "tiny.npz", "tiny.onnx"} <= {
        file.name for file in (work / "run").iterdir()
    }
    assert yaml.safe_load((work / "train.yaml").read_text())["n_workers"] >= 1


def test_a_machine_that_lacks_packages_is_told_how_to_bring_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = loaded_script()
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(script.NEEDED, "no_such_package", "no-such-package")
    with pytest.raises(typer.Exit):
        script.make_importable(tmp_path, None)
    assert "missing no-such-package; name a folder of their wheels" in capsys.readouterr().out


def test_the_run_of_this_machine_is_one_that_training_accepts(tmp_path: Path) -> None:
    script = loaded_script()
    example = SCRIPT.with_name("train_pilotnet.yaml")
    run = script.run_on_this_machine(example, tmp_path / "structures.parquet")
    path = tmp_path / "train.yaml"
    for changes in ({}, script.ON_A_GPU):
        path.write_text(yaml.safe_dump(run | changes))
        configuration = read_training_configuration(path)
        assert configuration.structures == tmp_path / "structures.parquet"
        assert configuration.work_directory == tmp_path / "run"


def loaded_script() -> Any:
    spec = importlib.util.spec_from_file_location("train_on_one_gpu", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script
