"""Pictures of simulations: what is labelled, and that labels leave each other room."""

import numpy as np
import pytest

from phasepilot.agent.report.simulation_figure import draw_simulation, hkl_label
from phasepilot.agent.report.simulation_record import (
    IndexedLines,
    PowderRecord,
    SpotRecord,
    Subject,
)
from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites

POLONIUM = crystal_from_sites("Po", "P m -3 m", (3.3,) * 3 + (90.0,) * 3, [("Po", (0, 0, 0))])
SUBJECT = Subject(POLONIUM, "ideal", "", 7, (1.5,), (1.0,))
ANGLES_DEG = np.linspace(10.0, 60.0, 500)


def make_lines(*lines: tuple[tuple[int, int, int], float, float]) -> IndexedLines:
    hkl, angles, intensities = zip(*lines, strict=True)
    angle = np.array(angles)
    return IndexedLines(np.array(hkl), 30 / angle, angle, np.array(intensities))


def make_record(lines: IndexedLines, n_patterns: int = 1) -> PowderRecord:
    intensity = np.tile(np.exp(-((ANGLES_DEG - 30) ** 2)), (n_patterns, 1)).astype(np.float32)
    return PowderRecord(
        subject=SUBJECT,
        lines=lines,
        two_theta_deg=np.tile(ANGLES_DEG, (n_patterns, 1)),
        intensity=intensity,
        is_measured=np.ones(intensity.shape, dtype=bool),
        is_covered=np.ones(intensity.shape, dtype=bool),
        drawn={"peak_counts": np.full((n_patterns, 1), np.inf)},
    )


def labels(record: PowderRecord) -> list[str]:
    (panel,) = draw_simulation(record).axes
    return [text.get_text() for text in panel.texts]


@pytest.mark.parametrize(
    ("hkl", "label"),
    [((1, 1, 1), "$111$"), ((-1, 0, 2), r"$\bar{1}02$"), ((10, 0, -4), r"$10\,0\,\bar{4}$")],
)
def test_indices_are_set_as_crystallographers_write_them(
    hkl: tuple[int, int, int], label: str
) -> None:
    assert hkl_label(hkl) == label


def test_the_strongest_of_close_lines_is_labelled() -> None:
    lines = make_lines(((1, 0, 0), 20.0, 40.0), ((1, 1, 0), 20.2, 100.0), ((2, 0, 0), 45.0, 20.0))
    assert labels(make_record(lines)) == ["$110$", "$200$"]


def test_lines_at_the_same_angle_share_a_label() -> None:
    lines = make_lines(((3, 0, 0), 40.0, 60.0), ((2, 2, 1), 40.0, 100.0))
    assert labels(make_record(lines)) == ["$221$, $300$"]


def test_lines_that_are_faint_or_were_not_measured_are_not_labelled() -> None:
    lines = make_lines(((1, 0, 0), 20.0, 100.0), ((1, 1, 0), 30.0, 0.5), ((1, 1, 1), 50.0, 90.0))
    record = make_record(lines)
    record.is_measured[:, ANGLES_DEG > 45] = False
    assert labels(record) == ["$100$"]


def test_the_title_says_what_the_picture_shows() -> None:
    figure = draw_simulation(make_record(make_lines(((1, 0, 0), 20.0, 100.0)), n_patterns=4))
    assert figure.get_suptitle() == "Po, P m -3 m (221), first of 4 patterns"
    assert [text.get_text() for text in figure.texts[-1:]] == ["1.5 Å, recipe ideal, seed 7"]
    assert figure.get_size_inches()[0] * figure.dpi == 1600


def test_spots_are_labelled_where_they_are() -> None:
    image = np.zeros((60, 80), dtype=np.float32)
    image[10, 40] = 1.0
    lines = make_lines(((1, 0, 0), 20.0, 100.0))
    record = SpotRecord(SUBJECT, lines, (0, 0, 1), np.array([10.0]), np.array([40.0]), image)
    figure = draw_simulation(record)
    assert figure.get_suptitle() == "Po, P m -3 m (221), zone axis [0 0 1]"
    (label,) = figure.axes[0].texts
    assert label.get_text() == "$100$"
    assert label.xy == (40.0, 10.0)
    assert figure.axes[1].get_ylabel() == "intensity (brightest pixel 1)"


def test_equivalent_spots_are_labelled_all_or_none() -> None:
    # One spot, then pairs; the 32 strongest would end within a pair.
    intensity = np.array([100.0, *np.repeat(np.arange(90.0, 73.0, -1.0), 2)])
    hkl = np.stack([np.arange(intensity.size)] * 3, axis=1)
    lines = IndexedLines(hkl, np.ones(intensity.size), np.ones(intensity.size), intensity)
    place = np.arange(intensity.size, dtype=float)
    image = np.eye(40, dtype=np.float32)
    record = SpotRecord(SUBJECT, lines, (0, 0, 1), place, place, image)
    assert len(draw_simulation(record).axes[0].texts) == 31
