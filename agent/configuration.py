"""What the agent must be told about a beamline: where to look, and what to work towards."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.frame_settings import AssetSettings, IgnoreSettings, ImageSettings
from phasepilot.agent.steering import SteeringSettings
from phasepilot.models.networks.registry import DEFAULT_MODEL
from phasepilot.models.refused_entries import refused_entries
from phasepilot.models.tracking.phase_state import TrackerSettings


class AgentConfiguration(BaseModel):
    """Where patterns are in the documents, and how to judge them.

    Fields name keys of events or of descriptor configuration, whichever has them.

    Attributes
    ----------
    intensity_field : str
        Key of the 1D pattern or of the image, in counts; of several detectors it picks one.
    two_theta_field, q_field : str
        Key of the axis, in degree or 1/angstrom; exactly one of the two, but for images.
    image : ImageSettings or None
        Geometry and corrections of an area detector, whose images are integrated here.
    wavelength_angstrom : float
        Wavelength of the beam; or
    wavelength_field : str
        the key that holds it; or
    energy_field : str
        the key that holds the photon energy, in
    energy_unit : {"keV", "eV"}
        this unit. None of them is needed with `q_field`, nor with a .poni that states it.
    axis_field : str
        Key of what is scanned, such as the pressure; without it frames are only numbered.
    exposure_field : str
        Key of the counting time in seconds; without it all are taken to be the same.
    monitor_field : str
        Key of what counts the incoming beam; patterns are compared as if it had always read what
        it read first.
    frame : {"pattern", "points"}
        What one event brings: a whole pattern, or the next point (or strip of points) of one that
        grows from event to event, as of a detector on a 2-theta arm.
    judge_every : int
        A growing pattern is judged after so many events, and whenever a plan asks.
    merge_within : float
        Points of a growing pattern that are closer than this, in the unit of their axis, are one.
    stream : str
        Name of the stream that holds the frames; all others are ignored, but that a key above is
        also looked for in the stream `baseline` and in the start document.
    ignore : IgnoreSettings
        Plans, ranges and lines that are none of the sample's.
    assets : AssetSettings
        How files beside the documents are found, and waited for.
    model : str
        Name of the network, or the path of a card.
    library : str or None
        Folder of known phases: CIF files, or what `phasepilot library build` wrote.
    marker : {"Au", "MgO", "NaCl", "Pt", "W"} or None
        Pressure standard in the beam: its cell tells the pressure of each frame.
    axis_quantity : {"pressure_gpa", "other"}
        Whether the readings of `axis_field` are pressures in GPa, to which `report` may fit an
        equation of state when no marker is named.
    set_level : float
        How often the sets of crystal systems and space groups are to hold the truth.
    tracker : TrackerSettings
    steering : settings of a rule, or None
        For a sample under way `CompressionSettings`; for a 2-theta scan those of a rule in
        `phasepilot.models.steering.scan_policies`. None: the agent watches and suggests nothing
        but to continue.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    intensity_field: str
    two_theta_field: str | None = None
    q_field: str | None = None
    wavelength_angstrom: float | None = Field(None, gt=0)
    wavelength_field: str | None = None
    energy_field: str | None = None
    energy_unit: Literal["keV", "eV"] = "keV"
    image: ImageSettings | None = None
    axis_field: str | None = None
    exposure_field: str | None = None
    monitor_field: str | None = None
    frame: Literal["pattern", "points"] = "pattern"
    judge_every: int = Field(200, ge=1)
    merge_within: float = Field(1e-3, ge=0)
    stream: str = "primary"
    ignore: IgnoreSettings = IgnoreSettings()
    assets: AssetSettings = AssetSettings()
    model: str = DEFAULT_MODEL
    library: str | None = None
    marker: Literal["Au", "MgO", "NaCl", "Pt", "W"] | None = None
    axis_quantity: Literal["pressure_gpa", "other"] = "other"
    set_level: float = Field(0.9, ge=0.5, lt=1)
    tracker: TrackerSettings = TrackerSettings()
    steering: SteeringSettings | None = None

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            entries = refused_entries(error, whole="all together")
            raise ConfigurationError(
                f"the agent's configuration must be complete and consistent, but {entries}."
            ) from error

    @field_validator("steering", mode="before")
    @classmethod
    def _name_the_rule(cls, value: Any) -> Any:
        # Records of version 0.1 know one rule only and do not name it.
        is_nameless = isinstance(value, dict) and "policy" not in value
        return {"policy": "compression"} | value if is_nameless else value

    @model_validator(mode="after")
    def _check_axis(self) -> Self:
        axes = [self.two_theta_field, self.q_field, self.image]
        if sum(axis is not None for axis in axes) != 1:
            raise ValueError(
                "name exactly one of two_theta_field and q_field, or of an area detector image.poni"
            )
        if self.image is not None and self.frame == "points":
            raise ValueError("an image is a whole pattern; leave frame: points out")
        has_wavelength = self.wavelength_angstrom or self.wavelength_field or self.energy_field
        if self.two_theta_field and not has_wavelength:
            raise ValueError(
                "two_theta_field needs wavelength_angstrom, wavelength_field or energy_field;"
                " a wavelength is never assumed"
            )
        return self

    def fields(self) -> tuple[str, ...]:
        """Return the keys that are looked for with each frame."""
        named = (
            *(self.intensity_field, self.two_theta_field, self.q_field, self.wavelength_field),
            *(self.energy_field, self.axis_field, self.exposure_field, self.monitor_field),
        )
        return tuple(key for key in named if key)


def configuration_from_json(text: str) -> AgentConfiguration:
    """Return the configuration of a JSON text, as runs carry it.

    Raises
    ------
    ConfigurationError
        If the text is not one.
    """
    import json

    try:
        values = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"an agent's configuration must be JSON, but is {text[:60]!r} ({error}); give the"
            " file that `agent.configuration.model_dump_json()` wrote."
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"an agent's configuration must be a JSON object, but is {text[:60]!r}; give the"
            " file that `agent.configuration.model_dump_json()` wrote."
        )
    return AgentConfiguration(**values)
