"""What is done to a pattern before a network sees it: checked, frozen, and storable as JSON.

Widths are given in ln q, that is as a relative change of q, so that they mean the same on every
grid.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from phasepilot.models.log_q import LogQGrid


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GridConfiguration(_Strict):
    """The ln q grid of the network."""

    q_min_per_angstrom: float = Field(default=0.35, gt=0)
    q_max_per_angstrom: float = Field(default=6.3, gt=0)
    n_bins: int = Field(default=4096, ge=256)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.q_min_per_angstrom >= self.q_max_per_angstrom:
            raise ValueError("q_min_per_angstrom must lie below q_max_per_angstrom")
        return self

    def grid(self) -> LogQGrid:
        """Return the grid itself."""
        return LogQGrid(self.q_min_per_angstrom, self.q_max_per_angstrom, self.n_bins)


class RollingMinimumBackground(_Strict):
    """The rolling minimum of the smoothed pattern, smoothed by a window of its own.

    Attributes
    ----------
    window_log_q : float
        Wide enough to pass under the broadest line.
    smoothing_log_q : float
        About a line's width. The minimum of noisy bins lies below their mean; averaging first
        helps.
    """

    method: Literal["rolling_minimum"] = "rolling_minimum"
    window_log_q: float = Field(default=0.1418, gt=0, allow_inf_nan=False)
    smoothing_log_q: float = Field(default=0.0106, gt=0, allow_inf_nan=False)

    def check(self, grid: LogQGrid) -> None:
        """Raise ValueError if the windows do not fit the grid."""
        for name in ("window_log_q", "smoothing_log_q"):
            _check_window(name, getattr(self, name), grid)


class SnipBackground(_Strict):
    """Peaks clipped by SNIP from the means of neighbouring bins, joined by straight lines.

    Clipping follows noise downwards; means scatter less than bins, and cost less than a
    hundredth. On
    simulated patterns with known backgrounds the defaults do better than any other method of
    comparable speed (benchmarks/background_removal.py).

    Attributes
    ----------
    half_window_log_q : float
        With order 4 a line of 0.4 times this width (FWHM) keeps 99 % of its height, one of this
        width half of it; with order 2 these are 100 % and 98 %.
    node_step_log_q : float
        Width over which bins are averaged; less than a bin clips the bins themselves.
    filter_order : {2, 4}
        2 clips what rises above straight lines; 4 spares what curves like a cubic, such as the
        hump of an amorphous phase.
    windows : {"decreasing", "increasing"}
        The order of the half windows. Decreasing leaves a smoother background.
    ends : {"median", "least_squares"}
        How the nodes are continued beyond the first and the last; see
        `phasepilot.models.preprocessing.snip.snip`.
    """

    method: Literal["snip"] = "snip"
    half_window_log_q: float = Field(default=0.135, gt=0, allow_inf_nan=False)
    node_step_log_q: float = Field(default=0.0113, gt=0, allow_inf_nan=False)
    filter_order: Literal[2, 4] = 4
    windows: Literal["decreasing", "increasing"] = "decreasing"
    ends: Literal["median", "least_squares"] = "median"

    def half_window_nodes(self, grid: LogQGrid) -> int:
        """Return the largest half window, in nodes."""
        step = n_bins_of(self.node_step_log_q, grid) * grid.bin_width
        return max(1, round(self.half_window_log_q / step))

    def check(self, grid: LogQGrid) -> None:
        """Raise ValueError if the windows do not fit the grid."""
        _check_window("node_step_log_q", self.node_step_log_q, grid)
        n_nodes = -(-grid.n_bins // n_bins_of(self.node_step_log_q, grid))
        largest = (n_nodes - 1) // 2
        if self.half_window_nodes(grid) > largest:
            raise ValueError(
                f"half_window_log_q must be at most half of the grid's width in ln q"
                f" ({_width(grid) / 2:.4g}), but is {self.half_window_log_q:g}; lower it."
            )


class PenalisedBackground(_Strict):
    """A stiff line drawn below the lines by a penalised least squares method of pybaselines.

    asPLS with a stiffness of 0.04 follows humps a little better than SNIP, arPLS with 0.0125 about
    as well; in a batch they take 250 and 50 times longer (benchmarks/background_removal.py).

    Attributes
    ----------
    stiffness_log_q : float
        Width within which the line hardly bends: the fourth root of pybaselines' `lam`, times the
        distance of the nodes.
    node_step_log_q : float
        Width over which bins are averaged first.

    References
    ----------
    arPLS: Baek et al., Analyst 140, 250 (2015). asPLS: Zhang et al., Spectrosc. Lett. 53, 222
    (2020).
    """

    method: Literal["arpls", "aspls"]
    stiffness_log_q: float = Field(gt=0, allow_inf_nan=False)
    node_step_log_q: float = Field(default=0.0056, gt=0, allow_inf_nan=False)

    def check(self, grid: LogQGrid) -> None:
        """Raise ValueError if the widths do not fit the grid."""
        for name in ("stiffness_log_q", "node_step_log_q"):
            _check_window(name, getattr(self, name), grid)


Background = RollingMinimumBackground | SnipBackground | PenalisedBackground


class SavitzkyGolay(_Strict):
    """Smoothing by a polynomial fitted to the bins around each bin.

    Attributes
    ----------
    window_log_q : float
        Width of the fit. Lines narrower than about half of it lose height.
    polynomial_order : int
    """

    window_log_q: float = Field(gt=0, allow_inf_nan=False)
    polynomial_order: int = Field(default=2, ge=0)

    def check(self, grid: LogQGrid) -> None:
        """Raise ValueError if the window does not fit the grid or holds too few bins."""
        _check_window("window_log_q", self.window_log_q, grid)
        n_window = odd_n_bins_of(self.window_log_q, grid)
        if n_window <= self.polynomial_order:
            raise ValueError(
                f"a polynomial of order {self.polynomial_order} needs more than"
                f" {self.polynomial_order} bins, but window_log_q = {self.window_log_q:g} holds"
                f" {n_window} of {grid.bin_width:.3g}; widen the window."
            )


class Preprocessing(_Strict):
    """Every step from counts on the grid to a network's input, in this order.

    Attributes
    ----------
    grid : GridConfiguration
    smoothing : SavitzkyGolay or None
    background : RollingMinimumBackground, SnipBackground or PenalisedBackground
    intensity_scale : {"square_root", "linear"}
        The square root evens out counting noise.
    normalisation : {"max", "area", "none"}
        Highest bin 1; or integral over ln q 1; or as it is. Applied to the scaled intensity.

    Examples
    --------
    >>> stored = Preprocessing(normalisation="area").model_dump_json()
    >>> Preprocessing.model_validate_json(stored).normalisation
    'area'
    """

    grid: GridConfiguration = GridConfiguration()
    smoothing: SavitzkyGolay | None = None
    background: Annotated[Background, Field(discriminator="method")] = SnipBackground()
    intensity_scale: Literal["square_root", "linear"] = "square_root"
    normalisation: Literal["max", "area", "none"] = "max"

    @model_validator(mode="after")
    def _check_widths(self) -> Self:
        grid = self.grid.grid()
        self.background.check(grid)
        if self.smoothing is not None:
            self.smoothing.check(grid)
        return self


def n_bins_of(width_log_q: float, grid: LogQGrid) -> int:
    """Return the number of bins nearest to a width, at least one."""
    return max(1, round(width_log_q / grid.bin_width))


def odd_n_bins_of(width_log_q: float, grid: LogQGrid) -> int:
    """Return the odd number of bins nearest to a width, at least one.

    Examples
    --------
    >>> odd_n_bins_of(0.1418, LogQGrid(0.35, 6.3, 4096))
    201
    """
    return 2 * max(0, round((width_log_q / grid.bin_width - 1) / 2)) + 1


def _check_window(name: str, width_log_q: float, grid: LogQGrid) -> None:
    if width_log_q >= _width(grid):
        raise ValueError(
            f"{name} must be narrower than the grid, {_width(grid):.4g} in ln q, but is"
            f" {width_log_q:g}; was it given in bins?"
        )


def _width(grid: LogQGrid) -> float:
    return math.log(grid.q_max_per_angstrom / grid.q_min_per_angstrom)


# What the shipped network was trained on: 201 and 15 of its bins.
NPCNN_V1 = Preprocessing(background=RollingMinimumBackground())
