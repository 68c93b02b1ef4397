"""Candidates laid over a measured pattern, their lattices adjusted, and scored.

Tabulated lattices differ from measured ones by a per cent or two, along each axis differently, so
that a pattern of the right crystal matches badly where a search left it. What symmetry leaves free
of the strain tensor is therefore refined for all candidates at once, by climbing the overlap of
their lines with the pattern, blurred at first and ever less so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import fft

from phasepilot.models.arrays import Array, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.powder.intensity_factors import (
    debye_waller,
    lorentz,
    polarisation,
)
from phasepilot.models.diffraction.powder.line_positions import free_strain_components
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.identification.blurring import blurred_in_mirrors
from phasepilot.models.identification.slope_products import curvatures, slope_products
from phasepilot.models.preprocessing.preparation import PreparedPattern

# Standard deviations in ln q of the blurs, from coarse to fine: from the misfit that a search
# leaves down to about a line's width.
_BLURS = (0.008, 0.004, 0.002, 0.001)
_STEPS_PER_BLUR = 4
_N_LINES = 80
# Expected size of a strain component; more counts as less likely.
_STRAIN_DEVIATION = 0.015
# An angle that is out by this much is as likely as that strain: samples lie too high or too low.
_ZERO_SHIFT_DEVIATION_DEG = 0.04
_ZERO_SHIFT_UNIT_DEG = _ZERO_SHIFT_DEVIATION_DEG / _STRAIN_DEVIATION
_LARGEST_STRAIN = 0.06
_WIDTHS_DEG = (0.07, 0.12, 0.2, 0.33, 0.55, 0.9)
# With this one candidates are chosen that the others are tried on.
_USUAL_WIDTH = 2
_N_AXIS = 2048
_N_WIDTH_TRIALS = 24
_B_SQUARE_ANGSTROM = 1.0
_BLOCK = 25
# Where no wavelength is known: angles as of Cu K-alpha, which has most of them.
_USUAL_WAVELENGTH_ANGSTROM = 1.5406


@dataclass(frozen=True, slots=True)
class CandidateLines:
    """Lines of some structures side by side, the strongest of each, (n, n_lines).

    Attributes
    ----------
    log_q : ndarray, shape (n, n_lines)
    area : ndarray, shape (n, n_lines)
        Powder intensity, the strongest line of each structure 1; 0 fills up.
    slopes : ndarray, shape (n, n_lines, 7)
        Change of ln q with each free component of the strain, and with an error of the angle in
        units of `_ZERO_SHIFT_UNIT_DEG`.
    """

    log_q: FloatArray
    area: FloatArray
    slopes: FloatArray

    def of(self, rows: slice) -> "CandidateLines":
        """Return the lines of these structures."""
        return CandidateLines(self.log_q[rows], self.area[rows], self.slopes[rows])


@dataclass(frozen=True, slots=True)
class Refinement:
    """Candidates after refinement, in the order given.

    Attributes
    ----------
    strain : ndarray, shape (n, 6)
        Free components of the strain tensor that were found.
    mean_strain : ndarray, shape (n,)
        A third of its trace: relative change of length.
    features : ndarray, shape (n, n_features)
        What `FEATURES` names.
    fwhm_deg : float
        Width of the lines that fitted best.
    """

    strain: FloatArray
    mean_strain: FloatArray
    features: FloatArray
    fwhm_deg: float


# Cosine of the root patterns; the same without the pattern's shape at large, by its local means;
# share of the pattern's intensity on the candidate's lines; share of the candidate's intensity on
# the pattern's; root mean square of the strain in per cent.
FEATURES = (
    *("cosine", "fine_cosine", "explained", "root_explained", "present", "density"),
    "strain_percent",
)


def candidate_lines(
    store: StickStore, log_q_range: tuple[float, float], wavelength_angstrom: float | None
) -> CandidateLines:
    """Return the strongest lines of every structure of a small store within a range of ln q."""
    counts = np.diff(store.offsets)
    row = np.repeat(np.arange(counts.size), counts)
    q = np.asarray(store.q_per_angstrom, dtype=np.float64)
    log_q = np.log(q)
    area = np.asarray(store.strength) * _powder_factor(q, wavelength_angstrom)
    margin = 0.03
    inside = (log_q > log_q_range[0] - margin) & (log_q < log_q_range[1] + margin)
    area = np.where(inside, area, 0.0)
    # By structure, then by falling area: the first few of each stretch are kept.
    order = np.lexsort((-area, row))
    place = np.arange(row.size) - np.repeat(store.offsets[:-1], counts)
    kept = order[place < _N_LINES]
    where = row[kept], place[place < _N_LINES]
    shape = counts.size, min(_N_LINES, int(counts.max(initial=1)))
    result = CandidateLines(np.zeros(shape), np.zeros(shape), np.zeros((*shape, 7)))
    result.log_q[where] = log_q[kept]
    result.area[where] = area[kept]
    largest = result.area.max(axis=1, keepdims=True)
    np.divide(result.area, largest, out=result.area, where=largest > 0)
    result.slopes[where] = _slopes(store, kept, row[kept], wavelength_angstrom)
    return result


def _powder_factor(q: FloatArray, wavelength_angstrom: float | None) -> FloatArray:
    wavelength = wavelength_angstrom or _USUAL_WAVELENGTH_ANGSTROM
    sine = np.clip(q * wavelength / (4 * np.pi), 1e-4, 0.995)
    angle = np.degrees(2 * np.arcsin(sine))
    factor = lorentz(angle) * polarisation(angle, np.zeros(1))
    return np.asarray(factor * debye_waller(q, _B_SQUARE_ANGSTROM))


def _slopes(
    store: StickStore, lines: IntArray, row: IntArray, wavelength_angstrom: float | None
) -> FloatArray:
    """Return d ln q / d strain = -g g' of the unit vector g along each line's, by component.

    The last column is d ln q / d (2 theta) = cot(theta) / 2, or 0 where there are no angles.
    """
    vectors = np.einsum(
        "li,lij->lj", np.asarray(store.hkl)[lines], np.asarray(store.reciprocal)[row]
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns = free_strain_components()[np.asarray(store.space_group_number)[row]]
    slopes = np.zeros((lines.size, 7))
    index = np.arange(lines.size)
    for i in range(3):
        for j in range(3):
            slopes[index, columns[:, i, j]] -= vectors[:, i] * vectors[:, j]
    slopes[:, 6] = 0.0
    if wavelength_angstrom is not None:
        q = np.asarray(store.q_per_angstrom)[lines]
        theta = np.arcsin(np.clip(q * wavelength_angstrom / (4 * np.pi), 1e-4, 0.995))
        slopes[:, 6] = np.radians(_ZERO_SHIFT_UNIT_DEG) / (2 * np.tan(theta))
    return slopes


def refine(
    prepared: PreparedPattern,
    candidates: StickStore,
    log_q_shift: FloatArray,
) -> Refinement:
    """Return how well each candidate fits once its lattice is adjusted.

    Parameters
    ----------
    candidates : StickStore
        Only the candidates.
    log_q_shift : ndarray, shape (n,)
        By how much the pattern lies higher in ln q than the candidate, as the search found.
    """
    wavelength_angstrom = prepared.wavelength_angstrom
    root = np.sqrt(prepared.signal)
    root /= root.max() or 1.0
    edges = prepared.grid.log_edges
    measured = np.flatnonzero(prepared.is_measured)
    log_q_range = float(edges[measured[0]]), float(edges[measured[-1] + 1])
    lines = candidate_lines(candidates, log_q_range, wavelength_angstrom)
    levels = _levels(root, prepared.grid.bin_width)
    strain = np.concatenate(
        [
            _climb(levels, float(edges[0]), prepared.grid.bin_width, lines.of(block), shift)
            for block, shift in _blocks(log_q_shift)
        ]
    )
    positions = lines.log_q + np.einsum("nlk,nk->nl", lines.slopes, strain)
    features, fwhm = _scores(prepared, wavelength_angstrom, log_q_range, positions, lines.area)
    components = free_strain_components()[np.asarray(candidates.space_group_number)]
    padded = strain.copy()
    padded[:, 6] = 0.0
    tensor = np.take_along_axis(padded, components.reshape(-1, 9), axis=1).reshape(-1, 3, 3)
    trace = np.trace(tensor, axis1=1, axis2=2)
    size = 100 * np.sqrt((tensor**2).sum(axis=(1, 2)) / 3)
    return Refinement(strain[:, :6], trace / 3, np.column_stack([*features, size]), fwhm)


def _blocks(shift: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Yield so many candidates, with their shifts, as fit a core's cache."""
    for start in range(0, max(shift.size, 1), _BLOCK):
        block = slice(start, start + _BLOCK)
        yield block, shift[block]


def _levels(root: FloatArray, bin_width: float) -> FloatArray:
    """Return the root pattern as each of `_BLURS` leaves it, the highest bin 1."""
    sigmas = tuple(blur / bin_width for blur in _BLURS)
    levels = blurred_in_mirrors(root, sigmas, truncate=4.0)
    highest = levels.max(axis=1, keepdims=True)
    return np.asarray(levels / np.where(highest > 0, highest, 1.0))


def _climb(
    levels: FloatArray, start: float, bin_width: float, lines: CandidateLines, shift: FloatArray
) -> FloatArray:
    """Return the strains at which the lines overlap most with the root pattern, shape (n, 6)."""
    weight = np.sqrt(lines.area)
    weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    strain = _start(lines, shift)
    n_bins = levels.shape[1]
    stiffness = 0.02 / _STRAIN_DEVIATION**2
    products = slope_products(lines.slopes)
    for blur, level in zip(_BLURS, levels, strict=True):
        slope = np.gradient(level) / bin_width
        for _ in range(_STEPS_PER_BLUR):
            moved = (lines.slopes @ strain[:, :, None])[:, :, 0]
            place = (lines.log_q + moved - start) / bin_width
            place = np.clip(place - 0.5, 0, n_bins - 1.001)
            left = place.astype(np.int64)
            part = place - left
            height = level[left] * (1 - part) + level[left + 1] * part
            rise = slope[left] * (1 - part) + slope[left + 1] * part
            gradient = ((weight * rise)[:, None, :] @ lines.slopes)[:, 0] - stiffness * strain
            # Around a line's top its second derivative is -height / blur^2.
            pull = weight * (height + 0.05) / blur**2
            curvature = curvatures(products, pull, np.full(7, stiffness))
            step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
            strain = np.clip(
                strain + np.clip(step, -2 * blur, 2 * blur), -_LARGEST_STRAIN, _LARGEST_STRAIN
            )
    return strain


def _start(lines: CandidateLines, shift: FloatArray) -> FloatArray:
    """Return isotropic strains that move all lines by the shifts."""
    # The diagonal components that are free; -1 is what they do to a line together.
    total = lines.slopes[:, :, :3].sum(axis=1)
    is_free = total != 0
    rest = np.zeros((shift.size, lines.slopes.shape[2] - total.shape[1]))
    return np.asarray(np.concatenate([-shift[:, None] * is_free, rest], axis=1))


def _scores(
    prepared: PreparedPattern,
    wavelength_angstrom: float | None,
    log_q_range: tuple[float, float],
    positions: FloatArray,
    area: FloatArray,
) -> tuple[list[FloatArray], float]:
    """Return the features but for the strain, and the width of lines that was found.

    Patterns are compared on an axis where lines are equally wide: the angle, as if of Cu K-alpha
    where there is no wavelength.
    """
    wavelength = wavelength_angstrom or _USUAL_WAVELENGTH_ANGSTROM
    low, high = (_angle(np.exp(np.array([edge])), wavelength)[0] for edge in log_q_range)
    step = (high - low) / _N_AXIS
    grid = prepared.grid
    edges = _angle(np.exp(grid.log_edges), wavelength)
    # Counts per ln q integrate to the same whatever the axis: cumulate, then take differences.
    density = np.where(prepared.is_measured, prepared.signal, 0.0)
    cumulative = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    targets = low + step * np.arange(_N_AXIS + 1)
    observed = np.diff(np.interp(targets, edges, cumulative)) / step
    observed /= observed.max() or 1.0
    root = np.sqrt(np.maximum(observed, 0.0))
    angles = _angle(np.exp(positions), wavelength)
    spectra = fft.rfft(_scattered(angles, area, low, step), axis=1)
    kernels = _kernels(round(step, 12))
    # Single precision is enough to choose a width, and takes half the time.
    rough, rough_kernels = spectra.astype(np.complex64), kernels.astype(np.float32)
    usual = _cosine(root, rough, rough_kernels[_USUAL_WIDTH])
    trial = np.argsort(-usual, kind="stable")[:_N_WIDTH_TRIALS]
    best = [
        (usual if width == _USUAL_WIDTH else _cosine(root, rough[trial], kernel)).max(initial=0.0)
        for width, kernel in enumerate(rough_kernels)
    ]
    width = int(np.argmax(best))
    n_local = max(3, round(8 * _WIDTHS_DEG[width] / step))
    features = [
        _compared(observed, root, fft.irfft(spectra[block] * kernels[width], _N_AXIS), n_local)
        for block, _ in _blocks(angles[:, 0])
    ]
    return list(np.concatenate(features, axis=1)), _WIDTHS_DEG[width]


def _compared(
    observed: FloatArray, root: FloatArray, drawn: FloatArray, n_local: int
) -> FloatArray:
    """Return the features but for the strain of some candidates, shape (6, n)."""
    template = np.maximum(drawn, 0.0, out=drawn)
    template /= np.maximum(template.max(axis=1, keepdims=True), 1e-12)
    root_template = np.sqrt(template)
    cosine = _normalised_product(root_template, root)
    is_line = (template > 0.01).astype(np.float64)
    is_peak = (root > 0.15).astype(np.float64)
    explained = (is_line @ observed) / max(observed.sum(), 1e-12)
    root_explained = (is_line @ root) / max(root.sum(), 1e-12)
    present = (template @ is_peak) / np.maximum(template.sum(axis=1), 1e-12)
    root_template -= _moving_mean(root_template, n_local)
    fine = _normalised_product(root_template, root - _moving_mean(root[None], n_local)[0])
    return np.stack([cosine, fine, explained, root_explained, present, is_line.mean(axis=1)])


def _angle(q: FloatArray, wavelength: float) -> FloatArray:
    return np.asarray(np.degrees(2 * np.arcsin(np.clip(q * wavelength / (4 * np.pi), 0, 1.0))))


def _scattered(angles: FloatArray, area: FloatArray, low: float, step: float) -> FloatArray:
    """Return areas shared between the two nearest bins, shape (n, n_axis)."""
    n = angles.shape[0]
    place = (angles - low) / step - 0.5
    left = np.floor(place).astype(np.int64)
    part = place - left
    result = np.zeros(n * _N_AXIS)
    offset = np.arange(n)[:, None] * _N_AXIS
    for index, share in ((left, 1 - part), (left + 1, part)):
        inside = (index >= 0) & (index < _N_AXIS)
        result += np.bincount(
            (index + offset)[inside], weights=(area * share)[inside], minlength=result.size
        )
    return result.reshape(n, _N_AXIS)


@cache
def _kernels(step: float) -> FloatArray:
    """Return the transforms of half Gaussian, half Lorentzian lines of each width."""
    distance = step * np.minimum(np.arange(_N_AXIS), _N_AXIS - np.arange(_N_AXIS))
    half = np.array(_WIDTHS_DEG)[:, None] / 2
    gauss = np.exp(-np.log(2) * (distance / half) ** 2)
    lorentzian = 1 / (1 + (distance / half) ** 2)
    profile = gauss / gauss.sum(axis=1, keepdims=True)
    profile = profile + lorentzian / lorentzian.sum(axis=1, keepdims=True)
    # The profile is symmetric, so its transform is real.
    return np.asarray(fft.rfft(profile, axis=1).real)


def _cosine(root: FloatArray, spectra: Array, kernel: Float32Array) -> Float32Array:
    """Return the cosines of candidates drawn with a kernel, in single precision, shape (n,)."""
    template = fft.irfft(spectra * kernel, n=_N_AXIS, axis=1)
    np.maximum(template, 0.0, out=template)
    np.sqrt(template, out=template)
    return np.asarray(_normalised_product(template, root.astype(np.float32)))


def _normalised_product(rows: Array, one: Array) -> Array:
    norms = np.sqrt(np.einsum("nb,nb->n", rows, rows)) * np.linalg.norm(one)
    return rows @ one / np.maximum(norms, 1e-12)


def _moving_mean(rows: FloatArray, n_window: int) -> FloatArray:
    """Return what `scipy.ndimage.uniform_filter1d` does, by differences of one running sum."""
    below = n_window // 2
    sides = ((0, 0), (below + 1, n_window - below - 1))
    sums = np.cumsum(np.pad(rows, sides, "symmetric"), axis=1)
    return np.asarray((sums[:, n_window:] - sums[:, :-n_window]) / n_window)
