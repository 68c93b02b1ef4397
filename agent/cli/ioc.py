"""`phasepilot ioc`: EPICS variables of the simulated beamline, and of what an agent finds."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phasepilot.agent.cli.console import console, reporting_errors

if TYPE_CHECKING:
    from phasepilot.agent.epics.agent_ioc import AgentIOC

ioc = typer.Typer(no_args_is_help=True, help="Serve EPICS process variables, on this host only.")

Interface = Annotated[str, typer.Option(help="Address of the network interface to serve on.")]
Port = Annotated[int | None, typer.Option(help="Port, instead of EPICS_CA_SERVER_PORT or 5064.")]


@ioc.command()
def beamline(
    prefix: Annotated[str, typer.Option(help="What all names begin with.")] = "SIM:",
    material: Annotated[str, typer.Option(help="KCl, Si or Fe.")] = "KCl",
    seed: Annotated[int, typer.Option(help="Seed of all simulated noise.")] = 0,
    interface: Interface = "127.0.0.1",
    port: Port = None,
) -> None:
    """Serve the simulated beamline: cell, 2-theta arm, detector, image and beam current."""
    with reporting_errors():
        _prepare(interface, port)
        import numpy as np

        from phasepilot.sim_devices.beamline import simulated_beamline
        from phasepilot.sim_devices.beamline_ioc import BeamlineIOC
        from phasepilot.sim_devices.clock import ThreadedClock
        from phasepilot.sim_devices.two_theta_arm import TwoThetaArm

        image_rng, arm_rng = np.random.default_rng([seed, 1]).spawn(2)
        arm = TwoThetaArm(name="arm", rng=arm_rng, clock=ThreadedClock(), velocity_deg_per_s=20.0)
        devices = simulated_beamline(material, seed=seed)
        group = BeamlineIOC(prefix, beamline=devices, arm=arm, rng=image_rng)
        _run(group.pvdb, interface)


@ioc.command()
def agent(
    prefix: Annotated[str, typer.Option(help="What all names begin with.")] = "PHASEPILOT:",
    zmq: Annotated[
        str, typer.Option(help="Where `phasepilot serve` publishes its results.")
    ] = "127.0.0.1:5571",
    key: Annotated[
        Path | None, typer.Option(help="Secret key, where keys are needed.", exists=True)
    ] = None,
    server_key: Annotated[
        Path | None, typer.Option(help="Public key of the other side.", exists=True)
    ] = None,
    stale_s: Annotated[
        float, typer.Option(help="Seconds without a frame after which all is INVALID.")
    ] = 600.0,
    interface: Interface = "127.0.0.1",
    port: Port = None,
) -> None:
    """Serve what a served agent finds, with alarms."""
    with reporting_errors():
        _prepare(interface, port)
        from phasepilot.agent.cli.watch import client_keys_of
        from phasepilot.agent.epics.agent_ioc import AgentIOC

        group = AgentIOC(prefix, stale_s=stale_s)
        _run(group.pvdb, interface, following=(group, zmq, client_keys_of(key, server_key)))


def _prepare(interface: str, port: int | None) -> None:
    """Set what caproto reads from the environment when it is imported."""
    if interface.startswith("127."):
        # Beacons would go to every network, or on this host to a repeater that is not there.
        os.environ.setdefault("EPICS_CAS_BEACON_ADDR_LIST", "")
        os.environ.setdefault("EPICS_CAS_AUTO_BEACON_ADDR_LIST", "NO")
    if port is not None:
        os.environ["EPICS_CA_SERVER_PORT"] = str(port)


def _run(
    pvdb: dict[str, Any], interface: str, following: "tuple[AgentIOC, str, Any] | None" = None
) -> None:
    from caproto.asyncio.server import run

    async def started(async_lib: Any) -> None:
        if following is not None:
            _follow(*following)
        console.print(f"serving {len(pvdb)} process variables; Ctrl-C ends it", highlight=False)
        for name in pvdb:
            console.print(name, highlight=False, markup=False, emoji=False)

    run(pvdb, interfaces=[interface], startup_hook=started)


def _follow(group: "AgentIOC", address: str, keys: Any) -> None:
    import asyncio

    from phasepilot.agent.epics.agent_ioc import AnalysisFollower, follow_in_thread
    from phasepilot.agent.sockets.subscriber import followed_documents

    follower = AnalysisFollower(group, asyncio.get_running_loop())
    follow_in_thread(follower, followed_documents(address, keys=keys))
