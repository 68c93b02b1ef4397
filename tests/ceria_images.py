"""Images of cerium oxide in files, with their geometry beside them."""

from pathlib import Path
from typing import Any

import fabio.tifimage
import numpy as np
from numpy.typing import NDArray
from powder_on_detector import ceria_lines

from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry
from phasepilot.models.diffraction.images.ring_image import smooth_rings

PONI = """poni_version: 2
Detector: Detector
Detector_config: {config}
Distance: {distance}
Poni1: {poni1}
Poni2: {poni2}
Rot1: 0
Rot2: 0
Rot3: 0
Wavelength: {wavelength_m}
"""


def write_ceria_images(
    folder: Path, geometry: DetectorGeometry, *, n_images: int = 2
) -> NDArray[Any]:
    """Write the same image several times, and `detector.poni`; return the image."""
    folder.mkdir(exist_ok=True)
    image = smooth_rings(ceria_lines(geometry), geometry).astype(np.float32)
    for number in range(n_images):
        fabio.tifimage.TifImage(data=image).write(str(folder / f"ceria_{number}.tif"))
    text = PONI.format(
        config=geometry.detector_config,
        distance=geometry.distance_m,
        poni1=geometry.poni1_m,
        poni2=geometry.poni2_m,
        wavelength_m=geometry.wavelength_angstrom * 1e-10,
    )
    (folder / "detector.poni").write_text(text)
    return image
