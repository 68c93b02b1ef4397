"""`phasepilot demo --experiment screening`, whole."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result


@pytest.mark.slow
def test_a_library_is_screened_drawn_and_compared_with_a_raster(
    phasepilot: Callable[..., Result], tmp_path: Path
) -> None:
    result = phasepilot("demo", "--experiment", "screening", "--out", tmp_path, "--seed", 1)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "screening.png").read_bytes().startswith(b"\x89PNG")
    right = re.search(r"named rightly\s*│\s*(\d+)\s*│\s*(\d+)", result.output)
    assert right is not None, result.output
    minutes = re.search(r"beam time\s*│\s*([\d.]+) min\s*│\s*([\d.]+) min", result.output)
    assert minutes is not None, result.output
    # Of 70 samples, two are empty or glass.
    assert int(right[1]) >= 56
    assert float(minutes[1]) < float(minutes[2])
