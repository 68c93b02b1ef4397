"""Reads the sets of measured patterns that benchmarks run on, from a file or a folder.

A file is known by the arrays that it holds, not by its name:

============  =====================================================================================
RRUFF-908     `patterns` (n, m), `two_theta` (m,), `wavelength`, `space_group`; `group` (similar
              patterns share one) and `index908`
thin films    `offsets`, `two_theta`, `intensity`, `space_group`, `family`, `wavelength`
dimensions    `offsets`, `two_theta`, `intensity`, `dimensionality` (0D, 2D, 3D), `wavelength`
known phases  `offsets`, `two_theta`, `intensity`, `name`, `wavelength` (NaN where not stated), and
              beside it a .json of the same stem with one entry a pattern
============  =====================================================================================

Pattern k of the latter three is ``offsets[k]:offsets[k + 1]`` of the columns. Angles are in degree,
wavelengths in angstrom.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import IntArray
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern

Arrays = dict[str, NDArray[Any]]

_RRUFF = ("patterns", "two_theta", "wavelength", "space_group", "group", "index908")
_COLUMNS = ("offsets", "two_theta", "intensity", "wavelength")
_THIN_FILMS = (*_COLUMNS, "space_group", "family")
_DIMENSIONS = (*_COLUMNS, "dimensionality")
_KNOWN_PHASES = (*_COLUMNS, "name")


@dataclass(frozen=True, slots=True)
class LabelledPatterns:
    """Measured patterns whose space group is known.

    Attributes
    ----------
    patterns : tuple of Pattern
    space_group_number : ndarray of int, shape (n_patterns,)
    group : ndarray of int, shape (n_patterns,)
        Patterns of one sample, or so alike that they might be, share a number.
    name : tuple of str
    """

    patterns: tuple[Pattern, ...]
    space_group_number: IntArray
    group: IntArray
    name: tuple[str, ...]

    @property
    def space_group_index(self) -> IntArray:
        """Space group number less 1."""
        return self.space_group_number - 1


@dataclass(frozen=True, slots=True)
class FilmDimensionalities:
    """Measured films, and how many dimensions their framework has: 0D, 2D or 3D."""

    patterns: tuple[Pattern, ...]
    dimensionality: tuple[str, ...]
    name: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownPhase:
    """A phase that is said to be in a sample; empty or None is what nobody says.

    Attributes
    ----------
    formula : str
        As the source writes it, such as ``O2 Ti`` or ``TiO2``.
    name : str
        Of the mineral or the phase.
    space_group_number : int or None
    weight_fraction : float or None
    """

    formula: str
    name: str
    space_group_number: int | None
    weight_fraction: float | None


@dataclass(frozen=True, slots=True)
class KnownSample:
    """A measured pattern and what is in the sample."""

    name: str
    kind: str
    pattern: Pattern
    phases: tuple[KnownPhase, ...]


@dataclass(frozen=True, slots=True)
class KnownSamples:
    """Measured patterns of samples with known phases.

    Attributes
    ----------
    samples : tuple of KnownSample
    left_out : tuple of str
        Patterns that cannot be used, each with the reason.
    """

    samples: tuple[KnownSample, ...]
    left_out: tuple[str, ...]


def read_rruff(path: Path) -> LabelledPatterns:
    """Return the RRUFF patterns of a file, or of the one file of that kind in a folder.

    Raises
    ------
    PatternError
        If there is no such file, or more than one, or a pattern cannot be used.
    """
    _, arrays = _arrays_at(path, _RRUFF)
    wavelengths = np.broadcast_to(arrays["wavelength"], len(arrays["patterns"]))
    patterns = tuple(
        Pattern.from_two_theta(arrays["two_theta"], row, wavelength_angstrom=float(wavelength))
        for row, wavelength in zip(arrays["patterns"], wavelengths, strict=True)
    )
    names = tuple(f"rruff908-{number:03d}" for number in arrays["index908"])
    numbers, groups = (arrays[key].astype(np.int64) for key in ("space_group", "group"))
    return LabelledPatterns(patterns, numbers, groups, names)


def read_thin_films(path: Path) -> LabelledPatterns:
    """Return the thin films of a file, or of the one file of that kind in a folder.

    Films of one family, that is of one composition and preparation, are a group.

    Raises
    ------
    PatternError
        As `read_rruff`.
    """
    _, arrays = _arrays_at(path, _THIN_FILMS)
    n_patterns = arrays["offsets"].size - 1
    wavelengths = np.broadcast_to(arrays["wavelength"], n_patterns)
    patterns = tuple(_pattern(arrays, k, wavelengths[k]) for k in range(n_patterns))
    _, groups = np.unique(arrays["family"], return_inverse=True)
    names = arrays.get("source_file", arrays["family"])
    return LabelledPatterns(
        patterns,
        arrays["space_group"].astype(np.int64),
        groups.astype(np.int64),
        tuple(str(name) for name in names),
    )


def read_film_dimensionalities(path: Path) -> FilmDimensionalities:
    """Return the films with dimensionalities of a file, or of the one such file in a folder.

    Raises
    ------
    PatternError
        As `read_rruff`.
    """
    _, arrays = _arrays_at(path, _DIMENSIONS)
    n_patterns = arrays["offsets"].size - 1
    wavelengths = np.broadcast_to(arrays["wavelength"], n_patterns)
    patterns = tuple(_pattern(arrays, k, wavelengths[k]) for k in range(n_patterns))
    numbers = arrays.get("exp_d_column", np.arange(n_patterns))
    return FilmDimensionalities(
        patterns,
        tuple(str(one) for one in arrays["dimensionality"]),
        tuple(f"film {number}" for number in numbers),
    )


def read_known_samples(path: Path) -> KnownSamples:
    """Return the patterns with known phases of a file, or of the one such file in a folder.

    Patterns without a stated wavelength are left out: it is never guessed.

    Raises
    ------
    PatternError
        As `read_rruff`, and if the .json beside the file does not fit it.
    """
    file, arrays = _arrays_at(path, _KNOWN_PHASES)
    entries = _entries(file, n_patterns=arrays["offsets"].size - 1)
    samples, left_out = [], []
    for k, entry in enumerate(entries):
        name = str(arrays["name"][k])
        try:
            pattern = _pattern(arrays, k, arrays["wavelength"][k])
        except PatternError as error:
            left_out.append(f"{name}: {error}")
            continue
        phases = tuple(_known_phase(phase) for phase in entry["phases"])
        samples.append(KnownSample(name, str(entry["kind"]), pattern, phases))
    return KnownSamples(tuple(samples), tuple(left_out))


def _pattern(arrays: Arrays, k: int, wavelength_angstrom: float) -> Pattern:
    rows = slice(int(arrays["offsets"][k]), int(arrays["offsets"][k + 1]))
    return Pattern.from_two_theta(
        arrays["two_theta"][rows],
        arrays["intensity"][rows],
        wavelength_angstrom=float(wavelength_angstrom),
    )


def _known_phase(entry: dict[str, Any]) -> KnownPhase:
    fraction = entry.get("nominal_weight_fraction")
    if fraction is None and entry.get("weight_percent") is not None:
        fraction = entry["weight_percent"] / 100
    number = entry.get("space_group")
    return KnownPhase(
        formula=entry.get("formula") or "",
        name=entry.get("mineral") or entry.get("name") or "",
        space_group_number=None if number is None else int(number),
        weight_fraction=None if fraction is None else float(fraction),
    )


def _entries(file: Path, *, n_patterns: int) -> list[dict[str, Any]]:
    beside = file.with_suffix(".json")
    try:
        entries: list[dict[str, Any]] = json.loads(beside.read_text())
    except (OSError, ValueError) as error:
        raise PatternError(
            f"{file.name} must have a list of its samples beside it in {beside.name}, but that"
            f" could not be read ({error}); copy both files."
        ) from error
    if len(entries) != n_patterns:
        raise PatternError(
            f"{beside.name} must have one entry for each of the {n_patterns} patterns of"
            f" {file.name}, but has {len(entries)}; take both from the same release."
        )
    return entries


def _arrays_at(path: Path, names: tuple[str, ...]) -> tuple[Path, Arrays]:
    """Return the file that holds these arrays, and all its arrays."""
    if not path.exists():
        raise PatternError(
            f"measured patterns must come from a file or a folder, but {path} does not exist;"
            " check the path given with --data."
        )
    files = sorted(path.rglob("*.npz")) if path.is_dir() else [path]
    fitting = [file for file in files if set(names) <= set(_array_names(file))]
    if len(fitting) != 1:
        found = ", ".join(map(str, fitting)) or "none"
        raise PatternError(
            f"{path} must be or hold one .npz file with the arrays {', '.join(names)}, but"
            f" has {found}; give the path of the file with --data."
        )
    with np.load(fitting[0]) as content:
        return fitting[0], {name: content[name] for name in content.files}


def _array_names(file: Path) -> list[str]:
    try:
        with np.load(file) as content:
            return list(content.files)
    except (OSError, ValueError, BadZipFile, AttributeError):
        # Not an archive of arrays: the caller says what is missing.
        return []
