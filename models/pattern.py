"""One measured powder pattern, on the axis that does not depend on the beam."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.errors import PatternError

MIN_POINTS = 16


def q_from_two_theta(two_theta_deg: FloatArray, wavelength_angstrom: float) -> FloatArray:
    """Return the scattering vector q = 4 pi sin(theta) / lambda of each angle, in 1/angstrom.

    Examples
    --------
    >>> q_from_two_theta(np.array([60.0]), wavelength_angstrom=2 * np.pi).round(6)
    array([1.])
    """
    return np.asarray(4 * np.pi / wavelength_angstrom * np.sin(np.radians(two_theta_deg / 2)))


def two_theta_from_q(q_per_angstrom: FloatArray, wavelength_angstrom: float) -> FloatArray:
    """Return the scattering angle in degrees of each q; NaN where the beam cannot reach it.

    Examples
    --------
    >>> two_theta_from_q(np.array([1.0, 9.0]), wavelength_angstrom=2 * np.pi).round(6)
    array([60., nan])
    """
    sine = q_per_angstrom * wavelength_angstrom / (4 * np.pi)
    reachable = np.where(np.abs(sine) <= 1, sine, np.nan)
    return np.asarray(np.degrees(2 * np.arcsin(reachable)))


@dataclass(frozen=True, slots=True)
class Pattern:
    """One powder pattern as measured.

    Attributes
    ----------
    q_per_angstrom : ndarray, shape (n_points,)
        Scattering vector, strictly increasing and above 0, in 1/angstrom.
    intensity : ndarray, shape (n_points,)
        Counts, not normalised; finite wherever `is_measured`.
    is_measured : ndarray of bool, shape (n_points,)
        False where nothing was measured or the pixel is dead; intensity there is 0 and ignored.
    wavelength_angstrom : float or None
        Wavelength of the beam; None only for data that came on a q axis.
    """

    q_per_angstrom: FloatArray
    intensity: FloatArray
    is_measured: BoolArray
    wavelength_angstrom: float | None

    @classmethod
    def from_q(
        cls,
        q_per_angstrom: FloatArray,
        intensity: FloatArray,
        *,
        wavelength_angstrom: float | None = None,
    ) -> Self:
        """Return the pattern of checked columns; single non-finite intensities become unmeasured.

        Raises
        ------
        PatternError
            If shape, type, order or values cannot be a powder pattern; the text says which.
        """
        axis = _column(q_per_angstrom, "q_per_angstrom")
        counts = _column(intensity, "intensity")
        _check_axis(axis, counts)
        is_measured = np.isfinite(counts)
        _check_counts(counts, is_measured)
        return cls(axis, np.where(is_measured, counts, 0.0), is_measured, wavelength_angstrom)

    @classmethod
    def from_two_theta(
        cls, two_theta_deg: FloatArray, intensity: FloatArray, *, wavelength_angstrom: float
    ) -> Self:
        """Return the pattern measured at these angles with this wavelength.

        Raises
        ------
        PatternError
            As `from_q`, and if an angle lies outside [0, 180) or the wavelength is not positive.
        """
        if not (np.isfinite(wavelength_angstrom) and wavelength_angstrom > 0):
            raise PatternError(
                f"wavelength_angstrom must be a positive number, but is {wavelength_angstrom!r};"
                " state the wavelength of the beam in angstrom (Cu K-alpha1 would be 1.5406)."
            )
        angles = _column(two_theta_deg, "two_theta_deg")
        if angles.size and not (np.nanmin(angles) >= 0 and np.nanmax(angles) < 180):
            raise PatternError(
                f"two_theta_deg must lie in [0, 180), but runs from {np.nanmin(angles):g}"
                f" to {np.nanmax(angles):g}; was this q in 1/angstrom or an angle in radians?"
            )
        # Some files start at 2-theta = 0, where q = 0 has no logarithm and the beam stop hides all.
        above_zero = ~(angles == 0)
        counts = _column(intensity, "intensity")
        if counts.shape == angles.shape:
            angles, counts = angles[above_zero], counts[above_zero]
        return cls.from_q(
            q_from_two_theta(angles, wavelength_angstrom),
            counts,
            wavelength_angstrom=wavelength_angstrom,
        )


def _column(values: FloatArray, name: str) -> FloatArray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise PatternError(
            f"{name} must be real numbers, but its type is {array.dtype};"
            " give counts, not text or complex amplitudes."
        )
    if array.ndim != 1:
        raise PatternError(
            f"{name} must be one column, but its shape is {array.shape};"
            " integrate the image to one pattern first."
        )
    return array.astype(np.float64, copy=False)


def _check_axis(axis: FloatArray, counts: FloatArray) -> None:
    if axis.shape != counts.shape:
        raise PatternError(
            f"intensity must have one value for each of the {axis.size} points of the axis,"
            f" but has {counts.size}; check that both come from the same detector mode."
        )
    if axis.size < MIN_POINTS:
        raise PatternError(
            f"a pattern needs at least {MIN_POINTS} points, but has {axis.size};"
            " is the frame cropped or still being written?"
        )
    if not np.isfinite(axis).all():
        raise PatternError(
            f"the axis must be finite, but {np.sum(~np.isfinite(axis))} of its {axis.size} values"
            " are not; check the calibration that made it."
        )
    if axis[0] <= 0 or not (np.diff(axis) > 0).all():
        raise PatternError(
            f"the axis must increase from above 0, but starts at {axis[0]:g} and its smallest step"
            f" is {np.diff(axis).min():g}; sort the points and drop repeated ones."
        )


def _check_counts(counts: FloatArray, is_measured: BoolArray) -> None:
    n_measured = int(is_measured.sum())
    if n_measured < MIN_POINTS:
        raise PatternError(
            f"a pattern needs at least {MIN_POINTS} finite intensities, but has {n_measured} of"
            f" {counts.size}; the detector may not have been read out."
        )
    lowest, highest = counts[is_measured].min(), counts[is_measured].max()
    if highest <= 0:
        raise PatternError(
            f"intensity must be positive somewhere, but its largest value is {highest:g};"
            " the beam may be off or the shutter closed."
        )
    # Background subtraction leaves small negative values; a pattern that is mostly negative is not
    # counts at all.
    if lowest < -highest:
        raise PatternError(
            f"intensity must be counts, but runs from {lowest:g} to {highest:g};"
            " was the dark image subtracted twice?"
        )
