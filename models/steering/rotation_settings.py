"""What the search for orientations is told: the range, the costs, and how sure is sure enough."""

from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from phasepilot.models.arrays import FloatArray


class RotationCost(BaseModel):
    """Seconds that an image at another angle costs.

    Attributes
    ----------
    speed_deg_per_s : float
    settle_s, exposure_s, readout_s : float
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    speed_deg_per_s: float = Field(gt=0)
    settle_s: float = Field(default=0.0, ge=0)
    exposure_s: float = Field(gt=0)
    readout_s: float = Field(default=0.0, ge=0)

    def seconds(self, distance_deg: float) -> float:
        """Return what going there, counting and reading out takes."""
        move = abs(distance_deg) / self.speed_deg_per_s + (self.settle_s if distance_deg else 0.0)
        return move + self.exposure_s + self.readout_s


class RotationSettings(BaseModel):
    """A crystal that is turned until its symmetry is settled.

    Attributes
    ----------
    start_deg, stop_deg : float
        Range of the axis; it begins at `start_deg`.
    grid_deg : float
        Angles that are weighed against each other are so far apart.
    view_width_deg : float
        Half of an image's news is old at this distance from another: a few times the mosaicity.
    level : {"crystal_system", "extinction_class", "space_group"}
        What is to be settled where no library is named; with one it is which of its phases.
    mosaicity_deg : float
        Standard deviation of the orientation within the crystal, roughly; used with a library.
    tolerance : float
        Relative difference in q up to which a spot is on a line of a known phase.
    largest_error : float
        The search ends once the bound on the probability of error is below it.
    first_rate : float
        By how many factors of e an image of a new orientation is taken to lower the bound, before
        any was taken; worth `rate_images` images.
    rate_images : float
    least_views : float
        Before so many independent views it is not given up.
    max_images : int
    has_friedel_pairs : bool
        Half a turn shows the same reflections, mirrored; not so near an absorption edge.
    cost : RotationCost

    Examples
    --------
    >>> settings = RotationSettings(
    ...     start_deg=0,
    ...     stop_deg=90,
    ...     cost=RotationCost(speed_deg_per_s=20, exposure_s=1),
    ... )
    >>> settings.angles_deg.size
    91
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Literal["rotation"] = "rotation"
    start_deg: float
    stop_deg: float
    grid_deg: float = Field(default=1.0, gt=0)
    view_width_deg: float = Field(default=4.0, gt=0)
    level: Literal["crystal_system", "extinction_class", "space_group"] = "space_group"
    mosaicity_deg: float = Field(default=0.5, gt=0, le=20)
    tolerance: float = Field(default=0.004, gt=0, lt=0.1)
    largest_error: float = Field(default=0.1, gt=0, lt=1)
    first_rate: float = Field(default=0.5, gt=0)
    rate_images: float = Field(default=2.0, gt=0)
    least_views: float = Field(default=4.0, ge=1)
    max_images: int = Field(default=100, ge=1)
    has_friedel_pairs: bool = True
    cost: RotationCost

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if not abs(self.stop_deg - self.start_deg) >= self.grid_deg:
            raise ValueError(
                f"the range must be at least grid_deg = {self.grid_deg:g} wide, but goes from"
                f" {self.start_deg:g} to {self.stop_deg:g} degree"
            )
        return self

    @property
    def angles_deg(self) -> FloatArray:
        """All angles that are weighed, from the start on."""
        n_steps = int(abs(self.stop_deg - self.start_deg) / self.grid_deg + 1e-9)
        direction = np.sign(self.stop_deg - self.start_deg)
        return np.asarray(self.start_deg + direction * self.grid_deg * np.arange(n_steps + 1))
