from typing import Any

import pytest
from pydantic import ValidationError

from phasepilot.models.preprocessing.configuration import (
    NPCNN_V1,
    PenalisedBackground,
    Preprocessing,
    RollingMinimumBackground,
    SavitzkyGolay,
    SnipBackground,
    odd_n_bins_of,
)


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(),
        NPCNN_V1,
        Preprocessing(
            smoothing=SavitzkyGolay(window_log_q=0.01),
            background=PenalisedBackground(method="arpls", stiffness_log_q=0.0125),
            intensity_scale="linear",
            normalisation="none",
        ),
    ],
)
def test_comes_back_from_json_as_it_was(preprocessing: Preprocessing) -> None:
    assert Preprocessing.model_validate_json(preprocessing.model_dump_json()) == preprocessing


def test_the_background_is_chosen_by_the_name_of_its_method() -> None:
    chosen = Preprocessing.model_validate({"background": {"method": "rolling_minimum"}})
    assert chosen.background == RollingMinimumBackground()


def test_snip_is_the_default_and_the_shipped_network_keeps_its_rolling_minimum() -> None:
    assert Preprocessing().background == SnipBackground()
    background, grid = NPCNN_V1.background, NPCNN_V1.grid.grid()
    assert isinstance(background, RollingMinimumBackground)
    assert odd_n_bins_of(background.window_log_q, grid) == 201
    assert odd_n_bins_of(background.smoothing_log_q, grid) == 15


def test_a_width_means_the_same_on_a_finer_grid() -> None:
    coarse, fine = (
        Preprocessing.model_validate({"grid": {"n_bins": n_bins}}).grid.grid()
        for n_bins in (4096, 8192)
    )
    assert odd_n_bins_of(0.1418, fine) == pytest.approx(2 * odd_n_bins_of(0.1418, coarse), abs=1)
    assert SnipBackground().half_window_nodes(fine) == SnipBackground().half_window_nodes(coarse)


def test_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        NPCNN_V1.normalisation = "area"  # type: ignore[misc]


def snip(**changes: Any) -> dict[str, Any]:
    return {"background": {"method": "snip", **changes}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backgrund": {}}, r"backgrund\s+Extra inputs"),
        ({"background": {"method": "spline"}}, r"Input tag 'spline' .* does not match any"),
        ({"background": {"method": "arpls"}}, r"stiffness_log_q\s+Field required"),
        ({"normalisation": "sum"}, r"'max', 'area' or 'none'"),
        (snip(filter_order=3), r"Input should be 2 or 4"),
        (snip(half_window_log_q=0), r"greater than 0"),
        (snip(half_window_log_q="nan"), r"finite number"),
        (snip(node_step_log_q=-0.1), r"greater than 0"),
        (
            snip(half_window_log_q=1.5),
            r"at most half of the grid's width .*\(1\.445\), but is 1\.5",
        ),
        (snip(node_step_log_q=16), r"node_step_log_q must be narrower than the grid, 2\.89"),
        (
            {"background": {"method": "rolling_minimum", "window_log_q": 201}},
            r"window_log_q must be narrower than the grid, 2\.89 .* but is 201; was it given in",
        ),
        (
            {"background": {"method": "rolling_minimum", "smoothing_log_q": 15}},
            r"smoothing_log_q must be narrower",
        ),
        (
            {"background": {"method": "aspls", "stiffness_log_q": 3}},
            r"stiffness_log_q must be narrower",
        ),
        ({"smoothing": {"window_log_q": 11}}, r"window_log_q must be narrower"),
        (
            {"smoothing": {"window_log_q": 0.001, "polynomial_order": 2}},
            r"order 2 needs more than 2 bins, but window_log_q = 0\.001 holds 1 .*; widen",
        ),
        ({"grid": {"q_min_per_angstrom": 7}}, r"q_min_per_angstrom must lie below"),
    ],
)
def test_says_what_is_wrong(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Preprocessing.model_validate(changes)
