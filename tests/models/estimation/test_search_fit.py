"""Network and search weighed against each other on simulated patterns of a small index."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from search_library import make_crystals, make_index, make_pattern

from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.estimation.calibrated_model import CalibratedModel
from phasepilot.models.estimation.calibration_samples import held_out_samples
from phasepilot.models.estimation.combination import combine
from phasepilot.models.estimation.search_calibration import (
    SearchCalibration,
    all_from_arrays,
    all_to_arrays,
)
from phasepilot.models.estimation.search_fit import (
    SimulatedCase,
    fitted_search,
    simulated_cases,
    write_search_calibration,
)
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.networks.model_card import read_card
from phasepilot.models.networks.registry import DEFAULT_MODEL

WEIGHTS = Path(str(files("phasepilot.models.weights")))
RECIPE = named_recipe("careful-laboratory")
N_PATTERNS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search-fit")


@pytest.fixture(scope="module")
def index(folder: Path) -> SearchIndex:
    return make_index(folder)


@pytest.fixture(scope="module")
def cases(index: SearchIndex, model: CalibratedModel) -> list[SimulatedCase]:
    rng = np.random.default_rng(0)
    samples = held_out_samples(index)
    return simulated_cases(model, index, RECIPE, samples, n_patterns=N_PATTERNS, rng=rng)


@pytest.fixture(scope="module")
def fitted(
    index: SearchIndex, model: CalibratedModel, cases: list[SimulatedCase]
) -> dict[str, SearchCalibration]:
    return fitted_search(model, index, cases)


def test_cases_are_of_held_out_structures_only(
    index: SearchIndex, cases: list[SimulatedCase]
) -> None:
    numbers = index.sticks.space_group_number[index.sticks.is_held_out]
    held_out = {int(number) - 1 for number in numbers}
    assert {case.known.space_group_index for case in cases} <= held_out
    # A crop may leave a few without any line.
    assert N_PATTERNS - 5 < len(cases) <= N_PATTERNS


def test_of_some_samples_the_structure_itself_is_withheld(cases: list[SimulatedCase]) -> None:
    n_withheld = [int(case.known.is_withheld.sum()) for case in cases]
    assert set(n_withheld) == {0, 1}
    # One in ten of 60.
    assert 1 <= sum(n_withheld) <= 15
    for case in cases:
        (rows,) = np.nonzero(case.known.is_withheld)
        withheld = case.known.candidates.space_group_index[rows]
        assert (withheld == case.known.space_group_index).all()


def test_progress_is_told_after_each_pattern(index: SearchIndex, model: CalibratedModel) -> None:
    told: list[tuple[int, int]] = []
    simulated_cases(
        model,
        index,
        RECIPE,
        held_out_samples(index),
        n_patterns=2,
        rng=np.random.default_rng(1),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 2), (2, 2)]


def test_the_search_is_weighed_higher_than_chance(
    cases: list[SimulatedCase], fitted: dict[str, SearchCalibration]
) -> None:
    """All crystals of the index differ, so the search names the group of most samples."""
    weights = fitted["both"].weights
    known = [case.known for case in cases if not case.known.is_withheld.any()]
    answers = [
        combine(weights, case.network_log_probabilities, case.candidates, case.pattern)
        for case in known
    ]
    right = [
        int(answer.space_group_probabilities.argmax()) == case.space_group_index
        for answer, case in zip(answers, known, strict=True)
    ]
    assert np.mean(right) > 0.85
    assert np.mean([answer.search_share for answer in answers]) > 0.5


def test_the_search_alone_never_asks_the_network(fitted: dict[str, SearchCalibration]) -> None:
    assert set(fitted) == {"search", "both"}
    assert fitted["search"].weights != fitted["both"].weights
    # Nothing depends on these where all space groups have the same probability: left at the start
    # but for the penalty on large weights.
    assert abs(fitted["search"].weights.network) < 0.3


def test_what_phases_leave_unexplained_is_calibrated_too(
    fitted: dict[str, SearchCalibration],
) -> None:
    for one in fitted.values():
        assert one.novelty.residuals.size == one.novelty.joint_scores.size > 0
        assert (np.diff(one.novelty.residuals) >= 0).all()


def test_calibrations_come_back_from_their_arrays(fitted: dict[str, SearchCalibration]) -> None:
    again = all_from_arrays(all_to_arrays(fitted))
    assert set(again) == set(fitted)
    row = np.random.default_rng(0).dirichlet(np.full(230, 0.02))
    for part, one in fitted.items():
        assert again[part].weights == one.weights
        assert again[part].sets.space_groups(row, 0.9) == one.sets.space_groups(row, 0.9)
        np.testing.assert_allclose(again[part].novelty.residuals, one.novelty.residuals, rtol=1e-6)


def test_what_is_written_is_named_in_the_card_and_used(
    folder: Path,
    index: SearchIndex,
    fitted: dict[str, SearchCalibration],
    tmp_path: Path,
) -> None:
    for file in WEIGHTS.glob(f"{DEFAULT_MODEL}.*"):
        shutil.copy(file, tmp_path)
    path = tmp_path / f"{DEFAULT_MODEL}.json"
    before = json.loads(path.read_text())
    written = write_search_calibration(fitted, path)
    assert written == tmp_path / f"{DEFAULT_MODEL}.search.npz"
    after = json.loads(path.read_text())
    assert after["search_sha256"] != before["search_sha256"]
    unchanged = before | {"search_sha256": after["search_sha256"]}
    assert after == unchanged
    assert read_card(path).search_file == written.name
    pattern = make_pattern(make_crystals(folder)["TiO2"])
    assert CalibratedModel(path, index=index).predict(pattern).space_group_number == 136
