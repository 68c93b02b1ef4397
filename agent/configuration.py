"""What the agent must be told about a beamline: where to look, and what to work towards."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phasepilot.agent.errors import ConfigurationError
from phasepilot.models.networks.registry import DEFAULT_MODEL
from phasepilot.models.steering.compression_rule import CompressionSettings
from phasepilot.models.tracking.phase_state import TrackerSettings


class AgentConfiguration(BaseModel):
    """Where patterns are in the documents, and how to judge them.

    Fields name keys of events or of descriptor configuration, whichever has them.

    Attributes
    ----------
    intensity_field : str
        Key of the 1D pattern in events, in counts.
    two_theta_field, q_field : str
        Key of the axis, in degree or 1/angstrom; exactly one of the two.
    wavelength_angstrom : float
        Wavelength of the beam; or
    wavelength_field : str
        the key that holds it. Neither is needed with `q_field`.
    axis_field : str
        Key of what is scanned, such as the pressure; without it frames are only numbered.
    stream : str
        Name of the stream that holds the frames.
    model : str
        Name of the network, or the path of a card.
    library : str or None
        Folder of known phases: CIF files, or what `phasepilot library build` wrote.
    set_level : float
        How often the sets of crystal systems and space groups are to hold the truth.
    tracker : TrackerSettings
    steering : CompressionSettings or None
        None: the agent watches and suggests nothing but to continue.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intensity_field: str
    two_theta_field: str | None = None
    q_field: str | None = None
    wavelength_angstrom: float | None = Field(None, gt=0)
    wavelength_field: str | None = None
    axis_field: str | None = None
    stream: str = "primary"
    model: str = DEFAULT_MODEL
    library: str | None = None
    set_level: float = Field(0.9, ge=0.5, lt=1)
    tracker: TrackerSettings = TrackerSettings()
    steering: CompressionSettings | None = None

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            entries = "; ".join(
                f"{'.'.join(map(str, entry['loc'])) or 'all together'}: {entry['msg']}"
                for entry in error.errors()
            )
            raise ConfigurationError(
                f"the agent's configuration must be complete and consistent, but {entries}."
            ) from error

    @model_validator(mode="after")
    def _check_axis(self) -> Self:
        if (self.two_theta_field is None) == (self.q_field is None):
            raise ValueError("name exactly one of two_theta_field and q_field")
        has_wavelength = self.wavelength_angstrom or self.wavelength_field
        if self.two_theta_field and not has_wavelength:
            raise ValueError(
                "two_theta_field needs wavelength_angstrom or wavelength_field;"
                " a wavelength is never assumed"
            )
        return self


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
