"""From a frame as the documents have it to a checked pattern."""

import contextlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AgentError
from phasepilot.agent.frame_loading import summed_exposures
from phasepilot.agent.frames import Frame
from phasepilot.agent.ignored_ranges import without_ignored
from phasepilot.agent.image_reduction import ImageReduction, ReducedImage
from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import ModelsError, PatternError
from phasepilot.models.growing_pattern import evenly_exposed, merged_points
from phasepilot.models.pattern import Pattern

# h c, from the exact values of the SI: 6.62607015e-34 J s, 299792458 m/s, 1.602176634e-19 C.
KEV_ANGSTROM = 12.398419843320026
# Photons that no powder beamline has: a reading beyond is in another unit.
_ENERGIES_KEV = (1.0, 1000.0)


@dataclass(frozen=True, slots=True)
class CountedPattern:
    """A pattern in counts, and how long each of its points was counted.

    Attributes
    ----------
    exposure_s : ndarray, shape (n_points,), or None
        None where nobody said.
    monitor : float or None
        What the normalisation monitor read.
    image : ReducedImage or None
        What the pattern was made of, where that was an image.
    """

    pattern: Pattern
    exposure_s: FloatArray | None
    monitor: float | None = None
    image: ReducedImage | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know of the image."""
        return () if self.image is None else self.image.remarks

    @property
    def evenly_exposed(self) -> Pattern:
        """The pattern as if every point had been counted for the same time."""
        if self.exposure_s is None:
            return self.pattern
        return evenly_exposed(self.pattern, self.exposure_s)

    def normalised(self, reference: float | None) -> "CountedPattern":
        """Return what would have been counted in a beam like that of the reference reading."""
        if self.monitor is None or reference is None or self.monitor == reference:
            return self
        scale = reference / self.monitor
        pattern = replace(self.pattern, intensity=self.pattern.intensity * scale)
        return replace(self, pattern=pattern)


class FramePatterns:
    """Makes patterns of frames, as a configuration says."""

    def __init__(self, configuration: AgentConfiguration) -> None:
        self._configuration = configuration
        image = configuration.image
        self._images = None if image is None else ImageReduction(image)

    def prepare(self, image_shape: tuple[int, int]) -> None:
        """Set up what images of that shape need, in seconds; what fails each frame will say."""
        if self._images is not None:
            with contextlib.suppress(ModelsError, AgentError):
                self._images.prepare(image_shape)

    def of(self, frame: Frame) -> CountedPattern:
        """Return the pattern of a frame, with the ranges to ignore left out.

        Raises
        ------
        ModelsError, AgentError
            If the frame cannot be one; the text says what was expected, what came and what to do.
        """
        wanted = self._configuration
        if wanted.frame == "points":
            counted = grown_pattern(
                frame, merge_within=wanted.merge_within, unit=wanted.energy_unit
            )
        elif self._images is not None:
            counted = self._counted_image(frame, self._images)
        else:
            counted = counted_pattern(frame, unit=wanted.energy_unit)
        if wanted.monitor_field and wanted.frame != "points":
            counted = replace(counted, monitor=_monitor(frame.monitor))
        return replace(counted, pattern=without_ignored(counted.pattern, wanted.ignore))

    def _counted_image(self, frame: Frame, images: ImageReduction) -> CountedPattern:
        array = _numbers(frame.intensity)
        image, n_exposures = summed_exposures(array, 2)
        if image.ndim != 2:
            raise PatternError(
                f"the frame must be an image, but its shape is {array.shape}; for patterns that the"
                " beamline integrates give two_theta_field or q_field instead of image."
            )
        wanted, geometry = self._configuration, frame.geometry
        is_told = geometry.wavelength_angstrom is not None or geometry.energy is not None
        # Only where the beamline names no wavelength does the .poni say it: if it names one and
        # that is missing, the beam may have changed since the calibration.
        is_named = bool(wanted.wavelength_field or wanted.energy_field)
        wavelength = _wavelength(frame, wanted.energy_unit) if is_told or is_named else None
        reduced = images.pattern(image, wavelength)
        counted = _with_exposure(reduced.pattern, frame.exposure_s, n_exposures)
        return replace(counted, image=reduced)


def pattern_of(frame: Frame, *, unit: str = "keV") -> Pattern:
    """Return the pattern of a frame that holds it integrated.

    Parameters
    ----------
    unit : {"keV", "eV"}
        Of the energy, where that is what the frame knows.

    Raises
    ------
    PatternError
        If the frame cannot be one; the text says what was expected, what came and what to do.
    """
    geometry = frame.geometry
    intensity, _ = summed_exposures(_numbers(frame.intensity), 1)
    if geometry.q_per_angstrom is not None:
        return Pattern.from_q(np.asarray(geometry.q_per_angstrom), intensity)
    if geometry.two_theta_deg is None:
        raise PatternError(
            "the axis of the pattern must stand in the event or in the descriptor's configuration,"
            " but is in neither; check two_theta_field or q_field."
        )
    return Pattern.from_two_theta(
        np.asarray(geometry.two_theta_deg), intensity, wavelength_angstrom=_wavelength(frame, unit)
    )


def _numbers(intensity: Any) -> Any:
    if intensity is None:
        raise PatternError(
            "the event must hold the detector's pattern, but has no such field;"
            " check intensity_field and that the detector was read."
        )
    return np.asarray(intensity)


def _wavelength(frame: Frame, unit: str) -> float:
    found, energy = frame.geometry.wavelength_angstrom, frame.geometry.energy
    if found is None and energy is not None:
        return _wavelength_of_energy(energy, unit)
    if found is None:
        raise PatternError(
            "the wavelength must stand in the agent's configuration, the event or the descriptor's"
            " configuration, but is in none; set wavelength_angstrom, wavelength_field or"
            " energy_field."
        )
    try:
        return float(np.asarray(found).item())
    except (TypeError, ValueError) as error:
        raise PatternError(
            f"the wavelength must be one number in angstrom, but is {found!r};"
            " check wavelength_field."
        ) from error


def _wavelength_of_energy(energy: Any, unit: str) -> float:
    try:
        energy_kev = float(np.asarray(energy).item()) / {"keV": 1.0, "eV": 1000.0}[unit]
    except (TypeError, ValueError) as error:
        raise PatternError(
            f"the photon energy must be one number, but is {energy!r}; check energy_field."
        ) from error
    low, high = _ENERGIES_KEV
    if not low < energy_kev < high:
        raise PatternError(
            f"the photon energy must lie between {low:g} and {high:g} keV, but reads {energy!r}"
            f" {unit}; check energy_unit (keV or eV) and that energy_field is not a position."
        )
    return KEV_ANGSTROM / energy_kev


def _monitor(found: Any) -> float:
    try:
        reading = float(np.asarray(found).item())
    except (TypeError, ValueError):
        reading = float("nan")
    if not (np.isfinite(reading) and reading > 0):
        raise PatternError(
            f"the normalisation monitor must read above 0, but reads {found!r}; the beam may be"
            " off, or monitor_field may name something else."
        )
    return reading


def counted_pattern(frame: Frame, *, unit: str = "keV") -> CountedPattern:
    """Return the pattern of a frame that holds a whole one, integrated.

    Raises
    ------
    PatternError
        As `pattern_of`.
    """
    _, n_exposures = summed_exposures(_numbers(frame.intensity), 1)
    return _with_exposure(pattern_of(frame, unit=unit), frame.exposure_s, n_exposures)


def _with_exposure(pattern: Pattern, exposure: Any, n_exposures: int) -> CountedPattern:
    try:
        exposure_s = float(np.asarray(exposure).item()) * n_exposures
    except (TypeError, ValueError):  # absent, or one for each point: all points counted alike
        return CountedPattern(pattern, None)
    return CountedPattern(pattern, np.full(pattern.intensity.size, exposure_s))


def grown_pattern(frame: Frame, *, merge_within: float, unit: str = "keV") -> CountedPattern:
    """Return the pattern of a frame that holds all points of a scan so far, in any order.

    Raises
    ------
    PatternError
        As `pattern_of`, and if the points lack counting times.
    """
    by_q = frame.geometry.q_per_angstrom is not None
    axis = frame.geometry.q_per_angstrom if by_q else frame.geometry.two_theta_deg
    # What the detector failed to count was not measured; a second visit may have.
    is_counted = np.isfinite(frame.intensity) & (axis > 0)
    points = merged_points(
        axis[is_counted],
        frame.intensity[is_counted],
        frame.exposure_s[is_counted],
        merge_within=merge_within,
    )
    if by_q:
        pattern = Pattern.from_q(points.axis, points.counts)
    else:
        pattern = Pattern.from_two_theta(
            points.axis, points.counts, wavelength_angstrom=_wavelength(frame, unit)
        )
    return CountedPattern(pattern, points.exposure_s)
