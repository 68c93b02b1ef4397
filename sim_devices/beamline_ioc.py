"""The simulated beamline as an EPICS IOC, so that a scan meets it as it would a real one.

The devices are those of `phasepilot.sim_devices.beamline`; here they only get process variables.
Every name below stands after the prefix.

==========================  =================================================================
cell:setpoint, cell:done    set point of the pressure in GPa; a put ends when it has arrived
cell:pressure, cell:stop    ruby gauge in GPa; hold the pressure
arm                         motor record, 2-theta in degree, with a counter at `point:counts`
det:acquire                 put 1 to expose; the put ends when the frame is there
det:exposure_s              in seconds
det:intensity               waveform of counts, on `det:two_theta_deg`
det:wavelength_angstrom
image:ArrayData             the rings of the same frame, row by row, as areaDetector gives it
image:ArraySize0_RBV, 1     pixels in a row, and rows
ring:current                beam current in mA, with a fill every minute
==========================  =================================================================
"""

import asyncio
import time
from typing import Any

import numpy as np
from caproto.server import PVGroup, SubGroup, pvproperty

from phasepilot.models.diffraction.pressure.compressed_powder import Diffractometer
from phasepilot.sim_devices.beamline import SimulatedBeamline
from phasepilot.sim_devices.sample import FloatArray
from phasepilot.sim_devices.two_theta_arm import TwoThetaArm

N_POINTS = Diffractometer().n_points
IMAGE_SIDE_PX = 256
_TICK_S = 0.02
_FULL_CURRENT_MA = 250.0
_FILL_EVERY_S = 60.0
_LIFETIME_S = 36_000.0


class _Cell(PVGroup):  # type: ignore[misc]  # caproto carries no types
    setpoint = pvproperty(value=0.0, units="GPa", precision=4)
    pressure = pvproperty(value=0.0, units="GPa", precision=4, read_only=True)
    done = pvproperty(value=1, read_only=True)
    stop = pvproperty(value=0)

    @setpoint.startup
    async def setpoint(self, instance: Any, async_lib: Any) -> None:
        await instance.write(self.parent.beamline.cell.setpoint_gpa, verify_value=False)
        await self.pressure.write(self._gauge_gpa())

    @setpoint.putter
    async def setpoint(self, instance: Any, value: float) -> None:
        # Beyond the limits this raises, and the put fails.
        status = self.parent.beamline.cell.set(float(value))
        await self.done.write(0)
        while not status.done:
            await asyncio.sleep(_TICK_S)
            await self.pressure.write(self._gauge_gpa())
        await self.pressure.write(self._gauge_gpa())
        await self.done.write(1)

    @stop.putter
    async def stop(self, instance: Any, value: int) -> int:
        if value:
            self.parent.beamline.cell.stop(success=True)
        return 0

    def _gauge_gpa(self) -> float:
        return float(self.parent.beamline.cell.read()["cell_pressure_gpa"]["value"])


class _Arm(PVGroup):  # type: ignore[misc]  # caproto carries no types
    motor = pvproperty(value=0.0, name="", record="motor", precision=4)

    @motor.startup
    async def motor(self, instance: Any, async_lib: Any) -> None:
        arm, fields = self.parent.arm_device, instance.field_inst
        low_deg, high_deg = arm.limits
        await fields.user_low_limit.write(low_deg)
        await fields.user_high_limit.write(high_deg)
        await fields.velocity.write(arm.velocity_deg_per_s)
        await fields.engineering_units.write("deg")
        await fields.user_readback_value.write(arm.position)
        await fields.done_moving_to_value.write(1)
        await instance.write(arm.position, verify_value=False)

    @motor.putter
    async def motor(self, instance: Any, value: float) -> float:
        arm, fields = self.parent.arm_device, instance.field_inst
        status = arm.set(float(value))  # beyond the limits this raises, and the put fails
        await fields.done_moving_to_value.write(0)
        await fields.motor_is_moving.write(1)
        while not status.done:
            await asyncio.sleep(_TICK_S)
            if fields.stop.value:
                await fields.stop.write(0)
                arm.stop(success=True)
            await fields.user_readback_value.write(arm.position)
        await fields.user_readback_value.write(arm.position)
        await fields.motor_is_moving.write(0)
        await fields.done_moving_to_value.write(1)
        return float(arm.read()[arm.setpoint_key]["value"])


class _Detector(PVGroup):  # type: ignore[misc]  # caproto carries no types
    acquire = pvproperty(value=0)
    exposure_s = pvproperty(value=0.1, units="s", precision=3)
    # A default of zeros as an array makes caproto fail on numpy.float64.
    intensity = pvproperty(value=[0.0] * N_POINTS, dtype=float, read_only=True, units="counts")
    two_theta_deg = pvproperty(value=[0.0] * N_POINTS, dtype=float, read_only=True, units="deg")
    wavelength_angstrom = pvproperty(value=0.0, read_only=True, units="angstrom", precision=5)

    @acquire.startup
    async def acquire(self, instance: Any, async_lib: Any) -> None:
        diffractometer = self.parent.beamline.sample.diffractometer
        await self.two_theta_deg.write(diffractometer.two_theta_deg.tolist())
        await self.wavelength_angstrom.write(diffractometer.wavelength_angstrom)

    @acquire.putter
    async def acquire(self, instance: Any, value: int) -> int:
        if not value:
            return 0
        detector = self.parent.beamline.detector
        detector.exposure_s.put(self.exposure_s.value)
        status = detector.trigger()
        while not status.done:
            await asyncio.sleep(_TICK_S / 4)
        counts = np.asarray(detector.read()["detector_intensity"]["value"])
        await self.intensity.write(counts.tolist())
        await self.parent.show(counts)
        return 0


class _Point(PVGroup):  # type: ignore[misc]  # caproto carries no types
    counts = pvproperty(value=0.0, read_only=True, units="counts")


class _Image(PVGroup):  # type: ignore[misc]  # caproto carries no types
    ArrayData = pvproperty(value=[0] * IMAGE_SIDE_PX**2, dtype=int, read_only=True)
    ArraySize0_RBV = pvproperty(value=IMAGE_SIDE_PX, read_only=True)
    ArraySize1_RBV = pvproperty(value=IMAGE_SIDE_PX, read_only=True)


class _Ring(PVGroup):  # type: ignore[misc]  # caproto carries no types
    current = pvproperty(value=_FULL_CURRENT_MA, read_only=True, units="mA", precision=2)

    @current.startup
    async def current(self, instance: Any, async_lib: Any) -> None:
        began_s = time.monotonic()
        while True:
            await instance.write(ring_current_ma(time.monotonic() - began_s))
            await asyncio.sleep(0.5)


class BeamlineIOC(PVGroup):  # type: ignore[misc]  # caproto carries no types
    """Process variables of a simulated beamline.

    Parameters
    ----------
    prefix : str
    beamline : SimulatedBeamline
    arm : TwoThetaArm
        Carries a counter that sees the pattern at one angle.
    rng : numpy.random.Generator
        Counting noise of the image.
    """

    cell = SubGroup(_Cell, prefix="cell:")
    arm = SubGroup(_Arm, prefix="arm")
    det = SubGroup(_Detector, prefix="det:")
    point = SubGroup(_Point, prefix="point:")
    image = SubGroup(_Image, prefix="image:")
    ring = SubGroup(_Ring, prefix="ring:")

    def __init__(
        self,
        prefix: str,
        *,
        beamline: SimulatedBeamline,
        arm: TwoThetaArm,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(prefix=prefix)
        self.beamline = beamline
        self.arm_device = arm
        self._rng = rng

    async def show(self, counts: FloatArray) -> None:
        """Bring the image and the counter on the arm up to a new frame."""
        two_theta_deg = self.beamline.sample.diffractometer.two_theta_deg
        image = self._rng.poisson(rings(two_theta_deg, counts))
        await self.image.ArrayData.write(image.ravel().tolist())
        at_arm = np.interp(self.arm_device.position, two_theta_deg, counts, 0.0, 0.0)
        await self.point.counts.write(float(at_arm))


def rings(two_theta_deg: FloatArray, counts: FloatArray) -> FloatArray:
    """Return the mean image of a pattern on a flat detector, in a tenth of the counts a pixel.

    The beam hits the middle, and the largest angle falls on the middle of each edge.
    """
    offsets_px = np.arange(IMAGE_SIDE_PX) - (IMAGE_SIDE_PX - 1) / 2
    radius_px = np.hypot(*np.meshgrid(offsets_px, offsets_px))
    distance_px = offsets_px[-1] / np.tan(np.radians(two_theta_deg[-1]))
    at_pixel_deg = np.degrees(np.arctan(radius_px / distance_px))
    mean: FloatArray = np.interp(at_pixel_deg, two_theta_deg, counts, left=0.0, right=0.0) / 10
    return np.clip(mean, 0.0, None)


def ring_current_ma(elapsed_s: float) -> float:
    """Return the beam current: it decays, and is filled up every minute.

    Examples
    --------
    >>> ring_current_ma(0.0), round(ring_current_ma(59.0), 2), ring_current_ma(60.0)
    (250.0, 249.59, 250.0)
    """
    return float(_FULL_CURRENT_MA * np.exp(-(elapsed_s % _FILL_EVERY_S) / _LIFETIME_S))
