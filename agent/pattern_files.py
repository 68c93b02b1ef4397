"""Reads a powder pattern from a text file of columns: .xy, .xye, .dat, .chi, .csv, RRUFF .txt.

What a line holds decides, not the suffix of the file: lines of numbers are rows, everything before
the first row is the header, and the header is believed only where it says something outright.
"""

import logging
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from phasepilot.agent.errors import PatternFileError
from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.pattern import Pattern

logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 64 * 1024 * 1024
# No powder beamline reaches further; 2-theta in degrees that is taken for q usually does.
MAX_Q_PER_ANGSTROM = 60.0
MAX_COLUMNS = 3

_COMMENT_STARTS = ("#", "!", ";", "%", "'", '"', "/*", "//", "*")
_TRAILING_COMMENT = re.compile(r"\s+[#!%].*$")
_NUMERIC_LINE = re.compile(r"(?=[-+.]*(?:\d|nan|inf))(?:[-+\d.,;\sed]++|nan|inf)++", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[ed][-+]?\d+)?|nan|inf)", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+")
_BLANKS_BETWEEN_VALUES = re.compile(r"[^\s,]\s+[^\s,]")

# What headers call the axis, as it reads after `_plain`; None is an axis that we cannot use.
_AXIS_NAMES: tuple[tuple[str, str, float | None], ...] = (
    (r"2[\s_-]*th(?:eta)?[\s_(\[,-]*rad", "two_theta", float(np.degrees(1.0))),
    (r"2[\s_-]*(?:theta|th(?![a-z])|θ)|two[\s_-]?theta|\btth(?![a-z])", "two_theta", 1.0),
    (r"\bq[\s_(\[/]*(?:1/)?nm|\bq\w*[\s(\[]*1/nm", "q", 0.1),
    (r"\bq[\s_(\[/]*(?:1/)?(?:a(?![a-z])|å|ang)|\bq\w*[\s(\[]*1/(?:a|å)", "q", 1.0),
    (r"^\W*q(?![a-z])\s*(?:[,;\t]|\s\s|\s+i|$)", "q", 1.0),
    (r"^\W*d(?:[\s_-]?spacing|\s*[(\[]\s*(?:a|å))", "d spacing", None),
    (r"^\W*(?:time[\s-]of[\s-]flight|tof\b)", "time of flight", None),
    (r"^\W*r_mm\b", "radius", None),
)
_AXIS_HINTS = {
    "two_theta": "read it with axis='two_theta' and the wavelength of the beam",
    "q": "read it with axis='q'",
}

_WAVELENGTH = re.compile(
    r"(?:wave[\s_-]?length|\blambda|λ)(?:[12](?![.\d]))?(?P<before>[^\d\n]{0,30}?)"
    r"(?P<value>\d*\.?\d+(?:e[-+]?\d+)?)(?:\s*(?P<unit>[a-zå]+))?",
)
_ANGSTROM_PER_UNIT = {
    "m": 1e10,
    "nm": 10.0,
    "pm": 0.01,
    "å": 1.0,
    "a": 1.0,
    "ang": 1.0,
    "angstrom": 1.0,
    "angstroms": 1.0,
    "ångström": 1.0,
}
# RRUFF writes `##WAVELENGTH=` in angstrom and without a unit; the range is that of lab tubes.
_RRUFF_RANGE_ANGSTROM = (0.5, 3.0)
_DIFFRACTION_RANGE_ANGSTROM = (0.01, 30.0)


@dataclass(frozen=True, slots=True)
class _TextTable:
    """Header lines, and the rows of numbers below them, still as text with their line numbers."""

    header: list[str]
    rows: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class _Wavelength:
    """What a header says about the wavelength: a value or NaN, and the sentence why."""

    angstrom: float
    finding: str


def read_pattern(
    path: Path, *, axis: Literal["two_theta", "q"], wavelength_angstrom: float | None
) -> Pattern:
    """Return the powder pattern in a text file of two or three columns: axis, counts, error.

    Rows are sorted by the axis; rows that repeat a value of it, as overlapping scans do, are
    averaged. Rows without a number on the axis are dropped, rows without one for the counts become
    unmeasured points, and an incomplete last row (a file still being written) is dropped. The third
    column is ignored: a `Pattern` carries counts.

    Parameters
    ----------
    path : Path
        Text of at most 64 MiB in UTF-8 or Latin-1.
    axis : {"two_theta", "q"}
        What the first column is: angles in degrees, or q in 1/angstrom. A header that states
        radians or q in 1/nm is obeyed; one that names another axis is an error.
    wavelength_angstrom : float or None
        Wavelength of the beam, which wins over the file. None takes the one that the header states,
        if it states a single one with its unit (or is RRUFF's ``##WAVELENGTH=``).

    Raises
    ------
    PatternFileError
        If the file cannot be read as such a pattern, or needs a wavelength and has none.
    """
    table = _split_lines(_read_text(path), path)
    scale = _axis_scale(table.header, axis, path)
    columns = _parse_columns(table.rows, path)
    values, counts = _sort_and_average(columns[:, 0] * scale, columns[:, 1])
    stated = _stated_wavelength(table.header)
    known = _choose_wavelength(wavelength_angstrom, stated, path)
    try:
        if axis == "two_theta":
            return Pattern.from_two_theta(
                values, counts, wavelength_angstrom=_required(known, stated, path)
            )
        _check_q(values, path)
        # As for angles: at q = 0 the beam stop hides everything.
        is_usable = values != 0
        return Pattern.from_q(values[is_usable], counts[is_usable], wavelength_angstrom=known)
    except PatternError as error:
        raise PatternFileError(f"{path}: {error}") from error


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise PatternFileError(
            f"{path} must be a text file with a powder pattern, but"
            f" {'is not a file' if path.exists() else 'does not exist'}; check the path."
        )
    try:
        n_bytes = path.stat().st_size
        raw = path.read_bytes() if n_bytes <= MAX_FILE_BYTES else b""
    except OSError as error:
        raise PatternFileError(
            f"{path} must be readable, but the system says {error.strerror!r}; check permissions."
        ) from error
    if n_bytes > MAX_FILE_BYTES:
        raise PatternFileError(
            f"{path} must hold one powder pattern, at most {MAX_FILE_BYTES // 2**20} MiB of text,"
            f" but has {n_bytes / 2**20:.0f} MiB; is it an image or a whole series?"
        )
    return _decode(raw, path)


def _decode(raw: bytes, path: Path) -> str:
    if not raw.strip():
        raise PatternFileError(
            f"{path} must hold a powder pattern, but is empty; was it copied completely?"
        )
    n_control = sum(raw.count(code) for code in range(32) if code not in b"\t\n\r\f\x1a")
    if n_control:
        raise PatternFileError(
            f"{path} must be text, but has {n_control} control characters among its {len(raw)}"
            " bytes, as binary files have; export it as two columns of text (.xy) first."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _split_lines(text: str, path: Path) -> _TextTable:
    header: list[str] = []
    rows: list[tuple[int, str]] = []
    last_text_after_rows = (0, "")
    for number, raw_line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        line = raw_line.strip().strip("\x1a\f")
        if line.startswith(_COMMENT_STARTS):
            header += [line] if not rows else []
            continue
        line = _TRAILING_COMMENT.sub("", line)
        if _NUMERIC_LINE.fullmatch(line):
            _require_no_text_between(last_text_after_rows, number, path)
            rows.append((number, line))
        elif line and rows:
            last_text_after_rows = (number, line)
        elif line:
            header.append(line)
    if not rows:
        raise PatternFileError(
            f"{path} must hold rows of numbers, but none of its lines is one; does it hold two"
            " columns of plain numbers, without quotes around them?"
        )
    return _TextTable(header, rows)


def _require_no_text_between(text: tuple[int, str], number: int, path: Path) -> None:
    line_number, line = text
    if not line_number:
        return
    raise PatternFileError(
        f"{path} must hold one block of rows, but line {line_number} reads {_shortened(line)} and"
        f" numbers go on at line {number}; split the file or mend that line."
    )


def _parse_columns(rows: list[tuple[int, str]], path: Path) -> FloatArray:
    """Return the numbers, shape (n_rows, 2 or 3), NaN where a row says so."""
    fields = _split_fields(rows, path)
    n_columns = Counter(map(len, fields)).most_common(1)[0][0]
    if not 2 <= n_columns <= MAX_COLUMNS:
        raise PatternFileError(
            f"{path} must have two or three columns (axis, counts, error), but has {n_columns}"
            f" (line {rows[len(rows) // 2][0]}: {_shortened(rows[len(rows) // 2][1])}); write only"
            " these columns."
        )
    # A count of points or a start-step-end line stands between many a header and its rows.
    first = next(i for i, values in enumerate(fields) if len(values) == n_columns)
    is_complete = [len(values) == n_columns and all(map(_is_number, values)) for values in fields]
    last = len(fields) if is_complete[-1] else len(fields) - 1
    for index in range(first, last):
        if not is_complete[index]:
            number, line = rows[index]
            raise PatternFileError(
                f"{path} must have {n_columns} numbers in every row, but line {number} reads"
                f" {_shortened(line)}; mend or remove that line."
            )
    text = [[re.sub("[dD]", "e", value) for value in values] for values in fields[first:last]]
    return np.array(text).astype(np.float64).reshape(-1, n_columns)


def _split_fields(rows: list[tuple[int, str]], path: Path) -> list[list[str]]:
    """Return the values of each row as text with a decimal point."""
    lines = [line for _, line in rows]
    separator = _separator(lines)
    fields = [[value.strip() for value in re.split(separator, line)] for line in lines]
    fields = [values[:-1] if values[-1] == "" else values for values in fields]
    with_comma = [value for values in fields for value in values if "," in value]
    if not with_comma:
        return fields
    _require_decimal_commas(fields, with_comma, path)
    return [[value.replace(",", ".") for value in values] for values in fields]


def _separator(lines: list[str]) -> str:
    """Return the expression that parts the values: the strongest sign that most lines show."""
    n_needed = len(lines) / 2
    if sum(";" in line for line in lines) > n_needed:
        return r"\s*;\s*"
    if sum("\t" in line for line in lines) > n_needed:
        return r"[,\s]*\t[,\s]*"
    # `10,5 200` has a comma and a blank between values, so that the comma parts nothing.
    if sum(bool(_BLANKS_BETWEEN_VALUES.search(line)) for line in lines) > n_needed:
        return r"\s*,\s+|\s+,?"
    return r"\s*,\s*|\s+"


def _require_decimal_commas(fields: list[list[str]], with_comma: list[str], path: Path) -> None:
    """Raise unless every comma left within a value can only be a decimal comma."""
    has_point = any("." in value for values in fields for value in values)
    has_two = any(value.count(",") > 1 for value in with_comma)
    # 1,234 may be a thousand; 2-theta and q never reach one, so a comma there is a decimal comma.
    may_be_thousands = all(map(_THOUSANDS.fullmatch, with_comma)) and not any(
        "," in values[0] for values in fields
    )
    if has_point or has_two or may_be_thousands:
        raise PatternFileError(
            f"{path} must use one decimal sign, but the comma in {_shortened(with_comma[0])} could"
            " also part thousands or columns; save it with decimal points and blanks between"
            " columns."
        )


def _is_number(value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None


def _sort_and_average(values: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    is_known = np.isfinite(values)
    axis, row_of = np.unique(values[is_known], return_inverse=True)
    counts = counts[is_known]
    is_counted = np.isfinite(counts)
    n_counted = np.bincount(row_of[is_counted], minlength=axis.size)
    total = np.bincount(row_of[is_counted], counts[is_counted], minlength=axis.size)
    return axis, np.divide(total, n_counted, out=np.full(axis.size, np.nan), where=n_counted > 0)


def _axis_scale(header: list[str], axis: str, path: Path) -> float:
    """Return what turns the column into degrees or 1/angstrom, by what the header says of it.

    The last line that names an axis counts: it stands nearest to the columns. A title or a
    command further up may speak of something else.
    """
    for line in reversed(header):
        found = _axis_in(line)
        if found is None:
            continue
        kind, scale = found
        if kind == axis and scale is not None:
            return scale
        hint = _AXIS_HINTS.get(kind, "convert it to 2-theta or q first")
        raise PatternFileError(
            f"{path} was to be read with axis={axis!r}, but its header says {_shortened(line)},"
            f" which is {kind.replace('two_theta', '2-theta')}; {hint}."
        )
    return 1.0


def _axis_in(line: str) -> tuple[str, float | None] | None:
    """Return the kind and scale of the axis that is named first in the line."""
    plain = _plain(line).lstrip("".join(_COMMENT_STARTS))
    found = [
        (match.start(), rank, kind, scale)
        for rank, (name, kind, scale) in enumerate(_AXIS_NAMES)
        if (match := re.search(name, plain)) is not None
    ]
    return min(found)[2:] if found else None


def _check_q(values: FloatArray, path: Path) -> None:
    if values.size and values[-1] > MAX_Q_PER_ANGSTROM:
        raise PatternFileError(
            f"{path} was to be read with axis='q' in 1/angstrom, but its first column runs to"
            f" {values[-1]:g}; is it 2-theta in degrees, or q in 1/nm?"
        )


def _stated_wavelength(header: list[str]) -> _Wavelength:
    """Return the one wavelength that the header states with its unit, or why there is none."""
    stated: dict[float, str] = {}
    for line in header:
        for match in _WAVELENGTH.finditer(_plain(line)):
            per_unit = _angstrom_per_unit(line, match)
            angstrom = float(match["value"]) * per_unit
            low, high = _DIFFRACTION_RANGE_ANGSTROM
            reason = "without a unit" if np.isnan(per_unit) else "which no diffraction beam has"
            if re.search(r"\.\d", _plain(line)[match.end() :]):
                angstrom, reason = np.nan, "with more than one number"
            if not low <= angstrom <= high:
                return _Wavelength(np.nan, f"its header says {_shortened(line)} {reason}")
            stated[round(angstrom, 9)] = line
    if not stated:
        return _Wavelength(np.nan, "its header states none")
    if len(stated) > 1:
        several = " and ".join(f"{angstrom:g}" for angstrom in sorted(stated))
        return _Wavelength(np.nan, f"its header states {several} angstrom")
    ((angstrom, line),) = stated.items()
    return _Wavelength(angstrom, f"its header says {_shortened(line)}")


def _angstrom_per_unit(line: str, match: re.Match[str]) -> float:
    """Return the unit beside the number, behind it or before it; NaN where none is stated."""
    candidates = [match["unit"] or "", *re.findall(r"[a-zå]+", _plain(match["before"]))]
    for unit in candidates:
        if unit in _ANGSTROM_PER_UNIT:
            return _ANGSTROM_PER_UNIT[unit]
    low, high = _RRUFF_RANGE_ANGSTROM
    is_rruff = line.startswith("##") and "=" in line and not match["unit"]
    return 1.0 if is_rruff and low <= float(match["value"]) <= high else np.nan


def _choose_wavelength(given: float | None, stated: _Wavelength, path: Path) -> float | None:
    if given is None:
        return None if np.isnan(stated.angstrom) else stated.angstrom
    if abs(stated.angstrom - given) > 1e-3 * given:
        logger.warning("%s: using the given %g angstrom, though %s", path, given, stated.finding)
    return given


def _required(known: float | None, stated: _Wavelength, path: Path) -> float:
    if known is None:
        raise PatternFileError(
            f"{path} holds angles, which need a wavelength, but {stated.finding}; state the"
            " wavelength of the beam in angstrom."
        )
    return known


def _plain(line: str) -> str:
    """Return the line in lower case with one spelling of units: 1/nm, 1/a, å."""
    plain = unicodedata.normalize("NFKC", line).replace("\u2212", "-").casefold()
    plain = plain.replace("a\u030a", "å")
    return re.sub(r"\b(nm|a|å|angstroms?)\s*\^?\s*[({]?-1[)}]?", r"1/\1", plain)


def _shortened(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")
