"""Samples of one crystal, or of few, that stay as they are or change under pressure."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.strain import free_cell_parameters, strained
from phasepilot.models.diffraction.images.rotating_crystal import Grain
from phasepilot.models.diffraction.pressure.compressed_powder import advance_fraction
from phasepilot.models.diffraction.pressure.materials import Material, Phase


class GrainSample(Protocol):
    """What a detector of spots needs of a sample."""

    def grains(self) -> Sequence[Grain]:
        """Return the grains as they are now, with the rotation axis at 0."""


class StillGrains:
    """Grains that do not change."""

    def __init__(self, grains: Sequence[Grain]) -> None:
        self._grains = tuple(grains)

    def grains(self) -> Sequence[Grain]:
        """Return the grains."""
        return self._grains


class CompressedCrystal:
    """A single crystal that turns into another phase under pressure, with hysteresis.

    The new phase grows as one crystal of its own orientation; `DiamondAnvilCell` takes it as its
    sample.

    Attributes
    ----------
    pressure_gpa : float
        As last set by `move_to`.
    high_pressure_fraction : float
        Volume share of the high-pressure phase, 0 to 1.
    """

    def __init__(self, material: Material, *, rng: np.random.Generator) -> None:
        self.material = material
        self.pressure_gpa = material.scan_start_gpa
        self.high_pressure_fraction = advance_fraction(0.0, self.pressure_gpa, material)
        low, high = Rotation.random(2, random_state=rng).as_matrix()
        self._orientations = (low, high)

    def move_to(self, pressure_gpa: float) -> None:
        """Change the pressure monotonically to this one."""
        self.high_pressure_fraction = advance_fraction(
            self.high_pressure_fraction, pressure_gpa, self.material
        )
        self.pressure_gpa = pressure_gpa

    def grains(self) -> Sequence[Grain]:
        """Return the crystals of both phases, those that are there, as compressed as they are."""
        share = self.high_pressure_fraction
        phases = (self.material.low_pressure, self.material.high_pressure)
        return tuple(
            Grain(self._compressed(phase), orientation, part)
            for phase, orientation, part in zip(
                phases, self._orientations, (1 - share, share), strict=True
            )
            if part > 0
        )

    def _compressed(self, phase: Phase) -> Crystal:
        ratios = phase.length_ratios(self.pressure_gpa)
        free = free_cell_parameters(phase.crystal.setting)
        strains = dict(zip("abc", (ratios - 1).tolist(), strict=True))
        return strained(phase.crystal, {name: strains[name] for name in strains if name in free})
