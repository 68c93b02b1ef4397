"""An area detector that reads images drawn beforehand into its events, and the agent for it."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from frame_reduction import drawn_images, poni_file
from numpy.typing import NDArray

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.frame_settings import ImageSettings
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry
from phasepilot.models.steering.compression_rule import CompressionSettings


class ImageDetector:
    """A readable that gives images, and the pressure that they stand for."""

    name = "detector"
    parent = None

    def __init__(self, images: list[NDArray[np.int32]]) -> None:
        self._images, self._n_read = images, 0

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the next image, a copy of its own, as from a driver."""
        image = self._images[self._n_read % len(self._images)].copy()
        self._n_read += 1
        now = time.time()
        return {
            "image": {"value": image, "timestamp": now},
            "pressure": {"value": 1.0, "timestamp": now},
        }

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys."""
        shape = list(self._images[0].shape)
        return {
            "image": {"source": "drawn", "dtype": "array", "shape": shape},
            "pressure": {"source": "drawn", "dtype": "number", "shape": []},
        }

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Return nothing: the geometry stands in a file."""
        return {}

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Return nothing, as `read_configuration`."""
        return {}


class ImageBeamline:
    """Images of one detector in memory, and its geometry in a folder.

    Attributes
    ----------
    images : list of ndarray
    """

    def __init__(self, folder: Path, geometry: DetectorGeometry) -> None:
        self.images = drawn_images(geometry)
        self._poni = poni_file(folder, geometry)

    def detector(self) -> ImageDetector:
        """Return the detector, at its first image."""
        return ImageDetector(self.images)

    def agent(self) -> PhaseAgent:
        """Return an agent that integrates its images without their spots, and steers."""
        return PhaseAgent(
            AgentConfiguration(
                intensity_field="image",
                image=ImageSettings(poni=str(self._poni), spots="remove"),
                axis_field="pressure",
                steering=CompressionSettings(0.2, 0.025, 0.4),
            )
        )
