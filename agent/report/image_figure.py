"""One picture of an image: what it shows, unrolled too, what mattered, and what is said of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from phasepilot.agent.report.figure import DPI, FOUND, INK, MUTED
from phasepilot.agent.report.image_panels import (
    LARGE,
    NORMAL,
    SMALL,
    draw_attribution,
    draw_image,
    titled,
)
from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

_SIZE_INCHES = (1500 / DPI, 1200 / DPI)


@dataclass(frozen=True, slots=True, eq=False)
class ImageRecord:
    """An image that was looked at.

    Attributes
    ----------
    title, subtitle : str
    image : ndarray, shape (rows, columns)
        Counts; below 0 or not finite where nothing was measured.
    two_theta_deg, chi_deg : ndarray
        Of the unrolled image.
    unrolled : ndarray, shape (two_theta_deg.size, chi_deg.size)
        Mean counts of a pixel; NaN where nothing was measured.
    attribution : ndarray of float32, shape (rows, columns), or None
        What each pixel adds to ln p of the space group; None without a network of images.
    crystal_systems : mapping from str to ndarray, shape (7,)
        Probabilities by who says so.
    """

    title: str
    subtitle: str
    image: NDArray[np.number]
    two_theta_deg: FloatArray
    chi_deg: FloatArray
    unrolled: Float32Array
    attribution: Float32Array | None
    crystal_systems: dict[str, FloatArray]


def draw_image_record(record: ImageRecord, path: Path) -> None:
    """Draw the record to a .png file."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    said = f"{record.title}\n{record.subtitle}"
    figure.suptitle(said, fontsize=LARGE, x=0.01, ha="left", parse_math=False)
    (image, attribution), (unrolled, systems) = figure.subplots(2, 2)
    draw_image(image, record.image, "a   counts")
    if record.attribution is None:
        attribution.set_axis_off()
    else:
        title = "b   for (red) and against the space group"
        draw_attribution(attribution, record.image, record.attribution, title)
    _draw_unrolled(unrolled, record)
    _draw_systems(systems, record.crystal_systems)
    figure.savefig(path)


def _draw_unrolled(panel: Axes, record: ImageRecord) -> None:
    titled(panel, "c   unrolled around the beam")
    # Roots of what is above the usual background: lines differ by decades.
    shown = record.unrolled.T
    is_seen = np.isfinite(shown)
    known = shown[is_seen]
    low, high = np.percentile(known, [20, 99.7]) if known.size else (0.0, 1.0)
    extent = (
        float(record.two_theta_deg[0]),
        float(record.two_theta_deg[-1]),
        float(record.chi_deg[0]),
        float(record.chi_deg[-1]),
    )
    panel.set_facecolor("#d8d8d8")
    panel.imshow(
        np.sqrt(np.maximum(shown - low, 0)),
        extent=extent,
        aspect="auto",
        origin="lower",
        cmap="magma_r",
        vmin=0,
        vmax=float(np.sqrt(max(high - low, 1e-9))),
        interpolation="nearest",
    )
    for axis, values, has_some in (
        (panel.set_ylim, record.chi_deg, is_seen.any(axis=1)),
        (panel.set_xlim, record.two_theta_deg, is_seen.any(axis=0)),
    ):
        if has_some.any():
            axis(float(values[has_some][0]), float(values[has_some][-1]))
    panel.set_xlabel("2θ (degree)", fontsize=NORMAL)
    panel.set_ylabel("azimuth (degree)", fontsize=NORMAL)


def _draw_systems(panel: Axes, crystal_systems: dict[str, FloatArray]) -> None:
    titled(panel, "d   crystal system")
    places = np.arange(len(CRYSTAL_SYSTEMS))
    height = 0.8 / len(crystal_systems)
    colours = (MUTED, FOUND, INK)
    for number, (who, probabilities) in enumerate(crystal_systems.items()):
        panel.barh(places + number * height, probabilities, height, color=colours[number % 3])
        panel.plot([], [], "s", color=colours[number % 3], label=who)
    panel.set_yticks(places + 0.4 - height / 2, CRYSTAL_SYSTEMS, fontsize=SMALL)
    panel.invert_yaxis()
    panel.set_xlim(0, 1)
    panel.set_xlabel("probability", fontsize=NORMAL)
    panel.legend(fontsize=SMALL, frameon=False, loc="lower right")
    panel.spines[["top", "right"]].set_visible(False)
