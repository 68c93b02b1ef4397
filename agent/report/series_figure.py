"""The picture of a measured series: what the tracker found, and what is known."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.report.figure import CHANGE_COLOUR, FRACTION_COLOUR, STRAIN_COLOUR

if TYPE_CHECKING:
    from phasepilot.models.benchmarks.benchmark_result import FollowedSeries

_KNOWN_COLOUR = "#00c4a7"
_FOUND_COLOUR = "#ff2d55"


def draw_series(series: "FollowedSeries", folder: Path) -> Path:
    """Write FOLDER/NAME.png and return its path.

    Raises
    ------
    ConfigurationError
        If the file cannot be written.
    """
    figure = Figure(figsize=(9, 9), layout="constrained")
    FigureCanvasAgg(figure)
    patterns, evidence, lattice = figure.subplots(3, 1, sharex=True, height_ratios=(2.2, 1, 1))
    _draw_patterns(patterns, series)
    frames = np.arange(series.varied.size)
    evidence.semilogy(
        frames, np.maximum(series.statistic, 1.0), color=CHANGE_COLOUR, label="evidence"
    )
    evidence.axhline(
        series.alarm_level, color="k", linewidth=0.8, linestyle=":", label="alarm level"
    )
    evidence.set_ylabel("statistic (sd)")
    lattice.plot(frames, 100 * series.strain, color=STRAIN_COLOUR, label="strain (%)")
    lattice.set_ylabel("strain (%)", color=STRAIN_COLOUR)
    fraction = lattice.twinx()
    fraction.plot(frames, series.new_phase_fraction, color=FRACTION_COLOUR)
    fraction.set(ylabel="share of new lines", ylim=(0, 1.05))
    fraction.yaxis.label.set_color(FRACTION_COLOUR)
    for panel in (evidence, lattice):
        panel.fill_between(
            frames,
            0,
            1,
            where=series.is_changing,
            transform=panel.get_xaxis_transform(),
            color=_FOUND_COLOUR,
            alpha=0.12,
            linewidth=0,
        )
    for panel in (patterns, evidence, lattice):
        _draw_events(panel, series)
    evidence.legend(loc="upper right", fontsize=8)
    lattice.set_xlabel(_axis_label(series))
    known = textwrap.fill(series.truth, 105, max_lines=2, placeholder=" ...")
    title = f"{series.name}: found (red), known (dashed green)\n{known}"
    patterns.set_title(title, fontsize=8.5, parse_math=False)
    path = folder / f"{series.name}.png"
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"pictures of series must go into a folder that exists, but {path} cannot be written"
            f" ({error}); make the folder and give it with --picture."
        ) from error
    return path


def _draw_patterns(panel: Axes, series: "FollowedSeries") -> None:
    root = np.sqrt(series.signal)
    root /= np.maximum(np.quantile(root, 0.999, axis=1, keepdims=True), 1e-12)
    n_frames, n_bins = root.shape
    seen = np.flatnonzero(series.signal.any(axis=0))
    first, last = (seen[0], seen[-1]) if seen.size else (0, n_bins - 1)
    image = root[:, first : last + 1].T
    panel.imshow(
        np.minimum(image, 1),
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(-0.5, n_frames - 0.5, first, last + 1),
        interpolation="nearest",
    )
    ticks = np.linspace(first, last, 7).astype(int)
    panel.set_yticks(ticks, [f"{series.q_per_angstrom[k]:.2f}" for k in ticks])
    panel.set_ylabel("q (1/Å), even in ln q")


def _draw_events(panel: Axes, series: "FollowedSeries") -> None:
    for frame in series.known:
        panel.axvline(frame - 0.5, color=_KNOWN_COLOUR, linestyle="--", linewidth=1.6)
    for row in series.transitions:
        panel.axvline(row["frame"], color=_FOUND_COLOUR, linewidth=1.2)


def _axis_label(series: "FollowedSeries") -> str:
    if series.varied_name == "frame":
        return "frame"
    return f"frame; {series.varied_name} from {series.varied[0]:g} to {series.varied[-1]:g}"
