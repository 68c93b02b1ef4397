"""Axes, lines, recipes and a few phases for the tests of powder patterns."""

import numpy as np
from spot_crystals import SYSTEMS, make_crystal

from phasepilot.models.diffraction.powder.axis import Axis, AxisKind
from phasepilot.models.diffraction.powder.backend import NumpyBackend, TorchBackend
from phasepilot.models.diffraction.powder.line_drawing import Lines
from phasepilot.models.diffraction.powder.recipe import Recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import stick_store

CU_ANGSTROM = 1.540593
BACKENDS = ("numpy", "torch")


def make_backend(name="numpy", seed=0):
    return NumpyBackend(np.random.default_rng(seed)) if name == "numpy" else TorchBackend(seed)


def make_axis(kind, start, stop, n_bins, *, wavelength=CU_ANGSTROM, n_patterns=1, backend=None):
    """Return an axis between two edges, in its own unit."""
    backend = backend or make_backend()
    column = np.ones((n_patterns, 1))
    values = (start * column, (stop - start) / n_bins * column, wavelength * column)
    start, step, wavelength = (backend.asarray(value) for value in values)
    return Axis(AxisKind(kind), start, step, n_bins, wavelength)


def make_lines(two_theta_deg, fwhm_deg, *, area=1.0, eta=0.5, row=0, backend=None):
    backend = backend or make_backend()
    two_theta_deg = np.atleast_1d(np.asarray(two_theta_deg, dtype=float))
    row, *values = np.broadcast_arrays(row, two_theta_deg, area, fwhm_deg, eta)
    return Lines(
        backend.asarray(row.copy()),
        *(backend.asarray(value.astype(np.float64)) for value in values),
    )


def make_recipe(axis=(20.0, 100.0), *, kind="two_theta", n_bins=4000, **fields):
    """Return a recipe of sharp lines of copper K-alpha1 unless the fields say otherwise."""
    content = {
        "description": "a test",
        "source": "this test",
        "axis": {"kind": kind, "start": axis[0], "stop": axis[1], "n_bins": n_bins},
        "caglioti_w": 0.01,
        **({} if "wavelength_angstrom" in fields else {"emission": ["CuKa1"]}),
        **fields,
    }
    unit = content.pop("unit", "two_theta_deg")
    return Recipe.model_validate({**content, "axis": {**content["axis"], "unit": unit}})


def make_settings(n_patterns=1, *, seed=0, **fields):
    return make_recipe(**fields).draw(n_patterns, np.random.default_rng(seed))


def make_simulator(crystals, *, backend=None, q_max=8.0):
    return PatternSimulator(stick_store(crystals, q_max), backend or make_backend())


def simulate(crystals, *, backend=None, seed=0, impurities=None, **fields):
    """Return one pattern of each crystal, drawn with these fields of a recipe."""
    simulator = make_simulator(crystals, backend=backend)
    settings = make_settings(len(crystals), seed=seed, **fields)
    return simulator.simulate(np.arange(len(crystals)), settings, impurities)


def all_systems():
    return [make_crystal(system) for system in SYSTEMS]
