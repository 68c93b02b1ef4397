from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from phasepilot.agent.errors import PatternFileError
from phasepilot.agent.pattern_files import MAX_FILE_BYTES, read_pattern
from phasepilot.models.arrays import FloatArray
from phasepilot.models.pattern import Pattern, q_from_two_theta

TWO_THETA_DEG = np.round(np.arange(10.0, 14.0, 0.1), 6)
COUNTS = np.round(50 + 900 * np.exp(-(((TWO_THETA_DEG - 12.0) / 0.2) ** 2)), 3)
WAVELENGTH_ANGSTROM = 0.4066


def make_rows(row: str = "{x:.4f} {y:.3f}") -> str:
    pairs = zip(TWO_THETA_DEG, COUNTS, strict=True)
    return "\n".join(row.format(x=x, y=y, e=np.sqrt(y)) for x, y in pairs) + "\n"


def read_angles(path: Path, text: str | bytes, wavelength: float | None = 0.4066) -> Pattern:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_pattern(path, axis="two_theta", wavelength_angstrom=wavelength)


def assert_holds_the_pattern(pattern: Pattern, *, wavelength: float = WAVELENGTH_ANGSTROM) -> None:
    np.testing.assert_allclose(
        pattern.q_per_angstrom, q_from_two_theta(TWO_THETA_DEG, wavelength), rtol=1e-6
    )
    np.testing.assert_allclose(pattern.intensity, COUNTS, atol=2e-3)
    assert pattern.wavelength_angstrom == pytest.approx(wavelength)


PYFAI_HEADER = """\
# == pyFAI calibration ==
# Distance Sample to Detector: 0.203 m
# Pixel Size: 1.720e-04, 1.720e-04 m
# Wavelength: 4.066e-11 m
# Mask applied: provided
# Polarization factor: 0.99
# --> /data/visitor/kcl/kcl_0007.dat
#       2th_deg             I         sigma
"""
CHI_HEADER = "kcl_0007.tif: integrated\n2-Theta Angle (Degrees)\nIntensity\n    40\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(make_rows(), id="blanks"),
        pytest.param(make_rows("  {x:.4f}\t{y:.3f}  "), id="tabs"),
        pytest.param(make_rows("{x:.4f},{y:.3f}"), id="commas"),
        pytest.param(make_rows("{x:.4f}, {y:.3f}"), id="comma and blank"),
        pytest.param(make_rows("{x:.4f};{y:.3f};"), id="semicolons"),
        pytest.param(make_rows("{x:.6e} {y:.6e} {e:.3e}"), id="exponents and errors"),
        pytest.param(make_rows().replace("\n", "\r\n"), id="Windows"),
        pytest.param(make_rows().replace("\n", "\r"), id="old Mac"),
        pytest.param("\ufeff" + make_rows(), id="byte order mark"),
        pytest.param("two_theta,intensity\n" + make_rows("{x:.4f},{y:.3f}"), id="column names"),
        pytest.param('"2theta","counts"\n' + make_rows("{x:.4f},{y:.3f}"), id="quoted names"),
        pytest.param(CHI_HEADER + make_rows(" {x:.7E}  {y:.7E}"), id="chi of Fit2D"),
        pytest.param(PYFAI_HEADER + make_rows("{x:14.6e} {y:14.6e} {e:14.6e}"), id="pyFAI"),
        pytest.param("' TOPAS\n! FullProf\n; note\n% matlab\n" + make_rows(), id="comments"),
        pytest.param("XYDATA\nINTER 1.0 1.0 0\nTEMP 300\n" + make_rows(), id="FullProf XYDATA"),
        pytest.param("10.0 0.1 13.9\n" + make_rows(), id="start step end"),
        pytest.param(make_rows("{x:.4f} {y:.3f}  # fine"), id="comments behind rows"),
        pytest.param(make_rows() + "##END=\n\n\x1a", id="trailer"),
    ],
)
def test_reads_what_programs_write(tmp_path: Path, text: str) -> None:
    assert_holds_the_pattern(read_angles(tmp_path / "kcl.xy", text))


@pytest.mark.parametrize("row", ["{x:.4f} {y:.3f}", "{x:.4f};{y:.3f}", "{x:.4f}\t{y:.3f}"])
def test_reads_decimal_commas_that_can_be_nothing_else(tmp_path: Path, row: str) -> None:
    text = make_rows(row).replace(".", ",")
    assert_holds_the_pattern(read_angles(tmp_path / "kcl.xy", text))


@pytest.mark.parametrize("row", ["{x:.0f} 1,234", "{x:.2f} 1,234", "{x:.2f};1,5"])
def test_refuses_commas_that_may_part_thousands(tmp_path: Path, row: str) -> None:
    with pytest.raises(PatternFileError, match=r"one decimal sign, but the comma in '1,"):
        read_angles(tmp_path / "kcl.xy", make_rows(row))


def test_reads_latin_1_text(tmp_path: Path) -> None:
    text = "# Probe: KCl, gemessen bei 25 °C in Köln\n" + make_rows()
    assert_holds_the_pattern(read_angles(tmp_path / "kcl.xy", text.encode("latin-1")))


def test_sorts_a_descending_axis(tmp_path: Path) -> None:
    descending = "\n".join(reversed(make_rows().splitlines()))
    assert_holds_the_pattern(read_angles(tmp_path / "kcl.xy", descending))


def test_averages_rows_that_repeat_an_angle(tmp_path: Path) -> None:
    brighter = make_rows().replace(f"12.0000 {COUNTS[20]:.3f}", "12.0000 952.000\n12.0000 948.000")
    assert_holds_the_pattern(read_angles(tmp_path / "kcl.xy", brighter))


def test_a_row_without_counts_is_not_measured_and_one_without_angle_is_dropped(
    tmp_path: Path,
) -> None:
    text = make_rows().replace("950.000", "nan") + "NaN 7\n"
    pattern = read_angles(tmp_path / "kcl.xy", text)
    assert np.flatnonzero(~pattern.is_measured).tolist() == [20]
    assert pattern.q_per_angstrom.size == TWO_THETA_DEG.size


@pytest.mark.parametrize("rest", ["14.0", "14.0 ", "14.0 12.", "14.", "14.0 1e"])
def test_drops_a_last_row_that_is_not_whole(tmp_path: Path, rest: str) -> None:
    pattern = read_angles(tmp_path / "kcl.xy", make_rows("{x:.4f} {y:.3f} {e:.3f}") + rest)
    assert_holds_the_pattern(pattern)


@pytest.mark.parametrize(
    ("header", "wavelength"),
    [
        (PYFAI_HEADER, 0.4066),
        ("##NAMES=Sylvite\n##RRUFFID=R050116.1\n##WAVELENGTH=1.541838\n", 1.541838),
        ("# wavelength: 0.15406 nm\n", 1.5406),
        ("# Wavelength (A) = 0.3344\n", 0.3344),
        ("# wavelength_angstrom = 0.3344\n", 0.3344),
        ("! lambda = 0.20215 Å\n", 0.20215),
        ("# Wavelength: 40.66 pm\n# wavelength 0.4066 angstrom\n", 0.4066),
    ],
)
def test_takes_the_wavelength_that_the_header_states(
    tmp_path: Path, header: str, wavelength: float
) -> None:
    pattern = read_angles(tmp_path / "kcl.xy", header + make_rows(), wavelength=None)
    assert_holds_the_pattern(pattern, wavelength=wavelength)


@pytest.mark.parametrize(
    ("header", "finding"),
    [
        ("", "its header states none"),
        ("# wavelength: 1.54\n", "says '# wavelength: 1.54' without a unit"),
        ("# lambda1: 1.540598\n", "without a unit"),
        ("##WAVELENGTH=0.1541\n", "without a unit"),
        ("# wavelength 0.4 A\n# wavelength 0.5 A\n", "states 0.4 and 0.5 angstrom"),
        ("# wavelengths (A): 1.5406, 1.5444\n", "with more than one number"),
        ("# wavelength: 0.4 m\n", "which no diffraction beam has"),
    ],
)
def test_never_guesses_a_wavelength(tmp_path: Path, header: str, finding: str) -> None:
    with pytest.raises(PatternFileError, match=f"need a wavelength, but .*{finding}.*; state the"):
        read_angles(tmp_path / "kcl.xy", header + make_rows(), wavelength=None)


def test_the_callers_wavelength_wins_and_the_difference_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "# Wavelength: 0.5 A\n" + make_rows()
    assert_holds_the_pattern(read_angles(tmp_path / "kcl.xy", text))
    assert "using the given 0.4066 angstrom" in caplog.text


def test_reads_q_without_a_wavelength(tmp_path: Path) -> None:
    path = tmp_path / "kcl.chi"
    path.write_text("kcl\nQ (A^-1)\nIntensity\n  40\n" + make_rows())
    pattern = read_pattern(path, axis="q", wavelength_angstrom=None)
    np.testing.assert_allclose(pattern.q_per_angstrom, TWO_THETA_DEG)
    assert pattern.wavelength_angstrom is None


@pytest.mark.parametrize("name", ["q_nm^-1", "Q / nm⁻¹", "q (1/nm)", "q [nm-1]"])
def test_turns_stated_inverse_nanometres_into_inverse_angstrom(tmp_path: Path, name: str) -> None:
    path = tmp_path / "kcl.dat"
    path.write_text(f"# {name}   I\n" + make_rows())
    pattern = read_pattern(path, axis="q", wavelength_angstrom=None)
    np.testing.assert_allclose(pattern.q_per_angstrom, TWO_THETA_DEG / 10)


def test_turns_stated_radians_into_degrees(tmp_path: Path) -> None:
    rows = "\n".join(
        f"{np.radians(x):.10f} {y}" for x, y in zip(TWO_THETA_DEG, COUNTS, strict=True)
    )
    assert_holds_the_pattern(read_angles(tmp_path / "kcl.dat", "# 2th_rad  I\n" + rows))


@pytest.mark.parametrize("name", ["q (A^-1)", "q_A^-1", "Q [1/Å]", "q_nm^-1", "q,intensity"])
def test_a_header_with_q_contradicts_angles(tmp_path: Path, name: str) -> None:
    with pytest.raises(PatternFileError, match=r"axis='two_theta', but .*; read it with axis='q'"):
        read_angles(tmp_path / "kcl.chi", f"kcl\n{name}\nIntensity\n   40\n" + make_rows())


@pytest.mark.parametrize("name", ["2-Theta Angle (Degrees)", "2th_deg I", "two_theta,I", "2θ (°)"])
def test_a_header_with_angles_contradicts_q(tmp_path: Path, name: str) -> None:
    path = tmp_path / "kcl.chi"
    path.write_text(f"kcl\n{name}\n" + make_rows(), encoding="utf-8")
    with pytest.raises(PatternFileError, match=r"axis='q', but .*; read it with axis='two_theta'"):
        read_pattern(path, axis="q", wavelength_angstrom=None)


def test_a_header_with_another_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PatternFileError, match=r"which is d spacing; convert it"):
        read_angles(tmp_path / "kcl.csv", "d-spacing (A), I\n" + make_rows("{x},{y}"))


def test_metadata_that_speaks_of_another_axis_does_not_count(tmp_path: Path) -> None:
    header = "# Goniometer radius: 240 mm\n# monochromator d-spacing 3.1356\n# q range 1/nm\n"
    text = header + "# 2theta  counts\n" + make_rows()
    assert_holds_the_pattern(read_angles(tmp_path / "kcl.xy", text))


def test_angles_that_are_taken_for_q_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "kcl.xy"
    path.write_text("\n".join(f"{x:.1f} 10" for x in np.arange(10, 90, 0.5)))
    with pytest.raises(PatternFileError, match=r"runs to 89.5; is it 2-theta in degrees"):
        read_pattern(path, axis="q", wavelength_angstrom=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"is empty; was it copied completely\?"),
        (b" \r\n\n", r"is empty"),
        (bytes(range(256)) * 8, r"must be text, but has 216 control characters"),
        (b"# only\nwords here\n", r"none of its lines is one"),
        (b"10\n20\n30\n", r"two or three columns .* has 1 \(line 2: '20'\)"),
        (b"600 600 600 600\n" * 20, r"two or three columns .* has 4"),
        (make_rows() + "oops\n15 3\n16 4\n", r"line 41 reads 'oops' and numbers go on at line 42"),
        (make_rows() + "15\n16 4\n", r"2 numbers in every row, but line 41 reads '15'"),
        (make_rows() + "1-5 3\n16 4\n", r"2 numbers in every row, but line 41 reads '1-5 3'"),
        (b"10 1\n11 2\n", r"at least 16 points, but has 2"),
        (make_rows("{x} 0"), r"largest value is 0"),
        (make_rows("-{x} 5"), r"must lie in \[0, 180\)"),
    ],
)
def test_says_in_one_sentence_what_is_wrong(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(PatternFileError, match=message) as caught:
        read_angles(tmp_path / "kcl.xy", text)
    assert "kcl.xy" in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(PatternFileError, match=r"none.xy .*does not exist; check the path"):
        read_pattern(tmp_path / "none.xy", axis="q", wavelength_angstrom=None)
    with pytest.raises(PatternFileError, match=r"is not a file"):
        read_pattern(tmp_path, axis="q", wavelength_angstrom=None)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.xy"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 2**20)
    with pytest.raises(PatternFileError, match=r"at most 64 MiB of text, but has 65 MiB"):
        read_pattern(path, axis="q", wavelength_angstrom=None)


separators = st.sampled_from([" ", "\t", ",", ", ", ";", "   "])
count_columns = arrays(np.float64, st.integers(16, 60), elements=st.floats(1, 1e6))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=count_columns, start=st.floats(0.1, 9), step=st.floats(1e-3, 0.5), part=separators)
def test_what_is_written_is_read_back(
    tmp_path: Path, counts: FloatArray, start: float, step: float, part: str
) -> None:
    q_per_angstrom = start + step * np.arange(counts.size)
    path = tmp_path / "round.xy"
    rows = zip(q_per_angstrom.tolist(), counts.tolist(), strict=True)
    path.write_text("".join(f"{x!r}{part}{y!r}\n" for x, y in rows))
    pattern = read_pattern(path, axis="q", wavelength_angstrom=None)
    np.testing.assert_array_equal(pattern.q_per_angstrom, q_per_angstrom)
    np.testing.assert_array_equal(pattern.intensity, counts)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_other_file_is_an_error_of_ours(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(PatternFileError):
        read_angles(tmp_path / "noise.xy", text)
