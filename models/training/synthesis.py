"""Batches of simulated patterns for training, drawn from stick lists on the network's grid."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.peak_profile import draw_pseudo_voigts, lorentz_polarisation
from phasepilot.models.log_q import LogQGrid, network_input
from phasepilot.models.training.stick_store import StickStore

# Wavelengths met in practice: Cu and Mo tubes, and beamlines from 12 to 60 keV.
_TUBES_ANGSTROM = (1.5406, 1.5406, 1.5418, 0.7107)


@dataclass(frozen=True, slots=True)
class Batch:
    """Network inputs and their labels.

    Attributes
    ----------
    inputs : ndarray, shape (n_patterns, 2, n_bins)
    space_group_index : ndarray of int, shape (n_patterns,)
        Space group number less 1.
    """

    inputs: Float32Array
    space_group_index: IntArray


@dataclass(frozen=True, slots=True)
class _Instrument:
    """What differs from pattern to pattern and not from line to line; all shape (n_patterns, 1)."""

    wavelength_angstrom: FloatArray
    two_theta_range_deg: tuple[FloatArray, FloatArray]
    polarised_fraction: FloatArray
    fwhm_deg: FloatArray
    fwhm_growth: FloatArray
    lorentz_fraction: FloatArray
    zero_shift_deg: FloatArray


def sampling_weights(space_group_number: IntArray, exponent: float) -> FloatArray:
    """Return the probability of drawing each structure, when classes are drawn as n^exponent.

    An exponent of 1 keeps the table's own frequencies, 0 makes all space groups equally common.
    """
    counts = np.bincount(space_group_number, minlength=231).astype(np.float64)
    weights = counts[space_group_number] ** (exponent - 1)
    return np.asarray(weights / weights.sum())


def synthesise(
    store: StickStore, chosen: IntArray, impurities: IntArray, grid: LogQGrid, rng: Generator
) -> Batch:
    """Return one simulated measurement of each chosen structure.

    Parameters
    ----------
    chosen : ndarray of int, shape (n_patterns,)
        Structures of the store.
    impurities : ndarray of int, shape (n_patterns,)
        A second structure for each, of which a quarter of the patterns get up to 20 %.
    """
    n = chosen.size
    beam = _draw_instrument(n, rng)
    lines = draw_lines(store, chosen, grid, beam, rng)
    amount = np.where(rng.random((n, 1)) < 0.25, rng.uniform(0.02, 0.2, (n, 1)), 0.0)
    has_impurity = np.flatnonzero(amount[:, 0] > 0)
    extra = draw_lines(store, impurities, grid, beam, rng, rows=has_impurity)
    signal = lines + amount * extra
    is_measured = _measured_bins(beam, grid)
    signal = np.where(is_measured, signal, 0.0)
    counts = _counted(signal, grid, rng)
    return Batch(network_input(counts, is_measured), store.space_group_number[chosen] - 1)


def _draw_instrument(n: int, rng: Generator) -> _Instrument:
    def column(values: FloatArray) -> FloatArray:
        return np.asarray(values, dtype=np.float64)[:, None]

    is_tube = rng.random(n) < 0.7
    wavelength = np.where(
        is_tube, rng.choice(_TUBES_ANGSTROM, n), np.exp(rng.uniform(np.log(0.2), np.log(1.1), n))
    )
    # Ranges are drawn in q, where a beamline and a tube see about the same, and turned to angles.
    q_low = rng.uniform(0.3, 1.3, n)
    q_high = np.minimum(rng.uniform(3.8, 7.5, n), 4 * np.pi / wavelength * np.sin(np.radians(60)))
    low, high = (np.degrees(2 * np.arcsin(q * wavelength / (4 * np.pi))) for q in (q_low, q_high))
    # Widths scale with the wavelength: short ones are used with fine optics and far detectors.
    fwhm = np.exp(rng.uniform(np.log(0.04), np.log(0.5), n)) * wavelength / 1.5406
    return _Instrument(
        wavelength_angstrom=column(wavelength),
        two_theta_range_deg=(column(low), column(high)),
        polarised_fraction=column(np.where(is_tube, 0.0, 0.95)),
        fwhm_deg=column(fwhm),
        fwhm_growth=column(rng.exponential(0.5, n)),
        lorentz_fraction=column(rng.uniform(0.0, 1.0, n)),
        zero_shift_deg=column(rng.normal(0.0, 0.02, n) * wavelength / 1.5406),
    )


def draw_lines(
    store: StickStore,
    structures: IntArray,
    grid: LogQGrid,
    beam: _Instrument,
    rng: Generator,
    rows: IntArray | None = None,
) -> FloatArray:
    """Return noise-free patterns, highest bin 1, shape (n_patterns, n_bins); only `rows` if given.

    Each structure gets a random isotropic strain of up to 6 %, displacement parameter, and
    log-normal line intensities that stand for texture and for atoms that the table has not quite
    right.
    """
    n_rows = structures.size
    rows = np.arange(n_rows) if rows is None else rows
    starts, stops = store.offsets[structures[rows]], store.offsets[structures[rows] + 1]
    n_lines = stops - starts
    row = np.repeat(rows, n_lines)
    spans = [np.arange(a, b) for a, b in zip(starts, stops, strict=True)]
    index = np.concatenate([np.zeros(0, dtype=np.int64), *spans])
    strain = rng.uniform(-0.06, 0.06, n_rows)
    texture = np.abs(rng.normal(0.0, 0.35, n_rows))
    displacement = rng.uniform(-0.5, 2.0, n_rows)
    q = store.q_per_angstrom[index].astype(np.float64) / (1 + strain[row])
    sine = q * beam.wavelength_angstrom[row, 0] / (4 * np.pi)
    kept = sine < 0.98
    row, q, sine, index = row[kept], q[kept], sine[kept], index[kept]
    two_theta = np.degrees(2 * np.arcsin(sine))
    area = store.strength[index].astype(np.float64)
    area *= lorentz_polarisation(two_theta, 0.0 * two_theta + beam.polarised_fraction[row, 0])
    area *= np.exp(-2 * displacement[row] * (q / (4 * np.pi)) ** 2)
    area *= np.exp(texture[row] * rng.normal(size=row.size))
    tangent = np.tan(np.radians(two_theta / 2))
    fwhm = beam.fwhm_deg[row, 0] * np.sqrt(1 + beam.fwhm_growth[row, 0] * tangent**2)
    per_log_q = np.radians(1.0) / (2 * tangent)
    drawn = draw_pseudo_voigts(
        np.log(q) + beam.zero_shift_deg[row, 0] * per_log_q,
        area,
        fwhm * per_log_q,
        beam.lorentz_fraction[row, 0],
        axis_start=float(grid.log_edges[0]),
        axis_step=grid.bin_width,
        n_bins=grid.n_bins,
        rows=row,
        n_rows=n_rows,
        reach_fwhm=5.0,
    )
    # A detector counts per degree, not per ln q: divide by the degrees that a bin spans.
    sine_bins = grid.q_per_angstrom * beam.wavelength_angstrom / (4 * np.pi)
    theta_bins = np.arcsin(np.minimum(sine_bins, 0.999))
    drawn /= np.tan(theta_bins)
    drawn = np.where(_measured_bins(beam, grid), drawn, 0.0)
    return np.asarray(drawn / np.maximum(drawn.max(axis=1, keepdims=True), 1e-30))


def _measured_bins(beam: _Instrument, grid: LogQGrid) -> BoolArray:
    low, high = (
        4 * np.pi / beam.wavelength_angstrom * np.sin(np.radians(angle / 2))
        for angle in beam.two_theta_range_deg
    )
    q = grid.q_per_angstrom
    return np.asarray((q > low) & (q < high))


def _counted(signal: FloatArray, grid: LogQGrid, rng: Generator) -> FloatArray:
    """Return counts: the signal on a smooth background, with Poisson noise."""
    n = signal.shape[0]
    x = np.linspace(0.0, 1.0, grid.n_bins)
    decay = rng.uniform(0.0, 1.0, (n, 1)) * np.exp(-x / rng.uniform(0.1, 0.6, (n, 1)))
    hump_at, hump_width = rng.uniform(0.3, 0.8, (n, 1)), rng.uniform(0.05, 0.15, (n, 1))
    hump = rng.uniform(0.0, 0.5, (n, 1)) * np.exp(-(((x - hump_at) / hump_width) ** 2))
    level = np.exp(rng.uniform(np.log(0.003), np.log(0.5), (n, 1)))
    peak_counts = np.exp(rng.uniform(np.log(1e2), np.log(3e5), (n, 1)))
    expected = peak_counts * (signal + level * (0.3 + decay + hump))
    # The Gaussian limit costs a tenth of Poisson draws; below ten counts it is only approximate,
    # which for training data is well inside the spread of everything else.
    counts = expected + np.sqrt(expected) * rng.normal(size=expected.shape)
    return np.maximum(counts, 0.0)
