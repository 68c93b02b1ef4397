"""A powder that remembers where its temperature turned. No device, no clock."""

import numpy as np

from phasepilot.models.diffraction.pressure.compressed_powder import Diffractometer
from phasepilot.sim_devices.mixture_pattern import (
    DEFAULT_PEAK_RATE_PER_S,
    LABORATORY,
    MixturePattern,
)
from phasepilot.sim_devices.rate_curve import RateCurve
from phasepilot.sim_devices.thermal_materials import ThermalMaterial, ThermalPhase


class HeatedSample:
    """A powder that remembers where its temperature turned.

    Attributes
    ----------
    temperature_k : float
        True temperature, as last set by `move_to`.
    high_temperature_fraction : float
        Volume share of the high-temperature phase, 0 to 1.
    """

    def __init__(
        self,
        material: ThermalMaterial,
        *,
        start_temperature_k: float | None = None,
        diffractometer: Diffractometer = LABORATORY,
        peak_rate_per_s: float = DEFAULT_PEAK_RATE_PER_S,
    ) -> None:
        """Prepare a fresh sample, heated from the cold to the start (default: of the scan)."""
        self.material = material
        self.temperature_k = (
            material.scan_start_k if start_temperature_k is None else start_temperature_k
        )
        self.high_temperature_fraction = material.loop.advanced(0.0, self.temperature_k)
        self.pattern = MixturePattern(
            {phase.name: phase.crystal for phase in self._phases},
            diffractometer=diffractometer,
            peak_rate_per_s=peak_rate_per_s,
        )
        self._seen_at = (np.nan, np.nan)
        self._curve: RateCurve | None = None

    @property
    def _phases(self) -> tuple[ThermalPhase, ThermalPhase]:
        return self.material.low_temperature, self.material.high_temperature

    @property
    def wavelength_angstrom(self) -> float:
        """Wavelength of the beam."""
        return self.pattern.diffractometer.wavelength_angstrom

    def move_to(self, temperature_k: float) -> None:
        """Change the temperature monotonically to this one."""
        loop = self.material.loop
        self.high_temperature_fraction = loop.advanced(
            self.high_temperature_fraction, temperature_k
        )
        self.temperature_k = temperature_k

    def rate_curve(self) -> RateCurve:
        """Return what the sample scatters as it is now."""
        state = (self.temperature_k, self.high_temperature_fraction)
        # Several exposures at one temperature are usual.
        if self._curve is None or state != self._seen_at:
            fraction = self.high_temperature_fraction
            deformed = [phase.crystal_at(self.temperature_k) for phase in self._phases]
            shares = np.array([1 - fraction, fraction])
            self._seen_at, self._curve = state, self.pattern.curve_of_powder(shares, deformed)
        return self._curve
