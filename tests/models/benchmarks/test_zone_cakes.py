import numpy as np

from phasepilot.models.benchmarks.zone_cakes import frame_cake, spot_input
from phasepilot.models.benchmarks.zone_patterns import detector_frames
from phasepilot.models.diffraction.images.cake_grid import CakeGrid, cake_on_grid
from phasepilot.models.diffraction.images.zone_spots import SpotLists
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.cake_input import cake_input

GRID = CakeGrid(LogQGrid(0.8, 7.0, 120), 72)


def make_spots() -> SpotLists:
    """Return a square net, its nodes of uneven strength."""
    h, k = np.meshgrid(np.arange(-3, 4), np.arange(-3, 4))
    shown = (h != 0) | (k != 0)
    x, y = 0.25 * h[shown], 0.3 * k[shown]
    intensity = 1.0 / (1 + h[shown] ** 2 + 2 * k[shown] ** 2)
    return SpotLists(np.array([0, x.size]), x, y, intensity / intensity.max())


def test_a_frame_looks_to_the_network_as_its_list_of_spots_does() -> None:
    spots = make_spots()
    frames = detector_frames(spots, np.random.default_rng(3))
    ideal = spot_input(spots.x_per_angstrom, spots.y_per_angstrom, spots.intensity, GRID)
    seen = cake_input(
        *cake_on_grid(frame_cake(frames.image[0], frames.is_measured[0], frames, GRID), GRID)
    )
    both = seen[1] > 0
    assert both.mean() > 0.8
    # Spots of a detector have a size, noise lies between them, and gaps cut some.
    assert np.corrcoef(ideal[0][both], seen[0][both])[0, 1] > 0.7


def test_one_of_each_friedel_pair_is_enough() -> None:
    spots = make_spots()
    half = (spots.y_per_angstrom > 0) | ((spots.y_per_angstrom == 0) & (spots.x_per_angstrom > 0))
    whole = spot_input(spots.x_per_angstrom, spots.y_per_angstrom, spots.intensity, GRID)
    of_half = spot_input(
        spots.x_per_angstrom[half], spots.y_per_angstrom[half], spots.intensity[half], GRID
    )
    np.testing.assert_allclose(of_half, whole, atol=1e-4)
