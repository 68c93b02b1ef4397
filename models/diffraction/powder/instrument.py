"""What a diffractometer makes of reflections: angles, geometry factors, widths and asymmetry."""

from dataclasses import replace
from math import pi

from phasepilot.models.arrays import Array
from phasepilot.models.diffraction.powder.axial_divergence import (
    axial_centroid_deg,
    axial_divergence,
    axial_spread_deg,
)
from phasepilot.models.diffraction.powder.axis import DEGREE
from phasepilot.models.diffraction.powder.backend import Backend
from phasepilot.models.diffraction.powder.intensity_factors import lorentz, polarisation
from phasepilot.models.diffraction.powder.line_drawing import Lines
from phasepilot.models.diffraction.powder.line_positions import displacement_shift_deg
from phasepilot.models.diffraction.powder.line_widths import (
    caglioti_fwhm_deg,
    microstrain_fwhm_deg,
    size_fwhm_deg,
    thompson_cox_hastings,
)
from phasepilot.models.diffraction.powder.recipe import Settings
from phasepilot.models.diffraction.powder.scattering import Reflections

# Lines beyond this angle are left out: the Lorentz factor grows without bound towards 180 degree.
MAX_TWO_THETA_DEG = 170.0
# Where asymmetry reaches less far than this share of the width, a line is taken as symmetric.
_LEAST_SPREAD_FWHM = 0.2
# Shares that a line is split into, by how far asymmetry reaches; see `axial_divergence`.
_NODES_UP_TO_SPREAD = ((1.0, 3), (2.0, 5), (3.0, 7), (4.5, 10), (8.0, 16), (float("inf"), 24))


def measured_lines(reflections: Reflections, settings: Settings, backend: Backend) -> Lines:
    """Return the powder lines that an instrument with these settings shows of the reflections."""
    xp = backend.xp
    column = _Columns(settings, backend)
    row, wavelength, two_theta, area = _emitted(reflections, column, xp)
    fraction, crystal = column("polarised_fraction"), column("monochromator_two_theta_deg")
    area = area * lorentz(two_theta) * polarisation(two_theta, fraction[row], crystal[row])
    fwhm, eta = _widths(two_theta, row, wavelength, settings, column)
    shift = column("zero_shift_deg")[row]
    if settings.is_used("displacement_over_radius"):
        displacement = column("displacement_over_radius")[row]
        shift = shift + displacement_shift_deg(two_theta, displacement)
    lines = Lines(row, two_theta, area, fwhm, eta)
    if settings.is_used("axial_divergence"):
        lines, parents = _with_asymmetry(lines, column("axial_divergence"), xp)
        shift = shift[parents]
    return Lines(
        lines.row, lines.two_theta_deg + shift, lines.area, lines.fwhm_deg, lines.lorentz_fraction
    )


class _Columns:
    """Columns of the settings on the device of the backend, shape (n_patterns,)."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self._settings = settings
        self._backend = backend

    def __call__(self, name: str, number: int = 0) -> Array:
        return self._backend.asarray(self._settings[name][:, number])


def _emitted(
    reflections: Reflections, column: _Columns, xp: Array
) -> tuple[Array, Array, Array, Array]:
    """Return row, wavelength, angle and strength of each reflection in each emission line."""
    parts = []
    for number in range(2):
        wavelength = column("wavelengths_angstrom", number)[reflections.row]
        strength = column("emission_weights", number)[reflections.row] * reflections.strength
        sine = reflections.q_per_angstrom * wavelength / (4 * pi)
        limit = float(xp.sin(xp.asarray(MAX_TWO_THETA_DEG / 2 * DEGREE)))
        seen = (sine < limit) & (strength > 0)
        angle = xp.asin(sine[seen]) * (2 / DEGREE)
        parts.append((reflections.row[seen], wavelength[seen], angle, strength[seen]))
    row, wavelength, angle, strength = (xp.concat(pieces) for pieces in zip(*parts, strict=True))
    return row, wavelength, angle, strength


def _widths(
    two_theta: Array, row: Array, wavelength: Array, settings: Settings, column: _Columns
) -> tuple[Array, Array]:
    """Return FWHM and Lorentz fraction of each line."""
    u, v, w = (column(f"caglioti_{letter}")[row] for letter in "uvw")
    gauss = caglioti_fwhm_deg(two_theta, u, v, w)
    lorentzian = column("lorentz_fwhm_deg")[row]
    size = size_fwhm_deg(two_theta, wavelength, column("crystallite_size_nm")[row])
    # A column of 0 and 1 rather than a branch: patterns of one batch may differ in it.
    is_gaussian = column("has_gaussian_size")[row]
    gauss = (gauss**2 + is_gaussian * size**2) ** 0.5
    lorentzian = lorentzian + (1 - is_gaussian) * size
    if settings.is_used("microstrain"):
        lorentzian = lorentzian + microstrain_fwhm_deg(two_theta, column("microstrain")[row])
    return thompson_cox_hastings(gauss, lorentzian)


def _with_asymmetry(lines: Lines, divergence: Array, xp: Array) -> tuple[Lines, Array]:
    """Return the lines with those at low angle split into their shares, and the line of each."""
    of_line = divergence[lines.row]
    spread = axial_spread_deg(lines.two_theta_deg, of_line, of_line) / lines.fwhm_deg
    spread = xp.where(of_line > 0, spread, xp.zeros_like(spread))
    kept = xp.nonzero(spread <= _LEAST_SPREAD_FWHM)[0]
    pieces, parents = [_moved(lines.chosen(kept), of_line[kept], xp)], [kept]
    smallest = _LEAST_SPREAD_FWHM
    for largest, n_nodes in _NODES_UP_TO_SPREAD:
        split = xp.nonzero((spread > smallest) & (spread <= largest))[0]
        smallest = largest
        if split.shape[0]:
            pieces.append(_split(lines.chosen(split), of_line[split], n_nodes, xp))
            parents.append(xp.repeat(split, n_nodes))
    columns = (xp.concat([getattr(piece, name) for piece in pieces]) for name in Lines.__slots__)
    return Lines(*columns), xp.concat(parents)


def _moved(lines: Lines, divergence: Array, xp: Array) -> Lines:
    """Return lines that divergence hardly broadens where it has moved their centroids."""
    shift = axial_centroid_deg(lines.two_theta_deg, divergence, divergence)
    shift = xp.where(divergence > 0, shift, xp.zeros_like(shift))
    return replace(lines, two_theta_deg=lines.two_theta_deg + shift)


def _split(lines: Lines, divergence: Array, n_nodes: int, xp: Array) -> Lines:
    """Return the shares of lines that divergence broadens."""
    angles, shares = axial_divergence(lines.two_theta_deg, divergence, divergence, n_nodes=n_nodes)
    numbers = xp.arange(lines.row.shape[0], device=lines.row.device)
    whole = lines.chosen(xp.repeat(numbers, n_nodes))
    return replace(
        whole,
        two_theta_deg=xp.reshape(angles, (-1,)),
        area=whole.area * xp.reshape(shares, (-1,)),
    )
