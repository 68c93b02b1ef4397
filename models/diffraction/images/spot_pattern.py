"""Spot patterns of one crystal: which reflections fall where on an image, and how strongly.

Frame of the image: z points from the crystal to the source, x to the right and y up as seen from
the source; the beam runs along -z. Reciprocal vectors are without the factor 2 pi, |H| = 1/d. An
orientation is the rotation matrix R of H_image = R H_crystal, with H_crystal in the Cartesian frame
of `Crystal.reciprocal`; `scipy.spatial.transform.Rotation.random` gives random ones.

Two geometries: the zero-order Laue zone of the Auto Diffraction Pipeline [1]_, and a flat detector
that is met by what the Ewald sphere selects from a mosaic crystal. Kinematic, monochromatic.

References
----------
.. [1] Machine learning approaches for crystallographic classification from synthetic 2D X-ray
   diffraction data, J. Appl. Cryst. (2026), doi:10.1107/S1600576726000099, section 2.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.images.spot_settings import FlatDetector, SpotSettings, ZoneLayer
from phasepilot.models.diffraction.reflections import form_factors
from phasepilot.models.errors import CrystalError

# A mosaic block turned further than this many standard deviations is not there.
_MOSAIC_CUT = 3.0
# A reflection is extinct when |F| is below this part of what all atoms would scatter in phase;
# rounding leaves 1e-7 of it.
_EXTINCT = 1e-5
_MOST_LATTICE_POINTS = 5_000_000
# Phases computed at a time: they stay in the processor's cache.
_MOST_PHASES = 200_000


@dataclass(frozen=True, slots=True)
class Spots:
    """Reflections on an image.

    Attributes
    ----------
    hkl : ndarray of int, shape (n_spots, 3)
    row_px, column_px : ndarray, shape (n_spots,)
        Where they lie; pixel centres are whole numbers, rows count downwards.
    intensity : ndarray, shape (n_spots,)
        |F|^2 of the conventional cell with Debye-Waller, Lorentz and polarisation factors and the
        share of the mosaic blocks that diffract, in electrons squared. Above 0.
    """

    hkl: IntArray
    row_px: FloatArray
    column_px: FloatArray
    intensity: FloatArray


@dataclass(frozen=True, slots=True)
class _Reflections:
    """Reflections that diffract; x to the right and y up of the direct beam, in pixels."""

    hkl: IntArray
    length_per_angstrom: FloatArray
    x_px: FloatArray
    y_px: FloatArray
    weight: FloatArray


def zone_axis_orientation(crystal: Crystal, zone_axis: Sequence[int]) -> FloatArray:
    """Return the rotation that points the lattice direction [u v w] at the source.

    The reciprocal vector (-v u 0), or a* for [0 0 w], points to the right. It lies in the zone for
    any cell, and [1 0 0], [1 1 0], [1 1 1] of orthogonal axes have c* upwards, [0 0 1] has b*.

    Raises
    ------
    CrystalError
        If the zone axis is not three integers, or all are 0.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> cube = crystal_from_sites("Po", "P m -3 m", (3.3,) * 3 + (90.0,) * 3, [("Po", (0, 0, 0))])
    >>> (zone_axis_orientation(cube, (0, 1, 0)) + 0.0).round(6)
    array([[-1.,  0.,  0.],
           [ 0.,  0.,  1.],
           [ 0.,  1.,  0.]])
    """
    axis = np.asarray(zone_axis)
    if axis.shape != (3,) or axis.dtype.kind not in "iu" or not axis.any():
        raise CrystalError(
            f"zone_axis must be three integers that are not all 0, but is {tuple(zone_axis)}; give"
            " the lattice direction along the beam, e.g. (1, 1, 0)."
        )
    return zone_axis_frames(crystal.reciprocal, axis)


def zone_axis_frames(reciprocal: FloatArray, zone_axes: IntArray) -> FloatArray:
    """Return these rotations of many crystals, shape (..., 3, 3).

    Parameters
    ----------
    reciprocal : ndarray, shape (..., 3, 3)
        Rows a*, b*, c*.
    zone_axes : ndarray of int, shape (..., 3)
        None of them 0 0 0.
    """
    u, v = zone_axes[..., 0], zone_axes[..., 1]
    in_zone = np.stack([np.where((u == 0) & (v == 0), 1, -v), u, np.zeros_like(u)], axis=-1)
    # The rows of the inverse's transpose are a, b, c.
    z = np.linalg.solve(reciprocal, zone_axes[..., None].astype(np.float64))[..., 0]
    x = np.einsum("...i,...ij->...j", in_zone, reciprocal)
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-2)


def turned_in_plane(orientation: FloatArray, angle_deg: float) -> FloatArray:
    """Return the orientation after a turn about the beam, counter-clockwise on the image."""
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(turn @ orientation)


def spots(crystal: Crystal, orientation: FloatArray, settings: SpotSettings) -> Spots:
    """Return the reflections whose centre falls onto the image; extinct ones are not among them.

    Form factors of neutral atoms, no anomalous terms, so Friedel's law holds.

    Raises
    ------
    CrystalError
        If the orientation is not a rotation, no reflection falls onto the image, or the cell is so
        large that its reciprocal lattice would not fit in memory.

    Examples
    --------
    >>> from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
    >>> gold = crystal_from_sites("Au", "F m -3 m", (4.07,) * 3 + (90.0,) * 3, [("Au", (0, 0, 0))])
    >>> found = spots(gold, zone_axis_orientation(gold, (0, 0, 1)), SpotSettings())
    >>> bool((found.hkl % 2 == 0).all())
    True
    """
    _check_rotation(orientation)
    axes = crystal.reciprocal @ orientation.T
    if isinstance(settings.geometry, ZoneLayer):
        reflections = _zone_layer(crystal, axes, settings, settings.geometry)
    else:
        reflections = _on_flat_detector(crystal, axes, settings, settings.geometry)
    centre_row, centre_column = settings.centre_px
    row_px, column_px = centre_row - reflections.y_px, centre_column + reflections.x_px
    n_rows, n_columns = settings.shape
    inside = (np.abs(row_px - (n_rows - 1) / 2) <= n_rows / 2) & (
        np.abs(column_px - (n_columns - 1) / 2) <= n_columns / 2
    )
    hkl = reflections.hkl[inside]
    intensity = reflections.weight[inside] * structure_factor_squared(
        crystal, hkl, reflections.length_per_angstrom[inside], settings.b_square_angstrom
    )
    seen = intensity > 0
    if not seen.any():
        raise CrystalError(
            f"{crystal.name} must have a reflection on the image, but none of the"
            f" {reflections.hkl.shape[0]} lattice points that diffract falls onto it or all are"
            " extinct; allow a thicker layer or more mosaicity, or take a shorter wavelength, a"
            " larger field or another orientation."
        )
    return Spots(hkl[seen], row_px[inside][seen], column_px[inside][seen], intensity[seen])


def _zone_layer(
    crystal: Crystal, axes: FloatArray, settings: SpotSettings, layer: ZoneLayer
) -> _Reflections:
    """Return the reflections of the layer through the origin, with the paper's Lp.

    Lp = (1 + cos^2 2 theta) / (cos theta sin^2 theta): Coleman et al., Modelling Simul. Mater. Sci.
    Eng. 21, 055020 (2013), as in LAMMPS' compute xrd.
    """
    wavelength = settings.wavelength_angstrom
    largest = 2 * np.sin(np.radians(layer.two_theta_max_deg / 2)) / wavelength
    in_image = _farthest_px(settings) * layer.inverse_angstrom_per_pixel
    reach = min(largest, np.hypot(in_image, layer.half_thickness_per_angstrom))
    lattice = lattice_box(crystal, reach)
    height = _component(axes[:, 2], lattice)
    hkl = _chosen(lattice, np.abs(height) <= layer.half_thickness_per_angstrom)
    vectors = hkl @ axes
    length = np.linalg.norm(vectors, axis=1)
    kept = (length > 0) & (length <= reach)
    hkl, vectors, length = hkl[kept], vectors[kept], length[kept]
    theta = np.arcsin(wavelength * length / 2)
    weight = (1 + np.cos(2 * theta) ** 2) / (np.cos(theta) * np.sin(theta) ** 2)
    x_px, y_px = vectors[:, :2].T / layer.inverse_angstrom_per_pixel
    return _Reflections(hkl, length, x_px, y_px, weight)


def _on_flat_detector(
    crystal: Crystal, axes: FloatArray, settings: SpotSettings, detector: FlatDetector
) -> _Reflections:
    """Return the reflections that some mosaic blocks bring onto the Ewald sphere.

    H lies on the sphere of radius 1/lambda when it makes an angle of 90 degree - theta with z. The
    blocks that are turned by what H lacks diffract; their share is Gaussian in that angle. A turn
    keeps |H|, so each spot sits on its Debye-Scherrer ring, at the azimuth of H.

    Intensity is |F|^2 L P times that share. L = 1 / (lambda |H| cos theta) = 1 / sin 2 theta, since
    H crosses the sphere at |H| cos theta per angle of turn. P = (1 + cos^2 2 theta - f cos 2 phi
    sin^2 2 theta) / 2, as `pyFAI.geometry.Geometry.polarization`.
    """
    wavelength = settings.wavelength_angstrom
    distance_px = detector.distance_mm / detector.pixel_size_mm
    theta_max = np.arctan(_farthest_px(settings) / distance_px) / 2
    reach = 2 * np.sin(theta_max) / wavelength
    mosaicity = np.radians(detector.mosaicity_deg)
    lattice = lattice_box(crystal, reach)
    near = _near_sphere(lattice, axes, wavelength, reach, _MOSAIC_CUT * mosaicity)
    hkl = _chosen(lattice, near)
    vectors = hkl @ axes
    length = np.linalg.norm(vectors, axis=1)
    sin_theta = wavelength * length / 2
    turn = np.arcsin(vectors[:, 2] / length) - np.arcsin(sin_theta)
    kept = np.abs(turn) <= _MOSAIC_CUT * mosaicity
    hkl, vectors, length, turn = hkl[kept], vectors[kept], length[kept], turn[kept]
    two_theta = 2 * np.arcsin(sin_theta[kept])
    azimuth = np.arctan2(vectors[:, 1], vectors[:, 0])
    radius_px = distance_px * np.tan(two_theta)
    polarised = detector.polarization_factor * np.cos(2 * azimuth) * np.sin(two_theta) ** 2
    polarisation = (1 + np.cos(two_theta) ** 2 - polarised) / 2
    weight = polarisation / np.sin(two_theta) * np.exp(-0.5 * (turn / mosaicity) ** 2)
    x_px, y_px = radius_px * np.cos(azimuth), radius_px * np.sin(azimuth)
    return _Reflections(hkl, length, x_px, y_px, weight)


def _near_sphere(
    lattice: list[IntArray], axes: FloatArray, wavelength: float, reach: float, most_turn: float
) -> BoolArray:
    """Return which lattice points may lie within that angle (radian) of the Ewald sphere.

    Compares sines, which differ by less than their angles, so that no point is missed.
    """
    height = _component(axes[:, 2], lattice)
    squared = _component(axes[:, 0], lattice) ** 2
    squared += _component(axes[:, 1], lattice) ** 2
    squared += height**2
    length = np.sqrt(squared)
    near = np.abs(height - wavelength / 2 * squared) <= most_turn * length
    return np.asarray(near & (length <= reach) & (length > 0))


def _farthest_px(settings: SpotSettings) -> float:
    """Return the distance from the direct beam to the farthest corner."""
    (row, column), (n_rows, n_columns) = settings.centre_px, settings.shape
    rows, columns = np.array([-0.5, n_rows - 0.5]), np.array([-0.5, n_columns - 0.5])
    return float(np.hypot(np.abs(rows - row).max(), np.abs(columns - column).max()))


def lattice_box(crystal: Crystal, reach_per_angstrom: float) -> list[IntArray]:
    """Return the range of h, of k and of l that holds the sphere of this radius.

    Raises
    ------
    CrystalError
        If the cell is so large that the points between would not fit in memory.
    """
    edges = np.linalg.norm(crystal.direct, axis=1)
    most = np.floor(edges * reach_per_angstrom + 1e-9).astype(np.int64)
    n_points = int(np.prod(2.0 * most + 1))
    if n_points > _MOST_LATTICE_POINTS:
        raise CrystalError(
            f"a crystal may have at most {_MOST_LATTICE_POINTS:,} reciprocal lattice points around"
            f" the image, but {crystal.name} has {n_points:,}; take a longer wavelength or a"
            " smaller field."
        )
    return [np.arange(-n, n + 1) for n in most]


def _component(along: FloatArray, lattice: list[IntArray]) -> FloatArray:
    """Return h a + k b + l c of all points of the box, for numbers a, b, c."""
    h, k, l = (number * indices for number, indices in zip(along, lattice, strict=True))  # noqa: E741
    return np.asarray((h[:, None] + k)[:, :, None] + l)


def _chosen(lattice: list[IntArray], is_chosen: BoolArray) -> IntArray:
    """Return hkl of the chosen points of the box, shape (n_chosen, 3)."""
    places = np.nonzero(is_chosen)
    return np.stack([i[place] for i, place in zip(lattice, places, strict=True)], axis=1)


def structure_factor_squared(
    crystal: Crystal, hkl: IntArray, length_per_angstrom: FloatArray, b_square_angstrom: float
) -> FloatArray:
    """Return |F|^2 of the conventional cell, exactly 0 for extinct reflections.

    F = sum_j o_j f_j exp(-B s^2) exp(2 pi i h x_j), s = |H| / 2.
    """
    elements, column = np.unique(crystal.atomic_numbers, return_inverse=True)
    amounts = np.zeros((column.size, elements.size), dtype=np.float32)
    amounts[np.arange(column.size), column] = crystal.occupancies
    s_squared = length_per_angstrom**2 / 4
    factors = form_factors(elements, s_squared) * np.exp(-b_square_angstrom * s_squared)[:, None]
    in_phase = factors @ amounts.sum(axis=0)
    squared = np.empty(length_per_angstrom.size)
    n_rows = max(1, _MOST_PHASES // column.size)
    for start in range(0, squared.size, n_rows):
        rows = slice(start, start + n_rows)
        turns = hkl[rows] @ crystal.fractional.T
        # Within half a turn, float32 phases are good to 1e-7 and ten times faster.
        phases = (2 * np.pi * (turns - np.rint(turns))).astype(np.float32)
        real = ((np.cos(phases) @ amounts) * factors[rows]).sum(axis=1)
        imaginary = ((np.sin(phases) @ amounts) * factors[rows]).sum(axis=1)
        squared[rows] = real**2 + imaginary**2
    return np.where(squared > (_EXTINCT * in_phase) ** 2, squared, 0.0)


def _check_rotation(orientation: FloatArray) -> None:
    matrix = np.asarray(orientation, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise CrystalError(
            f"orientation must be a rotation matrix of shape (3, 3), but has shape {matrix.shape};"
            " take it from zone_axis_orientation or from scipy's Rotation.as_matrix."
        )
    x, y, z = matrix
    off = max(np.abs(matrix @ matrix.T - np.eye(3)).max(), np.abs(np.cross(x, y) - z).max())
    if not off < 1e-6:
        raise CrystalError(
            "orientation must be a rotation matrix, but its rows are not a right-handed set of unit"
            f" vectors at right angles (off by {off:.2g}); normalise them, or turn one round."
        )
