"""Hypotheses with a few lines each, and sights of them, for the tests of scans."""

from dataclasses import dataclass, field

import numpy as np

from phasepilot.models.pattern import Pattern
from phasepilot.models.steering.hypotheses import UNKNOWN, Hypotheses, ModelError, ScanAxis
from phasepilot.models.steering.policy import Sight

CU_ANGSTROM = 1.5406
AXIS = ScanAxis(10.0, 100.0)
EXACT = ModelError(0.0, 0.0, 0.0, temperature=1.0, largest_misfit=1.0)
BACKGROUND_PER_S = 20.0


def lines_at(*centres_deg, height=500.0, axis=AXIS):
    angles = axis.two_theta_deg
    return sum((height * np.exp(-(((angles - c) / 0.1) ** 2)) for c in centres_deg), 0 * angles)


@dataclass(frozen=True)
class KnownLines:
    """A source of hypotheses that nothing needs to be adjusted to."""

    lines: dict
    error: ModelError = EXACT
    axis: ScanAxis = AXIS
    prior_unknown: float = 1e-9
    asked: list = field(default_factory=list)

    def hypotheses(self, counted, sight):
        rows = np.array(list(self.lines.values()))
        smeared = np.full((1, rows.shape[1]), rows.mean())
        prior = np.log([1 / len(rows)] * len(rows) + [self.prior_unknown])
        return Hypotheses(
            self.axis,
            (*self.lines, UNKNOWN),
            prior,
            np.concatenate([rows, smeared]),
            np.full(rows.shape[1], BACKGROUND_PER_S),
        )


def make_sight(rate_per_s, start_deg, stop_deg, *, step_deg=0.04, dwell_s=0.1, rng=None, axis=AXIS):
    """A window of a sample that gives these rates, with or without noise."""
    angles = np.arange(start_deg, stop_deg, step_deg)
    expected = (rate_per_s + BACKGROUND_PER_S)[axis.point_of(angles)] * dwell_s
    counts = expected if rng is None else rng.poisson(expected).astype(float)
    counts[0] += 1e-9
    return Sight(
        seq_num=1,
        axis_value=stop_deg,
        elapsed_s=angles.size * dwell_s,
        pattern=Pattern.from_two_theta(angles, counts, wavelength_angstrom=CU_ANGSTROM),
        exposure_s=np.full(angles.size, dwell_s),
    )


def nothing_seen():
    return Sight(seq_num=0, axis_value=float("nan"), elapsed_s=0.0)
