"""How fast a rule weighs its choices: the table of information per second.

    python benchmarks/steering_speed.py [--hypotheses 30] [--repeats 200]

One core; processor time, so that other programs do not count. Hypotheses are random lines on 10 to
100 degree; half of the range was measured once.
Windows of 0.8 degree and its multiples are 112 + 56 + 22 + 11 = 201; each is weighed with one
step and dwell, and with three steps and three dwells.
"""

import os

# Before numpy reads it: one core is one thread.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from phasepilot.models.steering.hypotheses import (
    UNKNOWN,
    CellCounts,
    Hypotheses,
    Judgement,
    ModelError,
    ScanAxis,
)
from phasepilot.models.steering.information_rate import InformationRateSettings, action_table
from phasepilot.models.steering.scan import Belief

AXIS = ScanAxis(10.0, 100.0)
CHOICES = {
    "200 windows, one step and dwell": InformationRateSettings(
        windows_deg=(0.8, 1.6, 4.0, 8.0), steps_deg=(0.02,), dwells_s=(0.01,)
    ),
    "200 windows, three steps and dwells (1800 choices)": InformationRateSettings(
        windows_deg=(0.8, 1.6, 4.0, 8.0)
    ),
}


def measured_half(n_hypotheses: int, rng: np.random.Generator) -> Belief:
    """Return a belief in random hypotheses after a fast scan of 10 to 55 degree."""
    signal = np.zeros((n_hypotheses, AXIS.two_theta_deg.size))
    for row in signal:
        for centre, height in zip(rng.uniform(10, 100, 30), rng.exponential(200, 30), strict=True):
            row += height * np.exp(-(((AXIS.two_theta_deg - centre) / 0.06) ** 2))
    names = (*(f"phase {k}" for k in range(n_hypotheses - 1)), UNKNOWN)
    hypotheses = Hypotheses(
        AXIS, names, np.zeros(n_hypotheses), signal, np.full(signal.shape[1], 20.0)
    )
    angles = np.arange(10.0, 55.0, 0.02)
    exposure = np.full(angles.size, 0.01)
    counted = CellCounts(AXIS, angles, exposure * 0, exposure, AXIS.cell_of(angles))
    probability = rng.dirichlet(np.ones(n_hypotheses))
    return Belief(counted, Judgement(hypotheses, probability, 0.1), 1.0)


def main() -> None:
    """Time the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hypotheses", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=200)
    arguments = parser.parse_args()
    belief = measured_half(arguments.hypotheses, np.random.default_rng(0))
    table = Table(title=f"{arguments.hypotheses} hypotheses, one core")
    for column in ("choices", "rows", "median ms of CPU", "p99"):
        table.add_column(column)
    for name, settings in CHOICES.items():
        times = []
        for _ in range(arguments.repeats):
            start = time.process_time()
            rows = action_table(belief, ModelError(), settings, 55.0).cost_s.size
            times.append(1e3 * (time.process_time() - start))
        median, late = np.quantile(times, [0.5, 0.99])
        table.add_row(name, str(rows), f"{median:.2f}", f"{late:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
