"""One HTML page of a run that needs nothing but itself: picture, decisions and reasons."""

import base64
import math
from collections.abc import Iterable
from html import escape
from io import BytesIO
from itertools import groupby, pairwise
from pathlib import Path

from phasepilot.agent.report.figure import CRYSTAL_SYSTEM_COLOURS, draw_report
from phasepilot.agent.report.run_record import FrameRecord, RunRecord

# Fewer rows than this are not worth a click.
MIN_FOLDED_ROWS = 3

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1d1f23; --muted: #5d636e;
  --line: #d9dce1; --soft: #f4f5f7; --act: #fff3e6; --edge: #d55e00; --bad: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --page: #15171b; --ink: #e6e8ec; --muted: #a0a6b1;
  --line: #363a43; --soft: #1e2127; --act: #33261a; --edge: #f0883e; --bad: #3a1f1d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .5rem;
  margin: 0; }
dl > div { background: var(--soft); border-radius: .4rem; padding: .5rem .7rem; }
dt, .note { color: var(--muted); font-size: .85rem; }
dd { margin: 0; font-weight: 600; }
figure { margin: 1.2rem 0; }
img { display: block; width: 100%; height: auto; background: #fff; border-radius: .4rem;
  border: 1px solid var(--line); }
.problems { background: var(--bad); border-left: 4px solid var(--edge); border-radius: .3rem;
  padding: .6rem 1rem; margin: 1.2rem 0; }
.problems h2 { margin-top: 0; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .5rem;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
thead th { color: var(--muted); font-weight: 600; }
tr.acted td { background: var(--act); font-weight: 600; }
tr.acted td:first-child { box-shadow: inset 4px 0 var(--edge); }
tr.problem td { background: var(--bad); }
details > summary { cursor: pointer; padding: .35rem .5rem; color: var(--muted);
  font-size: .9rem; border-bottom: 1px solid var(--line); }
.dot { display: inline-block; width: .65em; height: .65em; border-radius: 50%;
  margin-right: .35em; border: 1px solid var(--muted); }
@media (max-width: 60rem) {
  thead { position: absolute; clip-path: inset(50%); }
  colgroup { display: none; }
  table, tbody { display: block; }
  tr { display: grid; grid-template-columns: 1fr 1fr; border-bottom: 1px solid var(--line);
    padding: .4rem 0; }
  tr.acted { background: var(--act); box-shadow: inset 4px 0 var(--edge); }
  tr.problem { background: var(--bad); }
  tr.acted td, tr.problem td { background: none; }
  tr.acted td:first-child { box-shadow: none; }
  td { border: 0; padding: .1rem .7rem; }
  figure { overflow-x: auto; }
  img { min-width: 42rem; }
  td::before { content: attr(data-label) " "; color: var(--muted); font-weight: 400; }
  td.reason { grid-column: 1 / -1; }
  td.reason::before { content: ""; }
}
@media print { details > *:not(summary) { display: block; } }
"""

_COLUMN_WIDTHS = (8, 10, 13, 16, 12, 10, 7, 24)

_HOW_TO_READ = """
<p>The panels share the scanned axis. The dashed line is the true onset where it is known, as in a
simulation; the solid line is the onset that the agent found, and its shade the interval.</p>
<ul>
<li><b>a</b> The patterns, one column a frame: the darker, the more intensity (square root). Lines
that bend only are a lattice under strain; lines that appear are a new phase. The marks above are
those of panel e.</li>
<li><b>b</b> The probability of each crystal system; a bar below it means that the system cannot be
ruled out (it is in the conformal set).</li>
<li><b>c</b> The linear strain with its uncertainty; negative is compressed. A new line begins where
a new phase is established: strain counts from the first frame of each phase.</li>
<li><b>d</b> The probability that a change has begun, and the share of the line intensity that the
old phase does not explain.</li>
<li><b>e</b> The steps that the scan took; colour and shape of a mark tell what the agent asked
for.</li>
</ul>
<p>A dash in the table stands for what is not known. Folded rows are frames at which the agent had
nothing to change.</p>
"""


def write_report(record: RunRecord, directory: Path) -> tuple[Path, Path]:
    """Write `report.png` and `report.html` into the directory; return their paths.

    The directory is made where it does not exist; an older report in it is replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    picture = BytesIO()
    draw_report(record).savefig(picture, format="png")
    picture_path, page_path = directory / "report.png", directory / "report.html"
    picture_path.write_bytes(picture.getvalue())
    page_path.write_text(_page(record, picture.getvalue()), encoding="utf-8")
    return picture_path, page_path


def _page(record: RunRecord, picture: bytes) -> str:
    title = escape(record.summary.title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{_summary(record)}
{_problems(record.frames)}
<figure>
<img alt="{escape(_alternative_text(record))}"
src="data:image/png;base64,{base64.b64encode(picture).decode()}">
</figure>
<h2>How to read this</h2>
{_HOW_TO_READ}
<h2>What the agent decided, and why</h2>
{_decisions(record)}
<p class="note">Run {escape(record.uid)}</p>
</body>
</html>
"""


def _summary(record: RunRecord) -> str:
    rows = (
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>"
        for label, value in record.summary.rows
    )
    return f"<dl>{''.join(rows)}</dl>"


def _problems(frames: Iterable[FrameRecord]) -> str:
    places: dict[str, list[int]] = {}
    for frame in frames:
        if frame.advice.problem:
            places.setdefault(frame.advice.problem, []).append(frame.seq_num)
    if not places:
        return ""
    items = (f"<li>{_frames_named(n)}: {escape(problem)}</li>" for problem, n in places.items())
    return f'<section class="problems"><h2>Problems</h2><ul>{"".join(items)}</ul></section>'


def _frames_named(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"Frame {numbers[0]}"
    return f"{len(numbers)} frames, {numbers[0]} to {numbers[-1]}"


def _alternative_text(record: RunRecord) -> str:
    sample = f" of {record.sample}" if record.sample else ""
    parts = [f"{len(record.frames)} diffraction patterns{sample} against {record.axis_title}"]
    if record.true_onset is not None:
        parts.append(f"true onset of the change at {record.true_onset:.4g} {record.axis_units}")
    if record.found_onset is None:
        parts.append("no onset found")
    else:
        parts.append(f"onset found at {record.found_onset:.4g} {record.axis_units}")
    decisions = [frame for frame in record.frames if frame.is_decision]
    parts += [f"{f.advice.action} at {f.axis_value:.4g}" for f in decisions[:12]]
    return "; ".join(parts) + "."


def _decisions(record: RunRecord) -> str:
    if not record.frames:
        return "<p>No frame was measured.</p>"
    marked = zip(record.frames, _plainness(record.frames), strict=True)
    parts = [_header(record)]
    for is_plain, group in groupby(marked, key=lambda pair: pair[1]):
        frames = [frame for frame, _ in group]
        table = f"<table>{_COLUMNS}<tbody>{''.join(map(_row, frames))}</tbody></table>"
        is_folded = is_plain and len(frames) >= MIN_FOLDED_ROWS
        parts.append(_folded(table, frames, record) if is_folded else table)
    return "\n".join(parts)


def _plainness(frames: tuple[FrameRecord, ...]) -> list[bool]:
    """Return for each frame whether nothing happened: no decision, no problem, the same state."""
    states = [frame.advice.state for frame in frames]
    same_as_before = [
        True,
        *(now == before for before, now in pairwise(states)),
    ]
    return [
        is_same and not frame.is_decision and not frame.advice.problem
        for frame, is_same in zip(frames, same_as_before, strict=True)
    ]


_COLUMNS = (
    "<colgroup>"
    + "".join(f'<col style="width:{width}%">' for width in _COLUMN_WIDTHS)
    + "</colgroup>"
)


def _header(record: RunRecord) -> str:
    names = (
        "frame",
        record.axis_title,
        "state",
        "crystal system",
        "strain (%)",
        "action",
        "step",
        "reason",
    )
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    return f"<table>{_COLUMNS}<thead><tr>{cells}</tr></thead></table>"


def _folded(table: str, frames: list[FrameRecord], record: RunRecord) -> str:
    first, last = frames[0], frames[-1]
    where = f"{first.axis_value:.4g} to {last.axis_value:.4g} {record.axis_units}"
    return (
        f"<details><summary>Frames {first.seq_num} to {last.seq_num}, {escape(where)}:"
        f" carried on</summary>{table}</details>"
    )


def _row(frame: FrameRecord) -> str:
    advice = frame.advice
    kind = "acted" if frame.is_decision else "problem" if advice.problem else "plain"
    columns = (
        ("frame", str(frame.seq_num)),
        ("at", f"{frame.axis_value:.4g}"),
        ("state", escape(advice.state or "-")),
        ("", _crystal_system(frame)),
        ("strain (%)", _strain(frame)),
        ("action", escape(advice.action or "-")),
        ("step", f"{advice.step:.3g}" if math.isfinite(advice.step) else "-"),
    )
    cells = "".join(f'<td data-label="{label}">{value}</td>' for label, value in columns)
    return f'<tr class="{kind}">{cells}<td class="reason">{escape(advice.reason or "-")}</td></tr>'


def _crystal_system(frame: FrameRecord) -> str:
    name = frame.advice.crystal_system
    if not name:
        return "-"
    colour = CRYSTAL_SYSTEM_COLOURS.get(name, "transparent")
    probability = frame.advice.crystal_system_probability
    share = f" {probability:.0%}" if math.isfinite(probability) else ""
    return f'<span class="dot" style="background:{colour}"></span>{escape(name)}{share}'


def _strain(frame: FrameRecord) -> str:
    strain, spread = 100 * frame.advice.strain, 100 * frame.advice.strain_uncertainty
    if not math.isfinite(strain):
        return "-"
    return f"{strain:.2f} ± {spread:.2f}" if math.isfinite(spread) else f"{strain:.2f}"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"
