"""Part i: mixtures that were measured fast and slowly, cut into windows.

Every pair is two scans of one mixture of two or three precursors. The answer is the set of their
formulas. Candidates are all space groups in which the structure table has one of them, and as many
drawn from the precursors of the other mixtures and from other compounds of the same elements.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from phasepilot.models.benchmarks.measured_files import KnownSample, read_known_samples
from phasepilot.models.benchmarks.steering_scan import Points, RecordedSample
from phasepilot.models.diffraction.crystals.stated_formula import stated_reduced_formula
from phasepilot.models.diffraction.crystals.structure_selection import (
    PhaseName,
    Wanted,
    read_selected,
    select_rows,
)
from phasepilot.models.errors import CrystalError, PatternError
from phasepilot.models.identification.known_phase import KnownPhase, known_phase
from phasepilot.models.identification.phase_library import phase_library
from phasepilot.models.pattern import Pattern, two_theta_from_q
from phasepilot.models.steering.hypotheses import ModelError, ScanAxis
from phasepilot.models.steering.library_hypotheses import LibraryHypotheses

# How the two scans of a mixture are called, after a common name.
_FAST, _SLOW = "--2min", "--8min"
FAST_SCAN_S, SLOW_SCAN_S = 120.0, 480.0
AXIS = ScanAxis(10.0, 99.8)
_MAX_ATOMS = 120
# Other compounds for each precursor, of the same elements.
_N_DISTRACTORS = 10


@dataclass(frozen=True, slots=True)
class MeasuredPair:
    """The two scans of a mixture.

    Attributes
    ----------
    truth : str
        Names of the phases as hypotheses are called.
    phases : tuple of PhaseName
    """

    name: str
    wavelength_angstrom: float
    truth: str
    phases: tuple[PhaseName, ...]
    sample: RecordedSample

    def source(self, phases: Sequence[KnownPhase], error: ModelError) -> LibraryHypotheses:
        """Return the hypotheses that the mixture holds up to three of these."""
        return LibraryHypotheses(
            phase_library(phases), self.wavelength_angstrom, AXIS, error, max_phases=3
        )


def measured_pairs(path: Path) -> tuple[MeasuredPair, ...]:
    """Return the mixtures that were measured both fast and slowly.

    Raises
    ------
    PatternError
        If there are none.
    """
    samples = {one.name: one for one in read_known_samples(path).samples}
    pairs = tuple(
        _pair(name.removesuffix(_FAST), fast, samples[name.removesuffix(_FAST) + _SLOW])
        for name, fast in samples.items()
        if name.endswith(_FAST) and name.removesuffix(_FAST) + _SLOW in samples
    )
    if not pairs:
        raise PatternError(
            f"{path} must hold mixtures measured twice, named alike but for {_FAST} and {_SLOW},"
            " but has none; give another file with --data."
        )
    return pairs


def _pair(name: str, fast: KnownSample, slow: KnownSample) -> MeasuredPair:
    phases = tuple(PhaseName(stated_reduced_formula(one.formula), None) for one in fast.phases)
    wavelength = fast.pattern.wavelength_angstrom
    if wavelength is None:
        raise PatternError(f"{name} must state its wavelength, but does not; leave it out.")
    recorded = RecordedSample(
        _points(fast.pattern, wavelength, FAST_SCAN_S),
        _points(slow.pattern, wavelength, SLOW_SCAN_S),
    )
    truth = " + ".join(sorted(one.formula for one in phases))
    return MeasuredPair(name, wavelength, truth, phases, recorded)


def _points(pattern: Pattern, wavelength_angstrom: float, scan_s: float) -> Points:
    angles = two_theta_from_q(pattern.q_per_angstrom, wavelength_angstrom)
    return Points(angles, pattern.intensity, np.full(angles.size, scan_s / angles.size))


@dataclass(frozen=True, slots=True)
class Candidates:
    """Phases that the mixtures may hold, called by their formulas.

    Attributes
    ----------
    precursors, others : tuple of KnownPhase
    """

    precursors: tuple[KnownPhase, ...]
    others: tuple[KnownPhase, ...]

    def drawn(self, pair: MeasuredPair, rng: Generator) -> list[KnownPhase]:
        """Return what a mixture was made of, and as many others."""
        formulas = {phase.formula for phase in pair.phases}
        own = [one for one in self.precursors if one.formula in formulas]
        others = [*self.others, *(one for one in self.precursors if one.formula not in formulas)]
        chosen = rng.choice(len(others), min(len(own), len(others)), replace=False)
        return [*own, *(others[k] for k in sorted(chosen.tolist()))]


def candidates(structures: Path, pairs: Sequence[MeasuredPair]) -> Candidates:
    """Return what the structure table offers.

    Raises
    ------
    CrystalError
        If a precursor is not in the table.
    """
    phases = frozenset(phase for pair in pairs for phase in pair.phases)
    wanted = Wanted(phases=phases, n_distractors=_N_DISTRACTORS)
    found = list(_distinct(structures, wanted))
    formulas = {phase.formula for phase in phases}
    missing = sorted(formulas - {one.formula for one in found})
    if missing:
        raise CrystalError(
            f"the structure table must hold every precursor, but lacks {', '.join(missing)};"
            " give a larger one with --structures."
        )
    return Candidates(
        tuple(one for one in found if one.formula in formulas),
        tuple(one for one in found if one.formula not in formulas),
    )


def _distinct(structures: Path, wanted: Wanted) -> Iterator[KnownPhase]:
    """Yield a structure for each compound and space group: the last in the table.

    Tables begin with computed structures and end with measured ones.
    """
    last = {}
    for row in read_selected(structures, select_rows(structures, wanted)):
        crystal = row.crystal
        # Without symmetry anything goes, and none of these precursors is without.
        if crystal.space_group_number > 2 and crystal.multiplicities.sum() <= _MAX_ATOMS:
            phase = known_phase(crystal, row.identifier)
            last[phase.formula, phase.space_group_number] = phase
    for phase in last.values():
        yield replace(phase, name=phase.formula)
