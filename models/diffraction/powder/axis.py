"""The axes that patterns are drawn on: bins that are uniform in 2-theta, in q or in ln q."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import pi

from array_api_compat import array_namespace

from phasepilot.models.arrays import Array
from phasepilot.models.errors import PatternError

DEGREE = pi / 180


class AxisKind(StrEnum):
    """In what the bins are uniform."""

    TWO_THETA = "two_theta"
    Q = "q"
    LOG_Q = "log_q"


@dataclass(frozen=True)
class Axis:
    """One uniform axis for each pattern of a batch.

    Attributes
    ----------
    start : array, shape (n_patterns, 1)
        Lower edge of the first bin, in degree, 1/angstrom or ln(1/angstrom).
    step : array, shape (n_patterns, 1)
        Width of a bin.
    wavelength_angstrom : array, shape (n_patterns, 1)
        What angles are reckoned with: of the strongest emission line.
    """

    kind: AxisKind
    start: Array
    step: Array
    n_bins: int
    wavelength_angstrom: Array

    @property
    def n_patterns(self) -> int:
        """Patterns of the batch."""
        return int(self.start.shape[0])

    def edges(self) -> Array:
        """Return the edges of the bins in the axis' own unit, shape (n_patterns, n_bins + 1)."""
        xp = array_namespace(self.start)
        numbers = xp.arange(self.n_bins + 1, dtype=self.start.dtype, device=self.start.device)
        return self.start + self.step * numbers[None, :]

    @cached_property
    def edges_two_theta_deg(self) -> Array:
        """Edges of the bins as angles, shape (n_patterns, n_bins + 1).

        Bins beyond the reach of the beam are squeezed together at 180 degree.
        """
        return self._as_two_theta_deg(self.edges())

    def ends_two_theta_deg(self) -> Array:
        """Return the outer edges as angles, shape (n_patterns, 2)."""
        xp = array_namespace(self.start)
        ends = xp.concat([self.start, self.start + self.step * self.n_bins], axis=1)
        return self._as_two_theta_deg(ends)

    def _as_two_theta_deg(self, coordinate: Array) -> Array:
        if self.kind is AxisKind.TWO_THETA:
            return coordinate
        xp = array_namespace(coordinate)
        q = coordinate if self.kind is AxisKind.Q else xp.exp(coordinate)
        return two_theta_of_q(q, self.wavelength_angstrom)

    def widths_deg(self) -> Array:
        """Return the widths of the bins as angles, shape (n_patterns, n_bins or 1)."""
        if self.kind is AxisKind.TWO_THETA:
            return self.step
        return array_namespace(self.start).diff(self.edges_two_theta_deg, axis=1)

    def bins_of(self, two_theta_deg: Array, row: Array) -> Array:
        """Return where angles lie on the axis of their row, in bins from its start (real)."""
        xp = array_namespace(two_theta_deg)
        coordinate = two_theta_deg
        if self.kind is not AxisKind.TWO_THETA:
            wavelength = self.wavelength_angstrom[row, 0]
            angle = xp.clip(two_theta_deg, 1e-6, 180.0)
            coordinate = 4 * pi / wavelength * xp.sin(angle * (DEGREE / 2))
        if self.kind is AxisKind.LOG_Q:
            coordinate = xp.log(coordinate)
        return (coordinate - self.start[row, 0]) / self.step[row, 0]


def two_theta_of_q(q_per_angstrom: Array, wavelength_angstrom: Array) -> Array:
    """Return the angle in degree of each q, 180 where the beam does not reach it."""
    xp = array_namespace(q_per_angstrom)
    sine = xp.clip(q_per_angstrom * wavelength_angstrom / (4 * pi), 0.0, 1.0)
    return xp.asin(sine) * (2 / DEGREE)


def rebinned(density: Array, edges: Array, new_edges: Array) -> tuple[Array, Array]:
    """Return the mean density in new bins, and which of them lie wholly within the old ones.

    Areas are kept: each new bin holds exactly what the parts of the old bins it covers held, the
    density being constant within an old bin.

    Parameters
    ----------
    density : array, shape (n_patterns, n_bins)
    edges : array, shape (n_patterns, n_bins + 1)
        Increasing, in any unit.
    new_edges : array, shape (n_new_bins + 1,)
        Increasing, in the same unit.

    Returns
    -------
    array, shape (n_patterns, n_new_bins)
        0 where not covered.
    array of bool, shape (n_patterns, n_new_bins)

    Raises
    ------
    PatternError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> density, edges = np.array([[1.0, 3.0]]), np.array([[0.0, 1.0, 2.0]])
    >>> rebinned(density, edges, np.array([0.5, 1.5, 2.5]))
    (array([[2., 0.]]), array([[ True, False]]))
    """
    if edges.shape != (density.shape[0], density.shape[1] + 1):
        raise PatternError(
            f"edges must have one row a pattern and one more value than bins, but have shape"
            f" {tuple(edges.shape)} for densities of shape {tuple(density.shape)};"
            " give the edges of the bins, not their centres."
        )
    xp = array_namespace(density)
    n_bins = density.shape[1]
    cumulative = xp.cumulative_sum(density * xp.diff(edges, axis=1), axis=1, include_initial=True)
    index = xp.stack([xp.searchsorted(row, new_edges, side="right") for row in edges]) - 1
    left = xp.clip(index, 0, n_bins - 1)
    start = xp.take_along_axis(edges, left, axis=1)
    offset = xp.clip(
        new_edges[None, :] - start, 0.0, xp.take_along_axis(xp.diff(edges, axis=1), left, axis=1)
    )
    integral = xp.take_along_axis(cumulative, left, axis=1) + offset * xp.take_along_axis(
        density, left, axis=1
    )
    inside = (new_edges[None, :] >= edges[:, :1]) & (new_edges[None, :] <= edges[:, -1:])
    is_covered = inside[:, :-1] & inside[:, 1:]
    mean = xp.diff(integral, axis=1) / xp.diff(new_edges)[None, :]
    return xp.where(is_covered, mean, xp.zeros_like(mean)), is_covered
