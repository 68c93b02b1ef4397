"""How long an image of a million pixels takes to a complete estimate of its space group.

    python benchmarks/image_estimates.py [--frames 300] [--network pilotlattice-v1]

Images with counting noise in memory, of a crystal and of rings, judged one after the other as the
agent does: what the image shows, the estimates of both networks, the tracker and the advice. Then
its parts by themselves. Medians and 99th percentiles, by the clock and in seconds of processor
time, which a busy machine does not stretch as much; what is prepared once is not among them.
"""

import argparse
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from phasepilot.agent.cell_measurement import CellMeasurement
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frame_pipeline import NOTHING_REMEMBERED, FramePipeline
from phasepilot.agent.frame_settings import ImageSettings
from phasepilot.agent.frames import Frame, Geometry
from phasepilot.agent.image_reduction import ImageReduction
from phasepilot.agent.steering import Steerer
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    DetectorGeometry,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.poni_file import poni_text
from phasepilot.models.diffraction.images.ring_image import ring_lines, smooth_rings
from phasepilot.models.diffraction.images.spot_drawing import draw_spots
from phasepilot.models.diffraction.images.spot_pattern import spots, zone_axis_orientation
from phasepilot.models.diffraction.images.spot_settings import (
    FlatDetector,
    GaussianSpots,
    SpotSettings,
)
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.estimation.lattice_model import DEFAULT_LATTICE_MODEL, load_lattice_model
from phasepilot.models.networks.registry import load_model

N_PIXELS, PIXEL_MM, DISTANCE_MM, WAVELENGTH_ANGSTROM = 1024, 0.15, 120.0, 0.5
N_IMAGES = 8
ZIRCON = crystal_from_sites(
    "ZrSiO4",
    "I 41/a m d",
    (6.607, 6.607, 5.982, 90.0, 90.0, 90.0),
    [("Zr", (0, 0.75, 0.125)), ("Si", (0, 0.25, 0.375)), ("O", (0, 0.066, 0.195))],
)
N_POLAR_BINS = 1000


class Stopwatch:
    """Seconds of each part: by the clock, and of the processors."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[tuple[float, float]]] = defaultdict(list)

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Add what happens here to a part."""
        began = time.perf_counter(), time.process_time()
        yield
        self.seconds[part].append((time.perf_counter() - began[0], time.process_time() - began[1]))


def spot_images(rng: np.random.Generator) -> list[NDArray[np.int32]]:
    """Return images of one crystal, turned about the beam, with background and noise."""
    settings = SpotSettings(
        wavelength_angstrom=WAVELENGTH_ANGSTROM,
        shape=(N_PIXELS, N_PIXELS),
        geometry=FlatDetector(distance_mm=DISTANCE_MM, pixel_size_mm=PIXEL_MM, mosaicity_deg=2.0),
        profile=GaussianSpots(sigma_px=2.0),
    )
    orientation = zone_axis_orientation(ZIRCON, (1, 0, 0))
    clean = draw_spots(spots(ZIRCON, orientation, settings), settings)
    clean *= 2000 / clean.max()
    return [rng.poisson(clean + 3.0).astype(np.int32) for _ in range(N_IMAGES)]


def ring_images(geometry: DetectorGeometry, rng: np.random.Generator) -> list[NDArray[np.int32]]:
    """Return images of a powder, with background and noise."""
    sticks = powder_sticks(ZIRCON, q_max_per_angstrom=8.0)
    lines = ring_lines(
        sticks.q_per_angstrom,
        sticks.structure_factor_squared,
        geometry,
        fwhm_deg=0.1,
        lorentz_fraction=0.3,
    )
    clean = smooth_rings(lines, geometry)
    clean *= 500 / clean.max()
    return [rng.poisson(clean + 3.0).astype(np.int32) for _ in range(N_IMAGES)]


def main() -> None:
    """Time the parts and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--frames", type=int, default=300)
    arguments.add_argument("--network", default=DEFAULT_LATTICE_MODEL)
    options = arguments.parse_args()
    geometry = centred_geometry(
        PLAIN_DETECTOR,
        distance_m=DISTANCE_MM / 1e3,
        wavelength_angstrom=WAVELENGTH_ANGSTROM,
        detector_config=plain_detector_config((N_PIXELS, N_PIXELS), (PIXEL_MM / 1e3,) * 2),
    )
    rng = np.random.default_rng(0)
    shown = {"a crystal": spot_images(rng), "rings": ring_images(geometry, rng)}
    with tempfile.TemporaryDirectory() as folder:
        poni = Path(folder) / "detector.poni"
        poni.write_text(poni_text(geometry))
        settings = ImageSettings(poni=str(poni), network=options.network, n_bins=N_POLAR_BINS)
        configuration = AgentConfiguration(
            intensity_field="image", image=settings, wavelength_angstrom=WAVELENGTH_ANGSTROM
        )
        for name, images in shown.items():
            print_times(name, timed(configuration, images, options.frames), options.frames)


def print_times(shown: str, watch: Stopwatch, n_frames: int) -> None:
    """Print a table of the parts."""
    title = (
        f"{n_frames} images of {shown}, {N_PIXELS} x {N_PIXELS} pixels, {os.cpu_count()} cores,"
        f" {platform.machine()}; milliseconds"
    )
    table = Table("part", "median", "99 %", "processor median", "processor 99 %", title=title)
    for part, pairs in watch.seconds.items():
        clock, processor = np.array(pairs).T * 1e3
        cells = [f(values) for values in (clock, processor) for f in (np.median, _p99)]
        table.add_row(part, *(f"{cell:.1f}" for cell in cells))
    Console().print(table)


def timed(
    configuration: AgentConfiguration, images: list[NDArray[np.int32]], n_frames: int
) -> Stopwatch:
    """Return the times of the parts, and of the whole as the agent judges a frame."""
    network = load_lattice_model(configuration.image.network)
    steerer, cells = Steerer(None, None), CellMeasurement(None, None)
    model = load_model()
    pipeline = FramePipeline(configuration, model, steerer, cells, network)
    reduction = ImageReduction(configuration.image)
    watch, memory = Stopwatch(), NOTHING_REMEMBERED
    for number in range(-10, n_frames):
        if number == 0:
            watch = Stopwatch()
        image = images[number % N_IMAGES]
        frame = Frame("run", "primary", number + 11, 0.0, image, float(number), Geometry())
        with watch.time("frame to advice"):
            advice, memory = pipeline.judge(memory, frame)
        if advice.problem:
            raise RuntimeError(advice.problem)
        with watch.time("  image to pattern, and what it shows"):
            reduced = reduction.pattern(image, WAVELENGTH_ANGSTROM)
        if reduced.statement.kind.is_of_spots:
            with watch.time("  estimate of the image"):
                network.estimate_image(reduced.seen)
        with watch.time("  estimate of the pattern"):
            model.predict(reduced.pattern)
    return watch


def _p99(values: NDArray[np.float64]) -> float:
    return float(np.percentile(values, 99))


if __name__ == "__main__":
    main()
