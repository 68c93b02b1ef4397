"""How long an image takes from its HDF5 file to a pattern, and to a suggestion.

    python benchmarks/frame_reduction.py [--frames 200] [--detector Pilatus2M] [--compressed]

Rings of cerium oxide with counting noise and a few spots, in a file as detectors write it, read
and judged frame by frame as the agent does. Beside our reduction stands pyFAI's own integration of
the same image to the same points. Times of each part are medians and 99th percentiles in one run,
by the clock and in seconds of processor time, which a busy machine does not stretch as much; what
is prepared once for a geometry is timed apart.
"""

import argparse
import logging
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from phasepilot.agent.assets.array_place import Hdf5Rows
from phasepilot.agent.assets.asset_reader import AssetReader
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frame_settings import ImageSettings
from phasepilot.agent.frames import Frame, Geometry
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.images.azimuthal_outliers import find_spots
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    DetectorGeometry,
    centred_geometry,
    plain_detector_config,
    pyfai_integrator,
)
from phasepilot.models.diffraction.images.diamond_spots import diamond_spots
from phasepilot.models.diffraction.images.frame_condition import frame_condition
from phasepilot.models.diffraction.images.frame_reduction import FrameReducer
from phasepilot.models.diffraction.images.polar_views import cake_of_polar, pattern_of_polar
from phasepilot.models.diffraction.images.ring_image import ring_lines, smooth_rings
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.log_q import LogQGrid

DATASET = "/entry/data/data"
N_IMAGES = 8
N_BINS = 1500


@dataclass
class Stopwatch:
    """Seconds of each part, by name: by the clock, and of all processors together."""

    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        started, used = time.perf_counter(), time.process_time()
        yield
        self.seconds[name].append((time.perf_counter() - started, time.process_time() - used))


def geometries(detector: str) -> dict[str, DetectorGeometry]:
    """Return the detectors to time, by name."""
    small = centred_geometry(
        PLAIN_DETECTOR,
        detector_config=plain_detector_config((1024, 1024), (2e-4, 2e-4)),
        distance_m=0.25,
        wavelength_angstrom=0.4,
    )
    large = centred_geometry(detector, distance_m=0.25, wavelength_angstrom=0.4)
    return {
        name: replace(one, rot1_rad=0.03, rot2_rad=-0.02)
        for name, one in {"1k x 1k": small, detector: large}.items()
    }


def drawn_images(geometry: DetectorGeometry) -> list[NDArray[np.int32]]:
    """Return a few images of cerium oxide with spots, each counted anew."""
    rng = np.random.default_rng(0)
    sites = [("Ce", (0.0, 0.0, 0.0)), ("O", (0.25, 0.25, 0.25))]
    ceria = crystal_from_sites("CeO2", "F m -3 m", (5.4113,) * 3 + (90.0,) * 3, sites)
    sticks = powder_sticks(ceria, 9.0)
    lines = ring_lines(
        sticks.q_per_angstrom,
        sticks.structure_factor_squared,
        geometry,
        fwhm_deg=0.08,
        lorentz_fraction=0.4,
    )
    rings = smooth_rings(lines, geometry)
    drawn = 20 + 500 * rings / rings.max()
    drawn += diamond_spots(
        geometry,
        n_expected=12,
        median_peak_counts=1e4,
        fwhm_deg=0.1,
        mosaic_fwhm_deg=0.4,
        rng=rng,
    )
    return [rng.poisson(drawn).astype(np.int32) for _ in range(N_IMAGES)]


def write_images(path: Path, geometry: DetectorGeometry, *, compressed: bool) -> None:
    """Write a few images as a detector does, one chunk each."""
    options = {}
    if compressed:
        import hdf5plugin

        options = dict(hdf5plugin.Bitshuffle())
    with h5py.File(path, "w", libver="latest") as file:
        images = file.create_dataset(
            DATASET,
            (N_IMAGES, *geometry.shape),
            np.int32,
            chunks=(1, *geometry.shape),
            maxshape=(None, *geometry.shape),
            **options,
        )
        file.swmr_mode = True
        for k, image in enumerate(drawn_images(geometry)):
            images[k] = image


def time_parts(path: Path, geometry: DetectorGeometry, n_frames: int) -> Stopwatch:
    """Time the parts of the way to a pattern, and pyFAI's integration of the same images."""
    watch, reader = Stopwatch(), AssetReader(1.0)
    with watch("once: matrix and response"):
        reducer = FrameReducer(geometry, n_bins=N_BINS)
    grid = LogQGrid(1.0, 8.0, 1000)
    integrator = pyfai_integrator(geometry)
    for k in range(n_frames + 1):
        timed = watch if k else Stopwatch()
        place = Hdf5Rows(path, DATASET, k % N_IMAGES, (1, *geometry.shape))
        with timed("frame to pattern, spots removed"):
            with timed("  read from HDF5"):
                image = reader.read(place)[0]
            with timed("  unroll"):
                polar = reducer.reduce(image)
            with timed("  find spots"):
                spots = find_spots(polar)
            with timed("  judge its condition"):
                frame_condition(polar, spots)
            with timed("  sum to a pattern"):
                pattern_of_polar(polar, 0.4, is_left_out=spots.is_spot)
        with timed("cake in ln q of the same pass"):
            cake_of_polar(polar, 0.4, grid)
        with timed("pyFAI alone, 1D, same points"):
            integrator.integrate1d_ng(
                image,
                N_BINS,
                unit="2th_deg",
                method=("full", "csr", "cython"),
                polarization_factor=0.99,
            )
    reader.close()
    return watch


def time_agent(watch: Stopwatch, path: Path, geometry: DetectorGeometry, n_frames: int) -> None:
    """Time the way from the place of a frame to its suggestion, as in the agent's thread."""
    agent = PhaseAgent(
        AgentConfiguration(
            intensity_field="det",
            image=ImageSettings(poni=str(poni_file(path.parent, geometry)), spots="remove"),
        )
    )
    for k in range(n_frames + 1):
        frame = Frame(
            run_uid="run",
            stream="primary",
            seq_num=k + 1,
            time=float(k),
            intensity=None,
            axis_value=float(k),
            geometry=Geometry(),
            places={
                "intensity": Hdf5Rows(path, DATASET, k % N_IMAGES, (1, *geometry.shape)),
            },
        )
        timed = watch if k else Stopwatch()
        with timed("frame to suggestion"):
            advice = agent.ingest(frame)
        if not advice.crystal_system:
            raise SystemExit(f"frame {k + 1} was not judged: {advice.problem}")


def poni_file(folder: Path, geometry: DetectorGeometry) -> Path:
    """Return a .poni file of the geometry."""
    path = folder / "geometry.poni"
    path.write_text(
        f"poni_version: 2\nDetector: {geometry.detector}\n"
        f"Detector_config: {geometry.detector_config}\nDistance: {geometry.distance_m}\n"
        f"Poni1: {geometry.poni1_m}\nPoni2: {geometry.poni2_m}\nRot1: {geometry.rot1_rad}\n"
        f"Rot2: {geometry.rot2_rad}\nRot3: {geometry.rot3_rad}\n"
        f"Wavelength: {geometry.wavelength_angstrom * 1e-10}\n"
    )
    return path


def main() -> None:
    """Print a table for each detector."""
    logging.getLogger("pyFAI").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--detector", default="Pilatus2M")
    parser.add_argument("--compressed", action="store_true", help="bitshuffle and LZ4")
    options = parser.parse_args()
    for name, geometry in geometries(options.detector).items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "images.h5"
            write_images(path, geometry, compressed=options.compressed)
            watch = time_parts(path, geometry, options.frames)
            time_agent(watch, path, geometry, options.frames)
        table = Table(title=f"{name}, {math.prod(geometry.shape) / 1e6:.1f} megapixels, int32")
        for heading in ("part", "median ms", "99 % ms", "CPU median ms", "CPU 99 % ms"):
            table.add_column(heading, justify="left" if heading == "part" else "right")
        for part, seconds in watch.seconds.items():
            wall, cpu = np.percentile(seconds, (50, 99), axis=0).T * 1e3
            table.add_row(part, *(f"{one:.1f}" for one in (*wall, *cpu)))
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
