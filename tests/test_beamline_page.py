"""What docs/beamline.md shows works: the file, and the ways into a session."""

import inspect
import re
from pathlib import Path
from typing import Any, get_type_hints

import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
import pytest
import yaml
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from ophyd.sim import SynAxis
from ring_detector import SHAPE, WAVELENGTH_ANGSTROM, hdf5_detector, write_poni

from phasepilot.agent.configuration_check import configuration_problems
from phasepilot.agent.configuration_file import read_configuration
from phasepilot.agent.frame_pattern import KEV_ANGSTROM
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.run_description import describe_run

PAGE = (Path(__file__).parents[1] / "docs" / "beamline.md").read_text()
FILE, ICONFIG = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.S)
PROFILE, CALLBACK, STARTUP, BLUEAPI = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the file of the page, and what it names."""
    (tmp_path / "beamline.yaml").write_text(FILE)
    write_poni(tmp_path / "geometry.poni")
    np.save(tmp_path / "mask.npy", np.zeros(SHAPE, dtype=np.int8))
    return tmp_path


def counting_detector(folder: Path) -> Any:
    return hdf5_detector(folder, rng=np.random.default_rng(0))


def watched(folder: Path) -> Any:
    """Return a scan of what the file of the page describes."""
    devices = [counting_detector(folder), SynAxis(name="i0_monitor", value=5.0)]
    energy = SynAxis(name="mono_energy", value=1e3 * KEV_ANGSTROM / WAVELENGTH_ANGSTROM)
    return bpp.baseline_wrapper(bp.scan(devices, SynAxis(name="pressure"), 1, 2, 2), [energy])


def assert_judged(agent: PhaseAgent) -> None:
    assert agent.wait(60)
    advice = agent.report().advice
    assert [one.axis_value for one in advice] == [1.0, 2.0]
    assert [one.problem for one in advice] == ["", ""]
    assert all(one.crystal_system for one in advice)


def test_the_file_fits_such_a_run(run_engine: RunEngine, folder: Path) -> None:
    documents: list[tuple[str, Any]] = []
    run_engine.subscribe(lambda name, doc: documents.append((name, doc)))
    run_engine(watched(folder))
    run = describe_run(documents)
    assert configuration_problems(read_configuration(folder / "beamline.yaml"), run) == []


def test_a_profile_collection_gets_an_agent(run_engine: RunEngine, folder: Path) -> None:
    names: dict[str, Any] = {"RE": run_engine, "profile_folder": folder}
    exec(PROFILE, names)
    run_engine(watched(folder))
    assert_judged(names["agent"])


def test_a_bits_instrument_gets_an_agent(run_engine: RunEngine, folder: Path) -> None:
    (folder / "configs").symlink_to(folder)
    names: dict[str, Any] = {
        "RE": run_engine,
        "iconfig": yaml.safe_load(ICONFIG),
        "instrument_path": folder,
    }
    exec(CALLBACK, names)
    exec(STARTUP, names)
    run_engine(watched(folder))
    assert_judged(names["agent"])


def test_blueapi_finds_a_plan_that_is_watched(
    run_engine: RunEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the energy and the monitor, which this plan does not read.
    text = re.sub(r"^(energy_|monitor_).*\n", "", FILE, flags=re.M)
    (folder / "beamline.yaml").write_text(text)
    monkeypatch.setenv("PHASEPILOT_CONFIGURATION", str(folder / "beamline.yaml"))
    names: dict[str, Any] = {}
    exec(BLUEAPI, names)
    plan = names["watched_scan"]
    hints = get_type_hints(plan)
    assert hints.keys() == {*inspect.signature(plan).parameters, "return"}
    assert hints["return"] == MsgGenerator
    run_engine(plan(counting_detector(folder), SynAxis(name="pressure"), 1, 2, 2))
    assert_judged(names["phase_agent"]())
