"""How evenly the lines of a polar image run around the beam, and what shines beside them."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label, uniform_filter1d
from scipy.signal import find_peaks, peak_widths

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.azimuthal_outliers import Spots
from phasepilot.models.diffraction.images.frame_reduction import PolarImage
from phasepilot.models.preprocessing.snip import snip

# Half window of the radial background, as a part of all angles; lines are narrower than it.
_BACKGROUND_PART = 0.015
# A line must stand so far above what counting and its background let expect, and is looked at if it
# is among the strongest.
_LINE_SIGMA = 6.0
_LEAST_CONTRAST = 0.02
_N_LINES = 8
# A line is summed over, and compared with what is beside it, in half widths at half height.
_LINE_REACH, _SIDE_REACH = 2.5, 5.0
# A sector that gaps and edges leave less than this part of the usual one is not judged.
_LEAST_PART = 0.5
_LEAST_SECTORS = 12
# Unevenness over more than this angle is a texture, over less it is single grains.
_COARSE_DEG = 25.0
# A sector holds intensity of a line if it has this part of the mean, and a spot if it has more than
# this many robust standard deviations, and medians, of the others.
_FILLED_PART = 0.25
_SPOT_SIGMA, _SPOT_RATIO = 6.0, 2.0
# The median of a line is above 0 if it is by so many standard errors.
_BODY_SIGMA = 3.0


@dataclass(frozen=True, slots=True)
class RingEvenness:
    """Numbers that tell powders, textures, grains and single crystals apart.

    Attributes
    ----------
    n_lines : int
        Lines that were looked at, the strongest up to 8.
    body : float
        Median along a typical one of them over its mean: 1 for a smooth ring, 0 where spots are
        all there is, and without lines.
    filled : float
        Part of the azimuths at which it clearly holds intensity.
    coarse, fine : float
        Relative standard deviation along the typical line, beyond counting noise and without
        sectors that hold spots: over tens of degrees, and over less.
    n_spots : int
        Separate spots: off the lines, and sectors of lines far above the rest of the line.
    spot_part : float
        Counts of the spots relative to those of lines and spots together.
    """

    n_lines: int
    body: float
    filled: float
    coarse: float
    fine: float
    n_spots: int
    spot_part: float


def ring_evenness(polar: PolarImage, spots: Spots) -> RingEvenness:
    """Return how even the strongest lines are.

    Lines are looked for where no spot is; only where there are none, spots count as lines.
    """
    is_off = spots.is_spot
    lines, excess = _lines_of(
        np.where(is_off, 0, polar.signal), np.where(is_off, 0, polar.weight), polar.weight
    )
    if not lines and spots.n_spots:
        lines, excess = _lines_of(polar.signal, polar.weight, polar.weight)
    sectors = [_sectors(polar, is_off, first, stop) for first, stop in lines]
    seen = [one for one in sectors if one is not None]
    is_line = np.zeros(polar.signal.shape[0], dtype=bool)
    for first, stop in lines:
        is_line[first:stop] = True
    n_off, off_counts = _spots_off_lines(polar, spots, is_line)
    on_counts = sum(one.spot_counts for one in seen)
    line_counts = float(excess[is_line].sum())
    body, filled, coarse, fine = _typical(seen)
    return RingEvenness(
        n_lines=len(seen),
        body=body,
        filled=filled,
        coarse=coarse,
        fine=fine,
        n_spots=n_off + sum(one.n_spots for one in seen),
        spot_part=min(1.0, (off_counts + on_counts) / max(line_counts + off_counts, 1e-9)),
    )


def _lines_of(
    signal: Float32Array, weight: Float32Array, all_weight: Float32Array
) -> tuple[list[tuple[int, int]], FloatArray]:
    """Return first and end of the bins of each line, the strongest first, and counts above."""
    in_ring, counts, whole = (
        part.sum(axis=1).astype(np.float64) for part in (weight, signal, all_weight)
    )
    bins = np.arange(in_ring.size)
    is_measured = in_ring > np.maximum(1e-3, 0.1 * whole)
    if np.count_nonzero(is_measured) < _LEAST_SECTORS:
        return [], np.zeros(bins.size)
    profile = np.interp(bins, bins[is_measured], counts[is_measured] / in_ring[is_measured])
    half_window = max(4, round(bins.size * _BACKGROUND_PART))
    smooth = uniform_filter1d(profile, 3, mode="nearest")
    background = np.maximum(np.minimum(snip(smooth[None], half_window)[0], smooth), 0.0)
    excess = profile - background
    # An empty ring counts as one that expects a photon.
    sigma = np.sqrt(np.maximum(background * in_ring, 1.0)) / np.maximum(in_ring, 1e-9)
    least = np.maximum(_LINE_SIGMA * sigma, _LEAST_CONTRAST * background)
    is_high = (excess > least) & is_measured
    found = _peaks(np.where(is_high, excess, 0.0), excess * in_ring, half_window)
    return found, np.where(is_high, excess * whole, 0.0)


def _peaks(excess: FloatArray, counts: FloatArray, widest: int) -> list[tuple[int, int]]:
    """Return what each of the strongest peaks is summed over; what is wider is none."""
    places, _ = find_peaks(excess, distance=3)
    strongest = places[np.argsort(-counts[places], kind="stable")[: 3 * _N_LINES]]
    widths, *_ = peak_widths(excess, strongest, rel_height=0.5, wlen=2 * widest + 1)
    found: list[tuple[int, int]] = []
    for place, width in zip(strongest.tolist(), widths.tolist(), strict=True):
        reach = max(1, round(_LINE_REACH * max(width, 1.0) / 2))
        first, stop = max(0, place - reach), min(excess.size, place + reach + 1)
        if width < widest and not any(first < end and start < stop for start, end in found):
            found.append((first, stop))
    return found[:_N_LINES]


@dataclass(frozen=True, slots=True)
class _Sectors:
    """One line along the azimuth; numbers as in `RingEvenness`, and its counts."""

    body: float
    filled: float
    coarse: float
    fine: float
    n_spots: int
    spot_counts: float
    counts: float


def _sectors(polar: PolarImage, is_off: BoolArray, first: int, stop: int) -> _Sectors | None:
    """Return how even a line is; None where the detector sees too little of it."""
    n_side = max(2, round((stop - first) / (2 * _LINE_REACH) * (_SIDE_REACH - _LINE_REACH)))
    start, end = max(0, first - n_side), min(polar.signal.shape[0], stop + n_side)
    on, on_weight = (part[first:stop].sum(axis=0) for part in (polar.signal, polar.weight))
    beside = polar.signal[start:end].sum(axis=0) - on
    beside_weight = polar.weight[start:end].sum(axis=0) - on_weight
    usual = _middle(on_weight[on_weight > 1e-3])
    is_seen = (on_weight > max(_LEAST_PART * usual, 1e-3)) & (beside_weight > 1e-3)
    if np.count_nonzero(is_seen) < _LEAST_SECTORS:
        return None
    on, on_weight = on[is_seen], on_weight[is_seen]
    beside, beside_weight = beside[is_seen], beside_weight[is_seen]
    below = beside / beside_weight
    width = max(2, round(_COARSE_DEG / 360 * polar.chi_deg.size))
    # Pixels differ by more than counting where much is counted; as much as they do beside the line.
    usual_noise = 2 * (_middle(np.abs(below - uniform_filter1d(below, width))) / 0.6745) ** 2
    counting = np.maximum(on, 1) / on_weight**2 + np.maximum(beside, 1) / beside_weight**2
    variance = np.maximum(counting, usual_noise)
    is_near_spot = np.asarray(is_off[start:end].any(axis=0))[is_seen]
    return _judged(on / on_weight - below, variance, on_weight, width, is_near_spot)


def _judged(
    height: Float32Array,
    variance: Float32Array,
    weight: Float32Array,
    coarse_width: int,
    is_near_spot: BoolArray,
) -> _Sectors:
    in_order = np.sort(height)
    middle, upper = (float(in_order[int(part * height.size)]) for part in (0.5, 0.84))
    noise = _middle(variance)
    mean = float(height.mean())
    spread = max(upper - middle, noise**0.5)
    is_spot = height > max(middle + _SPOT_SIGMA * spread, _SPOT_RATIO * middle)
    is_filled = height > np.maximum(_FILLED_PART * mean, 2 * np.sqrt(variance))
    is_kept = ~(is_spot | is_near_spot)
    # Where spots are everywhere, they are what the line is made of.
    kept = height[is_kept if np.count_nonzero(is_kept) > height.size / 2 else ~is_spot]
    scale = max(abs(float(kept.mean())), 1e-12)
    smooth = uniform_filter1d(kept, coarse_width, mode="wrap")
    # Of white noise, a mean over so many sectors keeps that part.
    coarse = max(float(smooth.var()) - noise / coarse_width, 0.0)
    fine = max(float((kept - smooth).var()) - noise * (1 - 1 / coarse_width), 0.0)
    is_sure = middle > _BODY_SIGMA * (noise / height.size) ** 0.5
    return _Sectors(
        body=min(max(middle / mean, 0.0), 1.0) if is_sure and mean > 0 else 0.0,
        filled=np.count_nonzero(is_filled) / height.size,
        coarse=coarse**0.5 / scale,
        fine=fine**0.5 / scale,
        n_spots=int(np.count_nonzero(is_spot[1:] & ~is_spot[:-1])) + int(is_spot[0]),
        spot_counts=float(((height - middle) * weight)[is_spot].sum()),
        counts=max(float((height * weight).sum()), 0.0),
    )


def _middle(values: Float32Array) -> float:
    """Return the upper median, 0 of nothing; np.median takes ten times as long."""
    return float(np.sort(values)[values.size // 2]) if values.size else 0.0


def _typical(sectors: list[_Sectors]) -> tuple[float, float, float, float]:
    """Return body, filled, coarse and fine of the line at half of all amplitudes."""
    if not sectors:
        return 0.0, 0.0, 0.0, 0.0
    amplitude = np.sqrt([one.counts + 1e-12 for one in sectors])
    rows = np.array([(one.body, one.filled, one.coarse, one.fine) for one in sectors])
    body, filled, coarse, fine = (_weighted_median(column, amplitude) for column in rows.T)
    return body, filled, coarse, fine


def _weighted_median(values: FloatArray, weights: FloatArray) -> float:
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(share, share[-1] / 2)])


def _spots_off_lines(polar: PolarImage, spots: Spots, is_line: BoolArray) -> tuple[int, float]:
    """Return how many spots lie beside the lines, and the counts in them."""
    # Near the beam a single hot pixel covers several cells.
    n_cells = np.maximum(np.count_nonzero(polar.is_measured, axis=1), 1)
    is_looked_at = ~is_line & (polar.weight.sum(axis=1) > n_cells)
    is_off = spots.is_spot & is_looked_at[:, None]
    rows: IntArray = np.flatnonzero(is_off.any(axis=1))
    if not rows.size:
        return 0, 0.0
    signal, weight, chosen = polar.signal[rows], polar.weight[rows], is_off[rows]
    below = np.where(chosen, 0, signal).sum(axis=1) / np.maximum(
        np.where(chosen, 0, weight).sum(axis=1), 1e-9
    )
    counts = float(np.maximum(signal - weight * below[:, None], 0)[chosen].sum())
    # Rows without spots are left out: rows that so become neighbours rarely join spots.
    _, n_spots = label(chosen, np.ones((3, 3), dtype=bool))
    return int(n_spots), counts
