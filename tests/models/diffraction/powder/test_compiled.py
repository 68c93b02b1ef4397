import os
import subprocess
import sys

import pytest

# Lines from a tenth of a bin to hundreds of bins wide, so that every kernel is used.
DRAWING = """
import hashlib
import numpy as np
from phasepilot.models.diffraction.powder import compiled

rng = np.random.default_rng(0)
n_lines, n_bins = 200, 2048
edges = np.linspace(20.0, 80.0, n_bins + 1)[None]
centre, area = rng.uniform(22.0, 78.0, n_lines), rng.uniform(1.0, 9.0, n_lines)
fwhm, eta = 10 ** rng.uniform(-2.5, 0.9, n_lines), rng.uniform(0.0, 1.0, n_lines)
level = np.clip(np.log2(fwhm / 0.36), 0, 5).astype(np.int64)
row, low, high = np.zeros((3, n_lines), dtype=np.int64)
high += n_bins
intensity = compiled.draw(
    row, centre, area, fwhm, eta, level, low, high, edges, slice(128, n_bins - 128)
)
counts = compiled.poisson(intensity[0], rng.random(intensity.size, dtype=np.float32))
print(hashlib.sha256(intensity.tobytes() + counts.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_kernels_loaded_from_the_cache_count_as_those_just_compiled(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", DRAWING]
    compiled, loaded = (
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    )
    assert list(tmp_path.rglob("*.nbi"))
    assert compiled == loaded != ""
