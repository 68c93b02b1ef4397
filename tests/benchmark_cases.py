"""Small cases for benchmarks: an estimator that knows a few patterns, and files of patterns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from structure_rows import NACL, QUARTZ, cubic, make_row, write_table

from phasepilot.models.benchmarks.baselines import root_patterns
from phasepilot.models.errors import PatternError
from phasepilot.models.networks.estimate import PhaseEstimate, Verdict
from phasepilot.models.networks.symmetry_levels import crystal_system_probabilities
from phasepilot.models.pattern import Pattern
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

TWO_THETA_DEG = np.arange(10.0, 80.0, 0.05)
WAVELENGTH_ANGSTROM = 1.541838


def make_estimate(
    space_group_number: int, *, sure: float = 0.9, novelty: float = 0.2
) -> PhaseEstimate:
    """Returns an estimate that gives one space group `sure` and shares out the rest."""
    probabilities = np.full(230, (1 - sure) / 229)
    probabilities[space_group_number - 1] = sure
    best = int(crystal_system_probabilities(probabilities).argmax())
    return PhaseEstimate(
        probabilities,
        crystal_system_set=(CRYSTAL_SYSTEMS[best],),
        space_group_set=(space_group_number,),
        set_level=0.9,
        entropy_bits=1.0,
        epistemic_bits=0.5,
        novelty=novelty,
        verdict=Verdict(novelty < 0.5, "looks as expected"),
    )


class Librarian:
    """Names the space group of the most similar pattern that it holds; novel is what is unlike all.

    Patterns that end below `refuses_below` are refused.
    """

    def __init__(
        self, patterns: Sequence[Pattern], space_groups: Sequence[int], refuses_below: float = 0.0
    ) -> None:
        self._known = root_patterns(patterns)
        self._space_groups = space_groups
        self._refuses_below = refuses_below

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        if pattern.q_per_angstrom[-1] < self._refuses_below:
            raise PatternError("the pattern must reach further, but does not; measure on.")
        cosines = root_patterns([pattern])[0] @ self._known.T
        best = int(cosines.argmax())
        return make_estimate(
            self._space_groups[best], novelty=float(np.clip(1 - cosines[best], 0, 1))
        )

    def predict_many(self, patterns: Sequence[Pattern]) -> list[PhaseEstimate]:
        return [self.predict(pattern) for pattern in patterns]


def make_counts(lines_deg: Sequence[float], *, seed: int = 0) -> np.ndarray:
    """Returns integer intensities with lines at these angles, the highest 1000, and some noise."""
    rng = np.random.default_rng(seed)
    expected = np.full(TWO_THETA_DEG.size, 5.0)
    for k, line in enumerate(lines_deg):
        expected += 1000 / (k + 1) * np.exp(-(((TWO_THETA_DEG - line) / 0.1) ** 2) / 2)
    return rng.poisson(expected).astype(np.float32)


# Three minerals, four measurements of each.
MINERALS = {225: (28.3, 40.5, 50.2), 62: (21.1, 33.3, 36.7, 47.0), 14: (12.6, 25.2, 30.0, 55.0)}


def write_rruff(path: Path) -> Path:
    """Writes a file in the format of rruff908 and returns its path."""
    numbers = np.repeat(list(MINERALS), 4)
    rows = [make_counts(MINERALS[int(number)], seed=k) for k, number in enumerate(numbers)]
    np.savez(
        path,
        patterns=np.array(rows),
        two_theta=TWO_THETA_DEG,
        wavelength=WAVELENGTH_ANGSTROM,
        space_group=numbers.astype(np.int16),
        # Two measurements of a mineral are twins.
        group=np.arange(12, dtype=np.int16) // 2,
        index908=np.arange(100, 112, dtype=np.int16),
    )
    return path


# Diamond structures are a family that is held out; rock salt and quartz are trained on.
DIAMOND_GROUP = 227


def write_diamonds(path: Path, n_diamonds: int) -> Path:
    """Writes a table of diamond structures of 4.5 to 6.5 angstrom, named by it, and two others."""
    lengths = np.linspace(4.5, 6.5, n_diamonds)
    diamonds = (
        make_row(f"{a:.4f}", (DIAMOND_GROUP, 525), cubic(a), [(14, (0.0, 0.0, 0.0), 8)])
        for a in lengths
    )
    return write_table(path, (NACL, *diamonds, QUARTZ))
