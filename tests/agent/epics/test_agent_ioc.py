"""What an agent finds, read back as EPICS process variables."""

import ast
from pathlib import Path

import pytest
from bluesky import RunEngine
from epics_server import run_program, served_ioc
from experiment import make_beamline
from patience import PATIENCE_S, wait_until
from served_agent import served_agent

from phasepilot.agent.epics.agent_ioc import phase_text, severity_of
from phasepilot.models.suggestion import Advice
from phasepilot.plans.compression_scan import compression_scan

pytestmark = pytest.mark.slow

_READ = """
from caproto.sync.client import read
def value(name):
    answer = read("PHASEPILOT:" + name, data_type="time", timeout=60, repeater=False)
    data, is_text = answer.data, answer.data_type.name == "TIME_CHAR"
    text = bytes(data).rstrip(bytes(1)).decode() if is_text else list(data)[0]
    return (text.item() if hasattr(text, "item") else text), int(answer.metadata.severity)
print({name: value(name) for name in NAMES})
"""


def read(names: tuple[str, ...], environment: dict[str, str]) -> dict[str, tuple[object, int]]:
    """Values and alarm severities."""
    printed = run_program(f"NAMES = {names!r}\nnan = float('nan')\n" + _READ, environment)
    values: dict[str, tuple[object, int]] = ast.literal_eval(printed.replace("nan", "None"))
    return values


def test_a_screen_shows_the_latest_finding_and_its_alarm(
    tmp_path: Path, run_engine: RunEngine
) -> None:
    names = ("frame", "phase", "suggestion", "strain", "state", "severity", "run_uid", "problem")
    with (
        served_agent(tmp_path) as served,
        served_ioc("agent", "--zmq", served.results, "--stale-s", "3600") as environment,
        served.client() as remote,
    ):
        assert remote.wait_until_connected()
        before = read(names, environment)
        assert before["phase"] == ("", 3)  # INVALID: nothing was ever said
        run_engine.subscribe(remote)
        show_frames_of_a_scan(run_engine, environment)
        beamline = make_beamline()
        plan = compression_scan(
            [beamline.detector],
            beamline.cell,
            1.4,
            3.0,
            step=0.2,
            advisor=remote,
            max_points=10,
        )
        (uid,) = run_engine(plan)
        advice = remote.advice(uid, "primary", 10).result(PATIENCE_S)
        wait_until(lambda: read(("frame",), environment)["frame"][0] == 10)
        shown = read(names, environment)
    assert shown["run_uid"][0] == uid
    assert shown["phase"] == (phase_text(advice), int(severity_of(advice)))
    assert shown["suggestion"][0] == f"{advice.action}: {advice.reason}"
    assert shown["strain"][0] == advice.strain
    assert shown["state"][0] == advice.state
    assert shown["severity"][0] == shown["phase"][1]


def test_an_agent_that_is_silent_for_too_long_is_shown_as_invalid(
    tmp_path: Path, run_engine: RunEngine
) -> None:
    with (
        served_agent(tmp_path) as served,
        served_ioc("agent", "--zmq", served.results, "--stale-s", "0.5") as environment,
        served.client() as remote,
    ):
        assert remote.wait_until_connected()
        run_engine.subscribe(remote)
        show_frames_of_a_scan(run_engine, environment)
        wait_until(lambda: read(("phase",), environment)["phase"][1] == 3)
        shown = read(("frame", "phase", "severity"), environment)
    assert shown["frame"][0] == 2
    assert shown["phase"] == ("unknown: the agent is not heard of", 3)
    assert shown["severity"][0] == 3


def show_frames_of_a_scan(run_engine: RunEngine, environment: dict[str, str]) -> None:
    """Scan until the IOC shows it: its subscription may come later than the first scan."""
    beamline = make_beamline()

    def is_shown() -> bool:
        run_engine(compression_scan([beamline.detector], beamline.cell, 1.4, 1.6, step=0.2))
        return read(("frame",), environment)["frame"][0] == 2

    wait_until(is_shown)


def test_the_alarm_says_how_much_a_finding_is_worth() -> None:
    named = {"action": "continue", "reason": "", "crystal_system": "cubic"}
    assert severity_of(Advice(**named)).name == "NO_ALARM"
    assert severity_of(Advice(**named, verdict="unknown")).name == "MINOR_ALARM"
    assert severity_of(Advice(**named, verdict="unknown", state="changing")).name == "MAJOR_ALARM"
    assert severity_of(Advice.none(1, "no beam")).name == "INVALID_ALARM"
