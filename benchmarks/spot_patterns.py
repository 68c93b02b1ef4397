"""How many single-crystal spot patterns a second, structure factors included.

    OMP_NUM_THREADS=1 python benchmarks/spot_patterns.py [--data FOLDER] [--structures 300]

Random rows of the structure table (blocks of 30 neighbours), each along a random zone axis with
indices 0 to 3, or in a random orientation on the flat detector; 321 x 322 pixels. The crystals are
made anew for every case, so that nothing is cached; reading the table is not timed. "Measured" adds
background, point spread, counting noise, saturation, beam stop and gaps.
"""

import argparse
import itertools
import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.spatial.transform import Rotation

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.structure_table import count_structures, read_structures
from phasepilot.models.diffraction.images.detector_effects import (
    air_scatter,
    beam_stop,
    counted,
    diffuse_ring,
    gaussian_spread,
    module_gaps,
    quantised,
    radius_px,
    saturated,
    scaled_to_brightest,
)
from phasepilot.models.diffraction.images.spot_drawing import draw_spots
from phasepilot.models.diffraction.images.spot_pattern import spots, zone_axis_orientation
from phasepilot.models.diffraction.images.spot_settings import (
    FlatDetector,
    GaussianSpots,
    SpotSettings,
)
from phasepilot.models.errors import CrystalError

ZoneAxis = tuple[int, int, int]
ZONE_AXES: list[ZoneAxis] = [
    axis for axis in itertools.product(range(4), range(4), range(4)) if math.gcd(*axis) == 1
]
BLOCK = 30

DISCS = SpotSettings()
GAUSSIANS = SpotSettings(profile=GaussianSpots())
STILL = SpotSettings(
    wavelength_angstrom=0.4133,
    geometry=FlatDetector(distance_mm=60.0, mosaicity_deg=2.0, polarization_factor=0.98),
    profile=GaussianSpots(),
)
Finish = Callable[[np.ndarray, SpotSettings, np.random.Generator], None]


@dataclass(frozen=True)
class Timing:
    """What one process needed for its crystals."""

    finding_s: float
    drawing_s: float
    n_spots: list[int]
    n_empty: int

    @property
    def rate(self) -> float:
        """Patterns a second."""
        return len(self.n_spots) / (self.finding_s + self.drawing_s)


def random_crystals(path: Path, n_structures: int, rng: np.random.Generator) -> list[Crystal]:
    """Return crystals of random blocks of the table."""
    last = count_structures(path) - BLOCK
    starts = rng.integers(0, last, math.ceil(n_structures / BLOCK))
    rows = (
        row
        for start in starts
        for row in read_structures(path, start=int(start), stop=int(start) + BLOCK)
    )
    return [row.crystal for row in itertools.islice(rows, n_structures)]


def nothing_more(image: np.ndarray, settings: SpotSettings, rng: np.random.Generator) -> None:
    """Leave the image as drawn."""


def as_measured(image: np.ndarray, settings: SpotSettings, rng: np.random.Generator) -> None:
    """Put the image through a detector of modules with a beam stop."""
    centre, shape = settings.centre_px, settings.shape
    radius = radius_px(shape, centre)
    expected = scaled_to_brightest(image, 20_000.0)
    expected += air_scatter(radius, amplitude=200.0, decay=40.0)
    expected += diffuse_ring(radius, amplitude=20.0, centre=90.0, width=15.0)
    counts, mask = saturated(counted(gaussian_spread(expected, 0.8), rng), 2.0**16)
    mask &= beam_stop(shape, centre, radius=10.0, arm_width=6.0, arm_angle_deg=270.0)
    mask &= module_gaps(shape, module=(98, 160), gap=(9, 4))
    quantised(counts * mask)


def time_patterns(
    crystals: list[Crystal], zone_axes: list[ZoneAxis], settings: SpotSettings, finish: Finish
) -> Timing:
    """Return the times of one pattern of each crystal; those without a spot are counted apart."""
    rng = np.random.default_rng(0)
    finding_s = drawing_s = 0.0
    n_spots, n_empty = [], 0
    for crystal, zone_axis in zip(crystals, zone_axes, strict=True):
        fresh, random = replace(crystal), Rotation.random(rng=rng).as_matrix()
        started = time.perf_counter()
        try:
            found = spots(fresh, orientation(fresh, zone_axis, random, settings), settings)
        except CrystalError:
            n_empty += 1
            continue
        finally:
            finding_s += time.perf_counter() - started
        started = time.perf_counter()
        finish(draw_spots(found, settings), settings, rng)
        drawing_s += time.perf_counter() - started
        n_spots.append(found.intensity.size)
    return Timing(finding_s, drawing_s, n_spots, n_empty)


def orientation(
    crystal: Crystal, zone_axis: ZoneAxis, random: FloatArray, settings: SpotSettings
) -> FloatArray:
    """Return the random orientation for the flat detector, that of the zone axis for a layer."""
    if isinstance(settings.geometry, FlatDetector):
        return random
    return zone_axis_orientation(crystal, zone_axis)


def main() -> None:
    """Time every case in one process and in several, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("PHASEPILOT_DATA"))
    parser.add_argument("--structures", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not options.data:
        sys.exit("give --data, or PHASEPILOT_DATA, the folder of structures/structures.parquet")
    rng = np.random.default_rng(options.seed)
    path = Path(options.data) / "structures" / "structures.parquet"
    crystals = random_crystals(path, options.structures, rng)
    zone_axes = [ZONE_AXES[k] for k in rng.integers(0, len(ZONE_AXES), len(crystals))]
    cases: list[tuple[str, SpotSettings, Finish]] = [
        ("layer, discs (the paper's)", DISCS, nothing_more),
        ("layer, Gaussians", GAUSSIANS, nothing_more),
        ("layer, measured", GAUSSIANS, as_measured),
        ("Ewald sphere, Gaussians", STILL, nothing_more),
        ("Ewald sphere, measured", STILL, as_measured),
    ]
    table = Table("case", "alone /s", f"{options.processes} at once /s", "find ms", "draw ms")
    table.add_column("spots")
    table.add_column("empty")
    table.title = f"Patterns of {len(crystals)} structures, 321 x 322 pixels"
    time_patterns(crystals[:20], zone_axes[:20], GAUSSIANS, as_measured)  # warm up
    with ProcessPoolExecutor(options.processes) as pool:
        for label, settings, finish in cases:
            alone = time_patterns(crystals, zone_axes, settings, finish)
            arguments = (crystals, zone_axes, settings, finish)
            tasks = [pool.submit(time_patterns, *arguments) for _ in range(options.processes)]
            together = sum(task.result().rate for task in tasks)
            n_drawn = len(alone.n_spots)
            table.add_row(
                label,
                f"{alone.rate:.0f}",
                f"{together:.0f}",
                f"{1e3 * alone.finding_s / len(crystals):.2f}",
                f"{1e3 * alone.drawing_s / n_drawn:.2f}",
                f"{np.median(alone.n_spots):.0f}",
                str(alone.n_empty),
            )
    Console().print(table)


if __name__ == "__main__":
    main()
