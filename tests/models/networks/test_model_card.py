"""The card beside a network: what must stand in it, and files that are not the ones it names."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from phasepilot.models.errors import WeightsError
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.networks.model_card import ModelCard, check_sha256, read_card
from phasepilot.models.networks.registry import DEFAULT_MODEL

CARD = Path(str(files("phasepilot.models.weights"))) / f"{DEFAULT_MODEL}.json"


def write_card(folder: Path, **changes: Any) -> Path:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(CARD.read_text()) | changes))
    return path


def test_a_card_comes_back_from_its_json() -> None:
    card = read_card(CARD)
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_the_grid_is_that_of_the_preprocessing() -> None:
    card = read_card(CARD)
    assert card.grid == card.preprocessing.grid.grid()
    assert card.grid == LogQGrid(card.q_min_per_angstrom, card.q_max_per_angstrom, card.n_bins)


def test_a_network_need_not_be_weighed_against_a_search(tmp_path: Path) -> None:
    card = read_card(write_card(tmp_path, search_file=None, search_sha256=None))
    assert card.search_file is card.search_sha256 is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sha256": "beef"}, "sha256"),
        ({"calibration_sha256": "Z" * 64}, "calibration_sha256"),
        ({"search_sha256": ""}, "search_sha256"),
        ({"n_bins": "many"}, "n_bins"),
        ({"colour": "blue"}, "colour"),
        ({"preprocessing": {"background": {"method": "by eye"}}}, "preprocessing"),
    ],
)
def test_a_card_with_a_wrong_entry_is_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    path = write_card(tmp_path, **changes)
    with pytest.raises(
        WeightsError, match=rf"(?s)a model card must be a JSON file, but {path} .*{told}.*reinstall"
    ):
        read_card(path)


@pytest.mark.parametrize("content", ["", "[]", '{"name": "pilot'])
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(content)
    with pytest.raises(WeightsError, match="a model card must be a JSON file, but"):
        read_card(path)


def test_a_card_that_is_missing_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.json could not be read .*No such file"):
        read_card(tmp_path / "none.json")


def test_the_content_of_the_right_file_is_given(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"numbers")
    assert check_sha256(path, hashlib.sha256(b"numbers").hexdigest()) == b"numbers"


def test_another_file_is_refused_with_both_sums(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"other numbers")
    said, is_ = (hashlib.sha256(text).hexdigest() for text in (b"numbers", b"other numbers"))
    with pytest.raises(WeightsError, match=rf"{said[:12]}\.\.\., as .* but has {is_[:12]}\.\.\.;"):
        check_sha256(path, said)


def test_a_missing_file_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"must lie at .*weights, but it cannot be read"):
        check_sha256(tmp_path / "weights", "0" * 64)
