"""Hypotheses from a library of known phases: sets of them, adjusted to the measured part.

Lattices are moved to the measured lines, one phase after the other on what the former leave; a
common line shape and a smooth background are found; then every set of the phases that explain most
gets the scales that make the counts most probable.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import nnls

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.identification.lattice_modes import N_MODES
from phasepilot.models.identification.line_alignment import (
    LatticeFreedom,
    align,
    line_places,
    lines_in_range,
    polarised_areas,
)
from phasepilot.models.identification.line_template import LineShape, StickLayers, stick_layers
from phasepilot.models.identification.phase_library import PhaseLibrary
from phasepilot.models.identification.root_pattern import RootPattern, root_pattern
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.pattern import q_from_two_theta
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import PreparedPattern, above_background
from phasepilot.models.steering.hypotheses import (
    UNKNOWN,
    CellCounts,
    Hypotheses,
    ModelError,
    ScanAxis,
)
from phasepilot.models.steering.policy import Sight

_SHAPES = tuple(LineShape(width, 0.001) for width in (0.004, 0.0065, 0.01, 0.016, 0.026))
_USUAL_SHAPE = LineShape(0.008, 0.001)
# Knots of the background.
_KNOT_DEG = 7.0
# Width of what an unknown sample is expected to show: as much intensity, no lines.
_SMEARED_DEG = 2.0
_N_STEPS = 8
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class LibraryHypotheses:
    """A library of phases as a source of hypotheses.

    Attributes
    ----------
    library : PhaseLibrary
    wavelength_angstrom : float
    axis : ScanAxis
    error : ModelError
    max_phases : int
        In a mixture.
    n_candidates : int
        Phases whose sets are weighed: those that explain most.
    odds_present : float
        Prior odds of each further phase in a set.
    least_share : float
        Share of the intensity from which a phase counts as present.
    prior_unknown : float
        Prior probability that the sample holds something else.
    freedom : LatticeFreedom
    prior_odds : mapping of str to float
        What is known of phases beforehand, by name, 1 where nothing is: for instance calibrated
        probabilities of their space groups.
    """

    library: PhaseLibrary
    wavelength_angstrom: float
    axis: ScanAxis
    error: ModelError = field(default_factory=ModelError)
    max_phases: int = 1
    n_candidates: int = 8
    odds_present: float = 0.1
    least_share: float = 0.02
    prior_unknown: float = 0.02
    freedom: LatticeFreedom = field(default_factory=LatticeFreedom)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    prior_odds: Mapping[str, float] = field(default_factory=dict)

    def hypotheses(self, counted: CellCounts, sight: Sight) -> Hypotheses:
        """Return sets of phases with the rates that they would give, `UNKNOWN` last."""
        del sight
        templates = self._templates(counted)
        cells = _Cells.of(counted, templates, self.axis)
        background, scales = cells.background(self.error)
        chosen = np.argsort(-scales * cells.templates.sum(axis=1), kind="stable")
        chosen = np.sort(chosen[: self._n_candidates])
        sets = _sets(chosen.size, self.max_phases)
        fitted = cells.fitted_scales(chosen, sets, background.of_cells, self.error)
        # Without a least share, a pure sample could never be told from one with a trace of more.
        least = self.least_share * fitted.sum(axis=1, keepdims=True)
        fitted = np.where(sets, np.maximum(fitted, least), 0.0)
        lines = fitted @ templates[chosen]
        names = tuple(self._name(chosen[np.flatnonzero(one)]) for one in sets)
        prior = self._log_prior(sets, [self.library.phases[k].name for k in chosen])
        return self._with_unknown(names, prior, lines, background.of_points)

    @property
    def _n_candidates(self) -> int:
        n_phases = len(self.library.phases)
        return n_phases if self.max_phases == 1 else min(self.n_candidates, n_phases)

    def _name(self, rows: Collection[int]) -> str:
        return " + ".join(sorted({self.library.phases[row].name for row in rows}))

    def _log_prior(self, sets: BoolArray, names: list[str]) -> FloatArray:
        known = np.log([self.prior_odds.get(name, 1.0) for name in names])
        odds = sets @ (known + math.log(self.odds_present))
        total = float(np.log(np.exp(odds).sum()))
        return np.asarray(odds - total + math.log1p(-self.prior_unknown))

    def _with_unknown(
        self, names: tuple[str, ...], prior: FloatArray, lines: FloatArray, background: FloatArray
    ) -> Hypotheses:
        sigma = _SMEARED_DEG / self.axis.point_deg
        # Coarse, then fine again: a convolution this wide does not need every point.
        smeared = _smoothed(lines.mean(axis=0), sigma, self.axis.points_per_cell)
        return Hypotheses(
            axis=self.axis,
            names=(*names, UNKNOWN),
            log_prior=np.append(prior, math.log(self.prior_unknown)),
            signal_per_s=np.concatenate([lines, smeared[None]]),
            background_per_s=background,
        )

    def _templates(self, counted: CellCounts) -> FloatArray:
        """Return the lines of each phase on the points of the axis, each adding up to 1."""
        grid = self.preprocessing.grid.grid()
        prepared = self._prepared(counted, grid)
        if prepared is None:
            parameters = np.zeros((len(self.library.phases), N_MODES + 1))
            return self._drawn(grid, parameters, _USUAL_SHAPE)
        seen = root_pattern(prepared)
        parameters, best = self._aligned(seen)
        return self._drawn(grid, parameters, self._shape(seen, parameters, best))

    def _prepared(self, counted: CellCounts, grid: LogQGrid) -> PreparedPattern | None:
        if counted.counts.sum() < 1 or counted.counts.size < 32:
            return None
        q = q_from_two_theta(counted.two_theta_deg, self.wavelength_angstrom)
        rate = counted.counts / counted.exposure_s
        centres = grid.q_per_angstrom
        # Steps differ from window to window: a bin is measured if a point is as near as the
        # coarsest usual step, not only as the step around it.
        right = np.clip(np.searchsorted(q, centres), 1, q.size - 1)
        nearest: FloatArray = np.minimum(np.abs(q[right] - centres), np.abs(centres - q[right - 1]))
        coarsest = float(np.quantile(np.diff(q), 0.9))
        is_measured = nearest <= max(1.01 * coarsest, 0.02)
        if is_measured.sum() < 64:
            return None
        intensity = np.where(is_measured, np.interp(centres, q, rate), 0.0)
        signal = above_background(intensity, is_measured, self.preprocessing)
        return PreparedPattern(grid, intensity, signal, is_measured)

    def _aligned(self, seen: RootPattern) -> tuple[FloatArray, IntArray]:
        """Return the lattices of all phases, and the phases that fitted best.

        Phases that do not fit keep the lattice of the library.
        """
        lines = lines_in_range(seen, self.library, self.wavelength_angstrom)
        n_phases = len(self.library.phases)
        parameters = np.zeros((n_phases, N_MODES + 1))
        is_best = np.zeros(n_phases, dtype=bool)
        left = seen
        for _ in range(self.max_phases):
            found = align(left, lines, self.freedom)
            new = ~is_best[found.rows]
            parameters[found.rows[new]] = found.parameters[new]
            if not new.any():
                break
            first = int(found.rows[new][0])
            is_best[first] = True
            if self.max_phases > 1:
                left = self._left_over(left, first, parameters)
        if not is_best.any():
            is_best[0] = True
        return parameters, np.flatnonzero(is_best)

    def _left_over(self, seen: RootPattern, row: int, parameters: FloatArray) -> RootPattern:
        only = np.array([row])
        drawn = self._layers(seen.grid, parameters[only], only).drawn(_USUAL_SHAPE)[0]
        drawn = np.where(seen.is_measured, drawn, 0.0)
        roots, calculated = seen.rooted(seen.signal), np.sqrt(drawn)
        scale = (calculated @ roots / max(float(calculated @ calculated), _LEAST)) ** 2
        # Twice: lines stronger than calculated must not be taken for another phase's.
        return seen.without(2 * scale * drawn)

    def _shape(self, seen: RootPattern, parameters: FloatArray, best: IntArray) -> LineShape:
        """Return the shape with which the best phases together explain most."""
        layers = self._layers(seen.grid, parameters[best], best)
        misfits = []
        for shape in _SHAPES:
            drawn = np.where(seen.is_measured, layers.drawn(shape), 0.0)
            misfits.append(nnls(drawn.T, seen.signal)[1])
        return _SHAPES[int(np.argmin(misfits))]

    def _drawn(self, grid: LogQGrid, parameters: FloatArray, shape: LineShape) -> FloatArray:
        on_grid = self._layers(grid, parameters, np.arange(len(parameters))).drawn(shape)
        q = q_from_two_theta(self.axis.two_theta_deg, self.wavelength_angstrom)
        place = (np.log(q) - grid.log_edges[0]) / grid.bin_width - 0.5
        left = np.clip(place.astype(np.int64), 0, grid.n_bins - 2)
        part = np.clip(place - left, 0.0, 1.0)
        drawn = on_grid[:, left] * (1 - part) + on_grid[:, left + 1] * part
        return np.asarray(drawn / np.maximum(drawn.sum(axis=1, keepdims=True), _LEAST))

    def _layers(self, grid: LogQGrid, parameters: FloatArray, rows: IntArray) -> StickLayers:
        library = self.library.chosen(rows)
        place, slopes = line_places(library, grid)
        place = place + (slopes @ parameters[:, :, None])[:, :, 0]
        areas = polarised_areas(library, self.wavelength_angstrom)
        return stick_layers(grid, place, areas)


def _smoothed(values: FloatArray, sigma_points: float, every: int) -> FloatArray:
    coarse = values.reshape(-1, every).mean(axis=1)
    smooth = gaussian_filter1d(coarse, sigma_points / every, mode="nearest")
    return np.repeat(smooth, every)


def _sets(n_phases: int, max_phases: int) -> BoolArray:
    """Return every set of one to `max_phases` phases, shape (n_sets, n_phases)."""
    rows = [one for size in range(1, max_phases + 1) for one in combinations(range(n_phases), size)]
    sets = np.zeros((len(rows), n_phases), dtype=bool)
    for k, one in enumerate(rows):
        sets[k, list(one)] = True
    return sets


@dataclass(frozen=True, slots=True)
class _Background:
    """Counts a second on the points of the axis, and expected counts in the counted cells."""

    of_points: FloatArray
    of_cells: FloatArray


@dataclass(frozen=True, slots=True)
class _Cells:
    """The counted cells, and what each phase at scale 1 would give there."""

    counts: FloatArray
    exposure_s: FloatArray
    templates: FloatArray
    hats: FloatArray
    hats_of_points: FloatArray

    @classmethod
    def of(cls, counted: CellCounts, templates: FloatArray, axis: ScanAxis) -> "_Cells":
        points = axis.point_of(counted.two_theta_deg)
        exposure = counted.exposure_of_cells_s
        used = exposure > 0
        hats = _hats(axis)
        return cls(
            counts=counted.summed(counted.counts)[used],
            exposure_s=exposure[used],
            templates=counted.summed(templates[:, points] * counted.exposure_s)[:, used],
            hats=counted.summed(hats[:, points] * counted.exposure_s)[:, used],
            hats_of_points=hats,
        )

    def background(self, error: ModelError) -> tuple[_Background, FloatArray]:
        """Return the background that all phases together leave, and their scales."""
        design = np.concatenate([self.templates, self.hats])
        if not self.counts.size:
            nothing = _Background(np.zeros(self.hats_of_points.shape[1]), self.counts)
            return nothing, np.ones(len(self.templates))
        expected = np.maximum(self.counts, 1.0)
        scales = np.zeros(len(design))
        for _ in range(3):
            lines = scales[: len(self.templates)] @ self.templates
            variance = expected + (error.lines * np.maximum(lines, expected / 10)) ** 2
            weight = 1 / np.sqrt(np.maximum(variance, 1.0))
            scales, _ = nnls((design * weight).T, self.counts * weight, maxiter=50 * len(design))
            expected = np.maximum(scales @ design, 0.3)
        knots = scales[len(self.templates) :]
        # Beyond what was counted, the last knot that was seen goes on.
        seen = np.flatnonzero(self.hats.sum(axis=1) > 0)
        knots = np.interp(np.arange(knots.size), seen, knots[seen])
        return (
            _Background(knots @ self.hats_of_points, knots @ self.hats),
            scales[: len(self.templates)],
        )

    def fitted_scales(
        self, chosen: IntArray, sets: BoolArray, background: FloatArray, error: ModelError
    ) -> FloatArray:
        """Return the most probable scales of the phases of each set, shape as `sets`.

        Fisher scoring of the negative-binomial likelihood, all sets at once.
        """
        templates = self.templates[chosen]
        if not self.counts.size:
            return np.asarray(sets / sets.sum(axis=1, keepdims=True))
        total = max(float((self.counts - background).sum()), 1.0)
        size = np.maximum(templates.sum(axis=1), _LEAST)
        scales = sets * (total / sets.sum(axis=1, keepdims=True) / size)
        is_out = ~sets
        eye = np.eye(sets.shape[1])
        for _ in range(_N_STEPS):
            lines = scales @ templates
            mean = np.maximum(lines + background, 0.1)
            weight = 1 / (mean + (error.lines * lines) ** 2 + (error.background * background) ** 2)
            force = (weight * (self.counts - lines - background)) @ templates.T
            curvature = np.einsum("sc,pc,qc->spq", weight, templates, templates, optimize=True)
            curvature[is_out[:, :, None] | is_out[:, None, :]] = 0.0
            ridge = 1e-6 * np.einsum("spp->sp", curvature) + _LEAST
            curvature += eye * np.where(is_out, 1.0, ridge)[:, :, None]
            step = np.linalg.solve(curvature, np.where(is_out, 0.0, force)[:, :, None])[:, :, 0]
            scales = np.where(sets, np.maximum(scales + step, 1e-3 * scales), 0.0)
        return np.asarray(scales)


def _hats(axis: ScanAxis) -> FloatArray:
    """Return overlapping triangles that add up to 1, shape (n_knots, n_points)."""
    angles = axis.two_theta_deg
    n_knots = max(2, round((axis.stop_deg - axis.start_deg) / _KNOT_DEG) + 1)
    place = (angles - angles[0]) / (angles[-1] - angles[0]) * (n_knots - 1)
    return np.asarray(np.maximum(0.0, 1 - np.abs(place - np.arange(n_knots)[:, None])))
