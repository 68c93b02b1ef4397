"""Single crystals of held-out families that are turned before a detector, view by view."""

import tempfile
import zlib
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from phasepilot.models.benchmarks.held_out_patterns import structure_table, write_random_rows
from phasepilot.models.diffraction.crystals.structure_table import TableRow, read_structures
from phasepilot.models.diffraction.images.azimuthal_outliers import find_spots
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    DetectorGeometry,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.frame_condition import frame_condition
from phasepilot.models.diffraction.images.frame_reduction import FrameReducer, PolarImage
from phasepilot.models.diffraction.images.image_kind import ImageKind, image_statement
from phasepilot.models.diffraction.images.rotating_crystal import CrystalCamera, Grain
from phasepilot.models.errors import CrystalError
from phasepilot.models.estimation.crystal_views import CrystalViews
from phasepilot.models.estimation.image_estimator import ImageEstimator, SeenImage
from phasepilot.models.networks.estimate import PhaseEstimate

# Counts in the brightest spot of a usual view, and of a pixel beside it.
_SPOT_COUNTS, _BACKGROUND_COUNTS = 2e4, 1.0
_USUAL_DEG = np.arange(-90.0, 90.0, 20.0)
_ROWS_PER_STRUCTURE = 60
_LARGEST_VOLUME_CUBIC_ANGSTROM = 2500.0


def camera() -> CrystalCamera:
    """Return a detector of 512 x 512 pixels that sees q up to 7 1/angstrom."""
    geometry = centred_geometry(
        PLAIN_DETECTOR,
        detector_config=plain_detector_config((512, 512), (4e-4, 4e-4)),
        distance_m=0.2,
        wavelength_angstrom=0.4,
    )
    return CrystalCamera(geometry, mosaicity_deg=0.5, sigma_px=1.3)


def held_out_rows(structures: Path | None, n_rows: int, seed: int, *, half: int) -> list[TableRow]:
    """Return random structures of held-out families, those of one half of the families.

    Parameters
    ----------
    half : {0, 1}
        What is fitted on one half can be tested on the other.

    Raises
    ------
    CrystalError
        If there is no table, or it holds too few.
    """
    rng = np.random.default_rng([seed, half])
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "structures.parquet"
        n_drawn = n_rows * _ROWS_PER_STRUCTURE
        write_random_rows(structure_table(structures), part, n_drawn, rng, range(1, 231))
        rows = (row for row in read_structures(part) if _is_wanted(row, half))
        found = list(islice(rows, n_rows))
    if len(found) < n_rows:
        raise CrystalError(
            f"{n_rows} structures of held-out families are needed, but {structures} gave"
            f" {len(found)}; give a larger table with --structures."
        )
    return found


def _is_wanted(row: TableRow, half: int) -> bool:
    # Every tenth family is held out, as `StickStore.is_held_out` says.
    number = zlib.crc32(row.family.encode())
    is_small = row.crystal.volume_cubic_angstrom < _LARGEST_VOLUME_CUBIC_ANGSTROM
    return number % 10 == 0 and number // 10 % 2 == half and is_small


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One image of a crystal, unrolled.

    Attributes
    ----------
    polar : PolarImage
    kind : ImageKind
    estimate : PhaseEstimate or None
        By the network of images.
    """

    polar: PolarImage
    kind: ImageKind
    estimate: PhaseEstimate | None


class ViewMaker:
    """Takes views with one detector, and says what each shows.

    Parameters
    ----------
    image_network : ImageEstimator or None
    geometry : DetectorGeometry, optional
        That of `camera` unless given.
    """

    def __init__(
        self, image_network: ImageEstimator | None, geometry: DetectorGeometry | None = None
    ) -> None:
        self.camera = camera()
        self.geometry = geometry or self.camera.geometry
        self._reducer = FrameReducer(self.geometry, n_bins=750)
        self._network = image_network

    def view(self, image: NDArray[Any]) -> View:
        """Return a view of an image."""
        polar = self._reducer.reduce(image)
        spots = find_spots(polar)
        statement = image_statement(polar, spots, frame_condition(polar, spots))
        estimate = None
        if self._network is not None:
            estimate = self._network.estimate_image(SeenImage(image, polar, self.geometry))
        return View(polar, statement.kind, estimate)

    def views(self, image: NDArray[Any]) -> CrystalViews:
        """Return what is known of a sample of which this is the only image."""
        view = self.view(image)
        views = CrystalViews.first(view.polar, self.geometry.wavelength_angstrom)
        return views.with_estimate(view.estimate)


@dataclass(slots=True)
class TurnedCrystal:
    """A crystal on a rotation axis; each angle gives the same image whenever it is gone to.

    Attributes
    ----------
    space_group_number : int
    grain : Grain
    """

    space_group_number: int
    grain: Grain
    maker: ViewMaker
    seed: int
    scale: float
    views: dict[float, View] = field(default_factory=dict)

    @classmethod
    def of(cls, row: TableRow, maker: ViewMaker, seed: int) -> "TurnedCrystal":
        """Return the crystal in a random orientation.

        Raises
        ------
        CrystalError
            If nothing of it falls onto the detector.
        """
        rng = np.random.default_rng([seed, 7])
        grain = Grain(row.crystal, Rotation.random(random_state=rng).as_matrix())
        scale = _SPOT_COUNTS / maker.camera.brightest([grain], _USUAL_DEG)
        return cls(row.crystal.space_group_number, grain, maker, seed, scale)

    def view(self, omega_deg: float) -> View:
        """Return the view at an angle."""
        angle = round(float(omega_deg), 6)
        if angle not in self.views:
            image = self.maker.camera.image([self.grain], angle) * np.float32(self.scale)
            rng = np.random.default_rng([self.seed, round(angle * 1000) % 2**31])
            expected = image + np.float32(_BACKGROUND_COUNTS)
            self.views[angle] = self.maker.view(rng.poisson(expected).astype(np.int32))
        return self.views[angle]

    def seen(self, omegas_deg: list[float]) -> CrystalViews:
        """Return the views at these angles together."""
        wavelength = self.maker.camera.geometry.wavelength_angstrom
        first, *others = (self.view(omega) for omega in omegas_deg)
        views = CrystalViews.first(first.polar, wavelength).with_estimate(first.estimate)
        for one in others:
            views = views.with_view(one.polar).with_estimate(one.estimate)
        return views
