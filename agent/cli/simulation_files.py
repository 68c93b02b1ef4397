"""The files of a simulation: what they are called, and what stands in them."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from phasepilot.agent.errors import ConfigurationError
from phasepilot.agent.report.simulation_record import (
    IndexedLines,
    PowderRecord,
    RingRecord,
    SpotRecord,
    Subject,
)
from phasepilot.models.arrays import BoolArray
from phasepilot.models.pattern import q_from_two_theta

SimulationRecord = PowderRecord | SpotRecord | RingRecord

# What detectors of Dectris write where there is no pixel, and what pyFAI masks.
NOT_MEASURED = -1


def output_paths(prefix: Path, suffixes: tuple[str, ...], *, may_replace: bool) -> dict[str, Path]:
    """Return the path of each file, by its suffix; makes their folder.

    Raises
    ------
    ConfigurationError
        If there is such a file and it may not be replaced, or the folder cannot be made.
    """
    # `with_suffix` would cut the last decimal off Fe0.5.
    paths = {suffix: prefix.with_name(f"{prefix.name}{suffix}") for suffix in suffixes}
    taken = [str(path) for path in paths.values() if path.exists()]
    if taken and not may_replace:
        raise ConfigurationError(
            f"files are not replaced unasked, but {', '.join(taken)} exist{'s' * (len(taken) == 1)}"
            " already; choose another --out, or add --force."
        )
    try:
        prefix.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(prefix.parent, error) from error
    return paths


def write_files(record: SimulationRecord, paths: Mapping[str, Path]) -> None:
    """Write a simulation to the files of these suffixes.

    Raises
    ------
    ConfigurationError
        If one cannot be written.
    """
    for suffix, path in paths.items():
        try:
            _WRITERS[suffix](record, path)
        except OSError as error:
            raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"results must go where files can be written, but {path} cannot be"
        f" ({error.strerror or error}); choose another --out."
    )


def _write_xy(record: Any, path: Path) -> None:
    """Write angle and intensity of the first pattern, where it was measured."""
    two_theta_deg, intensity = record.two_theta_deg, record.intensity
    if isinstance(record, PowderRecord):
        is_point = record.is_measured[0]
        two_theta_deg, intensity = two_theta_deg[0, is_point], intensity[0, is_point]
    columns = np.column_stack([two_theta_deg, intensity])
    np.savetxt(path, columns, fmt=("%.5f", "%.7g"), header=_heading(record.subject))


def _heading(subject: Subject) -> str:
    lines = [
        f"{subject.phase}, simulated by phasepilot {version('phasepilot')}",
        f"recipe {subject.recipe_name}, seed {subject.seed}",
        # Readers of such files, ours among them, look for one number with its unit.
        f"wavelength {subject.wavelength_angstrom:.7g} angstrom",
    ]
    if len(subject.wavelengths_angstrom) > 1:
        lines.append(f"beam {subject.beam}".replace("Å", "angstrom"))
    return "\n".join([*lines, "two_theta_deg intensity"])


def _write_npz(record: SimulationRecord, path: Path) -> None:
    if isinstance(record, PowderRecord):
        own = _powder_arrays(record)
    elif isinstance(record, SpotRecord):
        own = {
            "image": record.image,
            "zone_axis": np.array(record.zone_axis),
            "row_px": record.row_px,
            "column_px": record.column_px,
        }
    else:
        own = {
            "image": record.image,
            "is_measured": record.is_measured,
            "two_theta_deg": record.two_theta_deg,
            "q_per_angstrom": q_from_two_theta(
                record.two_theta_deg, record.subject.wavelength_angstrom
            ),
            "intensity": record.intensity,
            "geometry": np.array(str(record.geometry)),
        }
    np.savez(path, **own, **_line_arrays(record.lines), **_subject_arrays(record.subject))


def _powder_arrays(record: PowderRecord) -> dict[str, Any]:
    wavelengths = record.drawn["wavelengths_angstrom"][:, 0].tolist()
    rows = zip(record.two_theta_deg, wavelengths, strict=True)
    return {
        "two_theta_deg": record.two_theta_deg,
        "q_per_angstrom": np.stack([q_from_two_theta(angle, beam) for angle, beam in rows]),
        "intensity": record.intensity,
        "is_measured": record.is_measured,
        "is_covered": record.is_covered,
        **{f"drawn_{name}": values for name, values in record.drawn.items()},
    }


def _line_arrays(lines: IndexedLines) -> dict[str, Any]:
    return {
        "line_hkl": lines.hkl,
        "line_d_spacing_angstrom": lines.d_spacing_angstrom,
        "line_two_theta_deg": lines.two_theta_deg,
        "line_relative_intensity": lines.relative_intensity,
    }


def _subject_arrays(subject: Subject) -> dict[str, Any]:
    """Return what was simulated as arrays that need no pickle."""
    crystal = subject.crystal
    return {
        "name": np.array(crystal.name),
        "space_group_number": np.array(crystal.space_group_number),
        "hall_number": np.array(crystal.hall_number),
        "cell": np.array(crystal.cell),
        "wavelengths_angstrom": np.array(subject.wavelengths_angstrom),
        "emission_weights": np.array(subject.emission_weights),
        "recipe": np.array(subject.recipe_text),
        "seed": np.array(subject.seed),
        "version": np.array(version("phasepilot")),
    }


def _write_tif(record: Any, path: Path) -> None:
    from PIL import Image

    is_measured: BoolArray | np.bool_ = getattr(record, "is_measured", np.True_)
    image = np.where(is_measured, record.image, NOT_MEASURED).astype(record.image.dtype)
    Image.fromarray(image).save(path)


def _write_png(record: SimulationRecord, path: Path) -> None:
    from phasepilot.agent.report.simulation_figure import draw_simulation

    draw_simulation(record).savefig(path)


_WRITERS = {".xy": _write_xy, ".npz": _write_npz, ".tif": _write_tif, ".png": _write_png}
