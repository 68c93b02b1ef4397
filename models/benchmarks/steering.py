"""What steering saves: time to the right answer, pressure points, samples an hour.

Each part is a module of its own; this one puts them together.
"""

from collections.abc import Callable

from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.steering_part import SteeringPart
from phasepilot.models.benchmarks.steering_scan_figures import part as scans
from phasepilot.models.benchmarks.steering_screening import part as screening
from phasepilot.models.benchmarks.steering_transitions import figures as transitions

PARTS: tuple[Callable[[BenchmarkOptions, Progress], SteeringPart], ...] = (scans, screening)
# Parts that have figures and nothing more.
FIGURES: tuple[Callable[[BenchmarkOptions, Progress], list[Figure]], ...] = (transitions,)


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return the figures of all parts."""
    found = [part(options, progress) for part in PARTS]
    found += [SteeringPart(tuple(figures(options, progress))) for figures in FIGURES]
    return BenchmarkResult(
        "what steering saves at equal error",
        tuple(figure for one in found for figure in one.figures),
        tuple(item for one in found for item in one.items),
        tuple(note for one in found for note in one.notes),
    )
