import numpy as np
import pytest

from phasepilot.models.identification.line_template import LineShape, stick_layers
from phasepilot.models.log_q import LogQGrid

GRID = LogQGrid(0.35, 6.3, 4096)


def drawn(places, areas, shape):
    return stick_layers(GRID, np.atleast_2d(places), np.atleast_2d(areas)).drawn(shape)


@pytest.mark.parametrize("place", [1000.0, 1700.3, 3000.5])
def test_a_line_keeps_its_area_and_place(place):
    (line,) = drawn(place, 2.0, LineShape(0.0, 0.003))
    assert line.sum() == pytest.approx(2.0, rel=0.02)
    near = slice(int(place) - 30, int(place) + 32)
    bins = np.arange(GRID.n_bins)[near]
    assert (bins * line[near]).sum() / line[near].sum() == pytest.approx(place, abs=0.1)


@pytest.mark.parametrize("q", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("width", [LineShape(0.02, 0.001), LineShape(0.001, 0.01)])
def test_a_line_is_as_wide_as_asked_for(q, width):
    place = np.log(q / 0.35) / GRID.bin_width - 0.5
    (line,) = drawn(np.rint(place), 1.0, width)
    above = np.flatnonzero(line > line.max() / 2)
    expected = width.fwhm_log_q(np.array([q]))[0] / GRID.bin_width
    # Widths between two layers are those of a mixture of both lines.
    assert above.size == pytest.approx(expected, rel=0.2, abs=2)


def test_lines_outside_the_grid_leave_no_trace():
    assert not drawn([-3.0, 5000.0], [1.0, 1.0], LineShape(0.01, 0.002)).any()


def test_the_tail_of_the_last_line_does_not_come_in_at_the_beginning():
    (line,) = drawn(4090.0, 1.0, LineShape(0.01, 0.002))
    assert line[:100].max() < 1e-3 * line.max()


def test_a_width_can_be_scaled():
    assert LineShape(0.01, 0.002).scaled(2.0) == LineShape(0.02, 0.002)
