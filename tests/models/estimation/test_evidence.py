"""What search and refinement say of a pattern of quartz, its lattice strained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search_library import make_crystals, make_index, prepared_pattern

from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.errors import PatternError
from phasepilot.models.estimation.evidence import (
    CANDIDATE_FEATURES,
    PATTERN_FEATURES,
    CandidateEvidence,
    candidate_evidence,
    pattern_features,
)
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.preparation import PreparedPattern

CONTRAST, SHARE = (PATTERN_FEATURES.index(name) for name in ("log_contrast", "measured_share"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def index(folder: Path) -> SearchIndex:
    return make_index(folder)


@pytest.fixture(scope="module")
def quartz(folder: Path) -> Crystal:
    return make_crystals(folder)["SiO2"]


@pytest.fixture(scope="module")
def prepared(quartz: Crystal) -> PreparedPattern:
    return prepared_pattern(quartz, strain=0.01)


def names(index: SearchIndex, found: CandidateEvidence) -> list[str]:
    return [str(formula) for formula in index.labels.formula[found.structure]]


def test_the_sample_fits_best_once_its_lattice_is_adjusted(
    index: SearchIndex, prepared: PreparedPattern
) -> None:
    found = candidate_evidence(index, prepared)
    cosine = found.features[:, CANDIDATE_FEATURES.index("cosine")]
    best = int(cosine.argmax())
    assert names(index, found)[best] == "SiO2"
    assert found.space_group_index[best] == 152 - 1
    assert found.mean_strain[best] == pytest.approx(0.01, abs=1e-3)
    assert int(found.explained.argmax()) == best


def test_every_structure_is_a_candidate_once_of_a_small_index(
    index: SearchIndex, prepared: PreparedPattern
) -> None:
    found = candidate_evidence(index, prepared)
    assert sorted(found.structure.tolist()) == list(range(index.n_structures))
    assert found.features.shape == (index.n_structures, len(CANDIDATE_FEATURES))
    assert np.isfinite(found.features).all()
    score = found.features[:, CANDIDATE_FEATURES.index("search_score")]
    assert (np.diff(score) <= 0).all()
    np.testing.assert_array_equal(
        found.space_group_index + 1, index.sticks.space_group_number[found.structure]
    )


def test_no_more_candidates_are_given_than_asked_for(
    index: SearchIndex, prepared: PreparedPattern
) -> None:
    few, all_ = (candidate_evidence(index, prepared, n_candidates=n) for n in (3, 100))
    assert few.structure.tolist() == all_.structure[:3].tolist()
    np.testing.assert_allclose(few.mean_strain, all_.mean_strain[:3], atol=1e-9)


def test_structures_of_other_elements_and_excluded_ones_are_passed_over(
    index: SearchIndex, prepared: PreparedPattern
) -> None:
    is_silicon = index.labels.formula == "Si"
    found = candidate_evidence(index, prepared, elements=[8, 14, 22], excluded=is_silicon)
    assert set(names(index, found)) == {"SiO2", "TiO2"}


def test_where_no_structure_is_left_there_is_no_candidate(
    index: SearchIndex, prepared: PreparedPattern
) -> None:
    found = candidate_evidence(index, prepared, elements=[2])
    assert found.structure.shape == found.space_group_index.shape == (0,)
    assert found.features.shape == (0, len(CANDIDATE_FEATURES))


def test_a_pattern_that_does_not_rise_above_its_background_has_no_candidates(
    index: SearchIndex, prepared: PreparedPattern
) -> None:
    flat = replace(prepared, signal=np.zeros_like(prepared.signal))
    with pytest.raises(PatternError, match="background"):
        candidate_evidence(index, flat)


def made_up(signal: np.ndarray, n_measured: int) -> PreparedPattern:
    grid = LogQGrid(0.5, 5.0, signal.size)
    is_measured = np.arange(signal.size) < n_measured
    return PreparedPattern(grid, signal, np.where(is_measured, signal, 0.0), is_measured)


def test_contrast_is_the_highest_line_over_the_usual_step() -> None:
    signal = np.tile([0.0, 1.0], 50)
    signal[10] = 1000.0
    features = pattern_features(made_up(signal, 100))
    assert features[CONTRAST] == pytest.approx(3.0)
    assert features[SHARE] == 1.0


def test_a_pattern_without_noise_has_the_largest_contrast() -> None:
    signal = np.zeros(100)
    signal[10] = 5.0
    assert pattern_features(made_up(signal, 100))[CONTRAST] == pytest.approx(3.5)


def test_contrast_does_not_depend_on_the_scale_and_the_share_on_what_was_measured() -> None:
    signal = np.random.default_rng(0).exponential(size=200)
    one, other = pattern_features(made_up(signal, 50)), pattern_features(made_up(7 * signal, 50))
    np.testing.assert_allclose(one, other)
    assert one[SHARE] == 0.25


def test_nothing_above_the_background_is_no_contrast() -> None:
    np.testing.assert_array_equal(pattern_features(made_up(np.zeros(10), 5)), [0.0, 0.5])


def test_a_measured_pattern_is_between_the_limits(quartz: Crystal) -> None:
    wide, narrow = (
        pattern_features(prepared_pattern(quartz, range_deg=(10.0, stop))) for stop in (110.0, 60.0)
    )
    assert 1.0 < wide[CONTRAST] < 3.5
    assert 0.0 < narrow[SHARE] < wide[SHARE] < 1.0
