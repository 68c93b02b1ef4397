"""A beamline that turns a crystal in front of an area detector, in one call."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.images.detector_effects import beam_stop, module_gaps
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    DetectorGeometry,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.rotating_crystal import CrystalCamera, Grain
from phasepilot.models.diffraction.pressure.materials import material_named
from phasepilot.sim_devices.area_detector import DEFAULT_SPOT_RATE_PER_S, AreaDetector
from phasepilot.sim_devices.beamline_time import BeamlineTime
from phasepilot.sim_devices.clock import Clock, ThreadedClock
from phasepilot.sim_devices.diamond_anvil_cell import DiamondAnvilCell
from phasepilot.sim_devices.grain_sample import CompressedCrystal, GrainSample, StillGrains
from phasepilot.sim_devices.rotation_axis import RotationAxis

# A detector of half a megapixel, near enough to see q up to 7 1/angstrom.
_SHAPE, _PIXEL_M, _DISTANCE_M, _WAVELENGTH_ANGSTROM = (720, 720), 2.8e-4, 0.2, 0.4
_MODULE, _GAP = (236, 356), (6, 8)


def crystal_camera(*, mosaicity_deg: float = 0.5) -> CrystalCamera:
    """Return the simulated detector: a square across the beam, which hits its middle."""
    geometry = centred_geometry(
        PLAIN_DETECTOR,
        detector_config=plain_detector_config(_SHAPE, (_PIXEL_M, _PIXEL_M)),
        distance_m=_DISTANCE_M,
        wavelength_angstrom=_WAVELENGTH_ANGSTROM,
    )
    return CrystalCamera(geometry, mosaicity_deg=mosaicity_deg)


@dataclass(frozen=True, slots=True)
class SimulatedCrystalBeamline:
    """A crystal on a rotation axis before an area detector.

    Attributes
    ----------
    sample : GrainSample
        Knows what the grains truly are.
    omega : RotationAxis
        Named ``omega``.
    detector : AreaDetector
        Named ``detector``.
    time : BeamlineTime
        Named ``beamline``.
    clock : Clock
        What all of them go by.
    """

    sample: GrainSample
    omega: RotationAxis
    detector: AreaDetector
    time: BeamlineTime
    clock: Clock

    @property
    def geometry(self) -> DetectorGeometry:
        """Where the detector stands."""
        return self.detector.camera.geometry


@dataclass(frozen=True, slots=True)
class SimulatedPressedCrystal:
    """A crystal in a diamond anvil cell on the same beamline.

    Attributes
    ----------
    sample : CompressedCrystal
    cell : DiamondAnvilCell
        Named ``cell``.
    beamline : SimulatedCrystalBeamline
    """

    sample: CompressedCrystal
    cell: DiamondAnvilCell
    beamline: SimulatedCrystalBeamline


def simulated_crystal(
    crystal: Crystal,
    *,
    seed: int,
    n_grains: int = 1,
    mosaicity_deg: float = 0.5,
    spot_rate_per_s: float = DEFAULT_SPOT_RATE_PER_S,
    clock: Clock | None = None,
) -> SimulatedCrystalBeamline:
    """Return a fresh beamline with a crystal of random orientation, or a few equal ones, on it.

    The same seed and the same plan give the same frames, to the bit.

    Parameters
    ----------
    mosaicity_deg : float
        Standard deviation of the orientation within a grain.
    spot_rate_per_s : float
        Counts a second in the brightest spot at a usual angle.
    clock : Clock, optional
        That of the wall by default; a `SimulatedClock` makes an hour take seconds.
    """
    orientation_rng, *rngs = np.random.default_rng(seed).spawn(3)
    orientations = Rotation.random(n_grains, random_state=orientation_rng).as_matrix()
    sample = StillGrains([Grain(crystal, matrix, 1 / n_grains) for matrix in orientations])
    camera = crystal_camera(mosaicity_deg=mosaicity_deg)
    return _beamline(sample, camera, rngs, clock or ThreadedClock(), spot_rate_per_s, None)


def simulated_compressed_crystal(
    material_name: str, *, seed: int, rocking_deg: float = 0.0, clock: Clock | None = None
) -> SimulatedPressedCrystal:
    """Return a fresh beamline with a single crystal in a diamond anvil cell.

    Parameters
    ----------
    material_name : str
        A name of `phasepilot.models.diffraction.pressure.materials.MATERIALS`.
    rocking_deg : float
        Range that the axis turns through during each exposure.
    """
    clock = clock or ThreadedClock()
    sample_rng, gauge_rng, *rngs = np.random.default_rng(seed).spawn(4)
    sample = CompressedCrystal(material_named(material_name), rng=sample_rng)
    wait = getattr(clock, "sleep", None)
    waiting = {} if wait is None else {"clock": clock, "sleep": wait}
    cell = DiamondAnvilCell(name="cell", sample=sample, rng=gauge_rng, **waiting)
    beamline = _beamline(sample, crystal_camera(), rngs, clock, DEFAULT_SPOT_RATE_PER_S, cell)
    beamline.detector.rocking_deg = rocking_deg
    return SimulatedPressedCrystal(sample, cell, beamline)


def _beamline(
    sample: GrainSample,
    camera: CrystalCamera,
    rngs: list[np.random.Generator],
    clock: Clock,
    spot_rate_per_s: float,
    cell: DiamondAnvilCell | None,
) -> SimulatedCrystalBeamline:
    axis_rng, counting_rng = rngs
    omega = RotationAxis(name="omega", rng=axis_rng, clock=clock)
    shape = camera.geometry.shape
    centre = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    detector = AreaDetector(
        name="detector",
        axis=omega,
        sample=sample,
        camera=camera,
        rng=counting_rng,
        clock=clock,
        is_measured=module_gaps(shape, module=_MODULE, gap=_GAP)
        & beam_stop(shape, centre, radius=12, arm_width=5, arm_angle_deg=-90),
        cell=cell,
        spot_rate_per_s=spot_rate_per_s,
    )
    time = BeamlineTime(name="beamline", clock=clock)
    return SimulatedCrystalBeamline(sample, omega, detector, time, clock)
