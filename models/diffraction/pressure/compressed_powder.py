"""A powder under pressure: which phases it holds, and the counts it scatters. No device, no clock.

Left out: texture, strain broadening, c/a changing with pressure, lines of the gasket and of the
pressure medium, the diamonds, and the small change of |F|^2 while a line moves with pressure.
"""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.hysteresis import HysteresisLoop
from phasepilot.models.diffraction.powder.axis import Axis, AxisKind
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.intensity_factors import lorentz, polarisation
from phasepilot.models.diffraction.powder.line_drawing import Lines, draw_lines
from phasepilot.models.diffraction.powder.line_widths import (
    caglioti_fwhm_deg,
    size_fwhm_deg,
    thompson_cox_hastings,
)
from phasepilot.models.diffraction.pressure.materials import Material, Phase
from phasepilot.models.diffraction.reflections import Sticks, powder_sticks

# The exposure that `peak_counts` speaks of, and the detector's default.
DEFAULT_EXPOSURE_S = 0.1
DEFAULT_PEAK_COUNTS = 5000.0
# A smooth background as of a diamond anvil cell on a synchrotron; heights are assumed, as fractions
# of the strongest bin: air scatter that falls off with angle, and a flat floor.
AIR_SCATTER_FRACTION = 0.04
AIR_SCATTER_DECAY_DEG = 6.0
FLAT_FRACTION = 0.01
# Where the tails of lines are cut, against the highest line: a fifth of a count in 5000.
TAIL_TOLERANCE = 4e-5


@dataclass(frozen=True, slots=True)
class Diffractometer:
    """The beam, the angles that are measured, and the resolution.

    Attributes
    ----------
    wavelength_angstrom : float
        Default 30 keV.
    two_theta_start_deg, two_theta_stop_deg : float
        Centres of the first and the last bin.
    n_points : int
    caglioti_square_deg : tuple of float
        U, V, W of the instrument's width. The default, 0.04 to 0.05 degree, is usual of a detector
        that sees whole rings of a small cell.
    polarised_fraction : float
        Of a synchrotron beam, across the scattering plane.
    """

    wavelength_angstrom: float = 0.41328
    two_theta_start_deg: float = 2.5
    two_theta_stop_deg: float = 30.0
    n_points: int = 2751
    caglioti_square_deg: tuple[float, float, float] = (0.01, 0.0, 0.0016)
    polarised_fraction: float = 0.95

    @property
    def two_theta_deg(self) -> FloatArray:
        """Centres of the bins, shape (n_points,)."""
        return np.linspace(self.two_theta_start_deg, self.two_theta_stop_deg, self.n_points)

    @property
    def step_deg(self) -> float:
        """Width of a bin."""
        return (self.two_theta_stop_deg - self.two_theta_start_deg) / (self.n_points - 1)

    @property
    def axis(self) -> Axis:
        """The bins, as the powder engine takes them."""
        start = np.array([[self.two_theta_start_deg - self.step_deg / 2]])
        step, wavelength = np.array([[self.step_deg]]), np.array([[self.wavelength_angstrom]])
        return Axis(AxisKind.TWO_THETA, start, step, self.n_points, wavelength)

    @property
    def q_max_per_angstrom(self) -> float:
        """The largest q that is measured."""
        sine = np.sin(np.radians(self.two_theta_stop_deg / 2))
        return float(4 * np.pi / self.wavelength_angstrom * sine)


def advance_fraction(fraction: float, pressure_gpa: float, material: Material) -> float:
    """Return the high-pressure fraction after a monotonic change to this pressure.

    See `HysteresisLoop.advanced`.

    Examples
    --------
    >>> from phasepilot.models.diffraction.pressure.materials import FE
    >>> half = advance_fraction(0.0, 14.0, FE)
    >>> kept, gone = advance_fraction(half, 12.5, FE), advance_fraction(half, 10.0, FE)
    >>> round(half, 6), round(kept, 6), gone
    (0.5, 0.5, 0.0)
    """
    loop = HysteresisLoop(
        rise_onset=material.compress_onset_gpa,
        rise_end=material.compress_end_gpa,
        fall_onset=material.decompress_onset_gpa,
        fall_end=material.decompress_end_gpa,
    )
    return loop.advanced(fraction, pressure_gpa)


class PowderPattern:
    """The ideal pattern of a material at any pressure and fraction.

    Parameters
    ----------
    peak_counts : float
        Counts of the strongest bin, above background, of the pure low-pressure phase at
        `start_pressure_gpa` in an exposure of `DEFAULT_EXPOSURE_S`.
    """

    def __init__(
        self,
        material: Material,
        *,
        start_pressure_gpa: float,
        diffractometer: Diffractometer,
        peak_counts: float,
        crystallite_size_nm: float,
    ) -> None:
        self.material = material
        self.diffractometer = diffractometer
        self._crystallite_size_nm = crystallite_size_nm
        self._low_sticks = _sticks_in_view(material.low_pressure, diffractometer)
        self._high_sticks = _sticks_in_view(material.high_pressure, diffractometer)
        # Lines are drawn without noise: the generator is never asked.
        self._backend = NumpyBackend(np.random.default_rng(0))
        self._scale = 1.0
        self._scale = peak_counts / self._lines(start_pressure_gpa, 0.0).max()
        air = AIR_SCATTER_FRACTION * np.exp(-diffractometer.two_theta_deg / AIR_SCATTER_DECAY_DEG)
        self.background_counts = peak_counts * (FLAT_FRACTION + air)

    def expected_counts(self, pressure_gpa: float, high_pressure_fraction: float) -> FloatArray:
        """Return the mean counts of an exposure of `DEFAULT_EXPOSURE_S`, shape (n_points,).

        Parameters
        ----------
        high_pressure_fraction : float
            Volume of the high-pressure phase over that of the sample, 0 to 1.
        """
        return self._lines(pressure_gpa, high_pressure_fraction) + self.background_counts

    def _lines(self, pressure_gpa: float, high_pressure_fraction: float) -> FloatArray:
        shares = [
            (self.material.low_pressure, self._low_sticks, 1 - high_pressure_fraction),
            (self.material.high_pressure, self._high_sticks, high_pressure_fraction),
        ]
        drawn = [
            self._lines_of_phase(phase, sticks, pressure_gpa, share)
            for phase, sticks, share in shares
            if share > 0
        ]
        two_theta_deg = np.concatenate([angles for angles, _ in drawn])
        areas = np.concatenate([areas for _, areas in drawn])
        fwhms, lorentz_fractions = self._shapes(two_theta_deg)
        row = np.zeros(two_theta_deg.size, dtype=np.int64)
        lines = Lines(row, two_theta_deg, areas, fwhms, lorentz_fractions)
        per_degree = draw_lines(
            lines, self.diffractometer.axis, self._backend, tail_tolerance=TAIL_TOLERANCE
        )
        return np.asarray(per_degree[0] * self.diffractometer.step_deg, dtype=np.float64)

    def _lines_of_phase(
        self, phase: Phase, sticks: Sticks, pressure_gpa: float, share: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return angles and areas of one phase: area = share * sum |F|^2 * LP / V^2 (kinematic)."""
        ratio = phase.volume_ratio(pressure_gpa)
        q = sticks.q_per_angstrom * ratio ** (-1 / 3)
        is_seen = q <= self.diffractometer.q_max_per_angstrom
        wavelength = self.diffractometer.wavelength_angstrom
        two_theta_deg = np.degrees(2 * np.arcsin(q[is_seen] * wavelength / (4 * np.pi)))
        volume = phase.crystal.volume_cubic_angstrom * ratio
        factor = lorentz(two_theta_deg) * polarisation(
            two_theta_deg, self.diffractometer.polarised_fraction
        )
        strength = sticks.structure_factor_squared[is_seen] * factor / volume**2
        return two_theta_deg, self._scale * share * strength

    def _shapes(self, two_theta_deg: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return FWHM and Lorentz fraction of the instrument's Gaussian folded with the size's."""
        u, v, w = self.diffractometer.caglioti_square_deg
        gauss = caglioti_fwhm_deg(two_theta_deg, u, v, w)
        size = size_fwhm_deg(
            two_theta_deg, self.diffractometer.wavelength_angstrom, self._crystallite_size_nm
        )
        fwhm, lorentz_fraction = thompson_cox_hastings(gauss, size)
        return fwhm, lorentz_fraction


def _sticks_in_view(phase: Phase, diffractometer: Diffractometer) -> Sticks:
    """Return the lines, at the reference pressure, that any pressure from 0 brings into view."""
    largest_stretch = phase.volume_ratio(0.0) ** (1 / 3)
    sticks = powder_sticks(phase.crystal, diffractometer.q_max_per_angstrom * largest_stretch)
    strength = sticks.structure_factor_squared
    # Extinct lines are rounding errors of 1e-14; drawing them would double the time of a frame.
    return sticks.chosen(strength > 1e-9 * strength.max())
