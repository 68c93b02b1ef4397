"""Runs judged on Dask: each run goes to one worker, which loads network and library once.

A run is not split: every decision depends on the frames before it. Dask sends Python objects
between its processes by pickle, so its scheduler must be one that you trust; no file is unpickled.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from phasepilot.agent.archive.run_query import RunSource
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.errors import ReplayError
from phasepilot.agent.replay_batch import Outcome, judge_run

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_TIMEOUT_S = 10


@contextlib.contextmanager
def local_workers(n_workers: int) -> Iterator["Client"]:
    """Give a client of a scheduler and so many worker processes on this machine."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextlib.contextmanager
def workers_of(address: str) -> Iterator["Client"]:
    """Give a client of a scheduler that runs already.

    Raises
    ------
    ReplayError
        If none answers there, or it has no workers.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_TIMEOUT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise ReplayError(
            f"a Dask scheduler must answer at {address!r}, but there came"
            f" {type(error).__name__}; check the address and that `dask scheduler` runs."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_TIMEOUT_S)
        except TimeoutError as error:
            raise ReplayError(
                f"the Dask scheduler at {address!r} has no workers; start some with"
                f" `dask worker {address}`."
            ) from error
        yield client


def judge_runs(
    client: "Client",
    source: RunSource,
    run_uids: Sequence[str],
    configuration: AgentConfiguration | None,
) -> Iterator[Outcome]:
    """Yield the outcome of each run as it comes; a run whose worker dies is judged by another."""
    from distributed import as_completed

    if not run_uids:
        return
    # Not by key: the same run judged again is a new task.
    tasks = client.map(_judge, [(source, uid, configuration) for uid in run_uids], pure=False)
    for task in as_completed(tasks):
        uid = run_uids[tasks.index(task)]
        try:
            yield task.result()
        except Exception as error:  # lost with its workers: the others may come
            yield Outcome(uid, failure=f"run {uid} was lost on Dask ({type(error).__name__})")
        # Results are kept by the scheduler as long as somebody holds them.
        task.release()


def _judge(job: tuple[RunSource, str, AgentConfiguration | None]) -> Outcome:
    source, run_uid, configuration = job
    return judge_run(source, run_uid, configuration)
