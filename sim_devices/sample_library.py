"""A wafer of samples, each of which knows what it is; no device, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

import numpy as np

from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.pressure.compressed_powder import Diffractometer
from phasepilot.sim_devices.library_crystals import LIBRARY_CRYSTALS
from phasepilot.sim_devices.mixture_pattern import (
    DEFAULT_PEAK_RATE_PER_S,
    LABORATORY,
    MixturePattern,
)
from phasepilot.sim_devices.phase_map import PhaseMap, phase_fractions, random_phase_map
from phasepilot.sim_devices.rate_curve import RateCurve
from phasepilot.sim_devices.sample import FloatArray

# What a spill leaves in the beam.
SPILLED_SHARE = 0.05


class SampleCondition(Enum):
    """What became of a sample."""

    GOOD = "as the map has it"
    EMPTY = "nothing was deposited"
    AMORPHOUS = "it never crystallised"
    SPILLED = "a twentieth of the powder is left"


@dataclass(frozen=True, slots=True)
class LibrarySample:
    """One sample, and the truth about it.

    Attributes
    ----------
    name : str
        Row as a letter and column as a number, e.g. ``"C07"``.
    x_mm, y_mm : float
    fractions : ndarray, shape (n_phases,)
        Volume fractions of the crystalline part, in the order of the library's phases; all 0 where
        there is none.
    condition : SampleCondition
    strain : float
        By how much all its lattices are longer than those of the references.
    """

    name: str
    x_mm: float
    y_mm: float
    fractions: FloatArray
    condition: SampleCondition
    strain: float


class SampleLibrary:
    """Samples on a wafer, and what each scatters; patterns are computed once, when first seen.

    Parameters
    ----------
    samples : tuple of LibrarySample
    phase_map : PhaseMap
        From which the fractions of good samples come.
    pattern : MixturePattern
        Of the same phases in the same order.
    sample_radius_mm : float
        Further from a sample than this there is bare wafer.
    """

    def __init__(
        self,
        samples: tuple[LibrarySample, ...],
        *,
        phase_map: PhaseMap,
        pattern: MixturePattern,
        sample_radius_mm: float = 2.0,
    ) -> None:
        self.samples = samples
        self.phase_map = phase_map
        self.pattern = pattern
        self.sample_radius_mm = sample_radius_mm
        self._by_name = {sample.name: sample for sample in samples}
        self._places_mm = np.array([(sample.x_mm, sample.y_mm) for sample in samples])
        self._curves = lru_cache(maxsize=None)(self._computed_curve)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the samples, row by row."""
        return tuple(self._by_name)

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Names of the phases, in the order of the fractions."""
        return self.phase_map.phase_names

    def sample(self, name: str) -> LibrarySample:
        """Return the sample of that name, or raise ValueError."""
        if name not in self._by_name:
            raise ValueError(
                f"no sample {name!r}; there are {len(self.samples)}, from {self.samples[0].name} to"
                f" {self.samples[-1].name}."
            )
        return self._by_name[name]

    def sample_at(self, x_mm: float, y_mm: float) -> LibrarySample | None:
        """Return the sample that a beam at this position hits, if it hits any."""
        distance_mm = np.hypot(*(self._places_mm - (x_mm, y_mm)).T)
        nearest = int(distance_mm.argmin())
        return self.samples[nearest] if distance_mm[nearest] <= self.sample_radius_mm else None

    def phases_of(self, name: str) -> dict[str, float]:
        """Return the fractions of the phases that a sample truly holds, by name."""
        fractions = self.sample(name).fractions
        return {
            phase: float(fraction)
            for phase, fraction in zip(self.phase_names, fractions, strict=True)
            if fraction > 0
        }

    def rate_curve_at(self, x_mm: float, y_mm: float) -> RateCurve:
        """Return what the wafer scatters at a position."""
        sample = self.sample_at(x_mm, y_mm)
        return self._curves(None if sample is None else sample.name)

    def _computed_curve(self, name: str | None) -> RateCurve:
        sample = None if name is None else self._by_name[name]
        nothing = np.zeros(len(self.phase_names))
        if sample is None or sample.condition is SampleCondition.EMPTY:
            return self.pattern.curve_of_powder(nothing)
        if sample.condition is SampleCondition.AMORPHOUS:
            return self.pattern.curve_of_glass()
        share = SPILLED_SHARE if sample.condition is SampleCondition.SPILLED else 1.0
        strained = [
            crystal.scaled_to_volume_ratio((1 + sample.strain) ** 3)
            for crystal in self.pattern.crystals.values()
        ]
        return self.pattern.curve_of_powder(share * sample.fractions, strained)


def sample_library(
    rng: np.random.Generator,
    *,
    crystals: Mapping[str, Crystal] = LIBRARY_CRYSTALS,
    n_columns: int = 20,
    n_rows: int = 10,
    pitch_mm: float = 5.0,
    n_bad_of_each: int = 3,
    mixing_length_mm: float = 4.0,
    strain_spread: float = 1e-3,
    diffractometer: Diffractometer = LABORATORY,
    peak_rate_per_s: float = DEFAULT_PEAK_RATE_PER_S,
) -> SampleLibrary:
    """Return a rectangular library with a random hidden map; by default 200 samples of six phases.

    Parameters
    ----------
    crystals : mapping of str to Crystal
        The phases by name.
    n_columns, n_rows, pitch_mm
        Of the grid; the first sample is at (0, 0).
    n_bad_of_each : int
        How many samples are empty, amorphous and spilled, at random places.
    mixing_length_mm : float
        See `PhaseMap`.
    strain_spread : float
        Standard deviation of the strain of samples.
    peak_rate_per_s : float
        See `MixturePattern`.
    """
    phase_map = random_phase_map(
        tuple(crystals),
        width_mm=(n_columns - 1) * pitch_mm,
        height_mm=(n_rows - 1) * pitch_mm,
        mixing_length_mm=mixing_length_mm,
        rng=rng,
    )
    samples = [
        LibrarySample(
            name=f"{chr(ord('A') + row)}{column + 1:02d}",
            x_mm=column * pitch_mm,
            y_mm=row * pitch_mm,
            fractions=phase_fractions(phase_map, column * pitch_mm, row * pitch_mm),
            condition=SampleCondition.GOOD,
            strain=float(strain_spread * rng.standard_normal()),
        )
        for row in range(n_rows)
        for column in range(n_columns)
    ]
    pattern = MixturePattern(
        crystals, diffractometer=diffractometer, peak_rate_per_s=peak_rate_per_s
    )
    return SampleLibrary(
        tuple(_with_bad_ones(samples, n_bad_of_each, rng)), phase_map=phase_map, pattern=pattern
    )


def _with_bad_ones(
    samples: list[LibrarySample], n_of_each: int, rng: np.random.Generator
) -> list[LibrarySample]:
    conditions = [SampleCondition.EMPTY, SampleCondition.AMORPHOUS, SampleCondition.SPILLED]
    places = rng.permutation(len(samples))[: n_of_each * len(conditions)]
    changed = list(samples)
    for number, place in enumerate(places):
        condition = conditions[number % len(conditions)]
        is_crystalline = condition is SampleCondition.SPILLED
        fractions = samples[place].fractions * (1.0 if is_crystalline else 0.0)
        changed[place] = replace(samples[place], condition=condition, fractions=fractions)
    return changed
