"""`phasepilot config`: write and check the configuration of a beamline."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from phasepilot.agent.cli.console import console, print_error, reporting_errors
from phasepilot.agent.errors import ConfigurationError, DocumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from phasepilot.agent.run_description import RunDescription

config = typer.Typer(no_args_is_help=True, help="Write and check the configuration of a beamline.")

_Run = Annotated[str | None, typer.Option("--run", help="Uid of a run in Tiled, or its beginning.")]
_Tiled = Annotated[str | None, typer.Option(help="URI of the Tiled server that holds the run.")]
_Key = Annotated[str | None, typer.Option(envvar="TILED_API_KEY", help="Its key.")]
_Documents = Annotated[
    Path | None,
    typer.Option(help="File of a run's documents: JSON lines, or a log of ours (.documents)."),
]


@config.command()
def init(
    run: _Run = None,
    tiled: _Tiled = None,
    documents: _Documents = None,
    api_key: _Key = None,
    stream: Annotated[str, typer.Option(help="Stream that holds the frames.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; else it is printed.")
    ] = None,
) -> None:
    """Write a commented configuration that fits a run of the beamline."""
    with reporting_errors():
        from phasepilot.agent.configuration_template import commented_configuration

        described = _described(run, tiled, documents, api_key)
        if described is None:
            raise ConfigurationError(
                "a run must be given to write a configuration for, but none is; add --documents"
                " FILE, or --run UID --tiled URI."
            )
        text = commented_configuration(described, stream=stream)
        if output is None:
            typer.echo(text, nl=False)
            return
        if output.exists():
            raise ConfigurationError(f"{output} exists already; give another name or remove it.")
        output.write_text(text)
        console.print(f"written to {output}; fill it in and check it with: phasepilot config check")


@config.command()
def check(
    file: Annotated[Path, typer.Argument(help="The configuration, YAML or JSON.")],
    run: _Run = None,
    tiled: _Tiled = None,
    documents: _Documents = None,
    api_key: _Key = None,
) -> None:
    """Say in sentences what is missing or wrong; the status is then 1."""
    with reporting_errors():
        from phasepilot.agent.configuration_check import configuration_problems
        from phasepilot.agent.configuration_file import read_configuration

        configuration = read_configuration(file)
        described = _described(run, tiled, documents, api_key)
        problems = configuration_problems(configuration, described)
    for sentence in problems:
        print_error(sentence)
    if problems:
        raise typer.Exit(1)
    against = "" if described is None else f" for run {str(described.start['uid'])[:8]}"
    console.print(f"nothing is missing{escape(against)}")


def _described(
    run: str | None, tiled: str | None, documents: Path | None, api_key: str | None
) -> "RunDescription | None":
    from phasepilot.agent.run_description import describe_run

    if documents is not None:
        return describe_run(_documents_of(documents))
    if run is None and tiled is None:
        return None
    if run is None or tiled is None:
        raise ConfigurationError(
            "a run in Tiled needs both its uid and the server, but only one is given; add --run UID"
            " and --tiled URI."
        )
    from phasepilot.agent.archive.tiled_client import connected
    from phasepilot.agent.archive.tiled_columns import archived_documents, find_run

    with connected(tiled, api_key=api_key) as client:
        return describe_run(archived_documents(find_run(client, run)))


def _documents_of(path: Path) -> "Iterable[tuple[str, Mapping[str, Any]]]":
    if path.suffix == ".documents":
        from phasepilot.agent.archive.document_log import read_documents

        return read_documents(path)
    return _json_lines(path)


def _json_lines(path: Path) -> "Iterable[tuple[str, Mapping[str, Any]]]":
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(
            f"the documents must be a text file of JSON lines, but {path} cannot be read ({error});"
            " give a log of ours the suffix .documents."
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            name, doc = (
                (record["name"], record["doc"])
                if isinstance(record, dict)
                else (record[0], record[1])
            )
        except (ValueError, KeyError, IndexError) as error:
            raise DocumentError(
                f"each line of {path} must be a JSON pair of a document's name and itself, but line"
                f" {number} is {line[:60]!r}; write them as json.dumps([name, doc])."
            ) from error
        yield str(name), doc
