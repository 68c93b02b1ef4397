"""What a search for a transition is told: the axis, the tolerance, the costs, the detector."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator


class MoveCost(BaseModel):
    """Seconds that a frame at another value of the axis costs.

    Attributes
    ----------
    max_rate_per_s : float
        Fastest change of the axis that the sample stands, in its unit per second.
    settle_s, exposure_s : float
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_rate_per_s: float = Field(gt=0)
    settle_s: float = Field(default=0.0, ge=0)
    exposure_s: float = Field(gt=0)

    def seconds(self, distance: float) -> float:
        """Return what going there and counting takes."""
        return abs(distance) / self.max_rate_per_s + self.settle_s + self.exposure_s


class DetectionModel(BaseModel):
    """How what the tracker reports depends on the new phase's share of the sample.

    Attributes
    ----------
    excess_midpoint : float
        Significance of an unexplained line from which it counts as seen.
    false_alarm : float
        Chance that such a line is seen in a frame without the new phase.
    miss : float
        Chance that none is seen however much of the new phase there is.
    share_exponents : tuple of float
        The reported share of intensity is that of the phase to one of these powers, all equally
        likely: of little of it only the strongest lines stand out. Which, is the sample's own, and
        the same in every frame of it.
    detectable_fraction : float
        Share of intensity that is seen in two frames of three, 1 - 1/e.
    fraction_error : float
        Standard deviation of the reported share about that, with what a sample's curve differs
        from a power; large where it tells nothing.

    Notes
    -----
    The defaults are what the tracker does on simulated scans of KCl, Si and Fe with 2,000 counts in
    the strongest bin.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    excess_midpoint: float = Field(default=6.0, gt=0)
    false_alarm: float = Field(default=0.004, gt=0, lt=0.5)
    miss: float = Field(default=0.005, gt=0, lt=0.5)
    share_exponents: tuple[PositiveFloat, ...] = Field(default=(1.1, 1.4, 1.8, 2.2), min_length=1)
    detectable_fraction: float = Field(default=0.03, gt=0, lt=1)
    fraction_error: float = Field(default=0.07, gt=0)


class SearchSettings(BaseModel):
    """What every search is told; lengths are in units of the scanned axis.

    Attributes
    ----------
    start, max_axis_value : float
        Where the search begins, and the value that it never goes beyond. Where `start` is the
        larger of the two, as on decompression, the search goes down.
    tolerance : float
        Wanted width of the interval that holds the onset.
    return_is_allowed : bool
        Whether the sample goes back to its old phase where it came from; False under hysteresis.
    max_step : float or None
        Largest move at once, for instance what the tracker can follow; None: no limit but the
        range.
    cost : MoveCost
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float
    max_axis_value: float
    tolerance: float = Field(gt=0)
    return_is_allowed: bool
    max_step: float | None = Field(default=None, gt=0)
    cost: MoveCost

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.range < 2 * self.tolerance:
            raise ValueError(
                f"the range must be at least twice the tolerance of {self.tolerance:g}, but runs"
                f" from {self.start:g} to {self.max_axis_value:g}; search wider, or ask for less"
            )
        return self

    @property
    def range(self) -> float:
        """Length of the range."""
        return abs(self.max_axis_value - self.start)

    @property
    def direction(self) -> float:
        """1 upwards, -1 downwards."""
        return 1.0 if self.max_axis_value >= self.start else -1.0

    def travelled(self, axis_value: float) -> float:
        """Return the way from the start, positive in the direction of the search."""
        return self.direction * (axis_value - self.start)

    def axis_value(self, travelled: float) -> float:
        """Return the value of the axis that far from the start."""
        return round(self.start + self.direction * travelled, 9)


class TransitionInformationSettings(SearchSettings):
    """The search by information per second.

    Attributes
    ----------
    detection : DetectionModel
    min_width, max_width : float
        Over how much of the axis both phases coexist, at least and at most.
    expected_onset, expected_onset_deviation : float or None
        Where the literature puts the onset, and one standard deviation. None: anywhere.
    min_gain_per_s : float
        Below this drop of the error bound per second, going on does not pay.
    """

    policy: Literal["transition_information"] = "transition_information"
    detection: DetectionModel = DetectionModel()
    min_width: float = Field(gt=0)
    max_width: float = Field(gt=0)
    expected_onset: float | None = None
    expected_onset_deviation: float | None = Field(default=None, gt=0)
    min_gain_per_s: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _check_prior(self) -> Self:
        if self.max_width < self.min_width:
            raise ValueError(
                f"max_width must be at least min_width, but they are {self.max_width:g} and"
                f" {self.min_width:g}; swap them"
            )
        if (self.expected_onset is None) != (self.expected_onset_deviation is None):
            raise ValueError(
                "expected_onset and expected_onset_deviation belong together, but one is missing;"
                " give both or neither"
            )
        return self


class TransitionBisectionSettings(SearchSettings):
    """The search by halving the interval between the last old frame and the first new one.

    Attributes
    ----------
    excess_midpoint : float
        Significance of an unexplained line from which a frame counts as new.
    """

    policy: Literal["transition_bisection"] = "transition_bisection"
    excess_midpoint: float = Field(default=9.0, gt=0)

    @model_validator(mode="after")
    def _check_return(self) -> Self:
        if not self.return_is_allowed:
            raise ValueError(
                "bisection goes back and forth, but return_is_allowed is False; choose"
                " transition_information, which can go one way"
            )
        return self
