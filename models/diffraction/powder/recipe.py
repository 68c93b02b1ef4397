"""Recipes: what is drawn at random for each pattern, as one typed, serialisable configuration."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from numpy.random import Generator
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phasepilot.models.arrays import FloatArray
from phasepilot.models.diffraction.crystals.cell_materials import CELL_MATERIALS
from phasepilot.models.diffraction.powder.axis import AxisKind
from phasepilot.models.diffraction.powder.emission import Emission, emission
from phasepilot.models.diffraction.powder.pattern_augmentation import ThinFilmAugmentation
from phasepilot.models.diffraction.powder.quantity import (
    Drawn,
    Fraction,
    NotNegative,
    Positive,
    Quantity,
    fixed,
    within,
)
from phasepilot.models.errors import RecipeError
from phasepilot.models.refused_entries import refused_entries

MAX_CHEBYSHEV_TERMS = 8
MAX_EMISSION_LINES = 2
# Texture is about a direction of small indices.
TEXTURE_AXES = np.array(
    [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
)
_N_COLUMNS = {"anisotropic_strain": 6, "background_chebyshev": MAX_CHEBYSHEV_TERMS}
_FOLDER = resources.files("phasepilot.models.diffraction.powder.recipes")
_UNLIMITED = fixed(float("inf"))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AxisRecipe(_Strict):
    """The axis of every pattern.

    Attributes
    ----------
    kind : AxisKind
        In what the bins are uniform.
    start, stop
        Outer edges of the first and the last bin, in `unit`.
    unit : str
        ``two_theta_deg`` or ``q_per_angstrom``: a range in q stays the same whatever the beam.
    """

    kind: AxisKind = AxisKind.TWO_THETA
    start: Drawn
    stop: Drawn
    unit: Literal["two_theta_deg", "q_per_angstrom"] = "two_theta_deg"
    n_bins: int = Field(ge=16, le=1_000_000)


class Variant(_Strict):
    """One way in which patterns come about; numbers may be fixed or drawn, see `Quantity`.

    Attributes
    ----------
    weight : float
        How often this way is taken, against the other variants of the recipe.
    emission : tuple of str
        Names of tube emissions, one drawn for each pattern; or else
    wavelength_angstrom
        of a monochromatic beam.
    polarised_fraction, monochromator_two_theta_deg
        See `polarisation`.
    isotropic_strain, anisotropic_strain
        Relative change of lattice lengths; the second is drawn for each length and angle that the
        crystal system leaves free.
    b_square_angstrom
        Isotropic displacement parameter B.
    march_dollase_r, cosine_texture
        Preferred orientation about a random low-index axis, see `texture`; 1 and 0 for none.
    line_scatter
        Standard deviation of the logarithm of each line's strength: random texture, and atoms that
        are not quite where the structure has them.
    impurity_fraction
        Volume fraction of a second phase.
    caglioti_u, caglioti_v, caglioti_w
        In square degree.
    lorentz_fwhm_deg
        Lorentzian part of the instrument's width, the same at all angles.
    crystallite_size_nm, microstrain
        Infinite and 0 for none. Both broaden as Lorentzians, the size as a Gaussian if
        `size_profile` says so.
    axial_divergence
        S / L and H / L of Finger, Cox and Jephcoat, taken as equal; 0 for none.
    zero_shift_deg, displacement_over_radius
        Errors of the diffractometer.
    background_flat, background_chebyshev, air_scatter, hump
        Heights against the highest line; each of the `background_terms` Chebyshev coefficients is
        drawn and divided by their number.
    air_scatter_decay_deg, hump_q_per_angstrom, hump_width_per_angstrom
    gasket, gasket_material
        Height of the strongest line of the gasket, and the place of its material among
        `phasepilot.models.diffraction.crystals.cell_materials.CELL_MATERIALS`.
    diamond_spots, spot_height
        Number of reflections of single-crystal diamond, and their height.
    peak_counts
        Mean counts in the highest bin, Poisson distributed; infinite for no noise.
    uniform_noise_from, uniform_noise_to, bounded_noise, gaussian_noise
        The papers' noises, as fractions of the highest bin: each bin gets a number between the
        first two; half of the third and a normal deviate of a sixth of it, cut at three
        deviations; a normal deviate of the fourth.
    dead_fraction, hot_fraction
        Of the bins: not measured, and overflowing.
    saturation_counts
        The detector counts no further.
    crop_start, crop_stop
        Only bins between these fractions of the range are measured.
    coarsening
        Only every k-th bin is measured.
    """

    weight: float = Field(default=1, gt=0)
    emission: tuple[str, ...] = ()
    wavelength_angstrom: Positive | None = None
    polarised_fraction: Fraction = fixed(0)
    monochromator_two_theta_deg: Drawn = fixed(0)
    isotropic_strain: Drawn = fixed(0)
    anisotropic_strain: Drawn = fixed(0)
    b_square_angstrom: NotNegative = fixed(0)
    march_dollase_r: Positive = fixed(1)
    cosine_texture: Fraction = fixed(0)
    line_scatter: NotNegative = fixed(0)
    impurity_fraction: Fraction = fixed(0)
    caglioti_u: Drawn = fixed(0)
    caglioti_v: Drawn = fixed(0)
    caglioti_w: Drawn = fixed(0)
    lorentz_fwhm_deg: NotNegative = fixed(0)
    crystallite_size_nm: Positive = _UNLIMITED
    size_profile: Literal["lorentz", "gauss"] = "lorentz"
    microstrain: NotNegative = fixed(0)
    axial_divergence: NotNegative = fixed(0)
    zero_shift_deg: Drawn = fixed(0)
    displacement_over_radius: Drawn = fixed(0)
    background_flat: NotNegative = fixed(0)
    background_chebyshev: Drawn = fixed(0)
    background_terms: Annotated[Drawn, within(1, MAX_CHEBYSHEV_TERMS)] = fixed(4)
    air_scatter: NotNegative = fixed(0)
    air_scatter_decay_deg: Positive = fixed(10)
    hump: NotNegative = fixed(0)
    hump_q_per_angstrom: Drawn = fixed(1.6)
    hump_width_per_angstrom: Positive = fixed(0.4)
    gasket: NotNegative = fixed(0)
    gasket_material: Annotated[Drawn, within(0, len(CELL_MATERIALS) - 1)] = fixed(1)
    diamond_spots: NotNegative = fixed(0)
    spot_height: NotNegative = fixed(1)
    peak_counts: Positive = _UNLIMITED
    uniform_noise_from: NotNegative = fixed(0)
    uniform_noise_to: NotNegative = fixed(0)
    bounded_noise: NotNegative = fixed(0)
    gaussian_noise: NotNegative = fixed(0)
    dead_fraction: Fraction = fixed(0)
    hot_fraction: Fraction = fixed(0)
    saturation_counts: Positive = _UNLIMITED
    crop_start: Fraction = fixed(0)
    crop_stop: Annotated[Drawn, within(0.01, 1)] = fixed(1)
    coarsening: Annotated[Drawn, within(1)] = fixed(1)

    @model_validator(mode="after")
    def _check_beam(self) -> Self:
        if bool(self.emission) == (self.wavelength_angstrom is not None):
            raise ValueError("give either emission or wavelength_angstrom")
        for name in self.emission:
            emission(name)
        return self

    def draw(self, n: int, rng: Generator) -> dict[str, FloatArray]:
        """Return the numbers of n patterns, shape (n, n_columns) each, and their emission lines."""
        columns = {
            name: getattr(self, name).draw_columns(n, _N_COLUMNS.get(name, 1), rng)
            for name in QUANTITIES
        }
        columns["texture_axis"] = rng.integers(len(TEXTURE_AXES), size=(n, 1)).astype(np.float64)
        columns["has_gaussian_size"] = np.full((n, 1), float(self.size_profile == "gauss"))
        columns["wavelengths_angstrom"], columns["emission_weights"] = self._draw_beam(n, rng)
        return columns

    def _draw_beam(self, n: int, rng: Generator) -> tuple[FloatArray, FloatArray]:
        if self.wavelength_angstrom is not None:
            first = self.wavelength_angstrom.draw_columns(n, 1, rng)
            # A second line of no weight, so that tubes and beamlines have the same shape.
            return np.repeat(first, MAX_EMISSION_LINES, axis=1), np.tile([1.0, 0.0], (n, 1))
        lines = [_padded(emission(name)) for name in self.emission]
        which = rng.integers(len(lines), size=n)
        wavelengths, weights = (np.array([line[part] for line in lines]) for part in (0, 1))
        return wavelengths[which], weights[which]


def _padded(beam: Emission) -> tuple[list[float], list[float]]:
    missing = MAX_EMISSION_LINES - len(beam.weights)
    wavelengths = [*beam.wavelengths_angstrom, *beam.wavelengths_angstrom[:1] * missing]
    return wavelengths, [*beam.weights, *[0.0] * missing]


QUANTITIES = tuple(
    name for name, field in Variant.model_fields.items() if isinstance(field.default, Quantity)
)


class Recipe(_Strict):
    """How patterns are simulated.

    A file names the fields of one `Variant` at its top; where it lists `variants`, each takes over
    what stands at the top and says what differs.

    Attributes
    ----------
    description, source : str
        What it is, and where its numbers come from.
    axis : AxisRecipe
    maximum : float or None
        The highest bin is scaled to this; None leaves counts.
    is_integer : bool
        Intensities are rounded down to integers.
    thin_film : ThinFilmAugmentation or None
        What is done to the finished patterns, see `augment_thin_film`; needs an axis in 2-theta.
    """

    description: str
    source: str
    axis: AxisRecipe
    maximum: float | None = Field(default=None, gt=0)
    is_integer: bool = False
    thin_film: ThinFilmAugmentation | None = None
    variants: tuple[Variant, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, content: Any) -> Any:
        if not isinstance(content, Mapping):
            raise ValueError("a recipe is a list of names and values")
        shared = {name: value for name, value in content.items() if name in Variant.model_fields}
        rest = {name: value for name, value in content.items() if name not in shared}
        variants = rest.pop("variants", [{}])
        if not all(isinstance(variant, Mapping) for variant in variants):
            return {**rest, "variants": variants}
        return {**rest, "variants": [{**shared, **variant} for variant in variants]}

    def draw(self, n: int, rng: Generator) -> "Settings":
        """Return what n patterns are made with."""
        weights = np.array([variant.weight for variant in self.variants])
        which = rng.choice(len(self.variants), n, p=weights / weights.sum())
        columns: dict[str, FloatArray] = {}
        for number, variant in enumerate(self.variants):
            rows = np.flatnonzero(which == number)
            for name, values in variant.draw(rows.size, rng).items():
                columns.setdefault(name, np.empty((n, values.shape[1])))[rows] = values
        start, stop = (edge.draw_columns(n, 1, rng) for edge in (self.axis.start, self.axis.stop))
        return Settings(self, start, stop, columns, int(rng.integers(2**63)))

    def written(self) -> str:
        """Return the recipe as a YAML file holds it."""
        content = self.model_dump(exclude_defaults=True, exclude={"variants", "axis"})
        content["axis"] = _written(self.axis)
        content["variants"] = [_written(variant) for variant in self.variants]
        return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _written(part: BaseModel) -> dict[str, Any]:
    """Return what was set of a part, in the order of its fields."""
    content: dict[str, Any] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if name not in part.model_fields_set or value is None or value == ():
            continue
        if isinstance(value, Quantity):
            value = value.written()
        elif isinstance(value, AxisKind):
            value = value.value
        content[name] = list(value) if isinstance(value, tuple) else value
    return content


@dataclass(frozen=True, slots=True)
class Settings:
    """What each pattern of a batch is made with.

    Attributes
    ----------
    axis_start, axis_stop : ndarray, shape (n_patterns, 1)
        In the unit of the recipe's axis.
    columns : mapping of str to ndarray of shape (n_patterns, n_columns)
        One for each quantity of `Variant`, and `wavelengths_angstrom`, `emission_weights`,
        `has_gaussian_size`, `texture_axis` (a row of `TEXTURE_AXES`).
    seed : int
        Of what is done to finished patterns.
    """

    recipe: Recipe
    axis_start: FloatArray
    axis_stop: FloatArray
    columns: Mapping[str, FloatArray]
    seed: int

    @property
    def n_patterns(self) -> int:
        """Patterns of the batch."""
        return int(self.axis_start.shape[0])

    def __getitem__(self, name: str) -> FloatArray:
        return self.columns[name]

    def is_used(self, name: str, nothing: float = 0.0) -> bool:
        """Say whether any pattern has this quantity other than `nothing`."""
        return bool((self.columns[name] != nothing).any())


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship, sorted."""
    files = (file.name for file in _FOLDER.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def named_recipe(name: str) -> Recipe:
    """Return the shipped recipe of that name.

    Raises
    ------
    RecipeError
        If there is none.
    """
    return _read(name, recipe_text(name))


def recipe_text(name: str) -> str:
    """Return the shipped recipe of that name as its file has it.

    Raises
    ------
    RecipeError
        If there is none.
    """
    if name not in recipe_names():
        near = difflib.get_close_matches(name, recipe_names(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise RecipeError(
            f"a recipe must be one of {', '.join(recipe_names())}, but is {name!r};"
            f" or give the path of a YAML file.{hint}"
        )
    return (_FOLDER / f"{name}.yaml").read_text()


def read_recipe(path: Path) -> Recipe:
    """Return the recipe of a YAML file.

    Raises
    ------
    RecipeError
        If it cannot be read or does not fit; the text says where.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"a recipe must be a YAML file, but {path} could not be read ({error});"
            " check the path, or see the shipped ones with `phasepilot recipes`."
        ) from error
    return _read(str(path), text)


def _read(name: str, text: str) -> Recipe:
    try:
        return Recipe.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise RecipeError(
            f"a recipe must be YAML, but {name} is not ({' '.join(str(error).split())});"
            " see a shipped one with `phasepilot recipes NAME`."
        ) from error
    except ValidationError as error:
        problems = refused_entries(error, whole="the recipe", at_most=5)
        raise RecipeError(
            f"{name} does not fit a recipe ({problems}); compare with a shipped one:"
            " `phasepilot recipes NAME`."
        ) from error
