"""The network that ships, alone and with a small index beside it; and files that do not fit.

What is asserted of estimates holds for any network: the files that ship may change.
"""

import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_library import CU_KA_ANGSTROM, make_crystals, make_index, make_pattern
from structure_rows import NACL, SI

from phasepilot.models.errors import ModelsError, PatternError, WeightsError
from phasepilot.models.estimation.calibrated_model import PARTS, CalibratedModel, Part
from phasepilot.models.estimation.evidence import CandidateEvidence, candidate_evidence
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.registry import DEFAULT_MODEL, load_model
from phasepilot.models.networks.symmetry_levels import crystal_system_probabilities
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern

WEIGHTS = Path(str(files("phasepilot.models.weights")))
FORMULAS = ("TiO2", "SiO2", "KCl")
each_part = pytest.mark.parametrize("part", PARTS)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    return make_index(tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> list[Pattern]:
    crystals = make_crystals(tmp_path_factory.mktemp("crystals"))
    return [
        make_pattern(crystals[formula], strain=0.005, seed=seed)
        for seed, formula in enumerate(FORMULAS)
    ]


@pytest.fixture(scope="module")
def models(index: SearchIndex) -> dict[Part, CalibratedModel]:
    return {part: load_model(index=index, part=part) for part in PARTS}


def assert_same(one: PhaseEstimate, other: PhaseEstimate) -> None:
    # A batch adds up in another order than one pattern, in single precision.
    np.testing.assert_allclose(
        one.space_group_probabilities, other.space_group_probabilities, atol=1e-4
    )
    assert one.entropy_bits == pytest.approx(other.entropy_bits, abs=0.01)
    assert one.epistemic_bits == pytest.approx(other.epistemic_bits, abs=0.01)
    assert one.novelty == pytest.approx(other.novelty, abs=0.01)
    assert one.verdict.is_known == other.verdict.is_known
    assert [phase.name for phase in one.phases] == [phase.name for phase in other.phases]


@each_part
def test_estimates_are_probabilities_with_sets_that_hold_the_best(
    models: dict[Part, CalibratedModel], patterns: list[Pattern], part: Part
) -> None:
    for estimate in models[part].predict_many(patterns):
        groups = estimate.space_group_probabilities
        assert groups.shape == (230,)
        assert (groups >= 0).all()
        assert groups.sum() == pytest.approx(1)
        np.testing.assert_allclose(
            estimate.crystal_system_probabilities, crystal_system_probabilities(groups)
        )
        assert estimate.space_group_set[0] == estimate.space_group_number
        assert estimate.crystal_system_set[0] == estimate.crystal_system
        assert 0 <= estimate.epistemic_bits <= estimate.entropy_bits <= np.log2(230)
        assert 0 <= estimate.novelty <= 1
        assert estimate.set_level == 0.9
        assert estimate.verdict.reason.endswith(".")


@each_part
def test_many_patterns_are_answered_as_one_by_one(
    models: dict[Part, CalibratedModel], patterns: list[Pattern], part: Part
) -> None:
    together = models[part].predict_many(patterns)
    assert len(together) == len(patterns)
    for estimate, pattern in zip(together, patterns, strict=True):
        assert_same(estimate, models[part].predict(pattern))


def test_no_patterns_have_no_estimates(models: dict[Part, CalibratedModel]) -> None:
    assert models["both"].predict_many([]) == []


def test_each_part_has_an_answer_of_its_own(
    models: dict[Part, CalibratedModel], patterns: list[Pattern]
) -> None:
    rows = [models[part].predict(patterns[0]).space_group_probabilities for part in PARTS]
    for k, row in enumerate(rows):
        for other in rows[k + 1 :]:
            assert np.abs(row - other).max() > 1e-3


def test_the_network_alone_is_the_same_with_and_without_an_index(
    models: dict[Part, CalibratedModel], model: CalibratedModel, patterns: list[Pattern]
) -> None:
    alone, beside = model.predict(patterns[0]), models["network"].predict(patterns[0])
    np.testing.assert_array_equal(alone.space_group_probabilities, beside.space_group_probabilities)
    assert alone.phases == beside.phases == ()


def test_a_search_that_finds_the_sample_names_group_and_phase(
    models: dict[Part, CalibratedModel], patterns: list[Pattern]
) -> None:
    for part in ("search", "both"):
        for pattern, formula, number in zip(patterns, FORMULAS, (136, 152, 225), strict=True):
            estimate = models[part].predict(pattern)
            assert estimate.space_group_number == number
            assert estimate.phases[0].name == f"test-{formula}"
            assert estimate.phases[0].strain == pytest.approx(0.005, abs=2e-3)
            assert estimate.verdict.is_known


def test_a_sample_that_is_in_no_library_is_more_unusual(
    tmp_path: Path, patterns: list[Pattern]
) -> None:
    small = load_model(index=make_index(tmp_path, (NACL, SI)))
    estimate = small.predict(patterns[1])
    assert not estimate.verdict.is_known
    assert "unexplained" in estimate.verdict.reason
    assert estimate.novelty > 0.99


def test_sets_grow_with_the_level(index: SearchIndex, patterns: list[Pattern]) -> None:
    sets = [
        load_model(index=index, set_level=level).predict(patterns[0]) for level in (0.5, 0.9, 0.99)
    ]
    for few, more in ((0, 1), (1, 2)):
        assert set(sets[few].space_group_set) <= set(sets[more].space_group_set)
        assert set(sets[few].crystal_system_set) <= set(sets[more].crystal_system_set)
    assert len(sets[0].space_group_set) < len(sets[2].space_group_set)


def test_a_level_above_one_is_refused(patterns: list[Pattern]) -> None:
    with pytest.raises(ModelsError, match=r"level must lie in \[0, 1\], but is 90;"):
        load_model(set_level=90).predict(patterns[0])


def test_a_prepared_pattern_gets_the_same_answer(
    models: dict[Part, CalibratedModel], patterns: list[Pattern]
) -> None:
    searching = models["both"]
    ready = prepare_pattern(patterns[0], searching.card.preprocessing)
    np.testing.assert_array_equal(
        searching.predict_prepared(ready).space_group_probabilities,
        searching.predict(patterns[0]).space_group_probabilities,
    )


def test_an_answer_comes_with_what_each_bin_adds(
    model: CalibratedModel, patterns: list[Pattern]
) -> None:
    estimate, attribution = model.predict_explained(patterns[0])
    assert attribution.shape == (2, model.card.n_bins)
    assert np.abs(attribution).max() > 0
    assert_same(estimate, model.predict(patterns[0]))


def frame(counts: Callable[[np.random.Generator, np.ndarray], Any]) -> Pattern:
    two_theta = np.arange(10.0, 80.0, 0.03)
    values = np.asarray(counts(np.random.default_rng(0), two_theta), dtype=np.float64)
    return Pattern.from_two_theta(two_theta, values, wavelength_angstrom=CU_KA_ANGSTROM)


def hump(two_theta: np.ndarray) -> np.ndarray:
    return 200 + 2000 * np.exp(-(((two_theta - 25) / 6) ** 2))


FRAMES = {
    "empty": frame(lambda rng, x: rng.poisson(50.0, x.size)),
    "saturated": frame(
        lambda rng, x: np.minimum(rng.poisson(50 + 5e4 * np.exp(-(((x - 40) / 0.3) ** 2))), 9999)
    ),
    "amorphous": frame(lambda rng, x: rng.poisson(hump(x))),
}


@each_part
@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_without_usable_lines_is_unknown_and_said_to_be_so(
    models: dict[Part, CalibratedModel], kind: str, part: Part
) -> None:
    estimate = models[part].predict(FRAMES[kind])
    assert not estimate.verdict.is_known
    assert estimate.verdict.reason.startswith(f"The frame is {kind}: ")
    assert estimate.novelty == 1.0


def test_where_nothing_is_found_the_search_knows_nothing_and_the_network_answers(
    models: dict[Part, CalibratedModel], patterns: list[Pattern]
) -> None:
    ready = prepare_pattern(patterns[0], models["both"].card.preprocessing)
    flat = replace(ready, signal=np.zeros_like(ready.signal))
    answers = {
        part: one.predict_prepared(flat).space_group_probabilities for part, one in models.items()
    }
    np.testing.assert_allclose(answers["search"], 1 / 230)
    np.testing.assert_array_equal(answers["both"], answers["network"])


def test_a_pattern_that_misses_the_grid_is_refused(model: CalibratedModel) -> None:
    q = np.linspace(8.0, 9.0, 200)
    with pytest.raises(PatternError):
        model.predict(Pattern.from_q(q, np.ones(200)))


def test_candidates_are_those_that_the_answer_is_made_of(
    models: dict[Part, CalibratedModel], patterns: list[Pattern]
) -> None:
    ready = prepare_pattern(patterns[0], models["both"].card.preprocessing)
    answer, found = models["both"].candidates(ready)
    assert answer.candidate_probabilities.sum() == pytest.approx(1)
    assert found.structure.size == answer.candidate_probabilities.size
    np.testing.assert_allclose(
        answer.space_group_probabilities,
        models["both"].predict_prepared(ready).space_group_probabilities,
    )


def test_what_gathers_candidates_can_be_another(
    index: SearchIndex, patterns: list[Pattern]
) -> None:
    asked: list[PreparedPattern] = []

    def remembering(searched: SearchIndex, prepared: PreparedPattern) -> CandidateEvidence:
        asked.append(prepared)
        return candidate_evidence(searched, prepared, n_candidates=2)

    load_model(index=index, gather=remembering).predict_many(patterns)
    assert [one.source for one in asked] == patterns


def test_the_search_alone_needs_an_index() -> None:
    with pytest.raises(WeightsError, match="a search needs known structures, but there is no ind"):
        load_model(part="search")


@pytest.fixture
def card_path(tmp_path: Path) -> Path:
    """The card of a copy of the default network, which a test may spoil."""
    for file in WEIGHTS.glob(f"{DEFAULT_MODEL}.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / f"{DEFAULT_MODEL}.json"


def put(card_path: Path, kind: str, content: bytes | None) -> None:
    """Replace the file of that kind and have the card say so; None leaves it out."""
    card = json.loads(card_path.read_text())
    if content is None:
        card |= {f"{kind}_file": None, f"{kind}_sha256": None}
    else:
        card_path.with_name(card[f"{kind}_file"]).write_bytes(content)
        card[f"{kind}_sha256"] = hashlib.sha256(content).hexdigest()
    card_path.write_text(json.dumps(card))


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


class Pickled:
    """Says so if it is ever unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a weights file was unpickled",))


NOT_ARRAYS = {
    "text": b"not arrays at all",
    "nothing": b"",
    "half a zip": npz(temperature=np.ones(1))[:60],
    "other arrays": npz(a=np.ones(3)),
    "a pickle": pickle.dumps(Pickled()),
    "pickled objects": npz(temperature=np.array([Pickled()], dtype=object)),
}


@pytest.mark.parametrize("kind", ["calibration", "search"])
@pytest.mark.parametrize("content", NOT_ARRAYS.values(), ids=NOT_ARRAYS.keys())
def test_a_calibration_that_is_none_is_refused_and_never_unpickled(
    card_path: Path, index: SearchIndex, kind: str, content: bytes
) -> None:
    put(card_path, kind, content)
    with pytest.raises(WeightsError, match=r"calibration must be an \.npz file .*reinstall phase"):
        CalibratedModel(card_path, index=index)


@pytest.mark.parametrize("suffix", [".npz", ".search.npz", ".novelty.onnx"])
def test_a_damaged_calibration_is_refused(card_path: Path, index: SearchIndex, suffix: str) -> None:
    path = card_path.with_suffix(suffix)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"must have sha256 .*the file is damaged or not"):
        CalibratedModel(card_path, index=index)


@pytest.mark.parametrize("suffix", [".npz", ".search.npz", ".novelty.onnx"])
def test_a_missing_calibration_is_told_with_its_place(
    card_path: Path, index: SearchIndex, suffix: str
) -> None:
    card_path.with_suffix(suffix).unlink()
    with pytest.raises(WeightsError, match=rf"must lie at .*{DEFAULT_MODEL}{suffix}, but"):
        CalibratedModel(card_path, index=index)


def test_a_network_that_was_never_weighed_against_a_search_answers_alone_only(
    card_path: Path, index: SearchIndex, patterns: list[Pattern]
) -> None:
    put(card_path, "search", None)
    assert CalibratedModel(card_path).predict(patterns[0]).phases == ()
    with pytest.raises(WeightsError, match=r"must have been weighed against a search .*calibrate"):
        CalibratedModel(card_path, index=index)


def test_without_a_novelty_network_only_the_novelty_is_another(
    card_path: Path, patterns: list[Pattern]
) -> None:
    told = CalibratedModel(card_path).predict_many(patterns)
    put(card_path, "novelty", None)
    untold = CalibratedModel(card_path).predict_many(patterns)
    assert [one.novelty for one in told] != [one.novelty for one in untold]
    for one, other in zip(told, untold, strict=True):
        np.testing.assert_array_equal(
            one.space_group_probabilities, other.space_group_probabilities
        )
