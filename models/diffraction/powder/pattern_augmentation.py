"""What published training sets do to finished patterns: thin-film changes, mixtures, noise.

Every function takes a batch of patterns on one uniform 2theta axis, intensity of shape
(n_patterns, n_points), and returns a new one. Effects that act on single lines, such as texture
along an hkl or strain, belong where there still are lines.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.errors import PatternError


@dataclass(frozen=True, slots=True)
class ThinFilmAugmentation:
    """How hard the three transformations of Oviedo et al. act.

    The paper gives no numbers; the defaults are those that its authors' code (PV-Lab/autoXRD,
    autoXRD.py) has for simulated patterns. For measured ones it has a `scaling_block_deg` of 0.24.

    Attributes
    ----------
    scaling_block_deg : float
        Width of the pieces of the axis that share one factor c.
    scaled_fraction : float
        Chance of a piece to be scaled, that is, to belong to S of equation 1.
    smallest_factor : float
        c is drawn evenly from here to 1.
    elimination_block_deg, eliminated_fraction : float
        The same for S of equation 2.
    largest_shift_deg : float
        epsilon of equation 3 is drawn evenly from minus this to plus this.
    """

    scaling_block_deg: float = 0.52
    scaled_fraction: float = 1.0
    smallest_factor: float = 0.0
    elimination_block_deg: float = 0.16
    eliminated_fraction: float = 1 / 3
    largest_shift_deg: float = 0.8

    def __post_init__(self) -> None:
        for name in ("scaled_fraction", "smallest_factor", "eliminated_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise PatternError(
                    f"{name} must lie in [0, 1], but is {getattr(self, name):g}; give a fraction,"
                    " not a percentage."
                )
        for name in ("scaling_block_deg", "elimination_block_deg"):
            if not getattr(self, name) > 0:
                raise PatternError(
                    f"{name} must be positive, but is {getattr(self, name):g}; to switch a step"
                    " off, set its fraction to 0."
                )
        if not self.largest_shift_deg >= 0:
            raise PatternError(
                f"largest_shift_deg must be 0 or more, but is {self.largest_shift_deg:g}; it is"
                " the half-width of the range of shifts."
            )


@dataclass(frozen=True, slots=True)
class LabelledPatterns:
    """Patterns and what they show.

    Attributes
    ----------
    intensity : ndarray, shape (n_patterns, n_points)
    labels : ndarray of int, shape (n_patterns,)
        Space-group number, or any other class.
    """

    intensity: FloatArray
    labels: IntArray

    def __post_init__(self) -> None:
        _require_batch(self.intensity)
        if self.labels.shape != self.intensity.shape[:1]:
            raise PatternError(
                f"every pattern needs one label, but {len(self.intensity)} patterns came with"
                f" labels of shape {self.labels.shape}; check that both are of the same set."
            )


def augment_thin_film(
    intensity: FloatArray,
    *,
    step_deg: float,
    augmentation: ThinFilmAugmentation,
    rng: np.random.Generator,
) -> FloatArray:
    """Return patterns as of textured, strained films: scaled, thinned out, shifted, in that order.

    Each is brought to 0..1 before the shift, as in the authors' code. A pattern that loses all of
    its lines comes back as zeros.

    Parameters
    ----------
    intensity : ndarray, shape (n_patterns, n_points)
        Without background: what is scaled and eliminated here are lines.
    step_deg : float
        Distance of the points of the 2theta axis.

    References
    ----------
    Oviedo et al., npj Comput. Mater. 5, 60 (2019), doi:10.1038/s41524-019-0196-x, Methods,
    equations 1 to 3. S is periodic there; in the authors' code, as here, it is made of pieces
    drawn at random.
    """
    _require_batch(intensity)
    width_deg = augmentation.scaling_block_deg
    is_scaled = _draw_blocks(intensity, width_deg, step_deg, rng) < augmentation.scaled_fraction
    drawn = _draw_blocks(intensity, width_deg, step_deg, rng)
    factor = augmentation.smallest_factor + (1 - augmentation.smallest_factor) * drawn
    scaled = scale_selected(intensity, is_scaled, factor)

    # Equation 2 has an S of its own.
    width_deg = augmentation.elimination_block_deg
    drawn = _draw_blocks(intensity, width_deg, step_deg, rng)
    thinned = eliminate_selected(scaled, drawn < augmentation.eliminated_fraction)

    reach = augmentation.largest_shift_deg
    shift_deg = rng.uniform(-reach, reach, len(intensity))
    return shift_patterns(rescale_min_max(thinned), shift_deg=shift_deg, step_deg=step_deg)


def scale_selected(
    intensity: FloatArray, is_selected: BoolArray, factor: FloatArray | float
) -> FloatArray:
    """Return c f on S and f elsewhere (equation 1 of doi:10.1038/s41524-019-0196-x).

    Examples
    --------
    >>> scale_selected(np.array([[4.0, 6.0]]), np.array([[True, False]]), 0.5)
    array([[2., 6.]])
    """
    return np.where(is_selected, factor * intensity, intensity)


def eliminate_selected(intensity: FloatArray, is_selected: BoolArray) -> FloatArray:
    """Return 0 on S and f elsewhere (equation 2 of doi:10.1038/s41524-019-0196-x)."""
    return np.where(is_selected, 0.0, intensity)


def shift_patterns(intensity: FloatArray, *, shift_deg: FloatArray, step_deg: float) -> FloatArray:
    """Return f(2theta - epsilon) (equation 3 of doi:10.1038/s41524-019-0196-x).

    Parameters
    ----------
    shift_deg : ndarray, shape (n_patterns,)
        epsilon of each pattern; positive moves lines to higher angles. Between points the pattern
        is interpolated linearly.
    step_deg : float
        Distance of the points of the 2theta axis.

    Returns
    -------
    ndarray, shape (n_patterns, n_points)
        Zero where the pattern moved away from an end of the axis.

    Raises
    ------
    PatternError
        If a shift is not finite, or moves a pattern off its axis.

    Examples
    --------
    >>> shift_patterns(np.array([[0.0, 8.0, 0.0]]), shift_deg=np.array([0.01]), step_deg=0.04)
    array([[0., 6., 2.]])
    """
    _require_batch(intensity)
    n_patterns, n_points = intensity.shape
    steps = shift_deg / step_deg
    if not (np.abs(steps) < n_points).all():
        raise PatternError(
            f"a shift must be smaller than the axis of {n_points * step_deg:g} deg, but the"
            f" largest is {np.abs(shift_deg).max():g} deg; are step_deg and shift_deg both degrees?"
        )
    whole = np.floor(steps).astype(np.int64)
    rest = (steps - whole)[:, None]
    reach = int(np.abs(whole).max(initial=0)) + 1
    windows = sliding_window_view(np.pad(intensity, ((0, 0), (reach, reach))), n_points, axis=1)
    rows = np.arange(n_patterns)
    # A window that starts further left shows the pattern further right.
    result: FloatArray = windows[rows, reach - whole] * (1 - rest)
    result += windows[rows, reach - whole - 1] * rest
    return result


def rescale_min_max(intensity: FloatArray) -> FloatArray:
    """Return each pattern with its lowest point at 0 and its highest at 1; a flat one gives zeros.

    Examples
    --------
    >>> rescale_min_max(np.array([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0]]))
    array([[0.  , 0.25, 1.  ],
           [0.  , 0.  , 0.  ]])
    """
    above_lowest: FloatArray = intensity - intensity.min(axis=1, keepdims=True)
    span = above_lowest.max(axis=1, keepdims=True)
    np.divide(above_lowest, span, out=above_lowest, where=span > 0)
    return above_lowest


def synthesise_patterns(real: FloatArray, virtual: FloatArray, epsilon: FloatArray) -> FloatArray:
    """Return e + epsilon t, with e and t brought to 0..1 first.

    Parameters
    ----------
    real, virtual : ndarray, shape (n_patterns, n_points)
        e, simulated from known structures (RSS), and t, from element-replaced ones (VSS); row by
        row of the same class and on the same axis.
    epsilon : ndarray, shape (n_patterns,)
        Weights in (0, 1).

    Raises
    ------
    PatternError
        If real and virtual patterns do not pair up.

    References
    ----------
    Equation 2 of doi:10.1038/s41524-025-01743-x (B-VGGNet).

    Examples
    --------
    >>> e, t = np.array([[0.0, 2.0, 0.0]]), np.array([[5.0, 0.0, 0.0]])
    >>> synthesise_patterns(e, t, np.array([0.3]))
    array([[0.3, 1. , 0. ]])
    """
    _require_batch(real)
    if real.shape != virtual.shape:
        raise PatternError(
            f"real and virtual patterns must pair up point by point, but their shapes are"
            f" {real.shape} and {virtual.shape}; simulate both on one axis."
        )
    return rescale_min_max(real) + epsilon[:, None] * rescale_min_max(virtual)


def draw_synthetic_patterns(
    real: LabelledPatterns,
    virtual: LabelledPatterns,
    *,
    n_patterns: int,
    rng: np.random.Generator,
) -> LabelledPatterns:
    """Return mixtures (SYN, 0..1) of random real patterns and random virtual ones of their class.

    Every real pattern whose class has virtual ones is as likely as any other, so the classes keep
    the frequencies they have among them. epsilon is drawn evenly from 0 to 1.

    Raises
    ------
    PatternError
        If no class has both real and virtual patterns.

    References
    ----------
    Equation 2 of doi:10.1038/s41524-025-01743-x and the text around it; the final scaling is that
    of the authors' code (LinaZhaoAIGroup/B-VGGNet, "data synthesis.py"), there to 0..100.
    """
    usable = np.flatnonzero(np.isin(real.labels, virtual.labels))
    if not usable.size:
        raise PatternError(
            f"real and virtual patterns must share a class, but the real ones are of"
            f" {np.unique(real.labels).tolist()} and the virtual ones of"
            f" {np.unique(virtual.labels).tolist()}; label both by the same scheme."
        )
    chosen = rng.choice(usable, n_patterns)
    labels = real.labels[chosen]
    by_label = np.argsort(virtual.labels, kind="stable")
    first = np.searchsorted(virtual.labels, labels, side="left", sorter=by_label)
    last = np.searchsorted(virtual.labels, labels, side="right", sorter=by_label)
    partner = by_label[rng.integers(first, last)]
    mixed = synthesise_patterns(
        real.intensity[chosen], virtual.intensity[partner], rng.random(n_patterns)
    )
    return LabelledPatterns(rescale_min_max(mixed), labels)


def add_uniform_noise(
    intensity: FloatArray, *, smallest: float, largest: float, rng: np.random.Generator
) -> FloatArray:
    """Return each point raised by an even random share of its pattern's highest point.

    Parameters
    ----------
    smallest, largest : float
        Ends of the share; 0.002 and 0.02 for Salgado et al.

    References
    ----------
    Salgado et al., npj Comput. Mater. 9, 214 (2023), doi:10.1038/s41524-023-01164-8, section "1D
    XRD pattern generation": "noise between 0.2 and 2 %". The text can be read as a factor on each
    point, which would leave the space between the lines clean; their code (AGI-init/XRDs,
    Data/CIF.py) adds to every point, and so do we.
    """
    _require_batch(intensity)
    noise = rng.uniform(smallest, largest, intensity.shape)
    noise *= intensity.max(axis=1, keepdims=True)
    noise += intensity
    return noise


def add_bounded_noise(
    intensity: FloatArray, *, smallest: float, largest: float, rng: np.random.Generator
) -> FloatArray:
    """Return patterns with a normal noise that stays between 0 and a level of their own.

    The level is drawn evenly between two shares of the pattern's highest point; the noise has its
    mean at half the level, a standard deviation of a sixth of it, and is cut at its ends.

    Parameters
    ----------
    smallest, largest : float
        Ends of the share; 0.01 and 0.05 in the post on titanium oxides.

    References
    ----------
    Schuetzke et al., IUCrJ 8, 408 (2021), doi:10.1107/S2052252521002402, as in the authors' code
    (jschuetzke/python-powder-diffraction, powdiffrac/simulation/noise.py).
    """
    _require_batch(intensity)
    level = rng.uniform(smallest, largest, (len(intensity), 1))
    level *= intensity.max(axis=1, keepdims=True)
    noise = rng.standard_normal(intensity.shape)
    np.clip(noise, -3, 3, out=noise)
    noise += 3
    noise *= level / 6
    noise += intensity
    return noise


def _draw_blocks(
    intensity: FloatArray, block_deg: float, step_deg: float, rng: np.random.Generator
) -> FloatArray:
    """Return one even draw from 0 to 1 for each block of the axis, repeated over its points."""
    n_patterns, n_points = intensity.shape
    points = max(1, round(block_deg / step_deg))
    # The last block may be cut; the authors' code leaves what does not fill a block at zero.
    n_blocks = -(-n_points // points)
    return np.repeat(rng.random((n_patterns, n_blocks)), points, axis=1)[:, :n_points]


def _require_batch(intensity: FloatArray) -> None:
    if intensity.ndim != 2:
        raise PatternError(
            f"intensity must have the shape (n_patterns, n_points), but has {intensity.shape};"
            " give a single pattern as pattern[None, :]."
        )
