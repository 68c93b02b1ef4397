"""What `phasepilot simulate` made: the numbers that its files and its picture show."""

from collections.abc import Mapping
from dataclasses import dataclass

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.images.detector_effects import Int32Array
from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry


@dataclass(frozen=True, slots=True)
class Subject:
    """The crystal that was simulated, and with what.

    Attributes
    ----------
    recipe_name, recipe_text : str
        What the user called it, and the whole of it as YAML, with the user's changes.
    wavelengths_angstrom, emission_weights : tuple of float
        Of the first pattern's beam; intensities are relative to the first line.
    """

    crystal: Crystal
    recipe_name: str
    recipe_text: str
    seed: int
    wavelengths_angstrom: tuple[float, ...]
    emission_weights: tuple[float, ...]

    @property
    def wavelength_angstrom(self) -> float:
        """What angles are reckoned with."""
        return self.wavelengths_angstrom[0]

    @property
    def phase(self) -> str:
        """Name and space group, as in "KCl, F m -3 m (225)"."""
        crystal = self.crystal
        return f"{crystal.name}, {crystal.setting.symbol} ({crystal.space_group_number})"

    @property
    def beam(self) -> str:
        """Wavelengths, as in "1.540593 Å + 0.5 x 1.544427 Å"."""
        first, *others = (f"{wavelength:.7g} Å" for wavelength in self.wavelengths_angstrom)
        weighted = zip(self.emission_weights[1:], others, strict=True)
        return " + ".join([first, *(f"{weight:g} x {line}" for weight, line in weighted)])


@dataclass(frozen=True, slots=True)
class IndexedLines:
    """Lines or spots with their names, shape (n_lines,) each.

    Attributes
    ----------
    hkl : ndarray of int, shape (n_lines, 3)
        One reflection of each family.
    d_spacing_angstrom, two_theta_deg : ndarray
        Of the lattice as it was simulated, by Bragg's law: without errors of the instrument.
    relative_intensity : ndarray
        Percent of the strongest, with Lorentz and polarisation factor.
    """

    hkl: IntArray
    d_spacing_angstrom: FloatArray
    two_theta_deg: FloatArray
    relative_intensity: FloatArray


@dataclass(frozen=True, slots=True)
class PowderRecord:
    """Powder patterns of one crystal.

    Attributes
    ----------
    lines : IndexedLines
        Of the first pattern.
    two_theta_deg : ndarray, shape (n_patterns, n_bins)
        Centres of the bins.
    intensity : ndarray, shape (n_patterns, n_bins)
        Counts, or scaled as the recipe says; between the points of a coarse scan interpolated.
    is_measured, is_covered : ndarray of bool, shape (n_patterns, n_bins)
        Bins that were counted in, and those within the measured range; see `SimulatedPatterns`.
    drawn : mapping of str to ndarray of shape (n_patterns, n_columns)
        What each pattern was made with, by the names of the recipe.
    """

    subject: Subject
    lines: IndexedLines
    two_theta_deg: FloatArray
    intensity: Float32Array
    is_measured: BoolArray
    is_covered: BoolArray
    drawn: Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True)
class SpotRecord:
    """Spots of one crystal along a zone axis.

    Attributes
    ----------
    lines : IndexedLines
        The spots, in the order of the following.
    row_px, column_px : ndarray, shape (n_spots,)
    image : ndarray, shape (rows, columns)
        Counts as int32, or expected intensities as float32, the brightest 1.
    """

    subject: Subject
    lines: IndexedLines
    zone_axis: tuple[int, int, int]
    row_px: FloatArray
    column_px: FloatArray
    image: Float32Array | Int32Array


@dataclass(frozen=True, slots=True)
class RingRecord:
    """Powder rings on a detector, and the pattern that integrating them gives.

    Attributes
    ----------
    image : ndarray, shape (rows, columns)
        As in `SpotRecord`; 0 in the gaps between modules.
    is_measured : ndarray of bool, shape (rows, columns)
        False in the gaps.
    two_theta_deg, intensity : ndarray, shape (n_bins,)
        The integrated pattern; bins without a pixel are left out.
    """

    subject: Subject
    lines: IndexedLines
    geometry: DetectorGeometry
    image: Float32Array | Int32Array
    is_measured: BoolArray
    two_theta_deg: FloatArray
    intensity: FloatArray
