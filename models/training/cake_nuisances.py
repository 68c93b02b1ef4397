"""What stands between a cake and what a detector shows of it: masks, background, counts."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from phasepilot.models.arrays import BoolArray, Float32Array
from phasepilot.models.diffraction.images.cake_grid import CakeGrid


@dataclass(frozen=True, slots=True)
class Nuisances:
    """Ranges that each cake's detector is drawn from.

    Attributes
    ----------
    photons : tuple of float
        In the strongest cell, the two ends of a range that is even in the logarithm.
    background_share : tuple of float
        Background of all cells over the counts of all cells, likewise.
    saturated : float
        How often the strongest cells were full.
    narrowed : float
        How often part of the azimuth or of the radius is missing.
    """

    photons: tuple[float, float] = (30.0, 30000.0)
    background_share: tuple[float, float] = (0.01, 10.0)
    saturated: float = 0.15
    narrowed: float = 0.5


def measured_cake(
    signal: Float32Array, grid: CakeGrid, nuisances: Nuisances, rng: Generator
) -> tuple[Float32Array, BoolArray]:
    """Return a cake as a detector would show it, and which of its cells were measured."""
    is_measured = detector_mask(grid, nuisances, rng)
    strongest = float(signal.max())
    if strongest <= 0:
        return signal, is_measured
    counts = signal * np.float32(_log_even(nuisances.photons, rng) / strongest)
    if rng.random() < nuisances.saturated:
        counts = np.minimum(counts, counts.max() * np.float32(_log_even((0.05, 0.8), rng)))
    share = _log_even(nuisances.background_share, rng)
    shape = _background(grid, rng)
    expected = counts + shape * np.float32(share * float(counts.sum()) / float(shape.sum()))
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    # Pixels are finer than the blur that every cake is seen through.
    blurred = gaussian_filter(noise, grid.blur_bins, mode=("wrap", "nearest"), truncate=3)
    seen = np.maximum(expected + np.sqrt(expected) * blurred, 0)
    return np.where(is_measured, seen, np.float32(0)), is_measured


def detector_mask(grid: CakeGrid, nuisances: Nuisances, rng: Generator) -> BoolArray:
    """Return which cells a flat rectangular detector with gaps and a beam stop would see."""
    q, x, y = _places(grid)
    is_measured: BoolArray = np.ones(grid.shape, dtype=bool)
    lowest, highest = float(grid.radial.log_edges[0]), float(grid.radial.log_edges[-1])
    # The beam stop, and the nearest edge of the detector.
    if rng.random() < 0.7:
        is_measured &= q > np.exp(lowest + rng.uniform(0, 0.25) * (highest - lowest))
    if rng.random() < nuisances.narrowed:
        half = np.exp(highest - rng.uniform(-0.1, 0.3) * (highest - lowest))
        down, right = half * rng.normal(0, 0.15, 2)
        aspect = rng.uniform(0.8, 1.25)
        is_measured &= (np.abs(x - right) < half) & (np.abs(y - down) < half * aspect)
    if rng.random() < 0.3:
        pitch, gap = rng.uniform(1.0, 4.0, 2), rng.uniform(0.02, 0.12, 2)
        starts = rng.uniform(0, 4.0, 2)
        is_measured &= (np.mod(x + starts[0], pitch[0]) > gap[0]) & (
            np.mod(y + starts[1], pitch[1]) > gap[1]
        )
    if rng.random() < 0.2 * nuisances.narrowed:
        width = rng.uniform(0.03, 0.5)
        turned = (np.arange(grid.n_chi) / grid.n_chi + rng.random()) % 1.0
        is_measured &= (turned >= width)[:, None]
    return is_measured


@lru_cache(maxsize=4)
def _places(grid: CakeGrid) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return q of each bin, (1, n_bins), and x and y of each cell, (n_chi, n_bins)."""
    q = grid.radial.q_per_angstrom.astype(np.float32)[None]
    chi = (2 * np.pi * (np.arange(grid.n_chi, dtype=np.float32) + 0.5) / grid.n_chi)[:, None]
    return q, q * np.cos(chi), q * np.sin(chi)


def _background(grid: CakeGrid, rng: Generator) -> Float32Array:
    """Return air scatter, a broad ring and a slope around the azimuth, as sums over cells."""
    q = _places(grid)[0][0]
    mean = np.exp(-q / rng.uniform(0.3, 3.0)) + rng.uniform(0, 0.5)
    for _ in range(rng.integers(0, 3)):
        centre, width = rng.uniform(1.0, 4.0), rng.uniform(0.15, 0.6)
        mean += rng.uniform(0, 1.0) * np.exp(-0.5 * ((q - centre) / width) ** 2)
    chi = 2 * np.pi * (np.arange(grid.n_chi) + 0.5) / grid.n_chi
    around = 1 + rng.uniform(0, 0.3) * np.cos(chi - rng.uniform(0, 2 * np.pi))
    return np.asarray(around[:, None] * (mean * q**2), dtype=np.float32)


def _log_even(limits: tuple[float, float], rng: Generator) -> float:
    low, high = np.log(limits)
    return float(np.exp(rng.uniform(low, high)))
