"""Says in sentences what is missing or wrong in a configuration, alone and against a run."""

import difflib
from pathlib import Path

from phasepilot.agent.assets.array_place import Nowhere
from phasepilot.agent.assets.stream_assets import StreamAssets
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import AgentError
from phasepilot.agent.image_reduction import ImageReduction
from phasepilot.agent.run_description import Field, RunDescription
from phasepilot.models.errors import ModelsError
from phasepilot.models.networks.registry import card_path

_MOST_NAMED = 12
_MOST_KEV = 1000.0


def configuration_problems(
    configuration: AgentConfiguration, run: RunDescription | None = None
) -> list[str]:
    """Return a sentence for each thing that is missing or wrong; none if all is well."""
    shape = None
    found = [*_file_problems(configuration)]
    if run is not None:
        found += _run_problems(configuration, run)
        detector = run.streams.get(configuration.stream, {}).get(configuration.intensity_field)
        shape = None if detector is None else detector.image_shape
    return found + _image_problems(configuration, shape)


def _file_problems(configuration: AgentConfiguration) -> list[str]:
    found = []
    try:
        card = card_path(configuration.model)
        if not card.is_file():
            found.append(f"model must be a network or the card of one, but {card} does not exist.")
    except ModelsError as error:
        found.append(str(error))
    library = configuration.library
    if library is not None and not Path(library).expanduser().exists():
        found.append(
            f"library must be a folder of known phases, but {library} does not exist; correct the"
            " path or leave the line out."
        )
    return found


def _image_problems(configuration: AgentConfiguration, shape: tuple[int, int] | None) -> list[str]:
    """Return what keeps images from being integrated; of their shape, or what the .poni says."""
    if configuration.image is None:
        return []
    try:
        if shape is None:
            from phasepilot.models.diffraction.images.poni_file import read_geometry

            path = Path(configuration.image.poni).expanduser()
            shape = read_geometry(path, wavelength_angstrom=1.0).shape
        images = ImageReduction(configuration.image)
        # All orientations keep rows and columns.
        images.prepare(shape)
        named = (
            configuration.wavelength_angstrom,
            configuration.wavelength_field,
            configuration.energy_field,
        )
        if not any(named):
            images.poni_wavelength(shape)
    except (ModelsError, AgentError) as error:
        return [str(error)]
    return []


def _run_problems(configuration: AgentConfiguration, run: RunDescription) -> list[str]:
    stream = configuration.stream
    if stream not in run.streams:
        near = _hint(stream, run.streams)
        return [f"stream must be one of the run's, {sorted(run.streams)}, but is {stream!r}.{near}"]
    if str(run.start.get("plan_name", "")) in configuration.ignore.plans:
        return [
            f"the run is one of plan {run.start['plan_name']!r}, which ignore.plans leaves out;"
            " give another run, or take it from the list."
        ]
    fields = run.fields(stream)
    found = [*_missing(configuration, fields, stream)]
    detector = fields.get(configuration.intensity_field)
    if detector is not None:
        found += _detector_problems(configuration, detector, fields)
        found += _asset_problems(configuration, detector, run)
    return [*found, *_beam_problems(configuration, fields)]


def _missing(configuration: AgentConfiguration, fields: dict[str, Field], stream: str) -> list[str]:
    found = []
    for name, key in configuration.model_dump().items():
        if not name.endswith("_field") or key is None:
            continue
        field = fields.get(key)
        if field is None or (name == "intensity_field" and field.place != "event"):
            found.append(
                f"{name} must name a field of stream {stream!r}, but {key!r} is none of"
                f" {sorted(fields)[:_MOST_NAMED]}.{_hint(key, fields)}"
            )
        elif name in _NUMBERS and not field.is_number:
            found.append(
                f"{name} must hold one number, but {key!r} has the shape {field.shape}; name"
                " another field."
            )
    return found


_NUMBERS = frozenset({"wavelength_field", "energy_field", "axis_field", "monitor_field"})


def _detector_problems(
    configuration: AgentConfiguration, detector: Field, fields: dict[str, Field]
) -> list[str]:
    is_image = detector.image_shape is not None
    if is_image and configuration.image is None:
        rows, columns = detector.image_shape or (0, 0)
        return [
            f"{detector.name!r} gives images of {rows} x {columns} pixels, but the configuration"
            " has no section 'image' with the geometry; add image.poni, or name the pattern that"
            " the beamline integrates."
        ]
    if not is_image and configuration.image is not None:
        return [
            f"the section 'image' is for images, but {detector.name!r} has the shape"
            f" {detector.shape}; name the detector's image, or its axis with two_theta_field or"
            " q_field."
        ]
    axis = fields.get(configuration.two_theta_field or configuration.q_field or "")
    if axis is None or configuration.frame == "points":
        return []
    if not detector.n_points:
        return [
            f"an event must hold a whole pattern, but {detector.name!r} has the shape"
            f" {detector.shape}; for a scan of points add 'frame: points'."
        ]
    if axis.n_points != detector.n_points:
        return [
            f"the axis must have a value for each of the {detector.n_points} points of"
            f" {detector.name!r}, but {axis.name!r} has the shape {axis.shape}; name another axis."
        ]
    return []


def _beam_problems(configuration: AgentConfiguration, fields: dict[str, Field]) -> list[str]:
    energy = fields.get(configuration.energy_field or "")
    value = None if energy is None else energy.value
    if isinstance(value, int | float) and configuration.energy_unit == "keV" and value > _MOST_KEV:
        return [
            f"the photon energy must be in keV, but {energy.name if energy else ''!r} reads"
            f" {value:g}; is it in eV? Then add 'energy_unit: eV'."
        ]
    return []


def _asset_problems(
    configuration: AgentConfiguration, detector: Field, run: RunDescription
) -> list[str]:
    """Return what keeps the first file of the detector from being found."""
    assets = StreamAssets(configuration.assets.root_map)
    for kind, doc in run.resources:
        if kind != "stream_resource" or doc["data_key"] != detector.name:
            continue
        assets.add(doc)
        datum = {
            "stream_resource": doc["uid"],
            "indices": {"start": 0, "stop": 1},
            "seq_nums": {"start": 1, "stop": 2},
        }
        ((_, place),) = assets.places(datum, detector.shape)
        if isinstance(place, Nowhere):
            return [place.reason]
        path = place.paths[0] if hasattr(place, "paths") else place.path
        if not path.exists():
            return [
                f"the detector's file must be on this machine, but {path} does not exist; map its"
                " folder with assets.root_map."
            ]
    return []


def _hint(name: str, known: object) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)  # type: ignore[call-overload]
    return f" Did you mean {near[0]!r}?" if near else ""
