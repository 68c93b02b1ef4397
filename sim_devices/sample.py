"""A powder that remembers where its pressure turned. No device, no clock."""

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.diffraction.pressure.compressed_powder import (
    DEFAULT_EXPOSURE_S,
    DEFAULT_PEAK_COUNTS,
    Diffractometer,
    PowderPattern,
    advance_fraction,
)
from phasepilot.models.diffraction.pressure.materials import Material

FloatArray = NDArray[np.float64]


class Sample:
    """A powder that remembers where its pressure turned.

    Attributes
    ----------
    pressure_gpa : float
        True pressure, as last set by `move_to`.
    high_pressure_fraction : float
        Volume share of the high-pressure phase, 0 to 1.
    """

    def __init__(
        self,
        material: Material,
        *,
        start_pressure_gpa: float | None = None,
        diffractometer: Diffractometer | None = None,
        peak_counts: float = DEFAULT_PEAK_COUNTS,
        crystallite_size_nm: float = 60.0,
    ) -> None:
        """Prepare a fresh sample, compressed from zero to the start (default: of the scan)."""
        self.material = material
        self.diffractometer = diffractometer or Diffractometer()
        self.pressure_gpa = (
            material.scan_start_gpa if start_pressure_gpa is None else start_pressure_gpa
        )
        self.high_pressure_fraction = advance_fraction(0.0, self.pressure_gpa, material)
        self.pattern = PowderPattern(
            material,
            start_pressure_gpa=self.pressure_gpa,
            diffractometer=self.diffractometer,
            peak_counts=peak_counts,
            crystallite_size_nm=crystallite_size_nm,
        )

    def move_to(self, pressure_gpa: float) -> None:
        """Change the pressure monotonically to this one."""
        self.high_pressure_fraction = advance_fraction(
            self.high_pressure_fraction, pressure_gpa, self.material
        )
        self.pressure_gpa = pressure_gpa

    def expected_counts(self, exposure_s: float = DEFAULT_EXPOSURE_S) -> FloatArray:
        """Return the mean counts of an exposure of the sample as it is now, shape (n_points,)."""
        counts = self.pattern.expected_counts(self.pressure_gpa, self.high_pressure_fraction)
        return counts * (exposure_s / DEFAULT_EXPOSURE_S)
