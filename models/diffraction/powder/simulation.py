"""Finished powder patterns, in batches: every effect of a recipe, in the order nature has them."""

from dataclasses import dataclass
from functools import cache
from math import pi

import numpy as np

from phasepilot.models.arrays import Array, FloatArray, IntArray
from phasepilot.models.diffraction.crystals.cell_materials import CELL_MATERIALS, DIAMOND
from phasepilot.models.diffraction.powder.axis import DEGREE, Axis, AxisKind
from phasepilot.models.diffraction.powder.backend import Backend
from phasepilot.models.diffraction.powder.background import (
    air_scatter,
    amorphous_hump,
    chebyshev_background,
)
from phasepilot.models.diffraction.powder.instrument import measured_lines
from phasepilot.models.diffraction.powder.line_drawing import Lines, draw_lines, peak_height
from phasepilot.models.diffraction.powder.measurement import (
    coarsened,
    counted,
    cropped,
    faulty_bins,
    saturated,
)
from phasepilot.models.diffraction.powder.pattern_augmentation import (
    ThinFilmAugmentation,
    augment_thin_film,
)
from phasepilot.models.diffraction.powder.recipe import Settings
from phasepilot.models.diffraction.powder.scattering import PhaseLibrary
from phasepilot.models.diffraction.stick_store import StickStore, stick_store
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern

# Lines of gasket and diamond that any beam of ours reaches.
_CELL_Q_MAX = 14.0
# A reflection of one crystal is as sharp as the instrument: against the powder's width.
_SPOT_WIDTH = 0.5
_OVERFLOW = 1e6
# Lines as far as this outside the axis, in parts of q, still show their tails.
_TAIL_MARGIN = 0.08
# What is drawn from the seed of the settings; each from a stream of its own.
_SPOTS, _THIN_FILM = 1, 2


@dataclass(frozen=True, slots=True)
class SimulatedPatterns:
    """A batch of simulated measurements.

    Attributes
    ----------
    axis : Axis
    intensity : array, shape (n_patterns, n_bins), single precision
        Counts, or scaled as the recipe says; 0 where not measured.
    is_measured : array of bool, shape (n_patterns, n_bins)
        Bins that were counted in. A coarse scan measures every k-th; what lies between is
        interpolated in `intensity`.
    is_covered : array of bool, shape (n_patterns, n_bins)
        Bins within the measured range, dead ones left out.
    shows_lines : array of bool, shape (n_patterns,)
        Whether the axis holds any line, before cropping.
    """

    axis: Axis
    intensity: Array
    is_measured: Array
    is_covered: Array
    shows_lines: Array

    def pattern(self, row: int) -> Pattern:
        """Return one of them as an instrument with an angle axis gives it: only what was counted.

        Raises
        ------
        PatternError
            If nothing was.
        """
        edges = self.axis.edges()[row]
        counted = np.asarray(self.is_measured[row])
        return Pattern.from_two_theta(
            ((edges[1:] + edges[:-1]) / 2)[counted],
            np.asarray(self.intensity[row])[counted],
            wavelength_angstrom=float(self.axis.wavelength_angstrom[row, 0]),
        )


class PatternSimulator:
    """Simulates patterns of the structures of a stick store.

    Parameters
    ----------
    backend : Backend
        Where the arithmetic runs, and where noise comes from.
    """

    def __init__(self, store: StickStore, backend: Backend) -> None:
        self.store = store
        self.backend = backend
        self._library = PhaseLibrary(store, backend)
        self._cell = PhaseLibrary(_cell_store(), backend)

    def simulate(
        self, structures: IntArray, settings: Settings, impurities: IntArray | None = None
    ) -> SimulatedPatterns:
        """Return one measurement of each structure.

        Parameters
        ----------
        structures : ndarray of int, shape (n_patterns,)
            Numbers of structures in the store.
        impurities : ndarray of int, shape (n_patterns,), optional
            The second phase, of which the settings say how much; without it samples are pure.

        Raises
        ------
        PatternError
            If the range of the axis is empty, or no line of a structure falls into it.
        """
        patterns = self.simulate_unchecked(structures, settings, impurities)
        if not bool(self.backend.xp.all(patterns.shows_lines)):
            raise self._no_lines(patterns, structures)
        return patterns

    def simulate_unchecked(
        self, structures: IntArray, settings: Settings, impurities: IntArray | None = None
    ) -> SimulatedPatterns:
        """Return the same, but patterns that miss every line as their background.

        In millions of random ranges some do, and that should not end a training run.
        """
        axis = self._axis(settings)
        expected, shows_lines = self._expected(axis, structures, settings, impurities)
        return self._measured(axis, expected, shows_lines, settings)

    def phase_intensities(
        self, structures: IntArray, settings: Settings, impurities: IntArray
    ) -> FloatArray:
        """Return the area of both phases' lines on the axis, shape (n_patterns, 2)."""
        axis, share = self._axis(settings), settings["impurity_fraction"][:, 0]
        found = np.zeros((settings.n_patterns, 2))
        for column, (phase, fraction) in enumerate(((structures, 1 - share), (impurities, share))):
            reflections = self._library.reflections(phase, fraction, settings, self._q_limits(axis))
            lines = measured_lines(reflections, settings, self.backend)
            place = axis.bins_of(lines.two_theta_deg, lines.row)
            area = lines.area * ((place >= 0) & (place < axis.n_bins))
            rows, areas = self.backend.to_numpy(lines.row), self.backend.to_numpy(area)
            found[:, column] = np.bincount(rows, weights=areas, minlength=settings.n_patterns)
        return found

    def _no_lines(self, patterns: SimulatedPatterns, structures: IntArray) -> PatternError:
        number = int(self.backend.to_numpy(patterns.shows_lines).argmin())
        name = self.store.identifier[structures[number]]
        edges = self.backend.to_numpy(patterns.axis.edges()[number])
        return PatternError(
            f"a pattern must show at least one line, but {name} has none from {edges[0]:g} to"
            f" {edges[-1]:g} ({patterns.axis.kind.value}); extend the range or change the"
            " wavelength."
        )

    def _axis(self, settings: Settings) -> Axis:
        """Return the axis of each pattern in its own unit."""
        recipe = settings.recipe.axis
        wavelength = settings["wavelengths_angstrom"][:, :1]
        low, high = settings.axis_start, settings.axis_stop
        to_q = recipe.unit == "two_theta_deg" and recipe.kind is not AxisKind.TWO_THETA
        # Whatever cannot be converted becomes not a number, and is told below.
        with np.errstate(invalid="ignore", divide="ignore"):
            if recipe.unit == "q_per_angstrom" and recipe.kind is AxisKind.TWO_THETA:
                low, high = (_two_theta_deg(edge, wavelength) for edge in (low, high))
            elif to_q:
                low, high = (
                    4 * pi / wavelength * np.sin(edge * DEGREE / 2) for edge in (low, high)
                )
            if recipe.kind is AxisKind.LOG_Q:
                low, high = np.log(low), np.log(high)
        is_wrong = ~(np.isfinite(low) & np.isfinite(high) & (high > low))
        if is_wrong.any():
            row = int(is_wrong[:, 0].argmax())
            raise PatternError(
                f"the axis must run upwards and within reach of the beam, but goes from"
                f" {settings.axis_start[row, 0]:g} to {settings.axis_stop[row, 0]:g}"
                f" ({recipe.unit}) at a wavelength of {wavelength[row, 0]:g} angstrom; change the"
                " start, the stop or the wavelength."
            )
        start, step, wavelength = (
            self.backend.asarray(values)
            for values in (low, (high - low) / recipe.n_bins, wavelength)
        )
        return Axis(recipe.kind, start, step, recipe.n_bins, wavelength)

    def _expected(
        self, axis: Axis, structures: IntArray, settings: Settings, impurities: IntArray | None
    ) -> tuple[Array, Array]:
        """Return the mean intensity, its highest bin 1, and which patterns show a line."""
        xp = self.backend.xp
        lines = self._lines(axis, structures, settings, impurities)
        drawn = draw_lines(lines, axis, self.backend)
        highest = xp.max(drawn, axis=1, keepdims=True)
        drawn /= xp.where(highest > 0, highest, xp.ones_like(highest))
        self._add_background(drawn, axis, settings)
        drawn /= xp.clip(xp.max(drawn, axis=1, keepdims=True), 1e-30, None)
        return drawn, highest[:, 0] > 0

    def _lines(
        self, axis: Axis, structures: IntArray, settings: Settings, impurities: IntArray | None
    ) -> Lines:
        """Return all lines: of the sample, of a second phase, of gasket and anvils."""
        backend, xp = self.backend, self.backend.xp
        share = settings["impurity_fraction"][:, 0]
        if impurities is None:
            share = np.zeros_like(share)
        limits = self._q_limits(axis)
        parts = [self._library.reflections(structures, 1 - share, settings, limits)]
        if share.any() and impurities is not None:
            parts.append(self._library.reflections(impurities, share, settings, limits))
        lines = [measured_lines(part, settings, backend) for part in parts]
        sample = _joined(lines, xp)
        highest = self._highest(sample, axis)
        if settings.is_used("gasket"):
            lines.append(self._gasket_lines(axis, settings, highest))
        if settings.is_used("diamond_spots"):
            lines.append(self._spots(settings, highest))
        return _joined(lines, xp)

    def _q_limits(self, axis: Axis) -> FloatArray:
        """Return between which q lines matter: those of the axis, and what tails reach into it."""
        ends = self.backend.to_numpy(axis.ends_two_theta_deg())
        wavelength = self.backend.to_numpy(axis.wavelength_angstrom)
        q = 4 * pi / wavelength * np.sin(np.clip(ends, 0, 180) * DEGREE / 2)
        return np.asarray(q * [1 - _TAIL_MARGIN, 1 + _TAIL_MARGIN])

    def _highest(self, lines: Lines, axis: Axis) -> Array:
        """Return the height of the highest line on each axis, shape (n_patterns,)."""
        place = axis.bins_of(lines.two_theta_deg, lines.row)
        on_axis = (place >= 0) & (place < axis.n_bins)
        height = peak_height(lines) * on_axis
        return self.backend.row_maximum(height, lines.row, axis.n_patterns)

    def _gasket_lines(self, axis: Axis, settings: Settings, highest: Array) -> Lines:
        """Return lines of the gasket, its highest as high as the settings say."""
        backend, xp = self.backend, self.backend.xp
        height = settings["gasket"][:, 0]
        material = settings["gasket_material"][:, 0].astype(np.int64)
        reflections = self._cell.reflections(material, (height > 0).astype(np.float64), settings)
        lines = measured_lines(reflections, settings, backend)
        own = self._highest(lines, axis)
        factor = backend.asarray(height) * highest / xp.where(own > 0, own, xp.inf)
        return lines.with_area(lines.area * factor[lines.row])

    def _spots(self, settings: Settings, highest: Array) -> Lines:
        """Return reflections of the anvils: few, sharp, and of any height."""
        backend, xp = self.backend, self.backend.xp
        diamond_q = _diamond_q()
        number = settings["diamond_spots"][:, 0].astype(np.int64)
        row = np.repeat(np.arange(settings.n_patterns), number)
        # Which of its reflections a crystal shows depends on how it lies.
        q = np.random.default_rng([settings.seed, _SPOTS]).choice(diamond_q, row.size)
        angle = _two_theta_deg(q[:, None], settings["wavelengths_angstrom"][row, :1])[:, 0]
        seen = np.isfinite(angle)
        row, angle = row[seen], angle[seen]
        width = np.sqrt(np.maximum(settings["caglioti_w"][row, 0], 1e-4)) * _SPOT_WIDTH
        rows, widths = backend.asarray(row), backend.asarray(width)
        spots = Lines(
            rows, backend.asarray(angle), xp.ones_like(widths), widths, xp.zeros_like(widths)
        )
        height = backend.asarray(settings["spot_height"][row, 0]) * highest[rows]
        return spots.with_area(height / peak_height(spots))

    def _add_background(self, lines: Array, axis: Axis, settings: Settings) -> None:
        """Put lines of height 1 onto the backgrounds of the settings, in place."""
        if settings.is_used("background_chebyshev"):
            terms = settings["background_terms"]
            drawn = settings["background_chebyshev"]
            drawn = np.where(np.arange(drawn.shape[1]) < terms, drawn / terms, 0.0)
            lines += chebyshev_background(self._single(drawn), axis.n_bins)
        lines += self._single(settings["background_flat"])
        # Exponentials are dear: they are taken for the patterns that have them.
        if (rows := np.flatnonzero(settings["air_scatter"] > 0)).size:
            angle = self._centres_two_theta_deg(axis, rows)
            decay = self._single(settings["air_scatter_decay_deg"][rows])
            # Height 1 at the low end of the range, whatever that is.
            fall = air_scatter(angle - angle[:, :1], decay)
            lines[rows] += self._single(settings["air_scatter"][rows]) * fall
        if (rows := np.flatnonzero(settings["hump"] > 0)).size:
            sine = self.backend.xp.sin(self._centres_two_theta_deg(axis, rows) * (DEGREE / 2))
            q = sine * self._single(4 * pi / settings["wavelengths_angstrom"][rows, :1])
            position = self._single(settings["hump_q_per_angstrom"][rows])
            width = self._single(settings["hump_width_per_angstrom"][rows])
            shape = amorphous_hump(q, position, width)
            lines[rows] += self._single(settings["hump"][rows]) * shape

    def _centres_two_theta_deg(self, axis: Axis, rows: IntArray) -> Array:
        """Return the middles of the bins of some patterns, in single precision."""
        if axis.kind is AxisKind.TWO_THETA:
            start, step = self._single(axis.start[rows]), self._single(axis.step[rows])
            numbers = self.backend.xp.arange(axis.n_bins, device=start.device)
            return start + step * self._single(numbers + 0.5)[None, :]
        edges = self._single(axis.edges_two_theta_deg[rows])
        return (edges[:, 1:] + edges[:, :-1]) / 2

    def _measured(
        self, axis: Axis, expected: Array, shows_lines: Array, settings: Settings
    ) -> SimulatedPatterns:
        """Return what the detector writes down of the mean intensities."""
        backend, xp = self.backend, self.backend.xp
        intensity = counted(expected, self._single(settings["peak_counts"]), backend)
        intensity = self._with_papers_noise(intensity, settings)
        if settings.is_used("hot_fraction"):
            is_hot = faulty_bins(axis.n_bins, self._single(settings["hot_fraction"]), backend)
            intensity = xp.where(is_hot, _OVERFLOW * xp.ones_like(intensity), intensity)
        if settings.is_used("saturation_counts", float("inf")):
            intensity = saturated(intensity, self._single(settings["saturation_counts"]))
        first, last = (self._single(settings[name]) for name in ("crop_start", "crop_stop"))
        is_covered = cropped(axis.n_bins, first, last)
        if settings.is_used("dead_fraction"):
            # A coarse scan moves one detector from point to point, which is not dead at some.
            fraction = settings["dead_fraction"] * (settings["coarsening"] == 1)
            dead = faulty_bins(axis.n_bins, self._single(fraction), backend)
            is_covered = is_covered & ~dead
        is_measured = is_covered
        if settings.is_used("coarsening", 1.0):
            factor = backend.asarray(settings["coarsening"].astype(np.int64))
            intensity, is_point = coarsened(intensity, factor)
            is_measured = is_covered & is_point
        intensity = xp.where(is_covered, intensity, xp.zeros_like(intensity))
        scaled = self._scaled(intensity, settings)
        return SimulatedPatterns(axis, scaled, is_measured, is_covered, shows_lines)

    def _with_papers_noise(self, intensity: Array, settings: Settings) -> Array:
        """Return the intensity with the noises that papers define by its maximum."""
        backend, xp = self.backend, self.backend.xp
        highest = xp.max(intensity, axis=1, keepdims=True)
        if settings.is_used("uniform_noise_to"):
            low, high = (self._single(settings[f"uniform_noise_{end}"]) for end in ("from", "to"))
            level = low + (high - low) * backend.uniform(intensity.shape)
            intensity = intensity + level * highest
        if settings.is_used("gaussian_noise"):
            level = self._single(settings["gaussian_noise"])
            intensity = intensity + level * highest * backend.normal(intensity.shape)
        if settings.is_used("bounded_noise"):
            level = self._single(settings["bounded_noise"])
            bounded = 0.5 + xp.clip(backend.normal(intensity.shape), -3.0, 3.0) / 6
            intensity = intensity + level * highest * bounded
        return intensity

    def _scaled(self, intensity: Array, settings: Settings) -> Array:
        xp = self.backend.xp
        recipe = settings.recipe
        if recipe.maximum is not None:
            highest = xp.max(intensity, axis=1, keepdims=True)
            intensity = intensity * (recipe.maximum / xp.clip(highest, 1e-30, None))
        if recipe.thin_film is not None:
            intensity = self._as_thin_film(intensity, recipe.thin_film, settings)
        return xp.floor(intensity) if recipe.is_integer else intensity

    def _as_thin_film(
        self, intensity: Array, augmentation: ThinFilmAugmentation, settings: Settings
    ) -> Array:
        """Return the patterns after a paper's changes to finished patterns, made in numpy."""
        step_deg = float((settings.axis_stop - settings.axis_start)[0, 0]) / intensity.shape[1]
        changed = augment_thin_film(
            self.backend.to_numpy(intensity).astype(np.float64),
            step_deg=step_deg,
            augmentation=augmentation,
            rng=np.random.default_rng([settings.seed, _THIN_FILM]),
        )
        return self._single(changed)

    def _single(self, values: Array) -> Array:
        return self.backend.asarray(values, single=True)


def _joined(lines: list[Lines], xp: Array) -> Lines:
    columns = (xp.concat([getattr(part, name) for part in lines]) for name in Lines.__slots__)
    return Lines(*columns)


@cache
def _cell_store() -> StickStore:
    return stick_store(CELL_MATERIALS, _CELL_Q_MAX)


@cache
def _diamond_q() -> FloatArray:
    return np.asarray(stick_store([DIAMOND], _CELL_Q_MAX).q_per_angstrom, dtype=np.float64)


def _two_theta_deg(q: Array, wavelength: Array) -> Array:
    """Return angles, not a number where the beam does not reach."""
    sine = q * wavelength / (4 * pi)
    return np.degrees(2 * np.arcsin(np.where(sine < 1, sine, np.nan)))
