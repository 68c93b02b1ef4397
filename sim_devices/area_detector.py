"""An area detector behind a sample that is turned in the beam."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.diffraction.images.detector_effects import air_scatter, radius_px
from phasepilot.models.diffraction.images.rotating_crystal import CrystalCamera
from phasepilot.sim_devices.clock import Clock
from phasepilot.sim_devices.counting_detector import HasPosition
from phasepilot.sim_devices.diamond_anvil_cell import DiamondAnvilCell
from phasepilot.sim_devices.exposing_detector import ExposingDetector
from phasepilot.sim_devices.faults import CountingFault
from phasepilot.sim_devices.grain_sample import GrainSample

Float32Array = NDArray[np.float32]

# What the brightest spot holds in a second at a usual angle, and the background beside it.
DEFAULT_SPOT_RATE_PER_S = 2e4
_AIR_RATE_PER_S, _AIR_DECAY_PX = 4.0, 250.0
_FLOOR_RATE_PER_S = 0.3
# Of a pixel that measures nothing.
DEAD = -1


class AreaDetector(ExposingDetector):
    """A photon-counting detector across the beam.

    Reads ``NAME_image``, counts of shape (rows, columns) as int32 in which -1 marks pixels that
    measure nothing, and ``NAME_exposure_s``, which is set as ``detector.exposure_s``. Its
    configuration holds ``NAME_wavelength_angstrom``, ``NAME_distance_m`` and ``NAME_rocking_deg``.
    The image is of the angle and the sample at the end of the exposure.

    Parameters
    ----------
    axis : HasPosition
        What turns the sample, in degree.
    sample : GrainSample
    camera : CrystalCamera
        Where it stands, and how broad spots are.
    is_measured : ndarray of bool, shape (rows, columns), optional
        False in gaps and behind the beam stop.
    cell : DiamondAnvilCell, optional
        What presses the sample; needed to see the right pressure while a move is under way.
    spot_rate_per_s : float
        Counts a second in the brightest spot at a usual angle, as the sample was at first.
    readout_s : float
        What an exposure takes beyond itself.
    rocking_deg : float
        Range about its angle that the axis turns through during each exposure, as crystals in
        diamond anvil cells are rocked so that most reflections come by.
    name, rng, clock, fault_at
        As of `ExposingDetector`.
    """

    def __init__(
        self,
        *,
        name: str,
        axis: HasPosition,
        sample: GrainSample,
        camera: CrystalCamera,
        rng: np.random.Generator,
        clock: Clock,
        is_measured: NDArray[np.bool_] | None = None,
        cell: DiamondAnvilCell | None = None,
        spot_rate_per_s: float = DEFAULT_SPOT_RATE_PER_S,
        readout_s: float = 0.1,
        rocking_deg: float = 0.0,
        fault_at: Mapping[int, CountingFault] | None = None,
        **ophyd_arguments: Any,
    ) -> None:
        super().__init__(
            name=name,
            rng=rng,
            clock=clock,
            readout_s=readout_s,
            fault_at=fault_at,
            **ophyd_arguments,
        )
        self.sample = sample
        self.camera = camera
        self.rocking_deg = rocking_deg
        self._axis = axis
        self._cell = cell
        shape = camera.geometry.shape
        self._is_measured = np.ones(shape, dtype=bool) if is_measured is None else is_measured
        usual = camera.brightest(sample.grains(), np.arange(-90.0, 90.0, 20.0))
        self._rate_per_s = spot_rate_per_s / usual
        self._background_per_s = _background_per_s(camera)
        # Nothing has been measured before the first exposure.
        self._image = np.full(shape, DEAD, dtype=np.int32)

    def expected_image(self, omega_deg: float, exposure_s: float) -> Float32Array:
        """Return the mean counts of the sample as it is now, turned to an angle."""
        grains = self.sample.grains()
        found = self.camera.image(grains, omega_deg, rocking_deg=self.rocking_deg)
        rate = found * np.float32(self._rate_per_s) + self._background_per_s
        return np.asarray(rate * np.float32(exposure_s), dtype=np.float32)

    def frame(self) -> dict[str, Any]:
        """Return the image."""
        return {"image": self._image}

    def frame_keys(self) -> dict[str, dict[str, Any]]:
        """Return the data key of the image."""
        shape = list(self.camera.geometry.shape)
        source = f"SIM:{self.name}_image"
        return {
            "image": {
                "source": source,
                "dtype": "array",
                "dtype_numpy": "<i4",
                "shape": shape,
                "units": "counts",
            }
        }

    def properties(self) -> dict[str, tuple[float, str]]:
        """Return the wavelength, the distance and how far the sample is rocked."""
        geometry = self.camera.geometry
        return {
            "wavelength_angstrom": (geometry.wavelength_angstrom, "angstrom"),
            "distance_m": (geometry.distance_m, "m"),
            "rocking_deg": (self.rocking_deg, "deg"),
        }

    def count(self, exposure_s: float, fault: CountingFault | None) -> None:
        """Count at the angle where the axis is now."""
        if self._cell is not None:
            self._cell.follow()
        is_dark = fault in (CountingFault.DROPPED_BEAM, CountingFault.ZEROS)
        if is_dark:
            image = np.zeros(self.camera.geometry.shape, dtype=np.int32)
        else:
            expected = self.expected_image(self._axis.position, exposure_s)
            image = self._rng.poisson(expected).astype(np.int32)
        # Integers know no NaN: a detector that is dead altogether marks every pixel.
        is_alive = self._is_measured & (fault is not CountingFault.NAN)
        self._image = np.where(is_alive, image, DEAD).astype(np.int32)

    @property
    def hints(self) -> dict[str, list[str]]:
        """Nothing that fits one point a frame."""
        return {"fields": []}


def _background_per_s(camera: CrystalCamera) -> Float32Array:
    geometry = camera.geometry
    centre = (
        geometry.poni1_m / geometry.pixel_size_m[0] - 0.5,
        geometry.poni2_m / geometry.pixel_size_m[1] - 0.5,
    )
    radius = radius_px(geometry.shape, centre)
    air = air_scatter(radius, amplitude=_AIR_RATE_PER_S, decay=_AIR_DECAY_PX)
    return np.asarray(air + np.float32(_FLOOR_RATE_PER_S), dtype=np.float32)
