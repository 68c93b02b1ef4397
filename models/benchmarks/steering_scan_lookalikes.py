"""Part ii: simulated samples among look-alike phases, at three fluxes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.steering_scan import SimulatedSample
from phasepilot.models.diffraction.crystals.structure_selection import read_selected
from phasepilot.models.diffraction.crystals.structure_table import count_structures
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import Recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import StickStore, stick_store
from phasepilot.models.errors import CrystalError
from phasepilot.models.identification.known_phase import (
    Q_MAX_PER_ANGSTROM,
    KnownPhase,
    stored_phase,
)
from phasepilot.models.identification.line_alignment import LatticeFreedom
from phasepilot.models.identification.line_template import LineShape, stick_layers
from phasepilot.models.identification.phase_library import PhaseLibrary, phase_library
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.steering.hypotheses import ModelError, ScanAxis
from phasepilot.models.steering.library_hypotheses import LibraryHypotheses

WAVELENGTH_ANGSTROM = 1.5406
N_LOOKALIKES = 12
# Structures among which look-alikes are sought.
N_POOL = 1500
_MAX_ATOMS = 80
# More alike, and nothing that a powder pattern shows would tell them apart.
_MOST_ALIKE = 0.97
AXIS = ScanAxis(10.0, 100.0)
# Lattices of look-alikes are known from measurements: off by a few parts in a thousand.
FREEDOM = LatticeFreedom(largest_strain=0.008, isotropic=0.003, anisotropic=0.002)

_RECIPE = {
    "description": "a powder in a laboratory diffractometer, without noise",
    "source": "the ranges of the recipe laboratory, narrowed to a good instrument",
    "axis": {"start": 10, "stop": 100, "n_bins": 4500},
    "emission": ["CuKa12"],
    "isotropic_strain": {"normal": [0, 0.002]},
    "anisotropic_strain": {"normal": [0, 0.001]},
    "b_square_angstrom": {"log": [0.4, 2.0]},
    "march_dollase_r": {"log": [0.6, 1.3], "probability": 0.5, "otherwise": 1},
    "line_scatter": [0, 0.3],
    "caglioti_u": {"log": [0.002, 0.02]},
    "caglioti_v": [-0.005, 0],
    "caglioti_w": {"log": [0.004, 0.02]},
    "lorentz_fwhm_deg": {"log": [0.01, 0.05]},
    "crystallite_size_nm": {"log": [20, 300]},
    "axial_divergence": [0, 0.02],
    "zero_shift_deg": {"normal": [0, 0.015]},
    "background_flat": {"log": [0.02, 0.2]},
    "air_scatter": {"uniform": [0, 0.3], "probability": 0.5},
    "air_scatter_decay_deg": {"log": [5, 20]},
}


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """A sample and the phases that it may be.

    Attributes
    ----------
    rate : ndarray, shape (n_points,)
        On the points of the axis, the highest 1.
    likeness : float
        Cosine between the roots of the true phase's lines and the most similar other's.
    """

    truth: str
    library: PhaseLibrary
    rate: FloatArray
    likeness: float

    def source(self, error: ModelError) -> LibraryHypotheses:
        """Return the hypotheses that the sample is one of these, or something else."""
        return LibraryHypotheses(
            self.library, WAVELENGTH_ANGSTROM, AXIS, error, max_phases=1, freedom=FREEDOM
        )

    def sample(self, counts_per_s: float, rng: Generator) -> SimulatedSample:
        """Return the sample in a beam that gives so many counts in its highest point."""
        return SimulatedSample(AXIS, self.rate * counts_per_s, rng)


@dataclass(frozen=True, slots=True)
class Pool:
    """Random structures and what their patterns look like, the roots normalised."""

    store: StickStore
    phases: tuple[KnownPhase, ...]
    roots: FloatArray


def random_pool(structures: Path, rng: Generator, n_structures: int = N_POOL) -> Pool:
    """Return structures of a table: the first that are small enough of twice as many random rows.

    Raises
    ------
    CrystalError
        If the table holds too few that can be simulated.
    """
    n_rows = count_structures(structures)
    rows = np.sort(rng.choice(n_rows, min(2 * n_structures, n_rows), replace=False))
    crystals = []
    for row in read_selected(structures, rows.tolist()):
        if row.crystal.multiplicities.sum() <= _MAX_ATOMS:
            crystals.append(row.crystal)
        if len(crystals) == n_structures:
            break
    if len(crystals) <= N_LOOKALIKES:
        raise CrystalError(
            f"look-alikes are sought among {n_structures} structures, but {structures} has only"
            f" {len(crystals)} that are small enough; give a larger table with --structures."
        )
    store = stick_store(crystals, Q_MAX_PER_ANGSTROM)
    phases = tuple(
        stored_phase(store, k, name=f"{k}", formula=str(store.identifier[k]))
        for k in range(store.n_structures)
    )
    return Pool(store, phases, _roots(phase_library(phases)))


def _roots(library: PhaseLibrary) -> FloatArray:
    grid = LogQGrid(0.75, 6.2, 2048)
    place = (library.log_q - grid.log_edges[0]) / grid.bin_width - 0.5
    drawn = np.sqrt(stick_layers(grid, place, library.area).drawn(LineShape(0.012, 0.002)))
    return np.asarray(drawn / np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True), 1e-12))


def draw_lookalikes(pool: Pool, n_samples: int, rng: Generator) -> Iterator[Lookalikes]:
    """Yield samples of random structures, each among those of the pool that look most like it."""
    recipe = Recipe.model_validate(_RECIPE)
    simulator = PatternSimulator(pool.store, NumpyBackend(rng))
    for chosen in rng.permutation(pool.store.n_structures)[:n_samples].tolist():
        cosine = pool.roots @ pool.roots[chosen]
        cosine[cosine > _MOST_ALIKE] = -1.0
        others = np.argsort(-cosine)[: N_LOOKALIKES - 1]
        rows = np.append(others, chosen)
        structure = np.array([chosen])
        pattern = simulator.simulate(structure, recipe.draw(1, rng))
        rate = np.asarray(pattern.intensity[0], dtype=np.float64)
        library = phase_library([pool.phases[row] for row in rng.permutation(rows)])
        yield Lookalikes(
            pool.phases[chosen].name, library, rate / rate.max(), float(cosine[others].max())
        )
