"""Panels of images: counts, and what each pixel adds to an answer."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from numpy.typing import NDArray

from phasepilot.agent.report.figure import INK
from phasepilot.models.arrays import Float32Array

SMALL, NORMAL, LARGE = 8.0, 9.0, 12.5


def titled(panel: Axes, title: str) -> None:
    """Give a panel its title."""
    panel.set_title(title, loc="left", fontsize=NORMAL + 1, fontweight="bold")
    panel.tick_params(labelsize=SMALL, colors=INK)


def draw_image(panel: Axes, image: NDArray[np.number], title: str) -> None:
    """Draw counts; grey where they are below 0, which marks pixels that measure nothing."""
    titled(panel, title)
    shown = np.where(image < 0, np.nan, image.astype(np.float64))
    # Spots are a pixel or two wide: without a little spread they vanish in a small picture.
    spread = _widened(shown)
    lowest = float(np.nanmedian(spread))
    highest = lowest + max(0.3 * float(np.nanmax(spread) - lowest), 1.0)
    panel.set_facecolor("#d8d8d8")
    panel.imshow(spread, cmap="magma_r", norm=PowerNorm(0.5, vmin=lowest, vmax=highest, clip=True))
    panel.set_xticks([])
    panel.set_yticks([])


def _widened(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the image with each pixel as bright as the brightest next to it."""
    from scipy.ndimage import maximum_filter

    return np.where(np.isnan(image), np.nan, maximum_filter(np.nan_to_num(image), 5))


def draw_attribution(
    panel: Axes, image: NDArray[np.number], attribution: Float32Array, title: str
) -> None:
    """Draw what each pixel adds to an answer, with the brightest pixels of the image on it."""
    titled(panel, title)
    largest = max(float(np.nanmax(np.abs(attribution))), 1e-9)
    panel.set_facecolor("#d8d8d8")
    panel.imshow(attribution, cmap="RdBu_r", vmin=-largest, vmax=largest)
    counts = np.where(image < 0, 0.0, image.astype(np.float64))
    rows, columns = np.nonzero(counts > np.percentile(counts, 99.9))
    panel.plot(columns, rows, ",", color=INK, alpha=0.5)
    panel.set_xlim(-0.5, image.shape[1] - 0.5)
    panel.set_ylim(image.shape[0] - 0.5, -0.5)
    panel.set_xticks([])
    panel.set_yticks([])
