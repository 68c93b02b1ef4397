"""Textbook structures are found whatever beam, range and strain; what is filtered is not."""

import numpy as np
import pytest
from search_library import make_crystals, make_index, prepared_pattern

from phasepilot.models.errors import PatternError
from phasepilot.models.identification import coarse_search as module
from phasepilot.models.identification.coarse_search import search
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.preparation import PreparedPattern


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def crystals(tmp_path_factory):
    return make_crystals(tmp_path_factory.mktemp("crystals"))


def formulas(index, candidates):
    return index.labels.formula[candidates.structure].tolist()


@pytest.mark.parametrize("formula", ["NaCl", "ZrO2", "Bi", "Fe"])
@pytest.mark.parametrize(
    "beam",
    [
        {},
        {"wavelength_angstrom": 0.7093, "range_deg": (5.0, 50.0)},
        {"range_deg": (25.0, 90.0), "strain": -0.015},
        {"fwhm_deg": 0.5, "strain": 0.012},
    ],
    ids=["copper", "molybdenum", "part of the range, smaller", "broad, larger"],
)
def test_a_structure_is_found_by_its_pattern(index, crystals, formula, beam):
    found = search(index, prepared_pattern(crystals[formula], **beam))
    assert formulas(index, found)[0] == formula


@pytest.mark.parametrize("strain", [-0.02, 0.0, 0.025])
def test_the_shift_is_the_strain(index, crystals, strain):
    found = search(index, prepared_pattern(crystals["TiO2"], strain=strain))
    # A tenth of a bin of the coarse grid is 0.0003.
    assert found.shift[0] == pytest.approx(-np.log1p(strain), abs=1e-3)


def test_scores_fall_from_at_most_1(index, crystals):
    found = search(index, prepared_pattern(crystals["ZrO2"]))
    assert found.score.size == index.n_structures
    assert (np.diff(found.score) <= 0).all()
    assert found.score.max() <= 1


def test_the_score_is_the_cosine_over_measured_bins(index, crystals):
    prepared = prepared_pattern(crystals["NaCl"], range_deg=(25.0, 80.0))
    root, is_measured = module._coarse(prepared)
    templates = index.templates.astype(np.float64) * is_measured
    expected = templates @ root / np.linalg.norm(templates, axis=1) / np.linalg.norm(root)
    found = search(index, prepared, max_shift=0.0028)
    views = module._views(root, is_measured, np.array([0]))
    cosines = module._cosines(index.templates, np.arange(index.n_structures), views)[:, 0]
    np.testing.assert_allclose(cosines, expected, rtol=1e-5)
    assert (found.score >= expected[found.structure] - 1e-6).all()


def test_structures_of_other_elements_are_passed_over(index, crystals):
    prepared = prepared_pattern(crystals["TiO2"])
    found = search(index, prepared, elements=[22, 8, 40, 14])
    assert sorted(formulas(index, found)) == ["Si", "SiO2", "TiO2", "ZrO2"]
    assert search(index, prepared, elements=[2]).structure.size == 0


def test_excluded_structures_are_passed_over(index, crystals):
    prepared = prepared_pattern(crystals["TiO2"])
    excluded = index.labels.formula == "TiO2"
    found = search(index, prepared, excluded=excluded)
    assert "TiO2" not in formulas(index, found)
    assert found.structure.size == index.n_structures - 1


def test_two_looks_find_what_one_finds(index, crystals, monkeypatch):
    prepared = prepared_pattern(crystals["SiO2"], strain=0.01)
    once = search(index, prepared, n_candidates=3)
    monkeypatch.setattr(module, "_LEAST_KEPT", 6)
    monkeypatch.setattr(module, "_KEPT_PER_CANDIDATE", 2)
    twice = search(index, prepared, n_candidates=3)
    np.testing.assert_array_equal(once.structure, twice.structure)
    np.testing.assert_allclose(once.score, twice.score, rtol=1e-6)


def test_the_same_pattern_gives_the_same_candidates(index, crystals):
    prepared = prepared_pattern(crystals["Bi"])
    first, second = search(index, prepared), search(index, prepared)
    np.testing.assert_array_equal(first.structure, second.structure)
    np.testing.assert_array_equal(first.score, second.score)


def test_noise_alone_does_not_hide_a_line(index, crystals):
    prepared = prepared_pattern(crystals["NaCl"])
    rng = np.random.default_rng(1)
    noise = np.abs(rng.normal(0, 0.02 * prepared.signal.max(), prepared.signal.size))
    noisy = PreparedPattern(
        prepared.grid, prepared.signal + noise, prepared.signal + noise, prepared.is_measured
    )
    assert formulas(index, search(index, noisy))[0] == "NaCl"


def test_an_empty_pattern_is_refused(index):
    grid = LogQGrid(0.35, 6.3, 4096)
    empty = PreparedPattern(grid, np.ones(4096), np.zeros(4096), np.ones(4096, dtype=bool))
    with pytest.raises(PatternError, match="nothing there stands above its background"):
        search(index, empty)
