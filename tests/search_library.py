"""Textbook structures as a search index, and patterns of them as a diffractometer measures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from structure_rows import STRUCTURES, write_table

from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.structure_table import read_structures
from phasepilot.models.diffraction.reflections import powder_sticks
from phasepilot.models.diffraction.stick_store import stick_store
from phasepilot.models.identification.search_index import SearchIndex, search_index
from phasepilot.models.identification.structure_labels import read_labels
from phasepilot.models.pattern import Pattern, two_theta_from_q
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import PreparedPattern, prepare_pattern

CU_KA_ANGSTROM = 1.5406


def make_crystals(folder: Path, rows: Sequence[dict[str, Any]] = STRUCTURES) -> dict[str, Crystal]:
    """The crystals of some rows by formula."""
    table = write_table(folder / "structures.parquet", tuple(rows))
    return {row.identifier.removeprefix("test-"): row.crystal for row in read_structures(table)}


def make_index(folder: Path, rows: Sequence[dict[str, Any]] = STRUCTURES) -> SearchIndex:
    """An index of some rows, in their order, in memory."""
    crystals = make_crystals(folder, rows)
    labels = read_labels(
        folder / "structures.parquet", np.array([f"test-{formula}" for formula in crystals])
    )
    return search_index(stick_store(crystals.values(), 6.5), labels)


def make_pattern(
    crystal: Crystal,
    *,
    wavelength_angstrom: float = CU_KA_ANGSTROM,
    range_deg: tuple[float, float] = (10.0, 110.0),
    strain: float = 0.0,
    fwhm_deg: float = 0.12,
    seed: int = 0,
) -> Pattern:
    """A counted pattern on a flat background; written anew, not with our own line drawing."""
    two_theta = np.arange(*range_deg, 0.03)
    sticks = powder_sticks(crystal, 6.6)
    angle = two_theta_from_q(sticks.q_per_angstrom / (1 + strain), wavelength_angstrom)
    theta = np.radians(angle / 2)
    geometry = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    height = np.nan_to_num(sticks.structure_factor_squared * geometry)
    offset = (two_theta[:, None] - np.nan_to_num(angle)[None]) / fwhm_deg
    lines = np.exp(-4 * np.log(2) * offset**2) @ height
    expected = 100 + 5000 * lines / lines.max()
    counts = np.random.default_rng(seed).poisson(expected).astype(np.float64)
    return Pattern.from_two_theta(two_theta, counts, wavelength_angstrom=wavelength_angstrom)


def prepared_pattern(crystal: Crystal, **changes: Any) -> PreparedPattern:
    """The same, prepared."""
    return prepare_pattern(make_pattern(crystal, **changes), Preprocessing())
