"""The equation of state that each known phase of a run followed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.models.diffraction.pressure.markers import marker_pressure
from phasepilot.models.suggestion import Advice

# Volumes must span so much, relative, for a bulk modulus to follow from them.
_LEAST_SPAN = 0.01


@dataclass(frozen=True, slots=True)
class PhaseCompression:
    """A third-order Birch-Murnaghan equation of state, with one standard deviation each.

    Attributes
    ----------
    phase : str
        What the library calls it.
    volume_angstrom3 : float
        Of the cell at zero pressure.
    scatter_gpa : float
        Of the pressures about the curve.
    n_frames : int
        How many frames it rests on.
    """

    phase: str
    volume_angstrom3: float
    volume_uncertainty_angstrom3: float
    bulk_modulus_gpa: float
    bulk_modulus_uncertainty_gpa: float
    bulk_modulus_derivative: float
    bulk_modulus_derivative_uncertainty: float
    scatter_gpa: float
    n_frames: int


def fitted_phases(
    advice: Sequence[Advice], configuration: AgentConfiguration
) -> tuple[PhaseCompression, ...]:
    """Return a fit for each phase that has volumes at known pressures while it was alone.

    Frames in which phases coexist are left out: lines of both lie on top of each other. So is a
    marker that is the sample, whose pressures are its volumes.
    """
    of_phase: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in advice:
        pressure = _pressure_gpa(one, configuration)
        if one.lattice and one.state != "changing" and np.isfinite(pressure):
            name = one.lattice.split(" a=")[0]
            of_phase[name].append((pressure, one.volume_angstrom3))
    found = (_fitted(name, np.array(rows), configuration) for name, rows in of_phase.items())
    return tuple(one for one in found if one is not None)


def _pressure_gpa(advice: Advice, configuration: AgentConfiguration) -> float:
    if configuration.marker is not None:
        return advice.pressure_gpa
    return advice.axis_value if configuration.axis_quantity == "pressure_gpa" else float("nan")


def _fitted(
    name: str, rows: np.ndarray, configuration: AgentConfiguration
) -> PhaseCompression | None:
    from phasepilot.models.tracking.compression_fit import FEWEST, fitted_compression

    pressures, volumes = rows[:, 0], rows[:, 1]
    if len(rows) < FEWEST or np.ptp(volumes) < _LEAST_SPAN * volumes.max():
        return None
    if configuration.marker is not None:
        own = [marker_pressure(configuration.marker, v, 0.0).pressure_gpa for v in volumes]
        if np.allclose(own, pressures, rtol=0.02, atol=0.05):
            return None
    fit = fitted_compression(pressures, volumes)
    return PhaseCompression(
        phase=name,
        volume_angstrom3=fit.volume,
        volume_uncertainty_angstrom3=fit.volume_uncertainty,
        bulk_modulus_gpa=fit.bulk_modulus_gpa,
        bulk_modulus_uncertainty_gpa=fit.bulk_modulus_uncertainty_gpa,
        bulk_modulus_derivative=fit.bulk_modulus_derivative,
        bulk_modulus_derivative_uncertainty=fit.bulk_modulus_derivative_uncertainty,
        scatter_gpa=fit.scatter_gpa,
        n_frames=len(rows),
    )
