"""Simulations as `phasepilot simulate` wants them: one crystal, one recipe, one seed.

What a recipe says is for powder patterns. Rings take its lines (strain, texture, widths, thermal
motion), polarisation and counts; spots take its beam, thermal motion and counts.
"""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from phasepilot.agent.report.simulation_record import (
    IndexedLines,
    PowderRecord,
    RingRecord,
    SpotRecord,
    Subject,
)
from phasepilot.models.arrays import Array, Float32Array, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.images.detector_effects import (
    Int32Array,
    counted,
    quantised,
    scaled_to_brightest,
)
from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry, measured_pixels
from phasepilot.models.diffraction.images.spot_drawing import draw_spots
from phasepilot.models.diffraction.images.spot_pattern import spots, zone_axis_orientation
from phasepilot.models.diffraction.images.spot_settings import GaussianSpots, SpotSettings
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.instrument import MAX_TWO_THETA_DEG, measured_lines
from phasepilot.models.diffraction.powder.intensity_factors import lorentz, polarisation
from phasepilot.models.diffraction.powder.recipe import Recipe, Settings
from phasepilot.models.diffraction.powder.scattering import PhaseLibrary
from phasepilot.models.diffraction.powder.simulation import PatternSimulator, SimulatedPatterns
from phasepilot.models.diffraction.stick_store import StickStore, stick_store
from phasepilot.models.errors import GeometryError
from phasepilot.models.pattern import q_from_two_theta, two_theta_from_q

# Patterns simulated at a time: more need memory and gain no speed.
_BATCH = 256
# Strain may pull lines into the range that lie beyond it in the structure.
_REACH = 1.1


def powder_record(
    crystal: Crystal, recipe: Recipe, *, recipe_name: str, seed: int, n_patterns: int
) -> PowderRecord:
    """Return powder patterns of a crystal.

    Raises
    ------
    ModelsError
        If crystal and recipe do not go together: no line in the range, no beam that reaches it.
    """
    rng = np.random.default_rng(seed)
    sizes = [min(_BATCH, n_patterns - done) for done in range(0, n_patterns, _BATCH)]
    batches = [recipe.draw(size, rng) for size in sizes]
    store = stick_store([crystal], max(_q_max_per_angstrom(settings) for settings in batches))
    simulator = PatternSimulator(store, NumpyBackend(rng))
    results = [simulator.simulate(_first(settings), settings) for settings in batches]
    edges = np.concatenate([result.axis.edges_two_theta_deg for result in results])
    return PowderRecord(
        subject=_subject(crystal, recipe, batches[0], recipe_name, seed),
        lines=_indexed_lines(crystal, store, batches[0], float(edges[0, 0]), float(edges[0, -1])),
        two_theta_deg=(edges[:, 1:] + edges[:, :-1]) / 2,
        intensity=_joined(results, "intensity"),
        is_measured=_joined(results, "is_measured"),
        is_covered=_joined(results, "is_covered"),
        drawn={
            name: np.concatenate([settings[name] for settings in batches])
            for name in batches[0].columns
        },
    )


def spot_record(
    crystal: Crystal,
    recipe: Recipe,
    zone_axis: tuple[int, int, int],
    *,
    recipe_name: str,
    seed: int,
) -> SpotRecord:
    """Return the spots of a crystal along a zone axis, drawn as Gaussians.

    Raises
    ------
    ModelsError
        If the zone axis is none, or shows no reflection.
    """
    rng = np.random.default_rng(seed)
    settings = recipe.draw(1, rng)
    subject = _subject(crystal, recipe, settings, recipe_name, seed)
    wavelength = subject.wavelength_angstrom
    # Discs, which show intensity by their size, cannot be counted.
    spot_settings = SpotSettings(
        wavelength_angstrom=wavelength,
        b_square_angstrom=float(settings["b_square_angstrom"][0, 0]),
        profile=GaussianSpots(),
    )
    found = spots(crystal, zone_axis_orientation(crystal, zone_axis), spot_settings)
    d_spacing = 1 / np.linalg.norm(found.hkl @ crystal.reciprocal, axis=1)
    return SpotRecord(
        subject=subject,
        lines=IndexedLines(
            hkl=found.hkl,
            d_spacing_angstrom=d_spacing,
            two_theta_deg=two_theta_from_q(2 * np.pi / d_spacing, wavelength),
            relative_intensity=100 * found.intensity / found.intensity.max(),
        ),
        zone_axis=zone_axis,
        row_px=found.row_px,
        column_px=found.column_px,
        image=_detected(draw_spots(found, spot_settings), settings, rng),
    )


def ring_record(
    crystal: Crystal, recipe: Recipe, geometry: DetectorGeometry, *, recipe_name: str, seed: int
) -> RingRecord:
    """Return the powder rings of a crystal on a detector, and what integrating them gives.

    The beam is the recipe's; the geometry has to have the same wavelength.

    Raises
    ------
    ModelsError
        If no ring falls on the detector.
    """
    from phasepilot.models.diffraction.images.azimuthal_integration import integrate_pattern
    from phasepilot.models.diffraction.images.pixel_map import q_range_per_angstrom
    from phasepilot.models.diffraction.images.ring_image import RingLines, smooth_rings

    rng = np.random.default_rng(seed)
    settings = recipe.draw(1, rng)
    q_low, q_high = q_range_per_angstrom(geometry)
    store = stick_store([crystal], _REACH * q_high)
    low, high = two_theta_from_q(np.array([q_low, q_high]), geometry.wavelength_angstrom)
    indexed = _indexed_lines(crystal, store, settings, float(low), float(high))
    if not indexed.hkl.size:
        raise GeometryError(
            f"some ring must fall on the detector, which sees q = {q_low:.3g} to {q_high:.3g}"
            f" 1/angstrom, but none of {crystal.name} does; check the wavelength and the distance."
        )
    backend = NumpyBackend(rng)
    reflections = PhaseLibrary(store, backend).reflections(_first(settings), np.ones(1), settings)
    # Polarisation varies along a ring, so that the image has it and not the lines.
    lines = measured_lines(reflections, _changed(settings, polarised_fraction=1.0), backend)
    polarised = float(settings["polarised_fraction"][0, 0])
    rings = RingLines(lines.two_theta_deg, lines.area, lines.fwhm_deg, lines.lorentz_fraction)
    is_measured = measured_pixels(geometry)
    expected = smooth_rings(rings, geometry, polarization_factor=polarised) * is_measured
    image = _detected(expected, settings, rng)
    pattern = integrate_pattern(image, geometry, polarization_factor=polarised)
    q = pattern.q_per_angstrom[pattern.is_measured]
    return RingRecord(
        subject=_subject(crystal, recipe, settings, recipe_name, seed),
        lines=indexed,
        geometry=geometry,
        image=image,
        is_measured=is_measured,
        two_theta_deg=two_theta_from_q(q, geometry.wavelength_angstrom),
        intensity=pattern.intensity[pattern.is_measured],
    )


def usual_indices(hkl: IntArray, crystal: Crystal) -> IntArray:
    """Return the reflection that each family is usually called by, shape (n_lines, 3).

    The one with the fewest negative indices; of several the one with l not negative, then that
    with the largest h, then k: 200 rather than 020, and -112 rather than 11-2.

    Parameters
    ----------
    hkl : ndarray of int, shape (n_lines, 3)
        Any reflection of each family.
    """
    turned = np.einsum("li,rij->lrj", hkl, crystal.setting.laue_rotations)
    family = np.concatenate([turned, -turned], axis=1).astype(np.int64)
    h, k, l = np.moveaxis(family, -1, 0)  # noqa: E741
    # A number with three digits, so that one comparison does for all.
    base = 2 * int(np.abs(family).max(initial=0)) + 1
    unusual = 2 * (family < 0).sum(axis=2) + (l < 0)
    best = np.argmin(unusual * base**3 - (h * base + k) * base - l, axis=1)
    return np.asarray(family[np.arange(best.size), best])


def _subject(
    crystal: Crystal, recipe: Recipe, settings: Settings, recipe_name: str, seed: int
) -> Subject:
    weights = settings["emission_weights"][0]
    return Subject(
        crystal=crystal,
        recipe_name=recipe_name,
        recipe_text=recipe.written(),
        seed=seed,
        wavelengths_angstrom=tuple(settings["wavelengths_angstrom"][0, weights > 0].tolist()),
        emission_weights=tuple(weights[weights > 0].tolist()),
    )


def _first(settings: Settings) -> IntArray:
    """Return the number of the only crystal of the store for each pattern."""
    return np.zeros(settings.n_patterns, dtype=np.int64)


def _q_max_per_angstrom(settings: Settings) -> float:
    """Return how far lines are needed for the axes of the settings."""
    stops = settings.axis_stop[:, 0]
    if settings.recipe.axis.unit == "two_theta_deg":
        beams = settings["wavelengths_angstrom"][:, 0].tolist()
        pairs = zip(stops, beams, strict=True)
        stops = np.array([q_from_two_theta(stop, beam) for stop, beam in pairs])
    return _REACH * float(stops.max())


def _joined(results: list[SimulatedPatterns], name: str) -> Array:
    return np.concatenate([getattr(result, name) for result in results])


def _indexed_lines(
    crystal: Crystal, store: StickStore, settings: Settings, low_deg: float, high_deg: float
) -> IndexedLines:
    """Return the lines of the first pattern that fall into a range, by angle.

    They have its strain and texture; the scatter of strengths is left out, so that intensities are
    those of the structure.
    """
    first = _changed(settings, line_scatter=0.0)
    backend = NumpyBackend(np.random.default_rng(0))
    found = PhaseLibrary(store, backend).reflections(np.zeros(1, dtype=int), np.ones(1), first)
    angle = two_theta_from_q(found.q_per_angstrom, float(first["wavelengths_angstrom"][0, 0]))
    inside = np.flatnonzero((angle >= low_deg) & (angle <= min(high_deg, MAX_TWO_THETA_DEG)))
    inside = inside[np.argsort(angle[inside], kind="stable")]
    angle = angle[inside]
    polarised, crystal_deg = (
        float(first[name][0, 0]) for name in ("polarised_fraction", "monochromator_two_theta_deg")
    )
    height = found.strength[inside] * lorentz(angle)
    height *= polarisation(angle, np.array(polarised), crystal_deg)
    return IndexedLines(
        hkl=usual_indices(store.hkl[inside].astype(np.int64), crystal),
        d_spacing_angstrom=2 * np.pi / found.q_per_angstrom[inside],
        two_theta_deg=angle,
        relative_intensity=100 * height / height.max(initial=1e-300),
    )


def _changed(settings: Settings, **values: float) -> Settings:
    """Return the settings of the first pattern, some numbers replaced."""
    columns = {name: column[:1] for name, column in settings.columns.items()}
    columns |= {name: np.full((1, 1), value) for name, value in values.items()}
    start, stop = settings.axis_start[:1], settings.axis_stop[:1]
    return replace(settings, axis_start=start, axis_stop=stop, columns=columns)


def _detected(
    expected: Float32Array, settings: Settings, rng: Generator
) -> Float32Array | Int32Array:
    """Return counts where the recipe has a number of them, the image with a maximum of 1 if not."""
    peak_counts = float(settings["peak_counts"][0, 0])
    if np.isinf(peak_counts):
        return scaled_to_brightest(expected, 1.0)
    return quantised(counted(scaled_to_brightest(expected, peak_counts), rng))
