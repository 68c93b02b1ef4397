"""What the networks that ship look at: Bragg lines, more than by chance."""

from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from cif_text import make_cif, write_cif

from phasepilot.models.diffraction.crystals.cif import read_cif
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.quantity import fixed
from phasepilot.models.diffraction.powder.recipe import Recipe, named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import StickStore, stick_store
from phasepilot.models.explanation.attribution import attribute
from phasepilot.models.explanation.bragg_agreement import BraggAgreement, bragg_agreement
from phasepilot.models.networks.model_card import ModelCard, read_card
from phasepilot.models.networks.network_session import ATTRIBUTION, NetworkSession
from phasepilot.models.pattern import Pattern
from phasepilot.models.preprocessing.preparation import network_input, prepare_pattern

WEIGHTS = Path(str(files("phasepilot.models.weights")))
N_PATTERNS = 12
# Weaker lines are everywhere in a large cell; these stand above the noise.
LEAST_HEIGHT = 0.1
HALF_WIDTH_LOG_Q = 0.006
CRYSTALS = {
    "NaCl": make_cif(),
    "CsCl": make_cif(
        cell=(4.123, 4.123, 4.123, 90, 90, 90),
        symmetry="_symmetry_space_group_name_H-M 'P m -3 m'",
        atoms="Cs1 Cs 0 0 0\nCl1 Cl 0.5 0.5 0.5",
    ),
    "TiO2": make_cif(
        cell=(4.594, 4.594, 2.959, 90, 90, 90),
        symmetry="_symmetry_space_group_name_H-M 'P 42/m n m'",
        atoms="Ti1 Ti 0 0 0\nO1 O 0.305 0.305 0",
    ),
}


def gives_attribution(weights: Path) -> bool:
    session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    return ATTRIBUTION in {output.name for output in session.get_outputs()}


@pytest.fixture(
    scope="module",
    params=[
        weights.stem for weights in sorted(WEIGHTS.glob("*.onnx")) if gives_attribution(weights)
    ],
)
def card(request: pytest.FixtureRequest) -> ModelCard:
    return read_card(WEIGHTS / f"{request.param}.json")


@pytest.fixture(scope="module")
def network(card: ModelCard) -> NetworkSession:
    return NetworkSession((WEIGHTS / card.file).read_bytes())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StickStore:
    folder = tmp_path_factory.mktemp("crystals")
    crystals = [read_cif(write_cif(folder / f"{name}.cif", CRYSTALS[name])) for name in CRYSTALS]
    return stick_store(crystals, 7.5)


def unstrained_laboratory() -> Recipe:
    """Everything that goes wrong in a laboratory, but lines stay where the structure has them."""
    recipe = named_recipe("laboratory")
    unstrained = {"isotropic_strain": fixed(0.0), "anisotropic_strain": fixed(0.0)}
    variants = tuple(variant.model_copy(update=unstrained) for variant in recipe.variants)
    return recipe.model_copy(update={"variants": variants})


def strong_lines(store: StickStore, structure: int) -> np.ndarray:
    """The ln q of a structure's strong lines."""
    lines = slice(store.offsets[structure], store.offsets[structure + 1])
    q_per_angstrom = store.q_per_angstrom[lines].astype(float)
    height = store.strength[lines] / q_per_angstrom**2
    return np.log(q_per_angstrom[height > LEAST_HEIGHT * height.max()])


def agreements(
    card: ModelCard, network: NetworkSession, store: StickStore
) -> list[tuple[BraggAgreement, BraggAgreement]]:
    """How what intensities add, and how intensities themselves, agree with the lines."""
    rng = np.random.default_rng(0)
    structures = np.arange(N_PATTERNS) % store.n_structures
    settings = unstrained_laboratory().draw(N_PATTERNS, rng)
    measured = PatternSimulator(store, NumpyBackend(rng)).simulate(structures, settings)
    edges = measured.axis.edges_two_theta_deg
    found = []
    for row, structure in enumerate(structures.tolist()):
        pattern = Pattern.from_two_theta(
            (edges[row, 1:] + edges[row, :-1]) / 2,
            np.where(measured.is_measured[row], measured.intensity[row], np.nan),
            wavelength_angstrom=float(settings["wavelengths_angstrom"][row, 0]),
        )
        prepared = prepare_pattern(pattern, card.preprocessing)
        inputs = network_input(prepared, card.preprocessing)
        added = attribute(network, inputs).contributions[0]
        with_lines = partial(
            bragg_agreement,
            line_positions_log_q=strong_lines(store, structure),
            grid=prepared.grid,
            is_measured=prepared.is_measured,
            half_width_log_q=HALF_WIDTH_LOG_Q,
        )
        found.append((with_lines(added), with_lines(inputs[0].astype(float))))
    return found


def test_what_intensities_add_lies_on_bragg_lines(
    card: ModelCard, network: NetworkSession, store: StickStore
) -> None:
    found = agreements(card, network, store)
    share = np.mean([added.share for added, _ in found])
    assert share > 2 * np.mean([added.chance for added, _ in found])
    assert np.median([added.p_value for added, _ in found]) < 0.05
    # A network that had learned nothing would look wherever there is intensity, noise included.
    assert share > 1.2 * np.mean([intensity.share for _, intensity in found])
