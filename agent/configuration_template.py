"""Writes a commented configuration for a run: what was found, and what is to be chosen."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from phasepilot.agent.known_lines import MATERIALS
from phasepilot.agent.run_description import Field, RunDescription

_NAMES = {
    "two_theta": r"two[_ -]?theta|2[_ -]?theta|\btth\b|_tth|tth_",
    "q": r"(?:^|[_-])q(?:$|[_-])",
    "wavelength": r"wave[_-]?length|lambda",
    "energy": r"energy|\bmono_e\b",
    "exposure": r"exposure|acquire[_-]?time|count[_-]?time|preset|livetime|dwell",
    "monitor": r"monitor|(?:^|[_-])(?:i[_-]?0|ic\d?)(?:$|[_-])|ion[_-]?chamber|beam[_-]?current",
}
_ABOUT_MOTION = r"velocity|accel|setpoint|offset|limit|unused|direction|tolerance"
_NEAREST = ("event", "baseline", "settings", "start")
# Readings above this are photon energies in eV.
_MOST_KEV = 1000.0


@dataclass(frozen=True, slots=True)
class _Choice:
    """The field that fits, and those that would fit as well."""

    chosen: Field | None
    others: tuple[str, ...]


def commented_configuration(run: RunDescription, *, stream: str = "") -> str:
    """Return the YAML text of a configuration that fits the run, to be completed by hand.

    Parameters
    ----------
    stream : str
        Where the frames are; empty takes `primary`, or the first that is not the baseline.
    """
    stream = stream or _main_stream(run)
    fields = run.fields(stream)
    own = run.streams.get(stream, {})
    detectors = [f for f in own.values() if f.place == "event" and (f.image_shape or f.n_points)]
    # An axis that is read with each event is no detector.
    columns = [f for f in detectors if not _matches(f, "two_theta") and not _matches(f, "q")]
    detector = _choice(sorted(columns or detectors, key=lambda f: f.image_shape is None))
    lines = [
        f"# Agent configuration, written for run {str(run.start.get('uid', ''))[:8]}"
        f" (plan {run.start.get('plan_name', 'unknown')!r}).",
        "# Lines that begin with '#' are choices or explanations. Check the result with:",
        "#     phasepilot config check FILE --documents RUN",
        "",
        "# The stream that holds the frames; all others are ignored.",
        f"stream: {_quoted(stream)}",
        "",
        "# The detector: its pattern or image in counts." + _others(detector),
        _line("intensity_field", detector.chosen, "no array was found in this stream"),
        *_axis_lines(fields, detector.chosen),
        *_beam_lines(fields, detector.chosen),
        *_other_lines(run, fields),
        *_asset_lines(detector.chosen),
    ]
    return "\n".join(lines) + "\n"


def _main_stream(run: RunDescription) -> str:
    others = [name for name in run.streams if name != "baseline" and not name.endswith("_monitor")]
    return "primary" if "primary" in others or not others else others[0]


def _axis_lines(fields: dict[str, Field], detector: Field | None) -> list[str]:
    if detector is not None and detector.image_shape is not None:
        rows, columns = detector.image_shape
        return [
            "",
            f"# Images of {rows} x {columns} pixels are integrated here.",
            "image:",
            "  # Geometry from pyfai-calib2 or Dioptas. To be filled in.",
            "  poni: geometry.poni",
            "  # Images as pyFAI and Dioptas save them: mask (not 0 is left out), dark, flat.",
            "  # mask: mask.edf",
            "  # dark: dark.tif",
            "  # flat: flat.tif",
            "  # orientation: flipped_up_down   # for a geometry from Dioptas and TIFF files",
            "  # 'remove' leaves spots of single crystals (anvils) out of the pattern.",
            "  spots: keep",
            "  # network: pilotlattice-v1       # names crystals along a zone axis by their spots",
            "  # views: one_crystal             # images of a run are of one crystal, turned",
            "  # polarization_factor: 0.99",
            "  # saturation_counts: 60000",
        ]
    n_points = 0 if detector is None else detector.n_points
    columns_of_length = [
        f
        for f in fields.values()
        if f.n_points and (not n_points or f.n_points == n_points) and f is not detector
    ]
    two_theta = _choice([f for f in columns_of_length if _matches(f, "two_theta")])
    q = _choice([f for f in columns_of_length if _matches(f, "q")])
    if two_theta.chosen is None and q.chosen is not None:
        return ["", "# The axis of the pattern, in 1/angstrom.", _line("q_field", q.chosen, "")]
    return [
        "",
        "# The axis of the pattern: 2-theta in degree, or q_field in 1/angstrom."
        + _others(two_theta),
        _line("two_theta_field", two_theta.chosen, "none of the columns is named like 2-theta"),
    ]


def _beam_lines(fields: dict[str, Field], detector: Field | None) -> list[str]:
    numbers = [f for f in fields.values() if f.is_number]
    wavelength = _choice([f for f in numbers if _matches(f, "wavelength")])
    energy = _choice([f for f in numbers if _matches(f, "energy")])
    lines = ["", "# The beam: its wavelength in angstrom, or the photon energy."]
    if wavelength.chosen is not None:
        lines += [_line("wavelength_field", wavelength.chosen, "")]
    elif energy.chosen is not None:
        value = energy.chosen.value
        unit = "eV" if isinstance(value, int | float) and value > _MOST_KEV else "keV"
        lines += [_line("energy_field", energy.chosen, ""), f"energy_unit: {unit}"]
    elif detector is not None and detector.image_shape is not None:
        lines += ["# None is named in the documents; the one in the .poni file is taken."]
    else:
        lines += ["# wavelength_angstrom: 0.4066   # to be filled in; it is never assumed"]
    return lines


def _other_lines(run: RunDescription, fields: dict[str, Field]) -> list[str]:
    numbers = [f for f in fields.values() if f.is_number]
    scanned = _choice([fields[name] for name in _scanned(run) if name in fields])
    exposure = _choice([f for f in numbers if _matches(f, "exposure")])
    monitor = _choice([f for f in numbers if _matches(f, "monitor")])
    return [
        "",
        "# What is scanned, such as the pressure; without it frames are only numbered."
        + _others(scanned),
        _line("axis_field", scanned.chosen, "the plan names nothing that it scans"),
        "# axis_quantity: pressure_gpa   # if that is a pressure in GPa",
        "",
        "# Counting time in seconds." + _others(exposure),
        _line("exposure_field", exposure.chosen, "nothing is named like one"),
        "",
        "# What counts the incoming beam, to compare patterns as if it were steady."
        + _others(monitor),
        _line("monitor_field", monitor.chosen, "nothing is named like one"),
        "",
        "# What is none of the sample's.",
        "ignore:",
        "  # Runs of these plans are not looked at.",
        "  plans: []",
        "  # Ranges that count as not measured.",
        "  q_ranges_per_angstrom: []   # [[1.95, 2.05]]",
        f"  # Lines of other materials in the beam: {', '.join(MATERIALS)}.",
        "  lines_of: []",
        "",
        "# Folder of known phases: CIF files, or what `phasepilot library build` wrote.",
        "# library: phases",
    ]


def _asset_lines(detector: Field | None) -> list[str]:
    if detector is None or not detector.is_external:
        return []
    return [
        "",
        "# The detector writes files. Folders as the documents name them, and where they are here.",
        "assets:",
        "  root_map: {}   # {/detector/disk: /mnt/data}",
        "  wait_s: 10.0",
    ]


def _scanned(run: RunDescription) -> list[str]:
    hints = run.start.get("hints") or {}
    named = [
        key
        for dimension in hints.get("dimensions", ())
        for key in (dimension[0] if dimension else ())
    ]
    return [key for key in (*named, *run.start.get("motors", ())) if key != "time"]


def _matches(field: Field, what: str) -> bool:
    return re.search(_NAMES[what], field.name, re.IGNORECASE) is not None


def _choice(fields: Iterable[Field]) -> _Choice:
    # What is read with each event tells more than a setting, and how a motor moves tells nothing.
    told = (field for field in fields if not re.search(_ABOUT_MOTION, field.name, re.IGNORECASE))
    found = sorted(told, key=lambda field: _NEAREST.index(field.place))
    names = tuple(dict.fromkeys(field.name for field in found[1:] if field.name != found[0].name))
    return _Choice(found[0] if found else None, names)


def _others(choice: _Choice) -> str:
    return f" Also possible: {', '.join(choice.others)}." if choice.others else ""


def _line(key: str, field: Field | None, missing: str) -> str:
    if field is None:
        return f"# {key}:   # {missing}"
    shape = " x ".join(str(size) for size in field.shape)
    found = {"event": "in events", "settings": "in the descriptor's configuration"}.get(
        field.place, f"in the {field.place}"
    )
    value = f", now {field.value:g}" if isinstance(field.value, int | float) else ""
    return f"{key}: {_quoted(field.name)}   # {found}{', ' + shape if shape else ''}{value}"


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][\w.-]*", name) else repr(name)
