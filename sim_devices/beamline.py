"""Whole simulated beamlines, each in one call."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.pressure.compressed_powder import (
    DEFAULT_EXPOSURE_S,
    DEFAULT_PEAK_COUNTS,
    Diffractometer,
)
from phasepilot.models.diffraction.pressure.materials import Material, material_named
from phasepilot.sim_devices.beamline_time import BeamlineTime
from phasepilot.sim_devices.clock import Clock, ThreadedClock
from phasepilot.sim_devices.counting import SILICON_STRIPS
from phasepilot.sim_devices.counting_detector import PointDetector, StripDetector
from phasepilot.sim_devices.diamond_anvil_cell import DiamondAnvilCell
from phasepilot.sim_devices.furnace import Furnace
from phasepilot.sim_devices.heated_sample import HeatedSample
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS
from phasepilot.sim_devices.mixture_pattern import (
    DEFAULT_PEAK_RATE_PER_S,
    LABORATORY,
    MixturePattern,
)
from phasepilot.sim_devices.powder_detector import PowderDetector
from phasepilot.sim_devices.rate_curve import Scatterer, StillSample
from phasepilot.sim_devices.sample import Sample
from phasepilot.sim_devices.sample_library import SampleLibrary, sample_library
from phasepilot.sim_devices.sample_stage import SampleStage
from phasepilot.sim_devices.thermal_materials import ThermalMaterial, thermal_material_named
from phasepilot.sim_devices.two_theta_arm import TwoThetaArm

# Arms stop so far before the ends of what is known of a sample, for strips to see only that.
STRIP_MARGIN_DEG = 2.0


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


@dataclass(frozen=True, slots=True)
class SimulatedDiffractometer:
    """A powder that does not change, and two detectors on a 2-theta arm.

    Attributes
    ----------
    fractions : dict
        True volume fraction of each phase, by name.
    arm : TwoThetaArm
        Named ``arm``.
    detector : PointDetector
        Named ``detector``.
    strip : StripDetector
        Named ``strip``.
    time : BeamlineTime
        Named ``beamline``.
    clock : Clock
        What all of them go by.
    """

    fractions: dict[str, float]
    arm: TwoThetaArm
    detector: PointDetector
    strip: StripDetector
    time: BeamlineTime
    clock: Clock


def simulated_diffractometer(
    fractions: Mapping[str, float],
    *,
    seed: int,
    crystals: Mapping[str, Crystal] = LIBRARY_CRYSTALS,
    peak_rate_per_s: float = DEFAULT_PEAK_RATE_PER_S,
    diffractometer: Diffractometer = LABORATORY,
    clock: Clock | None = None,
) -> SimulatedDiffractometer:
    """Return a fresh diffractometer with a mixture of phases on it.

    The same seed and the same plan give the same counts, to the bit.

    Parameters
    ----------
    fractions : mapping of str to float
        Volume fraction of each phase, by its name among the crystals; phases left out are absent.
    crystals : mapping of str to Crystal
        The phases by name.
    peak_rate_per_s : float
        Counts a second at the top of the strongest line of the phases that are present, if pure.
    diffractometer : Diffractometer
        The arm may go to `STRIP_MARGIN_DEG` before the ends of its range, by default from 10 to 100
        degree.
    clock : Clock, optional
        That of the wall by default; a `SimulatedClock` makes an hour take seconds.

    Raises
    ------
    ValueError
        If a phase is not among the crystals.
    """
    if unknown := set(fractions) - set(crystals):
        raise ValueError(
            f"phases must be among the crystals, {sorted(crystals)}, but {sorted(unknown)} are not;"
            " give their crystals too."
        )
    pattern = MixturePattern(
        {name: crystals[name] for name in fractions},
        diffractometer=diffractometer,
        peak_rate_per_s=peak_rate_per_s,
    )
    curve = pattern.curve_of_powder(np.array(list(fractions.values())))
    sample = StillSample(curve, diffractometer.wavelength_angstrom)
    arm, detector, strip, clock = _arm_and_detectors(sample, diffractometer, seed, clock)
    time_reading = BeamlineTime(name="beamline", clock=clock)
    return SimulatedDiffractometer(dict(fractions), arm, detector, strip, time_reading, clock)


@dataclass(frozen=True, slots=True)
class SimulatedSampleLibrary:
    """A wafer of samples on a stage, and two detectors on a 2-theta arm.

    Attributes
    ----------
    library : SampleLibrary
        Knows what each sample truly is.
    stage : SampleStage
        Named ``stage``.
    arm, detector, strip, time, clock
        As of `SimulatedDiffractometer`.
    """

    library: SampleLibrary
    stage: SampleStage
    arm: TwoThetaArm
    detector: PointDetector
    strip: StripDetector
    time: BeamlineTime
    clock: Clock


def simulated_sample_library(
    *, seed: int, library: SampleLibrary | None = None, clock: Clock | None = None
) -> SimulatedSampleLibrary:
    """Return a fresh beamline with a library on its stage.

    Parameters
    ----------
    library : SampleLibrary, optional
        By default that of `sample_library` with the seed: 200 samples of six phases.
    clock : Clock, optional
        That of the wall by default; a `SimulatedClock` makes an hour take seconds.
    """
    library_rng, stage_rng = np.random.default_rng([seed, 1]).spawn(2)
    library = library or sample_library(library_rng)
    clock = clock or ThreadedClock()
    stage = SampleStage(name="stage", library=library, rng=stage_rng, clock=clock)
    diffractometer = library.pattern.diffractometer
    arm, detector, strip, clock = _arm_and_detectors(stage, diffractometer, seed, clock)
    time_reading = BeamlineTime(name="beamline", clock=clock)
    return SimulatedSampleLibrary(library, stage, arm, detector, strip, time_reading, clock)


@dataclass(frozen=True, slots=True)
class SimulatedFurnace:
    """A sample in a furnace before a detector that sees the whole pattern at once.

    Attributes
    ----------
    material : ThermalMaterial
        Knows the true transition temperature.
    sample : HeatedSample
        The true state of the powder.
    furnace : Furnace
        Named ``furnace``.
    detector : StripDetector
        Named ``detector``.
    time : BeamlineTime
        Named ``beamline``.
    clock : Clock
        What all of them go by.
    """

    material: ThermalMaterial
    sample: HeatedSample
    furnace: Furnace
    detector: StripDetector
    time: BeamlineTime
    clock: Clock


def simulated_furnace(
    material_name: str,
    *,
    seed: int,
    peak_rate_per_s: float = DEFAULT_PEAK_RATE_PER_S,
    diffractometer: Diffractometer = LABORATORY,
    clock: Clock | None = None,
) -> SimulatedFurnace:
    """Return a fresh furnace, its sample at the start of the material's scan.

    Parameters
    ----------
    material_name : str
        A name of `phasepilot.sim_devices.thermal_materials.THERMAL_MATERIALS`.
    peak_rate_per_s : float
        Of the strongest line of the two phases, in a window of 0.05 degree; the detector's channels
        are as wide as a bin of the diffractometer.
    clock : Clock, optional
        That of the wall by default; a `SimulatedClock` makes an hour take seconds.
    """
    material = thermal_material_named(material_name)
    sample = HeatedSample(material, diffractometer=diffractometer, peak_rate_per_s=peak_rate_per_s)
    furnace_rng, arm_rng, counting_rng = np.random.default_rng(seed).spawn(3)
    clock = clock or ThreadedClock()
    furnace = Furnace(name="furnace", sample=sample, rng=furnace_rng, clock=clock)
    low, high = diffractometer.two_theta_start_deg, diffractometer.two_theta_stop_deg
    # An arm that stays where it is, so that the strip spans the whole range.
    arm = TwoThetaArm(name="arm", rng=arm_rng, clock=clock, start_deg=(low + high) / 2)
    detector = StripDetector(
        name="detector",
        arm=arm,
        sample=furnace,
        rng=counting_rng,
        clock=clock,
        counters=replace(
            SILICON_STRIPS,
            n_channels=diffractometer.n_points,
            window_deg=diffractometer.step_deg,
        ),
    )
    time_reading = BeamlineTime(name="beamline", clock=clock)
    return SimulatedFurnace(material, sample, furnace, detector, time_reading, clock)


def _arm_and_detectors(
    sample: Scatterer, diffractometer: Diffractometer, seed: int, clock: Clock | None
) -> tuple[TwoThetaArm, PointDetector, StripDetector, Clock]:
    clock = clock or ThreadedClock()
    arm_rng, point_rng, strip_rng = np.random.default_rng(seed).spawn(3)
    low_deg = diffractometer.two_theta_start_deg + STRIP_MARGIN_DEG
    high_deg = diffractometer.two_theta_stop_deg - STRIP_MARGIN_DEG
    arm = TwoThetaArm(
        name="arm", rng=arm_rng, clock=clock, start_deg=low_deg, limits_deg=(low_deg, high_deg)
    )
    detector = PointDetector(name="detector", arm=arm, sample=sample, rng=point_rng, clock=clock)
    strip = StripDetector(name="strip", arm=arm, sample=sample, rng=strip_rng, clock=clock)
    return arm, detector, strip, clock
