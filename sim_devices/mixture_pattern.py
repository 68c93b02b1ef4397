"""What a mixture of powders scatters, in counts a second. No device, no clock.

Kinematic, of a thin sample: each phase adds its lines in proportion to its share of the volume.
Left out: absorption, texture, extinction, strain broadening.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.powder.axis import Axis
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.background import air_scatter, amorphous_hump
from phasepilot.models.diffraction.powder.intensity_factors import lorentz, polarisation
from phasepilot.models.diffraction.powder.line_drawing import Lines, draw_lines
from phasepilot.models.diffraction.powder.line_widths import (
    caglioti_fwhm_deg,
    size_fwhm_deg,
    thompson_cox_hastings,
)
from phasepilot.models.diffraction.pressure.compressed_powder import (
    AIR_SCATTER_FRACTION,
    FLAT_FRACTION,
    TAIL_TOLERANCE,
    Diffractometer,
)
from phasepilot.models.diffraction.reflections import Sticks, powder_sticks
from phasepilot.sim_devices.rate_curve import RateCurve, rate_curve
from phasepilot.sim_devices.sample import FloatArray

# A laboratory diffractometer with Cu K-alpha1 alone (Hoelzer et al., doi:10.1103/PhysRevA.56.4554);
# resolution and range are assumed, as usual of such instruments.
LABORATORY = Diffractometer(
    wavelength_angstrom=1.540593,
    two_theta_start_deg=8.0,
    two_theta_stop_deg=102.0,
    n_points=9401,
    caglioti_square_deg=(0.006, 0.0, 0.0036),
    polarised_fraction=0.0,
)
DEFAULT_PEAK_RATE_PER_S = 2000.0
DEFAULT_CRYSTALLITE_SIZE_NM = 60.0
# The window that peak rates speak of: the receiving slit of `SCINTILLATION_COUNTER`.
PEAK_WINDOW_DEG = 0.05
# Air scatter falls off with angle over so many degrees: assumed, for the long waves of a tube.
_AIR_DECAY_DEG = 15.0
# A glass: where its halo is and how broad (silica, as in `amorphous_hump`), and its height against
# the strongest line of the crystals; the height is assumed.
_GLASS_Q_PER_ANGSTROM = 1.5
_GLASS_WIDTH_PER_ANGSTROM = 0.25
_GLASS_HEIGHT = 0.06
# Room for lattices that shrink by a few per cent, whose lines come into view from beyond.
_Q_MARGIN = 1.05


class MixturePattern:
    """The ideal pattern of any mixture of some phases, and its background.

    Parameters
    ----------
    crystals : mapping of str to Crystal
        The phases by name; shares are given in this order.
    diffractometer : Diffractometer
    peak_rate_per_s : float
        Counts a second at the top of the strongest line of the phase that scatters most, above
        background, in a window of `PEAK_WINDOW_DEG`.
    crystallite_size_nm : float
    """

    def __init__(
        self,
        crystals: Mapping[str, Crystal],
        *,
        diffractometer: Diffractometer = LABORATORY,
        peak_rate_per_s: float = DEFAULT_PEAK_RATE_PER_S,
        crystallite_size_nm: float = DEFAULT_CRYSTALLITE_SIZE_NM,
    ) -> None:
        self.crystals = dict(crystals)
        self.diffractometer = diffractometer
        self._crystallite_size_nm = crystallite_size_nm
        self._sticks = [_sticks_in_view(crystal, diffractometer) for crystal in crystals.values()]
        step = diffractometer.step_deg
        ends = np.arange(diffractometer.n_points + 1, dtype=np.float64) - 0.5
        self._edges_deg: FloatArray = diffractometer.two_theta_start_deg + ends * step
        self._scale = 1.0
        self._scale = peak_rate_per_s / self._highest_of_pure_phases()
        flat_rate = peak_rate_per_s * step / PEAK_WINDOW_DEG
        air = AIR_SCATTER_FRACTION * air_scatter(self._centres_deg, np.array(_AIR_DECAY_DEG))
        self.background_per_s: FloatArray = flat_rate * (FLAT_FRACTION + air)
        self.glass_per_s: FloatArray = flat_rate * _GLASS_HEIGHT * _glass_halo(diffractometer)

    @property
    def _centres_deg(self) -> FloatArray:
        return self.diffractometer.two_theta_deg

    def curve_of_powder(
        self, shares: FloatArray, deformed: Sequence[Crystal] | None = None
    ) -> RateCurve:
        """Return what a powder and its background scatter.

        Parameters
        ----------
        shares : ndarray, shape (n_phases,)
            Volumes of the phases against that of a full sample; they need not add up to 1.
        deformed : sequence of Crystal, optional
            The same structures with the cells that they have now, one a phase.
        """
        return self._curve(self.lines(shares, deformed) + self.background_per_s)

    def curve_of_glass(self) -> RateCurve:
        """Return what a full sample without any crystal scatters, and its background."""
        return self._curve(self.glass_per_s + self.background_per_s)

    def lines(self, shares: FloatArray, deformed: Sequence[Crystal] | None = None) -> FloatArray:
        """Return counts a second in each bin of the diffractometer, without background."""
        crystals = list(self.crystals.values()) if deformed is None else deformed
        parts = [
            (share, *_kinematic_lines(crystal, sticks, self.diffractometer))
            for share, crystal, sticks in zip(shares, crystals, self._sticks, strict=True)
            if share > 0
        ]
        if not parts:
            return np.zeros(self.diffractometer.n_points)
        angles = np.concatenate([angle for _, angle, _ in parts])
        areas = np.concatenate([self._scale * share * strength for share, _, strength in parts])
        return _drawn(angles, areas, self.diffractometer, self._crystallite_size_nm)

    def _highest_of_pure_phases(self) -> float:
        pure = [self._curve(self.lines(shares)) for shares in np.eye(len(self.crystals))]
        return max(float(c.in_windows(self._centres_deg, PEAK_WINDOW_DEG).max()) for c in pure)

    def _curve(self, rates_per_s: FloatArray) -> RateCurve:
        return rate_curve(self._edges_deg, rates_per_s)


def _glass_halo(diffractometer: Diffractometer) -> FloatArray:
    """Return the halo of a glass, its height 1, shape (n_points,)."""
    sine = np.sin(np.radians(diffractometer.two_theta_deg / 2))
    q = 4 * np.pi / diffractometer.wavelength_angstrom * sine
    position, width = np.array(_GLASS_Q_PER_ANGSTROM), np.array(_GLASS_WIDTH_PER_ANGSTROM)
    return np.asarray(amorphous_hump(q, position, width))


def _sticks_in_view(crystal: Crystal, diffractometer: Diffractometer) -> Sticks:
    sticks = powder_sticks(crystal, diffractometer.q_max_per_angstrom * _Q_MARGIN)
    strength = sticks.structure_factor_squared
    # Extinct lines are rounding errors of 1e-14.
    return sticks.chosen(strength > 1e-9 * strength.max())


def _kinematic_lines(
    crystal: Crystal, sticks: Sticks, diffractometer: Diffractometer
) -> tuple[FloatArray, FloatArray]:
    """Return angles and strengths of a pure phase, sum |F|^2 * LP / V^2, with its present cell."""
    q = 2 * np.pi * np.linalg.norm(sticks.hkl @ crystal.reciprocal, axis=1)
    is_seen = q <= diffractometer.q_max_per_angstrom
    sine = q[is_seen] * diffractometer.wavelength_angstrom / (4 * np.pi)
    two_theta_deg = np.degrees(2 * np.arcsin(sine))
    factor = lorentz(two_theta_deg) * polarisation(two_theta_deg, diffractometer.polarised_fraction)
    squared = sticks.structure_factor_squared[is_seen]
    return two_theta_deg, squared * factor / crystal.volume_cubic_angstrom**2


def _drawn(
    two_theta_deg: FloatArray,
    areas: FloatArray,
    diffractometer: Diffractometer,
    crystallite_size_nm: float,
) -> FloatArray:
    """Return what lines of these areas add to each bin, shape (n_points,)."""
    gauss = caglioti_fwhm_deg(two_theta_deg, *diffractometer.caglioti_square_deg)
    size = size_fwhm_deg(two_theta_deg, diffractometer.wavelength_angstrom, crystallite_size_nm)
    fwhms, lorentz_fractions = thompson_cox_hastings(gauss, size)
    row = np.zeros(two_theta_deg.size, dtype=np.int64)
    axis: Axis = diffractometer.axis
    # Lines are drawn without noise: the generator is never asked.
    backend = NumpyBackend(np.random.default_rng(0))
    per_degree = draw_lines(
        Lines(row, two_theta_deg, areas, fwhms, lorentz_fractions),
        axis,
        backend,
        tail_tolerance=TAIL_TOLERANCE,
    )
    return np.asarray(per_degree[0] * diffractometer.step_deg, dtype=np.float64)
