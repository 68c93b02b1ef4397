"""The cell of the known phase in each frame, and the pressure that a marker tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.strain import ANGLES, LENGTHS
from phasepilot.models.diffraction.pressure.markers import (
    MARKERS,
    marker_crystal,
    marker_pressure,
)
from phasepilot.models.identification.known_phase import stored_phase
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.preprocessing.preparation import PreparedPattern
from phasepilot.models.tracking.lattice import (
    KnownLines,
    Lattice,
    known_lines,
    lines_of_phase,
    refined_cell,
    starting_strains,
)

# A cell that rests on fewer lines, leaves more of them unseen, or whose volume is no better known,
# is not told. (Lines of a cube of another size may coincide with a third of those of the true one.)
_FEWEST_LINES = 3
_LEAST_SHARE_FOUND = 0.6
_WORST_VOLUME = 0.002
# Of a marker, lines whose strengths differ more than this from those of its powder are another's;
# and where a stronger sample is, it is looked for at so many strains.
_MOST_STRENGTH_SCATTER = 0.7
_N_MARKER_STRAINS = 4
_FEWEST_MARKER_LINES = 4
# A little of it allows for noise at no pressure, and for warmth.
_MARKER_TENSION = 0.01


@dataclass(frozen=True, slots=True)
class CellMemory:
    """Where the cells of the last frame were: reciprocal metrics by phase, to start from.

    The marker's stands under an empty name.
    """

    metrics: Mapping[str, FloatArray] = field(default_factory=dict)


class CellMeasurement:
    """Refines the cell of the largest known phase and of the marker; functions but for a cache.

    Parameters
    ----------
    index : SearchIndex or None
        Known structures; without them no cell is told.
    marker : str or None
        Which pressure standard is in the beam.
    """

    def __init__(self, index: SearchIndex | None, marker: str | None) -> None:
        self._index = index
        self._marker = marker
        self._lines_of = lru_cache(maxsize=64)(self._lines_of_phase)
        self._marker_lines = lru_cache(maxsize=4)(self._lines_of_marker)

    def measure(
        self, memory: CellMemory, pattern: PreparedPattern, estimate: PhaseEstimate | None
    ) -> tuple[dict[str, object], CellMemory]:
        """Return the columns of an advice on the cell, and what to remember."""
        columns: dict[str, object] = {}
        metrics: dict[str, FloatArray] = {}
        phases = estimate.phases if estimate is not None else ()
        if phases and self._index is not None:
            phase = phases[0]
            lines = self._lines_of(phase.name, pattern.grid)
            found = _refined(lines, pattern, memory.metrics.get(phase.name), strain=phase.strain)
            if found is not None:
                metrics[phase.name] = found.metric
                columns["lattice"] = f"{phase.name} {lattice_text(found)}"
                columns["volume_angstrom3"] = found.volume_angstrom3
                columns["volume_uncertainty_angstrom3"] = found.volume_uncertainty_angstrom3
        if self._marker is not None:
            metric, pressure = self._pressure(self._marker, pattern, memory.metrics.get(""))
            columns |= pressure
            if metric is not None:
                metrics[""] = metric
        return columns, CellMemory(metrics)

    def _pressure(
        self, marker: str, pattern: PreparedPattern, start: FloatArray | None
    ) -> tuple[FloatArray | None, dict[str, object]]:
        lines = self._marker_lines(pattern.grid)
        found = _refined_marker(lines, pattern, start, lowest=_lowest_strain(marker))
        if found is None:
            return None, {}
        pressure = marker_pressure(
            marker, found.volume_angstrom3, found.volume_uncertainty_angstrom3
        )
        if pressure.pressure_gpa > MARKERS[marker].highest_gpa:
            return None, {}
        return found.metric, {
            "pressure_gpa": pressure.pressure_gpa,
            "pressure_uncertainty_gpa": pressure.uncertainty_gpa,
        }

    def _lines_of_phase(self, name: str, grid: LogQGrid) -> KnownLines:
        assert self._index is not None
        (number, *_) = np.flatnonzero(np.asarray(self._index.labels.name) == name).tolist()
        phase = stored_phase(self._index.sticks, number, name=name, formula="")
        return lines_of_phase(phase, grid)

    def _lines_of_marker(self, grid: LogQGrid) -> KnownLines:
        assert self._marker is not None
        return known_lines(marker_crystal(self._marker), grid)


def _refined(
    lines: KnownLines,
    pattern: PreparedPattern,
    start: FloatArray | None,
    *,
    strain: float,
) -> Lattice | None:
    """Return the cell, from the last frame's or from the better of two strains."""
    if start is not None:
        found = refined_cell(lines, pattern.signal, pattern.grid, start=start)
        if _is_trusted(found):
            return found
    # Matching looks no further than some percent; under high pressure the sample may be beyond, and
    # lines of a cell of quite another size may coincide with some of those that are there.
    strains = starting_strains(lines, pattern.signal, pattern.grid)
    cells = [
        refined_cell(lines, pattern.signal, pattern.grid, strain=one) for one in (*strains, strain)
    ]
    trusted = [one for one in cells if _is_trusted(one)]
    return min(trusted, key=_relative_uncertainty, default=None)


def _refined_marker(
    lines: KnownLines, pattern: PreparedPattern, start: FloatArray | None, *, lowest: float
) -> Lattice | None:
    """Return the marker's cell, from the last frame's or where strengths fit best; or None."""
    if start is not None:
        found = refined_cell(lines, pattern.signal, pattern.grid, start=start)
        if _is_marker(found):
            return found
    strains = starting_strains(
        lines,
        pattern.signal,
        pattern.grid,
        lowest=lowest,
        highest=_MARKER_TENSION,
        n_best=_N_MARKER_STRAINS,
    )
    cells = [refined_cell(lines, pattern.signal, pattern.grid, strain=one) for one in strains]
    fitting = [one for one in cells if _is_marker(one)]
    return min(fitting, key=lambda one: one.strength_scatter, default=None)


def _is_marker(found: Lattice) -> bool:
    return (
        _is_trusted(found)
        and found.n_lines >= _FEWEST_MARKER_LINES
        and found.strength_scatter < _MOST_STRENGTH_SCATTER
    )


def _lowest_strain(marker: str) -> float:
    """Return the linear strain at the highest pressure at which the marker was measured."""
    known = MARKERS[marker]
    return float(known.equation_of_state.volume_ratio(known.highest_gpa) ** (1 / 3) - 1)


def _relative_uncertainty(found: Lattice) -> float:
    return found.volume_uncertainty_angstrom3 / found.volume_angstrom3


def _is_trusted(found: Lattice) -> bool:
    """Return whether the cell rests on enough lines that agree with each other."""
    return (
        found.is_refined
        and found.n_lines >= _FEWEST_LINES
        and found.share_found >= _LEAST_SHARE_FOUND
        and _relative_uncertainty(found) < _WORST_VOLUME
    )


def lattice_text(lattice: Lattice) -> str:
    """Return the numbers of a cell that symmetry leaves free, with their uncertainties.

    Lengths in angstrom, angles in degree; ``a=6.123(2)`` means 6.123 +- 0.002.
    """
    names = (*LENGTHS, *ANGLES)
    told = []
    for k, name in enumerate(names):
        value, uncertainty = lattice.cell[k], lattice.uncertainties[k]
        block = lattice.cell[: k % 3] if k < 3 else lattice.cell[3:k]
        is_repeated = any(abs(value - other) < 1e-9 * value for other in block)
        is_fixed = k >= 3 and uncertainty < 1e-9
        if not (is_repeated or is_fixed):
            told.append(f"{name}={_with_uncertainty(value, uncertainty)}")
    return " ".join(told)


def _with_uncertainty(value: float, uncertainty: float) -> str:
    if not uncertainty > 0:
        return f"{value:.5g}"
    digits = min(max(0, -int(np.floor(np.log10(uncertainty)))), 6)
    return f"{value:.{digits}f}({max(1, round(uncertainty * 10**digits))})"
