"""What an area detector and its surroundings do to an image: small steps, each a pure function.

An image has shape (..., rows, columns) and holds expected or counted photons a pixel. A mask has
shape (rows, columns) and is True where something was measured; masks are joined by ``&``. A place
on the image is (row, column), pixel centres are whole numbers. The usual order is: add what else
scatters (`air_scatter`, `diffuse_ring`), spread the light, `counted`, `with_hot_pixels`,
`saturated`, `quantised`, and the masks last.
"""

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

from phasepilot.models.arrays import BoolArray, Float32Array
from phasepilot.models.errors import PatternError

Int32Array = np.typing.NDArray[np.int32]
Place = tuple[float, float]
Shape = tuple[int, int]


def radius_px(shape: Shape, centre_px: Place) -> Float32Array:
    """Return the distance of each pixel from a place, shape (rows, columns).

    Examples
    --------
    >>> radius_px((1, 3), (0.0, 0.0))
    array([[0., 1., 2.]], dtype=float32)
    """
    rows, columns = np.arange(shape[0]) - centre_px[0], np.arange(shape[1]) - centre_px[1]
    squared = (rows**2).astype(np.float32)[:, None] + (columns**2).astype(np.float32)
    return np.asarray(np.sqrt(squared))


def air_scatter(radius: Float32Array, *, amplitude: float, decay: float) -> Float32Array:
    """Return a background that falls off exponentially from the direct beam (empirical).

    Parameters
    ----------
    radius : ndarray, shape (rows, columns)
        Distance of each pixel from the beam: pixels, q or angle.
    amplitude : float
        Photons a pixel at the beam.
    decay : float
        Distance, in the unit of `radius`, after which 1/e is left.
    """
    return np.asarray(np.float32(amplitude) * np.exp(-radius / np.float32(decay)))


def diffuse_ring(
    radius: Float32Array, *, amplitude: float, centre: float, width: float
) -> Float32Array:
    """Return the broad ring of a glass or liquid, Gaussian in the radius (empirical).

    Parameters
    ----------
    radius : ndarray, shape (rows, columns)
        Distance of each pixel from the beam: pixels, q or angle.
    amplitude : float
        Photons a pixel on the ring.
    centre, width : float
        Radius of the ring and its standard deviation, in the unit of `radius`.
    """
    deviation = (radius - np.float32(centre)) / np.float32(width)
    return np.asarray(np.float32(amplitude) * np.exp(-0.5 * deviation**2))


def scaled_to_brightest(image: Float32Array, photons: float) -> Float32Array:
    """Return each image scaled so that its brightest pixel expects that many photons.

    Raises
    ------
    PatternError
        If an image is empty.
    """
    brightest = image.max(axis=(-2, -1), keepdims=True)
    if not (brightest > 0).all():
        raise PatternError(
            f"an image must have a bright pixel to be scaled, but its brightest is"
            f" {float(brightest.min()):g}; draw the pattern before scaling it."
        )
    return np.asarray(image * (photons / brightest), dtype=np.float32)


def gaussian_spread(image: Float32Array, sigma_px: float) -> Float32Array:
    """Return the image after a Gaussian point spread; the light goes on beyond the edges."""
    if not sigma_px >= 0:
        raise PatternError(f"sigma_px must not be negative, but is {sigma_px:g}; give a width.")
    still = (0.0,) * (image.ndim - 2)
    spread = gaussian_filter(image, (*still, sigma_px, sigma_px), mode="nearest")
    return np.asarray(spread, dtype=np.float32)


def tailed_spread(image: Float32Array, height_px: float) -> Float32Array:
    """Return the image after the point spread of a fibre-coupled CCD; beyond the edges it is dark.

    A pixel receives the part of the half-space that it fills when seen from a point at a small
    height g above the centre of the lit pixel; the density is g / (2 pi (g^2 + r^2)^(3/2)). Far
    out it falls with the cube of the distance: a strong spot glows over the whole image.

    Parameters
    ----------
    image : ndarray, shape (..., rows, columns)
    height_px : float
        g in pixels; 27 um in the reference.

    References
    ----------
    The point-spread function of fiber-coupled area detectors, J. Synchrotron Rad. 19 (2012), issue
    6, PMC3480276: abstract.
    """
    if not height_px > 0:
        raise PatternError(f"height_px must be positive, but is {height_px:g}; use 0.5 or so.")
    n_rows, n_columns = image.shape[-2:]
    kernel = _part_of_half_space(n_rows, n_columns, height_px)
    # Twice the size, so that light that leaves one edge does not come in at the other.
    size = [scipy.fft.next_fast_len(2 * n - 1, real=True) for n in (n_rows, n_columns)]
    transformed = scipy.fft.rfft2(image.astype(np.float32, copy=False), size)
    transformed *= scipy.fft.rfft2(kernel, size)
    whole = scipy.fft.irfft2(transformed, size)
    centred = whole[..., n_rows - 1 : 2 * n_rows - 1, n_columns - 1 : 2 * n_columns - 1]
    return np.asarray(np.maximum(centred, 0.0), dtype=np.float32)


def _part_of_half_space(n_rows: int, n_columns: int, height_px: float) -> Float32Array:
    """Return the solid angle / 2 pi of each pixel, shape (2 n_rows - 1, 2 n_columns - 1)."""
    rows, columns = np.arange(n_rows + 1)[:, None] - 0.5, np.arange(n_columns + 1) - 0.5
    slant = np.sqrt(height_px**2 + rows**2 + columns**2)
    to_corner = np.arctan(rows * columns / (height_px * slant)) / (2 * np.pi)
    quarter = np.diff(np.diff(to_corner, axis=0), axis=1).astype(np.float32)
    return np.pad(quarter, ((n_rows - 1, 0), (n_columns - 1, 0)), mode="reflect")


def counted(image: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Return photon counts drawn from the Poisson distribution of the expected ones.

    Raises
    ------
    PatternError
        If a pixel expects a negative number, or NaN.
    """
    if not image.min() >= 0:
        raise PatternError(
            f"expected photons must not be negative or NaN, but go down to {image.min():g}; clip"
            " or mask the image first."
        )
    return rng.poisson(image).astype(np.float32)


def saturated(image: Float32Array, most: float) -> tuple[Float32Array, BoolArray]:
    """Return the image cut at the largest count of the detector, and where it is below it.

    The second array has the shape of the image.
    """
    return np.minimum(image, np.float32(most)), image < most


def quantised(image: Float32Array, photons_per_unit: float = 1.0) -> Int32Array:
    """Return the image in whole units of the detector, rounded, as int32 of the same shape."""
    most = np.iinfo(np.int32).max
    units = np.rint(image / np.float32(photons_per_unit))
    return np.asarray(np.clip(units.astype(np.float64), -most, most), dtype=np.int32)


def with_hot_pixels(
    image: Float32Array, fraction: float, *, photons: float, rng: np.random.Generator
) -> Float32Array:
    """Return the image with that many more photons in a random fraction of its pixels.

    The same pixels are hot in every image of a stack.
    """
    hot = _random_pixels(image.shape[-2:], fraction, rng)
    return np.asarray(image + np.float32(photons) * hot, dtype=np.float32)


def dead_pixels(shape: Shape, fraction: float, rng: np.random.Generator) -> BoolArray:
    """Return a mask in which a random fraction of the pixels measures nothing."""
    return ~_random_pixels(shape, fraction, rng)


def _random_pixels(shape: Shape, fraction: float, rng: np.random.Generator) -> BoolArray:
    if not 0 <= fraction <= 1:
        raise PatternError(f"fraction must be from 0 to 1, but is {fraction:g}; 1e-4 is usual.")
    n_pixels = shape[0] * shape[1]
    chosen = np.zeros(n_pixels, dtype=bool)
    chosen[rng.choice(n_pixels, rng.binomial(n_pixels, fraction), replace=False)] = True
    return chosen.reshape(shape)


def beam_stop(
    shape: Shape, centre_px: Place, *, radius: float, arm_width: float, arm_angle_deg: float
) -> BoolArray:
    """Return the mask of a round beam stop on an arm that leaves the image.

    Parameters
    ----------
    radius, arm_width : float
        In pixels.
    arm_angle_deg : float
        Where the arm points: 0 to the right, 90 up.
    """
    right = np.arange(shape[1]) - centre_px[1]
    up = (centre_px[0] - np.arange(shape[0]))[:, None]
    cosine, sine = np.cos(np.radians(arm_angle_deg)), np.sin(np.radians(arm_angle_deg))
    along, across = right * cosine + up * sine, up * cosine - right * sine
    is_arm = (along >= 0) & (np.abs(across) <= arm_width / 2)
    return np.asarray(~is_arm & (right**2 + up**2 > radius**2))


def module_gaps(shape: Shape, *, module: Shape, gap: Shape) -> BoolArray:
    """Return the mask of a detector tiled from modules, the first in the corner (0, 0).

    Parameters
    ----------
    module, gap : tuple of int
        Rows and columns of a module, and between two; a Pilatus has (195, 487) and (17, 7).

    Examples
    --------
    >>> module_gaps((1, 7), module=(1, 3), gap=(0, 1)).astype(int)
    array([[1, 1, 1, 0, 1, 1, 1]])
    """
    rows, columns = (
        np.arange(size) % (one + between) < one
        for size, one, between in zip(shape, module, gap, strict=True)
    )
    return np.asarray(rows[:, None] & columns)
