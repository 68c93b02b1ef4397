"""Area detectors that see rings of cerium oxide and write them to real files."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from event_model import compose_resource
from numpy.typing import NDArray
from ophyd import Device, DeviceStatus
from ophyd_async.core import StaticPathProvider, TriggerInfo, UUIDFilenameProvider, init_devices
from ophyd_async.sim import PatternGenerator, SimBlobDetector
from powder_on_detector import ceria_lines, make_geometry

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frame_settings import ImageSettings
from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry
from phasepilot.models.diffraction.images.ring_image import smooth_rings

# What ophyd-async's simulated detector writes.
SHAPE = (240, 320)
WAVELENGTH_ANGSTROM = 0.4


def geometry() -> DetectorGeometry:
    return make_geometry(shape=SHAPE, pixel_size_m=6e-4, wavelength_angstrom=WAVELENGTH_ANGSTROM)


def ring_image() -> NDArray[np.uint8]:
    """Return rings over a background, as bytes."""
    rings = smooth_rings(ceria_lines(geometry(), fwhm_deg=0.25), geometry())
    return np.round(20 + 200 * rings / rings.max()).astype(np.uint8)


def write_poni(path: Path, *, wavelength: bool = True) -> Path:
    place = geometry()
    lines = [
        "poni_version: 2",
        "Detector: Detector",
        f"Detector_config: {place.detector_config}",
        f"Distance: {place.distance_m}",
        f"Poni1: {place.poni1_m}",
        f"Poni2: {place.poni2_m}",
        "Rot1: 0.0",
        "Rot2: 0.0",
        "Rot3: 0.0",
        f"Wavelength: {WAVELENGTH_ANGSTROM * 1e-10}" if wavelength else "",
    ]
    path.write_text("\n".join(lines))
    return path


def image_configuration(directory: Path, **changes: Any) -> AgentConfiguration:
    values: dict[str, Any] = {
        "intensity_field": "det",
        "image": ImageSettings(poni=str(write_poni(directory / "rings.poni")), n_bins=300),
        "assets": {"wait_s": 2.0},
    }
    return AgentConfiguration(**{**values, **changes})


class RingGenerator(PatternGenerator):
    """Writes the rings where ophyd-async's generator writes its blobs; with an rng, counted."""

    def __init__(self, rng: np.random.Generator | None = None) -> None:
        super().__init__()
        self._rng = rng

    def open_file(self, path: Any, width: int, height: int) -> None:
        super().open_file(path, width, height)
        self._get_file().blob = ring_image()

    def generate_point(self, channel: int = 1, high_energy: bool = False) -> float:
        if self._rng is not None:
            self._get_file().blob = np.minimum(self._rng.poisson(ring_image()), 255)
        return 1.0 / self._exposure


def hdf5_detector(
    directory: Path, name: str = "det", *, rng: np.random.Generator | None = None
) -> SimBlobDetector:
    """Return an ophyd-async detector that writes rings; needs a RunEngine's loop."""
    with init_devices():
        detector = SimBlobDetector(
            StaticPathProvider(UUIDFilenameProvider(), directory), RingGenerator(rng), name=name
        )
    return detector  # noqa: RET504 - named and connected when the block is left


def fly(detector: Any, *, number: int, livetime: float = 0.01, per_event: int = 1) -> Any:
    @bpp.stage_decorator([detector])
    @bpp.run_decorator()
    def plan() -> Any:
        info = TriggerInfo(
            number_of_events=number, livetime=livetime, collections_per_event=per_event
        )
        yield from bps.prepare(detector, info, wait=True)
        yield from bps.declare_stream(detector, name="primary", collect=True)
        yield from bps.kickoff(detector, wait=True)
        yield from bps.collect_while_completing(
            flyers=[detector], dets=[detector], flush_period=0.05, stream_name="primary"
        )

    return plan()


class SeriesDetector(Device):
    """A classic ophyd detector that writes a TIFF or HDF5 file as area detectors do.

    Parameters
    ----------
    spec : {"AD_TIFF", "AD_HDF5"}
    lost : collection of int
        Points whose image is never written.
    """

    def __init__(self, directory: Path, *, name: str, spec: str, lost: tuple[int, ...] = ()):
        super().__init__(name=name)
        self._directory, self._spec, self._lost = directory, spec, lost
        self._documents: list[tuple[str, Any]] = []

    def stage(self) -> list[Any]:
        self._numbers = itertools.count()
        path = self._directory if self._spec == "AD_TIFF" else self._directory / "all.h5"
        kwargs = {"frame_per_point": 1}
        if self._spec == "AD_TIFF":
            kwargs |= {"template": "%s%s_%6.6d.tiff", "filename": "rings"}
        self._resource = compose_resource(
            spec=self._spec,
            root="/",
            resource_path=str(path).lstrip("/"),
            resource_kwargs=kwargs,
        )
        self._documents = [("resource", self._resource.resource_doc)]
        return super().stage()

    def trigger(self) -> DeviceStatus:
        number = next(self._numbers)
        if number not in self._lost:
            self._write(number)
        datum = self._resource.compose_datum(datum_kwargs={"point_number": number})
        self._datum_id = datum["datum_id"]
        self._documents.append(("datum", datum))
        status = DeviceStatus(self)
        status.set_finished()
        return status

    def _write(self, number: int) -> None:
        if self._spec == "AD_TIFF":
            import tifffile

            tifffile.imwrite(self._directory / f"rings_{number:06d}.tiff", ring_image())
            return
        import h5py

        with h5py.File(self._directory / "all.h5", "a") as file:
            if "entry" not in file:
                file.create_dataset(
                    "entry/data/data", (0, *SHAPE), np.uint8, maxshape=(None, *SHAPE)
                )
            file["entry/data/data"].resize(number + 1, axis=0)
            file["entry/data/data"][number] = ring_image()

    def describe(self) -> dict[str, Any]:
        key = {"source": "sim", "dtype": "array", "shape": [1, *SHAPE], "external": "FILESTORE:"}
        return {self.name: key}

    def read(self) -> dict[str, Any]:
        return {self.name: {"value": self._datum_id, "timestamp": 0.0}}

    def collect_asset_docs(self) -> Iterator[tuple[str, Any]]:
        documents, self._documents = self._documents, []
        yield from documents
