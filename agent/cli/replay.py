"""`phasepilot replay`: archived runs, or folders of patterns, through a fresh agent."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from phasepilot.agent.cli import replay_sources as options
from phasepilot.agent.cli.classify import Axis
from phasepilot.agent.cli.console import bars_of_counts, console, print_error, reporting_errors
from phasepilot.agent.errors import ReplayError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from phasepilot.agent.archive.run_query import FoundRun, RunSource
    from phasepilot.agent.configuration import AgentConfiguration
    from phasepilot.agent.replay_batch import AnalysisStore, Outcome, ResultsFolder

_MOST_SHOWN = 10


class Speed(StrEnum):
    """How fast documents come."""

    FULL = "full"
    RECORDED = "recorded"


def replay(
    run_uids: Annotated[
        list[str] | None,
        typer.Argument(help="Uids of runs, or their beginnings.", metavar="[RUN_UID]..."),
    ] = None,
    tiled: options.Tiled = None,
    api_key: options.ApiKey = None,
    databroker: options.Databroker = None,
    documents: options.Documents = None,
    patterns: options.Patterns = None,
    names: options.Names = "*",
    axis: options.FirstColumn = Axis.TWO_THETA,
    wavelength: options.Wavelength = None,
    poni: options.Poni = None,
    dataset: options.Dataset = None,
    since: options.Since = None,
    where: options.Where = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Agent configuration (YAML or JSON), for runs that carry none.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    speed: Annotated[Speed, typer.Option(help="As fast as it goes, or as it was measured.")] = (
        Speed.FULL
    ),
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a Parquet file a run; the same command goes on after a kill.",
            file_okay=False,
        ),
    ] = None,
    store: Annotated[
        bool, typer.Option(help="Store the results in Tiled, as runs with `analysis_of`.")
    ] = True,
    workers: Annotated[
        int | None, typer.Option(help="Judge runs on so many processes here (Dask).", min=1)
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="Judge runs on this Dask scheduler, e.g. tcp://host:8786.")
    ] = None,
) -> None:
    """Judge archived runs again and compare with what is on record, to the bit.

    Runs come from --tiled, --databroker, --documents or --patterns. The status is 1 when a run
    could not be judged, or the same network and configuration say something else.
    """
    with reporting_errors():
        query = options.query_of(run_uids or [], since, where)
        given = _configuration(config)
        source: RunSource
        if patterns is not None:
            from phasepilot.agent.archive.pattern_runs import PatternRuns, pattern_configuration

            geometry = None if poni is None else poni.absolute()
            source = PatternRuns(
                patterns.absolute(), names, axis.value, wavelength, geometry, dataset
            )
            given = pattern_configuration(given)
        else:
            source = options.archive_source(
                query, tiled=tiled, api_key=api_key, databroker=databroker, documents=documents
            )
        with console.status("looking for runs"):
            runs = source.find(query)
        job = _Job(source, given, _results_folder(results), _analyses(tiled, api_key, store=store))
        judged = _judged_on_dask(job, runs, speed, dask, workers)
        ordered: list[str] = []
        # Closed here, not when the garbage is collected: its progress bar prints when it ends.
        with closing(judged or _judged_here(job, runs, speed)) as outcomes:
            is_good = _report(job, runs, outcomes, ordered)
        is_good &= _report_screenings(job, runs, ordered)
    if not is_good:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Job:
    source: "RunSource"
    configuration: "AgentConfiguration | None"
    folder: "ResultsFolder | None"
    analyses: "AnalysisStore | None"

    def left(self, runs: list["FoundRun"]) -> list["FoundRun"]:
        """Return the runs that were not judged before."""
        if self.folder is None:
            return runs
        return [
            run
            for run in runs
            if not self.folder.is_done(run.uid, self.configuration, self.analyses)
        ]


def _configuration(path: Path | None) -> "AgentConfiguration | None":
    if path is None:
        return None
    from phasepilot.agent.configuration_file import read_configuration

    return read_configuration(path)


def _results_folder(path: Path | None) -> "ResultsFolder | None":
    if path is None:
        return None
    from phasepilot.agent.replay_batch import ResultsFolder

    return ResultsFolder(path)


def _analyses(tiled: str | None, api_key: str | None, *, store: bool) -> "AnalysisStore | None":
    if tiled is None or not store:
        return None
    from phasepilot.agent.archive.derived_runs import TiledAnalyses

    return TiledAnalyses(tiled, api_key)


def _judged_here(
    job: _Job, runs: list["FoundRun"], speed: Speed
) -> Generator["Outcome", None, None]:
    from phasepilot.agent.replay_batch import at_recorded_speed, judge_run

    pace = at_recorded_speed if speed is Speed.RECORDED else iter
    left = job.left(runs)
    if not left:
        return
    with bars_of_counts() as bars:
        bar = _Bar(bars, bars.add_task("", total=None))
        for number, run in enumerate(left, start=1):
            bar.begin(f"run {number} of {len(left)}", run.n_events)
            yield judge_run(
                job.source, run.uid, job.configuration, pace=pace, on_events=bar.advance
            )


@dataclass(frozen=True, slots=True)
class _Bar:
    bars: "Progress"
    task: "TaskID"

    def begin(self, what: str, total: int | None) -> None:
        self.bars.reset(self.task, description=what, total=total)

    def advance(self) -> None:
        self.bars.advance(self.task)


def _judged_on_dask(
    job: _Job, runs: list["FoundRun"], speed: Speed, address: str | None, n_workers: int | None
) -> Generator["Outcome", None, None] | None:
    if address is None and n_workers is None:
        return None
    if speed is Speed.RECORDED or (address and n_workers):
        raise ReplayError(
            "on Dask runs are judged at full speed, either on --workers here or on --dask ADDRESS;"
            " leave the other options out."
        )
    return _outcomes_of_dask(job, runs, address, n_workers)


def _outcomes_of_dask(
    job: _Job, runs: list["FoundRun"], address: str | None, n_workers: int | None
) -> Generator["Outcome", None, None]:
    from phasepilot.agent.replay_cluster import judge_runs, local_workers, workers_of

    left = job.left(runs)
    if not left:
        return
    workers = workers_of(address) if address is not None else local_workers(n_workers or 1)
    with workers as client, bars_of_counts() as bars:
        bar = bars.add_task("runs", total=len(left))
        uids = [run.uid for run in left]
        for outcome in judge_runs(client, job.source, uids, job.configuration):
            bars.advance(bar)
            yield outcome


def _report(
    job: _Job, runs: list["FoundRun"], outcomes: Iterator["Outcome"], ordered: list[str]
) -> bool:
    """Keep and print each outcome as it comes, and return whether all are good.

    Uids of the runs where an order of samples decided are added to `ordered`.
    """
    n_judged, is_good = 0, True
    for outcome in outcomes:
        n_judged += 1
        if len(runs) > 1:
            console.print(f"[bold]run {escape(outcome.run_uid)}[/]", highlight=False)
        is_good &= _report_one(job, outcome)
        result = outcome.result
        is_comparable = result and result.is_same_network and job.configuration is None
        if result and is_comparable and not result.compares_suggestions:
            ordered.append(outcome.run_uid)
    if (n_before := len(runs) - n_judged) > 0:
        console.print(f"{n_before} of {len(runs)} runs were judged before and are left as they are")
    if not runs:
        console.print("no run is meant: nothing in the archive fits")
    return is_good


def _report_screenings(job: _Job, runs: list["FoundRun"], ordered: list[str]) -> bool:
    """Repeat the screenings of which all runs were selected, and return whether all agree."""
    if not ordered:
        return True
    from phasepilot.agent.screening_replay import replay_screening, screenings_of

    selected, is_good = {run.uid for run in runs}, True
    for screening_uid, uids in screenings_of(job.source, ordered).items():
        where = f"screening_uid={screening_uid}"
        if missing := set(uids) - selected:
            console.print(
                f"{len(missing)} of {len(uids)} runs of a screening were not selected, so its order"
                f" of samples is not repeated; select all with --where {escape(where)}",
                highlight=False,
            )
            continue
        with console.status("repeating the screening"):
            repeated = replay_screening(
                list(job.source.documents(uid, lambda _: None)) for uid in uids
            )
        n_all, told = repeated.n_recorded, repeated.differences
        console.print(
            f"screening of {len(uids)} runs: {n_all - len(told)} of {n_all} suggestions were"
            " repeated to the last bit",
            highlight=False,
        )
        for sentence in told[:_MOST_SHOWN]:
            console.print(f"[red]differs:[/] {escape(sentence)}", highlight=False)
        is_good &= not told
    return is_good


def _report_one(job: _Job, outcome: "Outcome") -> bool:
    result = outcome.result
    if result is None:
        print_error(outcome.failure)
        return False
    console.print(f"{len(result.advice)} frames judged, {result.n_recorded} on record in the run")
    for sentence in result.problems[:_MOST_SHOWN]:
        console.print(f"[yellow]note:[/] {escape(sentence)}", highlight=False)
    if len(result.problems) > _MOST_SHOWN:
        console.print(f"and {len(result.problems) - _MOST_SHOWN} more notes")
    if result.n_recorded and not result.differences:
        compared = ", states and suggestions" if result.compares_suggestions else " and states"
        console.print(f"estimates{compared} are the same to the last bit")
    for sentence in result.differences[:_MOST_SHOWN]:
        console.print(f"[red]differs:[/] {escape(sentence)}", highlight=False)
    if len(result.differences) > _MOST_SHOWN:
        console.print(f"and {len(result.differences) - _MOST_SHOWN} more differences")
    _keep(job, outcome)
    is_comparable = result.is_same_network and job.configuration is None
    return not (result.differences and is_comparable)


def _keep(job: _Job, outcome: "Outcome") -> None:
    result = outcome.result
    if result is None:
        return
    if job.folder is not None:
        job.folder.keep(outcome.run_uid, result, job.analyses)
        file = job.folder.file(outcome.run_uid)
        console.print(f"kept in {escape(str(file))}", highlight=False, soft_wrap=True)
    elif job.analyses is not None and result.is_complete:
        job.analyses.store(result.documents)
    if job.analyses is None:
        return
    if result.is_complete:
        uid = result.documents[0][1]["uid"]
        console.print(f"stored as run {uid} in the container 'agent'")
    else:
        console.print("not stored: the run has no stop document or no frames")
