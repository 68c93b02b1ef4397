from pathlib import Path

import numpy as np
import pytest
import yaml
from powder_samples import make_recipe, make_settings
from scipy.stats import kstest

from phasepilot.models.diffraction.powder.recipe import (
    MAX_CHEBYSHEV_TERMS,
    QUANTITIES,
    TEXTURE_AXES,
    Recipe,
    named_recipe,
    read_recipe,
    recipe_names,
)
from phasepilot.models.errors import RecipeError

FULL = {
    "description": "all forms at once, in µm",
    "source": "this test",
    "axis": {
        "kind": "log_q",
        "unit": "q_per_angstrom",
        "start": [0.5, 0.7],
        "stop": 5,
        "n_bins": 64,
    },
    "maximum": 100,
    "is_integer": True,
    "isotropic_strain": {"normal": [0, 0.02]},
    "crystallite_size_nm": {"log": [5, 500]},
    "march_dollase_r": {"log": [0.3, 1.6], "probability": 0.5, "otherwise": 1},
    "peak_counts": {"choice": [100, 1000], "probability": 0.5, "otherwise": float("inf")},
    "variants": [
        {"weight": 3, "emission": ["CuKa12", "CuKa1"], "size_profile": "gauss"},
        {"wavelength_angstrom": [0.2, 1.1], "crystallite_size_nm": 20},
    ],
}


def write(folder: Path, content) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_a_recipe_is_written_as_it_is_read(tmp_path):
    recipe = read_recipe(write(tmp_path, FULL))
    assert read_recipe(write(tmp_path, recipe.written())) == recipe
    assert recipe.variants[0].emission == ("CuKa12", "CuKa1")
    assert recipe.maximum == 100


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_reads_draws_and_is_written_as_it_is_read(tmp_path, name):
    recipe = named_recipe(name)
    assert recipe.description
    assert recipe.source
    assert read_recipe(write(tmp_path, recipe.written())) == recipe
    settings = recipe.draw(50, np.random.default_rng(0))
    assert settings.n_patterns == 50
    for values in settings.columns.values():
        assert values.shape[0] == 50
        assert not np.isnan(values).any()


def test_written_recipes_draw_the_same_numbers(tmp_path):
    recipe = read_recipe(write(tmp_path, FULL))
    again = read_recipe(write(tmp_path, recipe.written()))
    first, second = (one.draw(20, np.random.default_rng(4)) for one in (recipe, again))
    assert first.axis_start.tolist() == second.axis_start.tolist()
    for name, values in first.columns.items():
        np.testing.assert_array_equal(values, second[name])


def test_draws_follow_the_seed():
    first, again, other = (
        make_settings(20, seed=seed, isotropic_strain=[-0.1, 0.1]) for seed in (1, 1, 2)
    )
    assert first["isotropic_strain"].tolist() == again["isotropic_strain"].tolist()
    assert first["isotropic_strain"].tolist() != other["isotropic_strain"].tolist()


def test_variants_inherit_from_the_top_and_say_what_differs():
    recipe = Recipe.model_validate(FULL)
    tube, beamline = recipe.variants
    assert tube.isotropic_strain == beamline.isotropic_strain
    assert tube.crystallite_size_nm.values == (5, 500)
    assert beamline.crystallite_size_nm.values == (20,)
    assert tube.wavelength_angstrom is None
    assert beamline.emission == ()


def test_variants_are_taken_by_their_weights():
    settings = Recipe.model_validate(FULL).draw(4000, np.random.default_rng(0))
    is_tube = settings["has_gaussian_size"][:, 0] == 1
    assert is_tube.mean() == pytest.approx(0.75, abs=0.03)
    # Every number of a pattern comes from one variant.
    wavelengths, weights = settings["wavelengths_angstrom"], settings["emission_weights"]
    assert np.isin(wavelengths[is_tube, 0], [1.540593]).all()
    assert set(weights[is_tube, 1]) == {0.0, 0.5}
    assert weights[is_tube, 1].mean() == pytest.approx(0.25, abs=0.03)
    assert (weights[~is_tube] == [1.0, 0.0]).all()
    assert (settings["crystallite_size_nm"][~is_tube] == 20).all()
    assert kstest(wavelengths[~is_tube, 0], "uniform", args=(0.2, 0.9)).pvalue > 1e-3


def test_a_batch_may_be_smaller_than_the_number_of_variants():
    settings = Recipe.model_validate(FULL).draw(1, np.random.default_rng(0))
    assert settings["wavelengths_angstrom"].shape == (1, 2)


def test_settings_hold_a_column_for_every_quantity():
    settings = make_settings(3)
    assert set(QUANTITIES) < set(settings.columns)
    assert settings["anisotropic_strain"].shape == (3, 6)
    assert settings["background_chebyshev"].shape == (3, MAX_CHEBYSHEV_TERMS)
    assert settings["zero_shift_deg"].shape == (3, 1)


def test_what_is_not_asked_for_is_not_used():
    settings = make_settings(3)
    unlimited = {"crystallite_size_nm", "peak_counts", "saturation_counts"}
    # These say how, not how much.
    shape = {"background_terms", "air_scatter_decay_deg", "gasket_material", "spot_height"}
    shape |= {"hump_q_per_angstrom", "hump_width_per_angstrom", "caglioti_w"}
    nothing = {"march_dollase_r": 1.0, "crop_stop": 1.0, "coarsening": 1.0}
    nothing |= dict.fromkeys(unlimited, np.inf)
    used = {name for name in QUANTITIES if settings.is_used(name, nothing.get(name, 0.0))}
    assert used == shape


def test_texture_axes_are_directions_drawn_evenly():
    axes = make_settings(7000)["texture_axis"][:, 0].astype(int)
    assert np.bincount(axes, minlength=len(TEXTURE_AXES)) == pytest.approx(
        np.full(len(TEXTURE_AXES), 1000), abs=150
    )


def test_an_unknown_name_is_refused_with_the_near_one():
    with pytest.raises(RecipeError, match=r"one of .*laboratory.* but is 'labratory'; or give"):
        named_recipe("labratory")
    with pytest.raises(RecipeError, match=r"Did you mean 'laboratory'\?"):
        named_recipe("labratory")
    with pytest.raises(RecipeError, match=r"but is 'xyz'; or give the path of a YAML file\.$"):
        named_recipe("xyz")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"must be a YAML file, but .*gone\.yaml could not be"):
        read_recipe(tmp_path / "gone.yaml")
    (tmp_path / "image.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(RecipeError, match=r"image\.yaml could not be read"):
        read_recipe(tmp_path / "image.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("axis: [1, 2", "a recipe must be YAML, but .*recipe.yaml is not"),
        ("", "the recipe: .*a recipe is a list of names and values"),
        ("- 1", "a recipe is a list of names and values"),
        ({"emission": ["CuKa1"]}, "variants.1: .*give either emission or wavelength_angstrom"),
        ({"variants": [{}]}, "variants.0: .*give either emission or wavelength_angstrom"),
        ({"variants": []}, "variants: .*at least 1 item"),
        ({"variants": ["CuKa1"]}, "variants.0: .*valid dictionary"),
        ({"isotropic_strian": 0.1}, "isotropic_strian: Extra inputs are not permitted"),
        ({"isotropic_strain": "much"}, "isotropic_strain: .*a number or a range is needed"),
        ({"microstrain": {"log": [0, 1]}}, "microstrain: .*log takes two positive numbers"),
        ({"axis": {"start": 1, "stop": 2}}, "axis.n_bins: Field required"),
        ({"axis": {**FULL["axis"], "n_bins": 3}}, "axis.n_bins: .*greater than or equal to 16"),
        ({"axis": {**FULL["axis"], "kind": "d"}}, "axis.kind: .*'two_theta', 'q' or 'log_q'"),
        ({"axis": {**FULL["axis"], "unit": "nm"}}, "axis.unit: .*'two_theta_deg' or 'q_per_ang"),
        ({"maximum": 0}, "maximum: .*greater than 0"),
        ({"size_profile": "voigt"}, "size_profile: .*'lorentz' or 'gauss'"),
    ],
)
def test_a_wrong_recipe_is_refused_in_a_sentence_that_says_where(tmp_path, change, message):
    content = change if isinstance(change, str) else {**FULL, **change}
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(tmp_path, content))


def test_an_error_says_what_to_compare_with(tmp_path):
    with pytest.raises(RecipeError, match="compare with a shipped one: `phasepilot recipes NAME`"):
        read_recipe(write(tmp_path, {**FULL, "maximum": -1}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("emission", ["CuKalpha"]),
        ("wavelength_angstrom", 0),
        ("wavelength_angstrom", [-1, 1]),
        ("march_dollase_r", 0),
        ("march_dollase_r", {"log": [0.5, 1], "probability": 0.5}),
        ("crystallite_size_nm", 0),
        ("crystallite_size_nm", {"log": [5, 50], "probability": 0.5}),
        ("peak_counts", -100),
        ("impurity_fraction", [0, 1.5]),
        ("polarised_fraction", 2),
        ("coarsening", 0),
        ("coarsening", {"choice": [2, 4], "probability": 0.5}),
        ("gasket_material", 9),
        ("background_terms", 12),
        ("background_terms", 0),
        ("dead_fraction", 1.5),
        ("crop_start", [0, 2]),
        ("crop_stop", {"uniform": [0.6, 1], "probability": 0.5}),
        ("diamond_spots", -1),
        ("hump_width_per_angstrom", 0),
        ("air_scatter_decay_deg", 0),
        ("background_flat", -0.1),
        ("microstrain", [-0.01, 0.01]),
    ],
)
def test_a_number_that_nothing_can_have_is_refused_when_the_recipe_is_read(tmp_path, name, value):
    content = yaml.safe_load(make_recipe().written())
    (variant,) = content["variants"]
    if name == "wavelength_angstrom":
        variant.pop("emission")
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**content, "variants": [{**variant, name: value}]}))
    with pytest.raises(RecipeError, match=name):
        read_recipe(path)
