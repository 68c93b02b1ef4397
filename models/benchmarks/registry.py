"""The benchmarks that can be asked for by name."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from phasepilot.models.benchmarks.autoxrd import run as run_autoxrd
from phasepilot.models.benchmarks.autoxrd_paper import run as run_autoxrd_paper
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Progress,
)
from phasepilot.models.benchmarks.calibration import run as run_calibration
from phasepilot.models.benchmarks.compression import run as run_compression
from phasepilot.models.benchmarks.identify import run as run_identify
from phasepilot.models.benchmarks.image_kinds import run as run_image_kinds
from phasepilot.models.benchmarks.lattice_scaling import run as run_lattice_scaling
from phasepilot.models.benchmarks.novelty import run as run_novelty
from phasepilot.models.benchmarks.orientations import run as run_orientations
from phasepilot.models.benchmarks.rruff908 import run as run_rruff908
from phasepilot.models.benchmarks.series import run as run_series
from phasepilot.models.benchmarks.steering import run as run_steering
from phasepilot.models.benchmarks.steering_rotation import run as run_rotation
from phasepilot.models.benchmarks.tio2 import run as run_tio2
from phasepilot.models.benchmarks.zone_axes import run as run_zone_axes
from phasepilot.models.errors import ModelsError


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark and what it is about.

    Attributes
    ----------
    description : str
        One line.
    run : callable
        Takes the options and where to report progress.
    searches : bool
        Whether known structures help, so that the index of a whole table is worth its minutes.
    estimates : bool
        Whether it is about networks and their estimates at all.
    n_seeds : int
        How often what is random is repeated unless somebody says.
    """

    description: str
    run: Callable[[BenchmarkOptions, Progress], BenchmarkResult]
    searches: bool = True
    estimates: bool = True
    n_seeds: int = 5


def _run_salgado(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    # torch takes a second to import, and is in the train extra.
    from phasepilot.models.benchmarks.salgado import run

    return run(options, progress)


def _run_perovskite_ter(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    from phasepilot.models.benchmarks.perovskite_ter import run

    return run(options, progress)


BENCHMARKS = {
    "autoxrd": Benchmark(
        "space groups of thin films by cross-validation, at coarser steps and fewer counts too",
        run_autoxrd,
        searches=False,
    ),
    "autoxrd-paper": Benchmark(
        "the tables of Oviedo et al.: ten methods, three cases, augmentation, steps, maps",
        run_autoxrd_paper,
        searches=False,
        n_seeds=3,
    ),
    "calibration": Benchmark(
        "whether stated confidence and prediction sets hold, on measured and simulated patterns",
        run_calibration,
    ),
    "compression": Benchmark(
        "how soon phase changes are noticed in simulated compression runs, and false alarms",
        run_compression,
        searches=False,
        estimates=False,
    ),
    "identify": Benchmark(
        "names of the phases in measured patterns, among candidates and in a whole table",
        run_identify,
    ),
    "image-kinds": Benchmark(
        "what simulated and measured images show: rings, texture, grains, crystals, spots",
        run_image_kinds,
        searches=False,
        estimates=False,
    ),
    "lattice-scaling": Benchmark(
        "whether the answer survives stretching held-out cubic lattices from 80 to 120 %",
        run_lattice_scaling,
        searches=False,
    ),
    "novelty": Benchmark(
        "whether empty, saturated, amorphous, mixed and mislabelled frames stand out",
        run_novelty,
    ),
    "orientations": Benchmark(
        "what pattern, image and both say of crystals after one to six orientations, and of rings",
        run_orientations,
        searches=False,
    ),
    "perovskite-ter": Benchmark(
        "the B-VGGNet paper: element replacement, mixtures with real patterns, kinds of doubt",
        _run_perovskite_ter,
        searches=False,
        n_seeds=1,
    ),
    "rotation": Benchmark(
        "time until a turned crystal is known, at chosen angles and in equal steps",
        run_rotation,
        searches=False,
        estimates=False,
    ),
    "rruff908": Benchmark(
        "symmetry of measured minerals: zero-shot, selective, and adapted to a part of them",
        run_rruff908,
    ),
    "salgado": Benchmark(
        "the tables of Salgado et al.: NPCNN, SCNN and MLP on four training sets, souping, bias",
        _run_salgado,
        searches=False,
        n_seeds=1,
    ),
    "series": Benchmark(
        "phase changes that are seen in measured in-situ series, beside what is known of them",
        run_series,
        searches=False,
        estimates=False,
    ),
    "steering": Benchmark(
        "time to the right answer of scans that steer themselves, against the published rules",
        run_steering,
        searches=False,
        estimates=False,
    ),
    "tio2": Benchmark(
        "the post's network for titanium oxides beside library matching; mixtures, unknown phases",
        run_tio2,
        searches=False,
        estimates=False,
        n_seeds=3,
    ),
    "zone-axes": Benchmark(
        "symmetry of single crystals from one spot pattern, along axes seen in training and others",
        run_zone_axes,
        searches=False,
        estimates=False,
    ),
}


def benchmark_named(name: str) -> Benchmark:
    """Return the benchmark of that name.

    Raises
    ------
    ModelsError
        If there is none; the text lists the names and suggests the nearest.
    """
    if name not in BENCHMARKS:
        near = difflib.get_close_matches(name, BENCHMARKS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ModelsError(
            f"the benchmark must be one of {', '.join(sorted(BENCHMARKS))}, but is {name!r};"
            f" see what they measure with `phasepilot benchmark --list`.{hint}"
        )
    return BENCHMARKS[name]
