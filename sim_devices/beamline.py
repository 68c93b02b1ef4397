"""The whole simulated beamline in one call."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from phasepilot.models.diffraction.pressure.compressed_powder import (
    DEFAULT_EXPOSURE_S,
    DEFAULT_PEAK_COUNTS,
)
from phasepilot.models.diffraction.pressure.materials import Material, material_named
from phasepilot.sim_devices.diamond_anvil_cell import DiamondAnvilCell
from phasepilot.sim_devices.powder_detector import PowderDetector
from phasepilot.sim_devices.sample import Sample


@dataclass(frozen=True, slots=True)
class SimulatedBeamline:
    """A sample in a cell in front of a detector.

    Attributes
    ----------
    material : Material
        Knows the true transition pressure.
    sample : Sample
        The true state of the powder.
    cell : DiamondAnvilCell
        Named ``cell``.
    detector : PowderDetector
        Named ``detector``.
    """

    material: Material
    sample: Sample
    cell: DiamondAnvilCell
    detector: PowderDetector


def simulated_beamline(
    material_name: str,
    *,
    seed: int,
    peak_counts: float = DEFAULT_PEAK_COUNTS,
    exposure_s: float = DEFAULT_EXPOSURE_S,
    time_constant_s: float = 0.05,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> SimulatedBeamline:
    """Return a fresh beamline, its sample at the start of the material's scan.

    The same seed and the same moves give the same frames, to the bit.

    Parameters
    ----------
    material_name : str
        A name of `phasepilot.models.diffraction.pressure.materials.MATERIALS`.
    peak_counts : float
        Counts of the strongest bin of the first phase at the start, in 0.1 s.
    exposure_s : float
        Exposure to begin with; set ``detector.exposure_s`` to change it.
    time_constant_s : float
        How slowly the cell follows its set point.
    clock, sleep : callable
        Seconds since the epoch, and how to wait; the two must agree.
    """
    material = material_named(material_name)
    sample = Sample(material, peak_counts=peak_counts)
    gauge_rng, counting_rng = np.random.default_rng(seed).spawn(2)
    cell = DiamondAnvilCell(
        name="cell",
        sample=sample,
        rng=gauge_rng,
        time_constant_s=time_constant_s,
        clock=clock,
        sleep=sleep,
    )
    detector = PowderDetector(
        name="detector", sample=sample, rng=counting_rng, cell=cell, clock=clock, sleep=sleep
    )
    detector.exposure_s.put(exposure_s)
    return SimulatedBeamline(material, sample, cell, detector)
