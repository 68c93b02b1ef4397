"""A configuration as a file: YAML (or the JSON that runs carry), one for a beamline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import ConfigurationError

# Keys of files, which may be given relative to the configuration itself.
_PATHS = {"image": ("poni", "mask", "dark", "flat"), "": ("library",)}


def read_configuration(path: Path) -> AgentConfiguration:
    """Return the configuration of a YAML or JSON file.

    Files that it names are looked for beside it, unless their paths are whole.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, or does not hold a configuration.
    """
    import yaml

    path = Path(path).expanduser()
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the configuration must be a text file, but {path} cannot be read ({error}); write one"
            " with: phasepilot config init."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"{path} must be YAML, but is not: {' '.join(str(error).split())}; check colons and"
            " indents there."
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{path} must hold lines such as 'intensity_field: detector', but holds"
            f" {type(values).__name__}; write one with: phasepilot config init."
        )
    return AgentConfiguration(**_with_whole_paths(values, path.resolve().parent))


def _with_whole_paths(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    whole = dict(values)
    for section, keys in _PATHS.items():
        inside = whole.get(section) if section else whole
        if not isinstance(inside, dict):
            continue
        found = {
            key: str(folder / Path(inside[key]).expanduser())
            for key in keys
            if isinstance(inside.get(key), str)
        }
        if section:
            whole[section] = inside | found
        else:
            whole |= found
    return whole
