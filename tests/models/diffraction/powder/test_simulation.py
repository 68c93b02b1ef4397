import numpy as np
import pytest
from powder_samples import (
    BACKENDS,
    CU_ANGSTROM,
    all_systems,
    make_backend,
    make_simulator,
    simulate,
)
from pymatgen.analysis.diffraction.xrd import XRDCalculator
from pymatgen.core import Lattice, Structure
from spot_crystals import make_cubic, make_silicon

from phasepilot.models.diffraction.crystals.cell_materials import CELL_MATERIALS
from phasepilot.models.diffraction.powder import line_drawing
from phasepilot.models.diffraction.powder.recipe import named_recipe, recipe_names
from phasepilot.models.errors import PatternError

GOLD = CELL_MATERIALS[3]
GOLD_EDGE_ANGSTROM = 4.0786
# Everything that is not drawn at random after the settings: noise, spots and scatter of lines.
ALL_EFFECTS = {
    "emission": ["CuKa12", "CoKa12"],
    "isotropic_strain": {"normal": [0, 0.01]},
    "anisotropic_strain": {"normal": [0, 0.005]},
    "b_square_angstrom": {"log": [0.2, 3]},
    "march_dollase_r": {"log": [0.3, 1.6]},
    "impurity_fraction": {"uniform": [0.1, 0.4], "probability": 0.5},
    "caglioti_u": 0.02,
    "caglioti_v": -0.01,
    "caglioti_w": {"log": [0.001, 0.05]},
    "lorentz_fwhm_deg": [0.01, 0.1],
    "crystallite_size_nm": {"log": [5, 500]},
    "microstrain": [0, 0.005],
    "axial_divergence": [0, 0.03],
    "zero_shift_deg": {"normal": [0, 0.03]},
    "displacement_over_radius": {"normal": [0, 0.0003]},
    "background_flat": [0, 0.1],
    "background_chebyshev": [-0.2, 0.2],
    "air_scatter": {"uniform": [0, 1], "probability": 0.5},
    "hump": {"uniform": [0, 0.5], "probability": 0.5},
    "gasket": [0, 0.5],
    "gasket_material": {"choice": [0, 1, 2, 3]},
    "crop_start": [0, 0.2],
    "crop_stop": [0.7, 1],
    "coarsening": {"choice": [1, 2, 4]},
    "maximum": 100,
}
SPANS = {"two_theta": (15.0, 120.0), "q": (1.1, 6.2), "log_q": (1.1, 6.2)}


def pattern_of(crystal, **fields):
    """Return edges in degree and the intensity of one pattern."""
    found = simulate([crystal], **fields)
    return np.asarray(found.axis.edges_two_theta_deg)[0], np.asarray(found.intensity)[0]


def gold_angle(squares, wavelength=CU_ANGSTROM, edge=GOLD_EDGE_ANGSTROM):
    return 2 * np.degrees(np.arcsin(wavelength * np.sqrt(squares) / (2 * edge)))


def area_near(edges, intensity, angle, reach=0.7):
    centres = (edges[1:] + edges[:-1]) / 2
    near = np.abs(centres - angle) < reach
    return (intensity * np.diff(edges))[near].sum()


def everything(kind, backend, seed=3, **fields):
    crystals = [*all_systems()[3:], GOLD]
    unit = "two_theta_deg" if kind == "two_theta" else "q_per_angstrom"
    return simulate(
        crystals,
        backend=backend,
        seed=seed,
        impurities=np.arange(len(crystals))[::-1].copy(),
        axis=SPANS[kind],
        kind=kind,
        unit=unit,
        n_bins=4096,
        **{**ALL_EFFECTS, **fields},
    )


@pytest.mark.parametrize("kind", SPANS)
def test_numpy_and_torch_give_the_same_patterns(kind):
    first, second = (everything(kind, make_backend(name)) for name in BACKENDS)
    for name in ("is_measured", "is_covered"):
        np.testing.assert_array_equal(getattr(first, name), np.asarray(getattr(second, name)))
    # Highest bins are 100.
    np.testing.assert_allclose(first.intensity, np.asarray(second.intensity), rtol=0, atol=1e-2)


@pytest.mark.parametrize("kind", SPANS)
def test_compiled_and_plain_drawing_give_the_same_patterns(kind, monkeypatch):
    compiled = everything(kind, make_backend())
    monkeypatch.setattr(line_drawing, "compiled_kernels", lambda: None)
    plain = everything(kind, make_backend())
    np.testing.assert_allclose(compiled.intensity, plain.intensity, rtol=0, atol=1e-2)


def test_the_seed_decides_everything(backend):
    name = "numpy" if backend.xp.__name__.endswith("numpy") else "torch"
    patterns = [
        np.asarray(everything("two_theta", make_backend(name, seed), peak_counts=1e4).intensity)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(patterns[0], patterns[1])
    assert (patterns[0] != patterns[2]).any()


def test_lines_of_gold_lie_where_bragg_s_law_puts_them():
    edges, intensity = pattern_of(GOLD, n_bins=16000)
    for squares in (3, 4, 8, 11, 12, 16):
        angle = gold_angle(squares)
        near = slice(*np.searchsorted(edges, [angle - 0.3, angle + 0.3]))
        centre = np.average(edges[:-1][near] + 0.0025, weights=intensity[near])
        assert centre == pytest.approx(angle, abs=1e-3)


@pytest.mark.parametrize("kind", SPANS)
def test_areas_of_lines_are_those_of_pymatgen_on_every_axis(kind):
    unit = "two_theta_deg" if kind == "two_theta" else "q_per_angstrom"
    edges, intensity = pattern_of(GOLD, axis=SPANS[kind], kind=kind, unit=unit, n_bins=16000)
    structure = Structure(Lattice.cubic(GOLD_EDGE_ANGSTROM), ["Au"] * 4, np.array(GOLD.fractional))
    calculator = XRDCalculator(CU_ANGSTROM)
    pattern = calculator.get_pattern(structure, two_theta_range=(30, 97))
    areas = np.array([area_near(edges, intensity, angle) for angle in pattern.x])
    # pymatgen's form factors are of another table.
    assert 100 * areas / areas.max() == pytest.approx(pattern.y, abs=1.0)


def test_a_doublet_parts_at_high_angle_and_has_half_the_area():
    edges, intensity = pattern_of(GOLD, emission=["CuKa12"], caglioti_w=0.0025, axis=(105, 125))
    first, second = (gold_angle(19, wavelength) for wavelength in (CU_ANGSTROM, 1.544427))
    assert second - first > 0.2
    areas = [area_near(edges, intensity, angle, reach=0.17) for angle in (first, second)]
    assert areas[1] / areas[0] == pytest.approx(0.5, rel=0.02)


def test_isotropic_strain_slides_a_pattern_along_ln_q():
    shift = 50 * np.log(6.2 / 1.1) / 4000
    fields = {"axis": SPANS["log_q"], "kind": "log_q", "unit": "q_per_angstrom"}
    # Strain by which ln q falls by fifty bins; a size, which broadens alike at every q, does not
    # slide along: microstrain does.
    fields |= {"microstrain": 0.004, "caglioti_w": 0, "wavelength_angstrom": 0.3}
    _, plain = pattern_of(GOLD, **fields)
    _, strained = pattern_of(GOLD, isotropic_strain=np.expm1(shift).item(), **fields)
    at = plain[100:-100].argmax() + 100
    assert strained.argmax() == at - 50


def test_phases_mix_by_their_volumes():
    silicon, tungsten = make_silicon(), CELL_MATERIALS[1]
    fields = {"axis": (20, 100), "caglioti_w": 0.01}
    mixed = simulate(
        [silicon, tungsten], impurities=np.array([1, 0]), impurity_fraction=0.3, **fields
    )
    edges = np.asarray(mixed.axis.edges_two_theta_deg)[0]
    lines = {silicon.name: (28.44, 47.30), tungsten.name: (40.26, 73.19)}
    of_silicon, of_tungsten = (
        [
            sum(area_near(edges, row, angle) for angle in lines[name])
            for row in np.asarray(mixed.intensity)
        ]
        for name in (silicon.name, tungsten.name)
    )
    # 70 : 30 in the first sample and 30 : 70 in the second: the ratio changes by (7 / 3)^2.
    ratios = np.array(of_silicon) / np.array(of_tungsten)
    assert ratios[0] / ratios[1] == pytest.approx((7 / 3) ** 2, rel=1e-2)


def test_a_tenth_of_a_strong_phase_shows_as_its_structure_factors_say():
    # One electron density against another: strength per volume goes with |F|^2 / V^2.
    heavy = make_cubic("F m -3 m", 4.0, [("Au", (0, 0, 0))])
    light = make_cubic("F m -3 m", 5.0, [("Au", (0, 0, 0))])
    mixed = simulate([light, heavy], impurities=np.array([1, 0]), impurity_fraction=0.5)
    edges, intensity = np.asarray(mixed.axis.edges_two_theta_deg)[0], np.asarray(mixed.intensity)[0]
    calculator = XRDCalculator(CU_ANGSTROM)
    areas = {}
    for edge in (4.0, 5.0):
        structure = Structure(Lattice.cubic(edge), ["Au"] * 4, np.array(GOLD.fractional))
        pattern = calculator.get_pattern(structure, scaled=False, two_theta_range=(20, 50))
        areas[edge] = pattern.y[0] / edge**6
    found = [area_near(edges, intensity, gold_angle(3, edge=edge)) for edge in (4.0, 5.0)]
    assert found[0] / found[1] == pytest.approx(areas[4.0] / areas[5.0], rel=0.02)


def test_without_second_phases_samples_are_pure():
    _, pure = pattern_of(GOLD)
    _, alone = pattern_of(GOLD, impurity_fraction=0.5)
    np.testing.assert_array_equal(alone, pure)


def test_the_gasket_is_as_high_against_the_sample_as_the_recipe_says():
    edges, intensity = pattern_of(
        make_silicon(), gasket=0.25, gasket_material=1, axis=(20, 120), caglioti_w=0.04
    )
    tungsten = area_near(edges, intensity, gold_angle(2, edge=3.165))
    silicon = area_near(edges, intensity, gold_angle(3, edge=5.431))
    assert tungsten / silicon == pytest.approx(0.25, rel=0.01)


def test_anvils_add_sharp_reflections_of_diamond():
    fields = {"axis": (20, 150), "n_bins": 8192, "crystallite_size_nm": 8}
    found = simulate([GOLD] * 300, diamond_spots=2, spot_height=0.3, **fields)
    plain = simulate([GOLD] * 300, **fields)
    edges = np.asarray(found.axis.edges_two_theta_deg)[0]
    added = np.asarray(found.intensity) / np.asarray(found.intensity).sum(axis=1, keepdims=True)
    added -= np.asarray(plain.intensity) / np.asarray(plain.intensity).sum(axis=1, keepdims=True)
    places = edges[added.argmax(axis=1)]
    is_shown = added.max(axis=1) > 0.1 * added.max()
    # 111, 220, 311, 400 and 331 of diamond, a = 3.567.
    expected = gold_angle(np.array([3, 8, 11, 16, 19]), edge=3.567)
    distance = np.abs(places[is_shown, None] - expected).min(axis=1)
    assert is_shown.sum() > 50
    assert distance.max() < 0.05


def test_a_flat_background_is_as_high_as_said_against_the_highest_line():
    _, intensity = pattern_of(GOLD, background_flat=0.25)
    assert intensity.max() == pytest.approx(1.0)
    # 0.25 / 1.25 of the highest bin.
    assert np.median(intensity) == pytest.approx(0.2, abs=1e-3)


def test_air_scatter_begins_at_its_height_and_decays_in_degrees():
    # Well below the first line, at 38 degree.
    _, plain = pattern_of(GOLD, axis=(5, 60), caglioti_w=0.001)
    edges, intensity = pattern_of(
        GOLD, axis=(5, 60), caglioti_w=0.001, air_scatter=0.5, air_scatter_decay_deg=4
    )
    scatter = intensity / intensity[(edges[:-1] > 38) & (edges[:-1] < 39)].max() * plain.max()
    assert scatter[0] == pytest.approx(0.5, rel=0.01)
    at = np.searchsorted(edges, [9.0, 13.0])
    assert scatter[at] / scatter[0] == pytest.approx(np.exp([-1, -2]), rel=0.01)


@pytest.mark.parametrize("kind", SPANS)
def test_a_hump_lies_at_its_q_on_every_axis(kind):
    unit = "two_theta_deg" if kind == "two_theta" else "q_per_angstrom"
    edges, intensity = pattern_of(
        GOLD,
        axis=SPANS[kind],
        kind=kind,
        unit=unit,
        caglioti_w=0.0005,
        hump=0.8,
        hump_q_per_angstrom=1.8,
        hump_width_per_angstrom=0.2,
    )
    q = 4 * np.pi / CU_ANGSTROM * np.sin(np.radians((edges[1:] + edges[:-1]) / 4))
    assert q[np.where(q < 2.4, intensity, 0).argmax()] == pytest.approx(1.8, abs=0.02)


def test_a_chebyshev_background_is_the_same_in_every_pattern_with_its_coefficients():
    # T_0 alone: what is drawn, divided by one term.
    _, intensity = pattern_of(GOLD, background_chebyshev=0.25, background_terms=1)
    assert np.median(intensity) == pytest.approx(0.2, abs=1e-3)


def test_counts_in_the_highest_bin_are_as_many_as_said():
    found = simulate([GOLD] * 400, peak_counts=1000, n_bins=1000)
    highest = np.asarray(found.intensity)[:, np.asarray(found.intensity).mean(axis=0).argmax()]
    assert highest.mean() == pytest.approx(1000, abs=4 * np.sqrt(1000 / 400))
    assert highest.var() == pytest.approx(1000, rel=0.3)


def test_without_noise_counts_saturate_and_bins_are_hot():
    found = simulate([GOLD] * 2, hot_fraction=0.01, n_bins=8192)
    intensity = np.asarray(found.intensity)
    is_hot = intensity > 1.5
    assert is_hot.mean() == pytest.approx(0.01, abs=0.003)
    assert (intensity[is_hot] == 1e6).all()
    assert np.asarray(found.is_measured).all()
    limited = simulate([GOLD] * 2, hot_fraction=0.01, saturation_counts=400.0, peak_counts=1000)
    assert np.asarray(limited.intensity).max() == 400


def test_dead_bins_are_not_measured_and_hold_nothing():
    found = simulate([GOLD] * 2, dead_fraction=0.02, background_flat=0.1, n_bins=8192)
    is_measured, intensity = np.asarray(found.is_measured), np.asarray(found.intensity)
    assert is_measured.mean() == pytest.approx(0.98, abs=0.005)
    np.testing.assert_array_equal(is_measured, intensity > 0)
    np.testing.assert_array_equal(is_measured, np.asarray(found.is_covered))


def test_a_cropped_range_is_the_only_one_measured():
    found = simulate([GOLD], crop_start=0.25, crop_stop=0.75, background_flat=0.1, n_bins=400)
    expected = np.zeros(400, dtype=bool)
    expected[100:300] = True
    for values in (found.is_measured, found.is_covered, np.asarray(found.intensity) > 0):
        np.testing.assert_array_equal(np.asarray(values)[0], expected)


def test_a_coarse_scan_measures_every_fourth_bin_and_covers_all():
    fields = {"background_flat": 0.1, "n_bins": 400, "caglioti_w": 0.5}
    coarse, fine = simulate([GOLD], coarsening=4, **fields), simulate([GOLD], **fields)
    is_measured = np.asarray(coarse.is_measured)[0]
    assert np.flatnonzero(is_measured).tolist() == list(range(0, 400, 4))
    assert np.asarray(coarse.is_covered).all()
    measured, whole = (np.asarray(one.intensity)[0] for one in (coarse, fine))
    np.testing.assert_allclose(measured[is_measured], whole[is_measured])
    expected = np.interp(np.arange(400), np.arange(0, 400, 4), whole[::4])
    np.testing.assert_allclose(measured[:397], expected[:397], rtol=1e-5)


def test_the_masks_of_a_coarse_cropped_scan_with_dead_bins_agree():
    found = simulate(
        [GOLD] * 20,
        coarsening={"choice": [1, 2, 4]},
        dead_fraction=0.05,
        crop_start=[0, 0.2],
        crop_stop=[0.6, 1],
        background_flat=0.1,
        n_bins=512,
    )
    is_measured, is_covered = np.asarray(found.is_measured), np.asarray(found.is_covered)
    assert (is_covered | ~is_measured).all()
    assert (np.asarray(found.intensity)[~is_covered] == 0).all()
    assert (np.asarray(found.intensity)[is_covered] > 0).all()


def test_patterns_are_scaled_and_rounded_down_as_the_recipe_says():
    found = simulate([GOLD], maximum=255, is_integer=True, background_flat=0.01)
    intensity = np.asarray(found.intensity)
    assert intensity.max() == 255
    np.testing.assert_array_equal(intensity, np.floor(intensity))
    plain = simulate([GOLD], maximum=255, background_flat=0.01)
    np.testing.assert_array_equal(intensity, np.floor(np.asarray(plain.intensity)))


@pytest.mark.parametrize(
    ("noise", "low", "high", "mean", "deviation"),
    [
        ({"uniform_noise_from": 0.04, "uniform_noise_to": 0.1}, 0.04, 0.1, 0.07, 0.01732),
        # Normal deviates cut at three standard deviations, shifted to lie from 0 to the level.
        ({"bounded_noise": 0.1}, 0.0, 0.1, 0.05, 0.0166),
        ({"gaussian_noise": 0.1}, -0.6, 0.6, 0.0, 0.1),
    ],
    ids=["uniform", "bounded", "gaussian"],
)
def test_the_papers_noises_have_their_bounds_and_their_spread(
    backend, noise, low, high, mean, deviation
):
    plain = simulate([GOLD], backend=make_backend(), n_bins=8192)
    noisy = simulate([GOLD], backend=backend, n_bins=8192, **noise)
    found = np.asarray(noisy.intensity) - np.asarray(plain.intensity)
    assert low - 1e-3 <= found.min()
    assert found.max() <= high + 1e-3
    assert found.mean() == pytest.approx(mean, abs=5e-3)
    assert found.std() == pytest.approx(deviation, rel=0.03)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_makes_finite_patterns(name):
    recipe = named_recipe(name)
    intensity = np.asarray(patterns_of(recipe, all_systems(), make_backend()).intensity)
    assert intensity.shape == (7, recipe.axis.n_bins)
    assert np.isfinite(intensity).all()
    assert (intensity.max(axis=1) > 0).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_the_recipe_of_everything_counts_on_both_arithmetics(name):
    crystals = all_systems() * 3
    intensity = np.asarray(
        patterns_of(named_recipe("laboratory"), crystals, make_backend(name)).intensity
    )
    np.testing.assert_array_equal(np.maximum(intensity, 0), intensity)
    assert (intensity.max(axis=1) > 30).all()


def patterns_of(recipe, crystals, backend):
    settings = recipe.draw(len(crystals), np.random.default_rng(0))
    numbers = np.arange(len(crystals))
    return make_simulator(crystals, backend=backend).simulate(numbers, settings, numbers[::-1])


def test_the_pattern_without_a_line_is_named():
    with pytest.raises(PatternError, match="but gold has none from 15 to 30"):
        simulate([make_silicon(), GOLD], axis=(15, 30))


@pytest.mark.parametrize(
    "fields",
    [
        {"axis": (60, 20)},
        {"axis": (20, 20)},
        {"axis": (5, 2), "kind": "q", "unit": "q_per_angstrom"},
    ],
    ids=["reversed", "empty", "reversed q"],
)
def test_an_axis_that_does_not_run_upwards_is_refused(fields):
    with pytest.raises(
        PatternError, match="the axis must run upwards and within reach of the beam"
    ):
        simulate([GOLD], **fields)


def test_broad_lines_without_background_can_be_counted(backend):
    found = simulate(
        [GOLD], backend=backend, crystallite_size_nm=4, size_profile="gauss", peak_counts=1e6
    )
    assert np.asarray(found.intensity).min() >= 0


def test_a_range_that_misses_every_line_is_refused(backend):
    with pytest.raises(
        PatternError,
        match=r"must show at least one line, but gold has none from 5 to 20 \(two_theta\); extend",
    ):
        simulate([GOLD], backend=backend, axis=(5, 20))


@pytest.mark.parametrize("axis", [(0, 5), (-1, 5)], ids=["from the direct beam", "negative"])
def test_a_logarithmic_axis_from_nothing_is_refused(axis):
    with pytest.raises(
        PatternError, match="the axis must run upwards and within reach of the beam"
    ):
        simulate([GOLD], axis=axis, kind="log_q", unit="q_per_angstrom")


def test_a_range_beyond_the_reach_of_the_beam_is_refused_with_its_numbers():
    # 4 pi / 2.29 = 5.49 is as far as chromium radiation goes; the message says "to nan".
    with pytest.raises(PatternError, match=r"within reach of the beam, but goes .* 7"):
        simulate([GOLD], axis=(1, 7), unit="q_per_angstrom", emission=["CrKa1"])


@pytest.mark.parametrize("wavelength", [0.0, -1.54])
def test_a_wavelength_of_nothing_is_refused(wavelength):
    with pytest.raises(ValueError, match="wavelength_angstrom"):
        simulate([GOLD], wavelength_angstrom=wavelength)


@pytest.mark.parametrize("size_nm", [500, 50, 8])
def test_spots_of_the_anvils_are_as_high_as_the_recipe_says(size_nm):
    fields = {
        "axis": (20, 150),
        "n_bins": 16384,
        "crystallite_size_nm": size_nm,
        "caglioti_w": 1e-3,
    }
    spotty = np.asarray(simulate([GOLD] * 40, diamond_spots=1, spot_height=1, **fields).intensity)
    plain = np.asarray(simulate([GOLD], **fields).intensity)[0]
    at = plain.argmax()
    added = (spotty / spotty[:, [at]] * plain[at] - plain).max(axis=1)
    assert np.median(added[added > 0.05]) == pytest.approx(1.0, rel=0.3)


def test_the_gasket_is_measured_against_the_lines_that_are_shown():
    fields = {"axis": (60, 120), "caglioti_w": 0.04}
    both = np.asarray(
        simulate([make_silicon()], gasket=0.25, gasket_material=3, **fields).intensity
    )
    plain = np.asarray(simulate([make_silicon()], **fields).intensity)
    at = plain.argmax()
    assert (both / both[0, at] - plain / plain[0, at]).max() == pytest.approx(0.25, rel=0.1)


def test_what_a_coarse_scan_interpolates_knows_nothing_of_bins_that_were_not_measured():
    fields = {"coarsening": 4, "background_flat": 0.1, "n_bins": 512, "caglioti_w": 0.5}
    found = simulate([GOLD] * 10, dead_fraction=0.3, **fields)
    whole = np.asarray(simulate([GOLD], **{**fields, "coarsening": 1}).intensity)[0]
    is_measured, intensity = np.asarray(found.is_measured), np.asarray(found.intensity)
    for row, measured in zip(intensity, is_measured, strict=True):
        points = np.flatnonzero(measured)
        inner = np.asarray(found.is_covered)[0] & (np.arange(512) <= points[-1])
        expected = np.interp(np.arange(512), points, whole[points])
        shown = (row > 0) & (np.arange(512) <= points[-1]) & (np.arange(512) >= points[0])
        np.testing.assert_allclose(row[shown], expected[shown], atol=1e-4)
        assert inner.any()
