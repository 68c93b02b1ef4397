"""What a part of the benchmark `steering` found."""

from dataclasses import dataclass
from typing import Any

from phasepilot.models.benchmarks.benchmark_result import Figure


@dataclass(frozen=True, slots=True)
class SteeringPart:
    """Figures, every item's answer, and what a reader must know."""

    figures: tuple[Figure, ...]
    items: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
