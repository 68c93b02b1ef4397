import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from phasepilot.agent.report.figure import HEIGHT_PX, WIDTH_PX, draw_report
from phasepilot.agent.report.page import write_report
from phasepilot.agent.report.run_record import FrameRecord, RunRecord, RunSummary
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS, Action, Advice

ONSET_GPA = 2.0


def make_pressures_gpa() -> list[float]:
    """Coarse steps that halve when the change shows, and a stop where it is established."""
    steps = [0.2] * 10 + [0.1] * 2 + [0.05] * 3 + [0.025] * 24
    start_again = [*np.cumsum([0.0, *steps[:9]]), 1.9]
    return [round(float(value), 3) for value in [*start_again, *(1.9 + np.cumsum(steps[11:]))]]


def make_frame(seq_num: int, pressure_gpa: float, step: float, action: str) -> FrameRecord:
    """One frame of KCl: B1 shrinks with pressure, B2 grows in above the onset."""
    rng = np.random.default_rng(seq_num)
    fraction = float(np.clip((pressure_gpa - ONSET_GPA) / 0.45, 0, 1))
    strain = -pressure_gpa / (3 * (17.0 + 2.5 * pressure_gpa))
    q_per_angstrom = np.linspace(1.5, 6.0, 1800)
    lines = [
        (2.00 * n, area * (1 - fraction)) for n, area in zip(_B1_RATIOS, _B1_AREAS, strict=True)
    ]
    lines += [(2.42 * n, area * fraction) for n, area in zip(_B2_RATIOS, _B2_AREAS, strict=True)]
    clean = 30 + sum(
        area * np.exp(-(((q_per_angstrom - q / (1 + strain)) / 0.012) ** 2) / 2)
        for q, area in lines
    )
    advice = make_advice(seq_num, pressure_gpa, step, action, fraction, strain)
    return FrameRecord(seq_num, pressure_gpa, q_per_angstrom, rng.poisson(clean) * 1.0, advice)


_B1_RATIOS, _B1_AREAS = np.sqrt([1, 2, 3, 4, 5, 6]), [900, 550, 190, 150, 260, 170]
_B2_RATIOS, _B2_AREAS = np.sqrt([1, 2, 3, 4, 5]), [1000, 210, 320, 110, 140]


def make_advice(
    seq_num: int, pressure_gpa: float, step: float, action: str, fraction: float, strain: float
) -> Advice:
    rng = np.random.default_rng(1000 + seq_num)
    mixed = 4 * fraction * (1 - fraction)
    weights = rng.dirichlet([0.3, 0.4, 0.7, 1.5 + 4 * mixed, 0.6, 0.5, 40 - 33 * mixed])
    systems = dict(zip(CRYSTAL_SYSTEMS, map(float, weights), strict=True))
    best = max(systems, key=lambda name: systems[name])
    states = ("stable", "changing", "established")
    return Advice(
        frame_seq_num=seq_num,
        action=action,
        reason=_REASONS[action].format(fraction=fraction, pressure=pressure_gpa),
        step=step,
        crystal_system=best,
        crystal_system_probability=systems[best],
        crystal_system_set="|".join(name for name in CRYSTAL_SYSTEMS if systems[name] > 0.06),
        **{f"p_{name}": value for name, value in systems.items()},
        axis_value=pressure_gpa,
        strain=strain + float(rng.normal(0, 3e-4)),
        strain_uncertainty=3e-4 + 2e-3 * mixed,
        volume_ratio=(1 + strain) ** 3,
        change_probability=float(1 / (1 + np.exp(-(pressure_gpa - 2.05) / 0.02))),
        new_phase_fraction=float(np.clip(fraction + rng.normal(0, 0.01), 0, 1)),
        state=states[(fraction > 0) + (fraction > 0.8)],
    )


_REASONS = {
    "continue": "the lattice shrinks smoothly and no line is new",
    "refine": "lines that no strain explains hold {fraction:.0%} of the intensity at"
    " {pressure:g} GPa, so the step is halved",
    "stop": "the new phase holds {fraction:.0%} of the intensity and the onset is known to"
    " 0.025 GPa",
}


def make_record(pressures_gpa: list[float] | None = None) -> RunRecord:
    places = make_pressures_gpa() if pressures_gpa is None else pressures_gpa
    steps = np.abs(np.diff(places, append=places[-1:]))
    frames = []
    for index, (place, step) in enumerate(zip(places, steps, strict=True)):
        is_smaller = 0 < index < len(places) - 1 and step < steps[index - 1] - 1e-6
        action = "refine" if is_smaller else "continue"
        action = "stop" if index == len(places) - 1 else action
        frames.append(make_frame(index + 1, place, float(step), action))
    rows = (("sample", "KCl"), ("frames", f"{len(places)} of 161 (0.025 GPa steps)"),
            ("onset found", "2.03 GPa (1.98 to 2.08)"), ("onset true", "2.00 GPa"),
            ("time saved", "72 %"))  # fmt: skip
    return RunRecord(
        uid="0f9a3c1e-5b7d-4b5e-9a52-6f3c7d0e1a2b",
        sample="KCl",
        axis_label="pressure",
        axis_units="GPa",
        wavelength_angstrom=0.4066,
        frames=tuple(frames),
        true_onset=ONSET_GPA,
        found_onset=2.03,
        found_onset_low=1.98,
        found_onset_high=2.08,
        summary=RunSummary("KCl under compression, B1 to B2", rows),
    )


class PageReader(HTMLParser):
    """Keeps what a page refers to, and which elements are open at its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def make_problem_record(problem: str) -> RunRecord:
    record = make_record([0.0, 0.5, 1.0])
    frames = tuple(replace(f, advice=Advice.none(f.seq_num, problem)) for f in record.frames)
    return replace(
        record, frames=frames, found_onset=None, found_onset_low=None, found_onset_high=None
    )


def with_advice(record: RunRecord, index: int, **changes: str) -> RunRecord:
    frames = list(record.frames)
    frames[index] = replace(frames[index], advice=replace(frames[index].advice, **changes))
    return replace(record, frames=tuple(frames))


def read_page(record: RunRecord, directory: Path) -> str:
    _, page_path = write_report(record, directory)
    return page_path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return read_page(make_record(), tmp_path_factory.mktemp("report"))


def text_overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Return pairs of titles, axis labels and legends of the drawn figure that overlap."""
    figure.canvas.draw()
    boxes = []
    for panel in figure.axes:
        legend = panel.get_legend()
        parts = [panel.title, panel._left_title, panel.xaxis.label, panel.yaxis.label]
        boxes += [(t.get_text(), t.get_window_extent()) for t in parts if t.get_text()]
        boxes += [("legend", legend.get_window_extent())] if legend else []
    boxes += [(t.get_text(), t.get_window_extent()) for t in figure.texts]
    boxes += [("legend", legend.get_window_extent()) for legend in figure.legends]
    return [
        (a, b) for i, (a, box) in enumerate(boxes) for b, other in boxes[:i] if box.overlaps(other)
    ]


def test_the_picture_has_the_promised_size(tmp_path: Path) -> None:
    picture_path, _ = write_report(make_record([0.0, 0.5, 1.0]), tmp_path / "new" / "folder")
    header = picture_path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    width, height = (int.from_bytes(header[start : start + 4], "big") for start in (16, 20))
    assert (width, height) == (WIDTH_PX, HEIGHT_PX)


@pytest.mark.parametrize(
    "pressures_gpa",
    [
        pytest.param(None, id="a scan that refines"),
        pytest.param([1.5], id="one frame"),
        pytest.param([], id="no frame"),
        pytest.param([0.0, 1.0, 2.0, 1.0, 1.0, 2.5], id="up, down and again"),
        pytest.param(np.linspace(0, 4, 300).tolist(), id="300 frames"),
    ],
)
def test_draws_any_scan_without_text_over_text(pressures_gpa: list[float] | None) -> None:
    assert text_overlaps(draw_report(make_record(pressures_gpa))) == []


def test_a_long_title_stays_clear_of_the_legend() -> None:
    record = make_record([0.0, 2.0])
    figure = draw_report(
        replace(record, summary=replace(record.summary, title="compression " * 20))
    )
    assert text_overlaps(figure) == []


def test_all_actions_fit_beside_their_titles() -> None:
    record = make_record(np.linspace(0, 4, len(Action)).tolist())
    for index, action in enumerate(Action):
        record = with_advice(record, index, action=action.value)
    assert text_overlaps(draw_report(record)) == []


def test_a_dollar_in_a_name_is_a_dollar() -> None:
    record = make_record([0.0, 2.0])
    record = replace(record, axis_label="$x_", summary=replace(record.summary, title=r"a $\frac b"))
    draw_report(record).canvas.draw()


def test_frames_without_a_place_or_a_pattern_are_survived() -> None:
    record = make_record([0.0, 1.0, 2.0])
    first, second, third = record.frames
    nothing = np.array([])
    frames = (
        replace(first, axis_value=np.nan),
        replace(second, q_per_angstrom=nothing, intensity=nothing),
        replace(third, intensity=np.full_like(third.intensity, np.nan)),
    )
    draw_report(replace(record, frames=frames)).canvas.draw()


def test_a_run_without_advice_says_why_in_picture_and_page(tmp_path: Path) -> None:
    record = make_problem_record("no wavelength; state it")
    figure = draw_report(record)
    assert "no advice: no wavelength; state it" in [t.get_text() for t in figure.axes[2].texts]
    page = read_page(record, tmp_path)
    assert "<li>3 frames, 1 to 3: no wavelength; state it</li>" in page
    assert "no onset found" in page


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    text = re.sub(r"base64,[^\"]*", "", page)
    assert not re.search(r"https?:|//|url\(|@import", text)
    references = PageReader(page).references
    assert [text.startswith("data:image/png;base64,") for text in references] == [True]


def test_text_from_documents_is_escaped(tmp_path: Path) -> None:
    attack = '"><script>alert(1)</script>'
    record = with_advice(make_record([0.0, 0.5, 2.0]), 0, reason=attack, crystal_system=attack)
    record = with_advice(record, 1, problem=attack, state=attack, action=attack)
    summary = RunSummary(attack, ((attack, attack),))
    record = replace(
        record, sample=attack, uid=attack, axis_label=attack, axis_units=attack, summary=summary
    )
    page = read_page(record, tmp_path)
    assert "script" not in PageReader(page).tags
    assert "&lt;script&gt;alert(1)" in page


def test_every_element_of_the_page_is_closed(page: str, tmp_path: Path) -> None:
    assert PageReader(page).open == []
    assert PageReader(read_page(make_record([]), tmp_path)).open == []


def test_decisions_stand_out_and_plain_rows_fold(page: str) -> None:
    n_decisions = sum(frame.is_decision for frame in make_record().frames)
    assert page.count('<tr class="acted">') == n_decisions == 4
    folded = "".join(re.findall(r"<details>.*?</details>", page, flags=re.DOTALL))
    assert 'class="acted"' not in folded
    assert folded.count("<tr") > 20
    assert "Frames 1 to 9, 0 to 1.6 GPa: carried on" in folded


def test_a_change_of_state_is_not_folded_away(page: str) -> None:
    shown = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    assert '<td data-label="state">changing</td>' in shown
    assert '<td data-label="state">established</td>' in shown
