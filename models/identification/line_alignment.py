"""Where the lines of known phases lie in a pattern: the lattice of each, for all phases at once.

The root of a pattern, smoothed by the root of a line's shape, is the score of a single line at
every place. A phase scores the sum over its lines. The search begins with every isotropic strain
within reach and broad lines, then moves all lattice parameters that symmetry leaves free to where
the sum is highest, with narrower and narrower lines.
"""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.identification.blurring import blurred_before_zeros
from phasepilot.models.identification.lattice_modes import N_MODES
from phasepilot.models.identification.phase_library import PhaseLibrary
from phasepilot.models.identification.root_pattern import RootPattern
from phasepilot.models.identification.slope_products import curvatures, slope_products
from phasepilot.models.log_q import LogQGrid

# Strongest lines that decide where a lattice lies.
_N_LINES = 64
# So many of the best first guesses (a phase and a strain) are followed up.
_N_STARTS = 32
# Line widths (FWHM in ln q) of the search, and how often all parameters are moved with each.
_LEVELS = ((0.016, 3), (0.008, 3), (0.004, 3), (0.002, 2))
_COARSE_STEP = 0.0035
# Second guesses differ from the first by at least so many steps.
_STEPS_APART = 3
# Phases with a smaller share of their lines in the measured range cannot be told.
_LEAST_IN_RANGE = 0.02
# Tubes, and so most diffractometers; shorter wavelengths are mostly those of synchrotrons, whose
# beam is polarised across the plane.
_TUBES_FROM_ANGSTROM = 0.5


@dataclass(frozen=True, slots=True)
class LatticeFreedom:
    """How far lattices may be from those of the library, as standard deviations.

    Attributes
    ----------
    largest_strain : float
        Of the isotropic strain that is searched.
    isotropic, anisotropic : float
        Relaxed and measured lattices differ by 1 to 3 %, and not alike along all axes.
    zero_shift_per_angstrom : float
        Of q, by a diffractometer that is a little out: 0.003 is 0.04 degree 2-theta with Cu
        K-alpha.
    penalty : float
        What one standard deviation costs, as a share of the agreement.
    """

    largest_strain: float = 0.04
    isotropic: float = 0.02
    anisotropic: float = 0.01
    zero_shift_per_angstrom: float = 0.003
    penalty: float = 0.004

    def deviations(self) -> FloatArray:
        """Return the standard deviation of each parameter, shape (N_MODES + 1,)."""
        shape = [self.anisotropic] * (N_MODES - 1)
        return np.array([self.isotropic, *shape, self.zero_shift_per_angstrom])

    def cost(self, parameters: FloatArray) -> FloatArray:
        """Return what these deviations cost: shape (...,) of parameters (..., N_MODES + 1)."""
        return np.asarray(self.penalty * ((parameters / self.deviations()) ** 2).sum(axis=-1))


@dataclass(frozen=True, slots=True)
class Alignment:
    """Lattices that fit a pattern, the best phase first.

    Attributes
    ----------
    rows : ndarray of int, shape (n_aligned,)
        Phases of the library; only those whose first guess was among the best.
    parameters : ndarray, shape (n_aligned, N_MODES + 1)
        Change of ln a, the other modes of
        `phasepilot.models.identification.lattice_modes.lattice_modes`, and a shift of q in
        1/angstrom.
    score : ndarray, shape (n_aligned,)
        About the cosine between the roots of pattern and phase, less what the deviation costs.
    """

    rows: IntArray
    parameters: FloatArray
    score: FloatArray


@dataclass(frozen=True, slots=True)
class LinesInRange:
    """The strongest lines of each phase within the measured range.

    Attributes
    ----------
    place : ndarray, shape (n_phases, n_lines)
        In bins, 0 the middle of the first.
    slopes : ndarray, shape (n_phases, n_lines, N_MODES + 1)
        Bins that each unit of each parameter moves a line by.
    weight : ndarray, shape (n_phases, n_lines)
        What a line adds to the cosine of roots; see `PhaseLibrary.root_weight`.
    """

    place: FloatArray
    slopes: FloatArray
    weight: FloatArray

    def of(self, rows: IntArray) -> "LinesInRange":
        """Return the lines of these phases."""
        return LinesInRange(self.place[rows], self.slopes[rows], self.weight[rows])

    def moved(self, parameters: FloatArray) -> FloatArray:
        """Return the places in lattices with these parameters, shape (n_phases, n_lines)."""
        return np.asarray(self.place + (self.slopes @ parameters[:, :, None])[:, :, 0])


def lines_in_range(
    pattern: RootPattern, library: PhaseLibrary, wavelength_angstrom: float | None
) -> LinesInRange:
    """Return what `align` needs of a library; weights are 0 where nothing was measured."""
    place, slopes = line_places(library, pattern.grid)
    nearest = _nearest(place, pattern.signal.size)
    area = polarised_areas(library, wavelength_angstrom)
    area = area * (pattern.is_measured[nearest] & (np.abs(place - nearest) < 1))
    total = area.sum(axis=1, keepdims=True)
    weight = library.root_weight * np.sqrt(area / np.where(library.area > 0, library.area, 1.0))
    weight = np.where(total > _LEAST_IN_RANGE, weight / np.sqrt(np.maximum(total, 1e-12)), 0.0)
    strongest = np.argpartition(-area, _N_LINES, axis=1)[:, :_N_LINES]
    return LinesInRange(
        np.take_along_axis(place, strongest, axis=1),
        np.take_along_axis(slopes, strongest[:, :, None], axis=1),
        np.take_along_axis(weight, strongest, axis=1),
    )


def line_places(library: PhaseLibrary, grid: LogQGrid) -> tuple[FloatArray, FloatArray]:
    """Return where all lines lie and what moves them, as in `LinesInRange`."""
    place = (library.log_q - grid.log_edges[0]) / grid.bin_width - 0.5
    shift = np.exp(-library.log_q)[:, :, None]
    return place, np.concatenate([library.slopes, shift], axis=2) / grid.bin_width


def polarised_areas(library: PhaseLibrary, wavelength_angstrom: float | None) -> FloatArray:
    """Return the areas of lines with the polarisation that this wavelength suggests.

    (1 + cos^2 2-theta) / 2 for wavelengths of tubes; none for shorter and for unknown ones.
    """
    if wavelength_angstrom is None or wavelength_angstrom < _TUBES_FROM_ANGSTROM:
        return library.area
    sine = np.clip(np.exp(library.log_q) * wavelength_angstrom / (4 * np.pi), 0.0, 1.0)
    return np.asarray(library.area * (1 + (1 - 2 * sine**2) ** 2) / 2)


def align(pattern: RootPattern, lines: LinesInRange, freedom: LatticeFreedom) -> Alignment:
    """Return the lattices of the phases that fit the pattern best."""
    roots = pattern.rooted(pattern.signal)
    norm = float(np.linalg.norm(roots))
    if norm == 0.0:
        return Alignment(np.zeros(0, dtype=np.int64), np.zeros((0, N_MODES + 1)), np.zeros(0))
    roots = roots / norm
    fields = _line_scores(roots, pattern.grid)
    rows, strains = _first_guesses(lines, fields[0], pattern.grid, freedom)
    chosen = lines.of(rows)
    parameters = np.zeros((rows.size, N_MODES + 1))
    parameters[:, 0] = strains
    products = slope_products(chosen.slopes)
    for field, (_, n_steps) in zip(fields, _LEVELS, strict=True):
        for _ in range(n_steps):
            parameters = _climbed(parameters, chosen, products, field, freedom)
    score = fields[-1].summed(chosen.moved(parameters), chosen.weight) - freedom.cost(parameters)
    best_first = np.argsort(-score, kind="stable")
    # Two guesses of one phase: the better one stays.
    _, first = np.unique(rows[best_first], return_index=True)
    order = best_first[np.sort(first)]
    return Alignment(rows[order], parameters[order], score[order])


def _first_guesses(
    lines: LinesInRange, field: "_LineScores", grid: LogQGrid, freedom: LatticeFreedom
) -> tuple[IntArray, FloatArray]:
    """Return phases and isotropic strains worth following up, at most two strains a phase."""
    # Whole bins, so that places are rounded once; beyond the ends of the grid nothing scores.
    step = max(1, round(_COARSE_STEP / grid.bin_width))
    n_steps = round(freedom.largest_strain / (step * grid.bin_width))
    shifts = step * np.arange(-n_steps, n_steps + 1)
    strains = shifts * grid.bin_width
    padded = np.pad(field.score, step * n_steps)
    bins = _nearest(lines.place, field.score.size) + step * n_steps
    score = np.stack(
        [np.einsum("pl,pl->p", lines.weight, padded.take(bins - shift)) for shift in shifts]
    )
    is_possible = score.max(axis=0) > 0
    score -= freedom.penalty * ((strains / freedom.isotropic) ** 2)[:, None]
    best = score.argmax(axis=0)
    is_near = np.abs(np.arange(strains.size)[:, None] - best) < _STEPS_APART
    elsewhere = np.where(is_near, -np.inf, score)
    guesses = np.concatenate([best, elsewhere.argmax(axis=0)])
    rows = np.tile(np.arange(best.size), 2)
    heights = np.where(np.tile(is_possible, 2), score[guesses, rows], -np.inf)
    order = np.argsort(-heights, kind="stable")[:_N_STARTS]
    order = order[np.isfinite(heights[order])]
    return rows[order], strains[guesses[order]]


@dataclass(frozen=True, slots=True)
class _LineScores:
    """What a line of one width would score in every bin, and where it is drawn to.

    Attributes
    ----------
    score : ndarray, shape (n_bins,)
    pull : ndarray, shape (n_bins,)
        In bins.
    variance : float
        Of the window, in square bins.
    """

    score: FloatArray
    pull: FloatArray
    variance: float

    def summed(self, places: FloatArray, weight: FloatArray) -> FloatArray:
        """Return the score of each phase."""
        return np.asarray((weight * self.score[_nearest(places, self.score.size)]).sum(axis=1))


def _line_scores(roots: FloatArray, grid: LogQGrid) -> list[_LineScores]:
    """Return what lines of the widths of `_LEVELS` score."""
    sigmas = [fwhm / grid.bin_width / 2.3548 for fwhm, _ in _LEVELS]
    # The root of a Gaussian is a Gaussian sqrt(2) as wide, with the integral
    # sqrt(2 sigma sqrt(2 pi)).
    wider = tuple(float(np.sqrt(2) * sigma) for sigma in sigmas)
    scores = blurred_before_zeros(roots, wider, truncate=3.0)
    fields = []
    for blurred, sigma in zip(scores, sigmas, strict=True):
        score = blurred * np.sqrt(2 * sigma * np.sqrt(2 * np.pi))
        floor = 1e-6 * float(score.max())
        variance = 2 * sigma**2
        reach = 2 * np.sqrt(variance)
        pull = np.clip(variance * np.gradient(score) / np.maximum(score, floor), -reach, reach)
        fields.append(_LineScores(score, pull, variance))
    return fields


def _nearest(places: FloatArray, n_bins: int) -> IntArray:
    return np.clip(np.rint(places).astype(np.int64), 0, n_bins - 1)


def _climbed(
    parameters: FloatArray,
    lines: LinesInRange,
    products: FloatArray,
    field: _LineScores,
    freedom: LatticeFreedom,
) -> FloatArray:
    """Return parameters with a higher score, by a step of mean shift.

    Each line is drawn to the centre of the intensity around it (the slope of the logarithm of its
    score, times the variance of the window) with the weight of its score; the parameters follow by
    least squares, held back by what deviations cost.

    References
    ----------
    Comaniciu & Meer, IEEE Trans. Pattern Anal. Mach. Intell. 24, 603 (2002),
    doi:10.1109/34.1000236.
    """
    bins = _nearest(lines.moved(parameters), field.score.size)
    weight = lines.weight * field.score[bins] / field.variance
    stiffness = 2 * freedom.penalty / freedom.deviations() ** 2
    curvature = curvatures(products, weight, stiffness)
    pulls = (weight * field.pull[bins])[:, None, :]
    force = (pulls @ lines.slopes)[:, 0] - stiffness * parameters
    step = np.linalg.solve(curvature, force[:, :, None])[:, :, 0]
    farthest = 4 * freedom.deviations()
    return np.clip(parameters + step, -farthest, farthest)
