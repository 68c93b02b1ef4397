"""What steering saves: time to the right answer, pressure points, samples an hour.

Each part is a module of its own with a function `part`; this one puts them together.
"""

from collections.abc import Callable

from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Progress,
)
from phasepilot.models.benchmarks.steering_part import SteeringPart
from phasepilot.models.benchmarks.steering_scan_figures import part as scans
from phasepilot.models.benchmarks.steering_screening import part as screening

PARTS: tuple[Callable[[BenchmarkOptions, Progress], SteeringPart], ...] = (scans, screening)


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return the figures of all parts."""
    found = [part(options, progress) for part in PARTS]
    return BenchmarkResult(
        "what steering saves at equal error",
        tuple(figure for one in found for figure in one.figures),
        tuple(item for one in found for item in one.items),
        tuple(note for one in found for note in one.notes),
    )
