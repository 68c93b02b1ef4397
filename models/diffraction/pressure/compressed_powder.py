"""A powder under pressure: which phases it holds, and the counts it scatters. No device, no clock.

Left out: texture, strain broadening, lines of the gasket and of the pressure medium, the diamonds,
and the small change of |F|^2 while a line moves with pressure.
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
        self._low_sticks = sticks_in_view(material.low_pressure, diffractometer)
        self._high_sticks = sticks_in_view(material.high_pressure, diffractometer)
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
            (share, phase_lines(phase, sticks, pressure_gpa, self.diffractometer))
            for phase, sticks, share in shares
            if share > 0
        ]
        return counts_of_lines(
            np.concatenate([lines.two_theta_deg for _, lines in drawn]),
            np.concatenate([self._scale * share * lines.strength for share, lines in drawn]),
            self.diffractometer,
            crystallite_size_nm=self._crystallite_size_nm,
        )


@dataclass(frozen=True, slots=True)
class PhaseLines:
    """Where a pure phase diffracts, and how strongly: sum |F|^2 * LP / V^2 (kinematic)."""

    two_theta_deg: FloatArray
    strength: FloatArray


def phase_lines(
    phase: Phase, sticks: Sticks, pressure_gpa: float, diffractometer: Diffractometer
) -> PhaseLines:
    """Return the lines of a phase under pressure, one a stick; beyond the range they are at 179.

    Parameters
    ----------
    sticks : Sticks
        As `sticks_in_view` gives them.
    """
    wavelength = diffractometer.wavelength_angstrom
    sine = phase.q_per_angstrom(sticks.hkl, pressure_gpa) * wavelength / (4 * np.pi)
    two_theta_deg = np.degrees(2 * np.arcsin(np.minimum(sine, np.sin(np.radians(179 / 2)))))
    volume = phase.crystal.volume_cubic_angstrom * phase.volume_ratio(pressure_gpa)
    factor = lorentz(two_theta_deg) * polarisation(two_theta_deg, diffractometer.polarised_fraction)
    return PhaseLines(two_theta_deg, sticks.structure_factor_squared * factor / volume**2)


def counts_of_lines(
    two_theta_deg: FloatArray,
    areas: FloatArray,
    diffractometer: Diffractometer,
    *,
    crystallite_size_nm: float,
) -> FloatArray:
    """Return what lines of these areas add to each bin, shape (n_points,).

    Their shape is the instrument's Gaussian folded with the Lorentzian of the crystallites' size.
    """
    is_seen = two_theta_deg < diffractometer.two_theta_stop_deg + 1.0
    angles, heights = two_theta_deg[is_seen], areas[is_seen]
    gauss = caglioti_fwhm_deg(angles, *diffractometer.caglioti_square_deg)
    size = size_fwhm_deg(angles, diffractometer.wavelength_angstrom, crystallite_size_nm)
    fwhms, lorentz_fractions = thompson_cox_hastings(gauss, size)
    lines = Lines(np.zeros(angles.size, dtype=np.int64), angles, heights, fwhms, lorentz_fractions)
    # Lines are drawn without noise: the generator is never asked.
    backend = NumpyBackend(np.random.default_rng(0))
    per_degree = draw_lines(lines, diffractometer.axis, backend, tail_tolerance=TAIL_TOLERANCE)
    return np.asarray(per_degree[0] * diffractometer.step_deg, dtype=np.float64)


def sticks_in_view(phase: Phase, diffractometer: Diffractometer) -> Sticks:
    """Return the lines, at the reference pressure, that any pressure from 0 brings into view."""
    largest_stretch = float(phase.length_ratios(0.0).max())
    sticks = powder_sticks(phase.crystal, diffractometer.q_max_per_angstrom * largest_stretch)
    strength = sticks.structure_factor_squared
    # Extinct lines are rounding errors of 1e-14; drawing them would double the time of a frame.
    return sticks.chosen(strength > 1e-9 * strength.max())
