"""How fast ring images are drawn, and what our integration costs beside pyFAI alone.

    python benchmarks/ring_images.py [--detector Pilatus2M] [--repeats 20]

Cerium oxide before a slightly tilted detector; what is kept for a geometry is made once, and its
time is printed apart. Threads are pyFAI's own: set OMP_NUM_THREADS for fewer.
"""

import argparse
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
from rich.console import Console
from rich.table import Table

from phasepilot.models.arrays import Float32Array
from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.images.azimuthal_integration import (
    LOG_Q_UNIT,
    METHOD,
    integrate_cake,
    integrate_pattern,
)
from phasepilot.models.diffraction.images.detector_geometry import (
    DetectorGeometry,
    centred_geometry,
    pyfai_integrator,
)
from phasepilot.models.diffraction.images.diamond_spots import diamond_spots
from phasepilot.models.diffraction.images.pixel_map import (
    SYNCHROTRON_POLARIZATION,
    pixel_response,
    polar_order,
)
from phasepilot.models.diffraction.images.ring_image import (
    RingLines,
    modulated_rings,
    ring_lines,
    smooth_rings,
)
from phasepilot.models.diffraction.images.ring_texture import (
    equivalent_cosines,
    expected_spots,
    fibre_texture,
    grain_spots,
)
from phasepilot.models.diffraction.reflections import Sticks, powder_sticks
from phasepilot.models.log_q import LogQGrid

N_BINS = 2000
N_CHI = 72


def ceria() -> Crystal:
    """Return cerium oxide."""
    sites = [("Ce", (0.0, 0.0, 0.0)), ("O", (0.25, 0.25, 0.25))]
    return crystal_from_sites("CeO2", "F m -3 m", (5.4113,) * 3 + (90.0,) * 3, sites)


def seconds_each(*functions: Callable[[], object], repeats: int) -> list[float]:
    """Return the shortest time of each, called in turn after a first call that does not count."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repeats):
        for function, measured in zip(functions, times, strict=True):
            started = time.perf_counter()
            function()
            measured.append(time.perf_counter() - started)
    return [min(measured) for measured in times]


def drawing_cases(
    sticks: Sticks, lines: RingLines, geometry: DetectorGeometry
) -> dict[str, Callable[[], Float32Array]]:
    """Return what is drawn, by name; random parts are drawn anew each time."""
    rng = np.random.default_rng(0)
    cosines = equivalent_cosines(ceria(), sticks.hkl, (1, 0, 0))
    n_spots = expected_spots(
        lines.two_theta_deg, sticks.multiplicity, n_grains=20_000, mosaic_fwhm_deg=0.3
    )

    def textured() -> Float32Array:
        modulation = fibre_texture(lines.two_theta_deg, cosines, 0.6, axis_chi_deg=90.0)
        return modulated_rings(lines, modulation, geometry)

    def spotty() -> Float32Array:
        modulation = grain_spots(lines.two_theta_deg, n_spots, mosaic_fwhm_deg=0.3, rng=rng)
        return modulated_rings(lines, modulation, geometry)

    def with_diamond() -> Float32Array:
        return smooth_rings(lines, geometry) + diamond_spots(
            geometry,
            n_expected=12,
            median_peak_counts=1e5,
            fwhm_deg=0.1,
            mosaic_fwhm_deg=0.4,
            rng=rng,
        )

    return {
        "smooth": lambda: smooth_rings(lines, geometry),
        "textured": textured,
        "spotty": spotty,
        "smooth with diamond spots": with_diamond,
    }


def print_drawing(geometry: DetectorGeometry, repeats: int) -> None:
    """Time the drawing of images."""
    sticks = powder_sticks(ceria(), 11.0)
    started = time.perf_counter()
    lines = ring_lines(
        sticks.q_per_angstrom,
        sticks.structure_factor_squared,
        geometry,
        fwhm_deg=0.08,
        lorentz_fraction=0.4,
    )
    polar_order(geometry)
    pixel_response(geometry, SYNCHROTRON_POLARIZATION)
    once = time.perf_counter() - started
    table = Table(title=f"ring images, {lines.area.size} lines")
    table.add_column("rings")
    table.add_column("images/s", justify="right")
    for name, draw in drawing_cases(sticks, lines, geometry).items():
        table.add_row(name, f"{1 / seconds_each(draw, repeats=repeats)[0]:.1f}")
    Console().print(table, f"once for a geometry: {once:.1f} s")


def print_integration(geometry: DetectorGeometry, repeats: int) -> None:
    """Time our integration beside pyFAI's of the same kind, and pyFAI's methods."""
    counts = np.random.default_rng(0).poisson(100, geometry.shape).astype(np.int32)
    grid = LogQGrid(1.0, 8.0, N_BINS)
    edges = grid.log_edges + np.log(10)
    bare = pyfai_integrator(geometry)

    def pyfai_pattern(method: tuple[str, str, str]) -> None:
        bare.integrate1d_ng(counts, N_BINS, unit="2th_deg", method=method, polarization_factor=0.99)

    def pyfai_cake(method: tuple[str, str, str]) -> None:
        bare.integrate2d_ng(
            counts,
            N_BINS,
            N_CHI,
            unit=LOG_Q_UNIT,
            radial_range=(edges[0], edges[-1]),
            azimuth_range=(-180, 180),
            method=method,
            polarization_factor=0.99,
        )

    table = Table(title=f"integration to {N_BINS} bins, cakes of {N_CHI} rows")
    for heading in ("what", "ours ms", "pyFAI alone ms", "ratio"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    cases: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "pattern": (
            lambda: integrate_pattern(counts, geometry, n_bins=N_BINS),
            partial(pyfai_pattern, METHOD),
        ),
        "cake": (
            lambda: integrate_cake(counts, geometry, grid, n_chi=N_CHI),
            partial(pyfai_cake, METHOD),
        ),
    }
    for name, (ours, theirs) in cases.items():
        times = seconds_each(ours, theirs, repeats=repeats)
        table.add_row(name, *(f"{1e3 * t:.1f}" for t in times), f"{times[0] / times[1]:.2f}")
    for split, algorithm in product(("no", "bbox", "full"), ("histogram", "csr")):
        call = partial(pyfai_pattern, (split, algorithm, "cython"))
        (seconds,) = seconds_each(call, repeats=max(2, repeats // 3))
        table.add_row(f"pattern, pyFAI's {split} / {algorithm}", "", f"{1e3 * seconds:.1f}", "")
    Console().print(table)


def main() -> None:
    """Print both tables."""
    logging.getLogger("pyFAI").setLevel(logging.ERROR)  # its remark on slow corners in ln q
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default="Pilatus2M")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    centred = centred_geometry(options.detector, distance_m=0.25, wavelength_angstrom=0.4)
    geometry = replace(centred, rot1_rad=0.03, rot2_rad=-0.02)
    rows, columns = geometry.shape
    megapixels = rows * columns / 1e6
    print(f"{options.detector}, {megapixels:.1f} megapixels, {platform.processor() or 'CPU'}")
    print_drawing(geometry, options.repeats)
    print_integration(geometry, options.repeats)


if __name__ == "__main__":
    main()
