"""From sticks to profiles: instrument factors and area-true drawing on a uniform axis."""

from collections.abc import Iterable

import numpy as np
from scipy.special import erf

from phasepilot.models.arrays import FloatArray


def lorentz_polarisation(two_theta_deg: FloatArray, polarised_fraction: float) -> FloatArray:
    """Return the Lorentz-polarisation factor of a powder line.

    Parameters
    ----------
    polarised_fraction : float
        0 for an unpolarised tube: (1 + cos^2 2theta) / (2 sin^2 theta cos theta). 1 for a
        synchrotron beam polarised across the scattering plane, where only the Lorentz part stays.

    References
    ----------
    Salgado et al. (2023), equation of LP; polarisation as in International Tables C, 6.2.2.
    """
    theta = np.radians(two_theta_deg / 2)
    cos_squared = np.cos(2 * theta) ** 2
    polarisation = polarised_fraction + (1 - polarised_fraction) * (1 + cos_squared) / 2
    return np.asarray(polarisation / (np.sin(theta) ** 2 * np.cos(theta)))


def caglioti_fwhm_deg(two_theta_deg: FloatArray, u: float, v: float, w: float) -> FloatArray:
    """Return the instrument's FWHM, sqrt(U tan^2 theta + V tan theta + W), in degree.

    U, V and W are in square degree.

    References
    ----------
    Caglioti, Paoletti & Ricci, Nucl. Instrum. 3, 223 (1958), as given by Salgado et al. (2023).
    """
    tangent = np.tan(np.radians(two_theta_deg / 2))
    return np.sqrt(np.maximum(u * tangent**2 + v * tangent + w, 1e-8))


def size_fwhm_deg(
    two_theta_deg: FloatArray, wavelength_angstrom: float, crystallite_size_nm: float
) -> FloatArray:
    """Return the Scherrer broadening K lambda / (L cos theta) with K = 0.9, in degree."""
    cosine = np.cos(np.radians(two_theta_deg / 2))
    return np.degrees(0.9 * wavelength_angstrom / (10 * crystallite_size_nm * cosine))


def draw_pseudo_voigts(
    centres: FloatArray,
    areas: FloatArray,
    fwhms: FloatArray,
    lorentz_fractions: FloatArray,
    *,
    axis_start: float,
    axis_step: float,
    n_bins: int,
    rows: FloatArray | None = None,
    n_rows: int = 1,
    reach_fwhm: float = 8.0,
) -> FloatArray:
    """Return pseudo-Voigt lines integrated over the bins of a uniform axis.

    Bins hold integrals (differences of the cumulative profile), so a line keeps its area even when
    it is narrower than a bin.

    Parameters
    ----------
    centres, areas, fwhms, lorentz_fractions : ndarray, shape (n_lines,)
        In units of the axis. `lorentz_fractions` is eta of the pseudo-Voigt, 0 to 1.
    axis_start, axis_step : float
        Lower edge of the first bin, and the width of a bin.
    rows : ndarray of int, shape (n_lines,), optional
        Which of `n_rows` patterns each line belongs to: one call draws a batch.
    reach_fwhm : float
        Lines are cut this many FWHM from their centre; what a Lorentz tail loses there (4 % of its
        area at 8 FWHM) is flat enough to pass for background.

    Returns
    -------
    ndarray, shape (n_rows, n_bins)
    """
    if rows is None:
        rows = np.zeros(centres.size, dtype=np.int64)
    result = np.zeros(n_rows * n_bins)
    half_bins = np.ceil(reach_fwhm * fwhms / axis_step).astype(np.int64) + 1
    # Lines of similar width are drawn together: one very broad line must not widen all windows.
    bounds: Iterable[float] = (
        np.unique(np.quantile(half_bins, [0.5, 0.8, 0.95, 1.0])) if centres.size else ()
    )
    lower = 0.0
    for upper in bounds:
        chosen = (half_bins > lower) & (half_bins <= upper)
        lower = upper
        if not chosen.any():
            continue
        reach = int(half_bins[chosen].max())
        middle = np.floor((centres[chosen] - axis_start) / axis_step).astype(np.int64)
        edges = middle[:, None] + np.arange(-reach, reach + 2)
        offset = axis_start + edges * axis_step - centres[chosen][:, None]
        cumulative = _cumulative_pseudo_voigt(
            offset / fwhms[chosen][:, None], lorentz_fractions[chosen][:, None]
        )
        values = np.diff(cumulative, axis=1) * areas[chosen][:, None]
        bins = edges[:, :-1]
        inside = (bins >= 0) & (bins < n_bins)
        flat = (rows[chosen][:, None] * n_bins + bins)[inside]
        result += np.bincount(flat, weights=values[inside], minlength=result.size)
    return result.reshape(n_rows, n_bins)


def _cumulative_pseudo_voigt(offset_fwhm: FloatArray, lorentz_fraction: FloatArray) -> FloatArray:
    gauss = erf(2 * np.sqrt(np.log(2)) * offset_fwhm) / 2
    lorentz = np.arctan(2 * offset_fwhm) / np.pi
    return np.asarray(lorentz_fraction * lorentz + (1 - lorentz_fraction) * gauss)
