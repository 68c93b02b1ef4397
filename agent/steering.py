"""Which rule steers, from the configuration: the one place where the agent meets all of them."""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from phasepilot.agent.errors import ConfigurationError
from phasepilot.models.identification.known_structures import library_of
from phasepilot.models.identification.phase_library import PhaseLibrary
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.steering.compression_rule import CompressionRule, CompressionSettings
from phasepilot.models.steering.hypotheses import ScanAxis
from phasepilot.models.steering.library_hypotheses import LibraryHypotheses
from phasepilot.models.steering.policy import Policy
from phasepilot.models.steering.rotation import RotationRule
from phasepilot.models.steering.rotation_settings import RotationSettings
from phasepilot.models.steering.scan import ScanSettings
from phasepilot.models.steering.scan_policies import ScanPolicySettings, build
from phasepilot.models.steering.spot_candidates import SpotCandidates
from phasepilot.models.steering.transition_bisection import TransitionBisection
from phasepilot.models.steering.transition_information import TransitionInformation
from phasepilot.models.steering.transition_settings import (
    SearchSettings,
    TransitionBisectionSettings,
    TransitionInformationSettings,
)

SteeringSettings = Annotated[
    CompressionSettings
    | TransitionInformationSettings
    | TransitionBisectionSettings
    | RotationSettings
    | ScanPolicySettings,
    Field(discriminator="policy"),
]
# Rules for a sample that is driven along an axis, by the settings that they take.
_DRIVEN: dict[type[Any], Callable[[Any], Policy[Any]]] = {
    CompressionSettings: CompressionRule,
    TransitionInformationSettings: TransitionInformation,
    TransitionBisectionSettings: TransitionBisection,
}
# Every hypothesis is adjusted to the measured lines at each pass; of a whole table that takes
# minutes.
LARGEST_LIBRARY = 400


class Steerer:
    """Hands out the rule for a wavelength; rules of scans need to know where lines would be.

    Parameters
    ----------
    settings : SteeringSettings or None
    index : SearchIndex or None
        Known structures, which are the hypotheses of a 2-theta scan.

    Raises
    ------
    ConfigurationError
        If a rule for scans has no known phases, or far too many.
    """

    def __init__(self, settings: Any, index: SearchIndex | None) -> None:
        self._settings = settings
        self._library = _hypotheses_library(settings, index)
        self.policy = lru_cache(maxsize=4)(self._policy)

    @property
    def returns(self) -> bool:
        """Whether the axis may go back, so that a frame may show what was there before."""
        return isinstance(self._settings, SearchSettings) and self._settings.return_is_allowed

    def _policy(self, wavelength_angstrom: float | None) -> Policy[Any] | None:
        """Return the rule; None where nothing is steered or the wavelength is not known."""
        settings = self._settings
        if isinstance(settings, RotationSettings):
            return self._rotation(settings, wavelength_angstrom)
        driven = _DRIVEN.get(type(settings))
        if driven is not None:
            return driven(settings)
        if self._library is None or wavelength_angstrom is None:
            return None
        source = LibraryHypotheses(
            library=self._library,
            wavelength_angstrom=wavelength_angstrom,
            axis=ScanAxis(settings.start_deg, settings.reach_deg),
            max_phases=settings.max_phases,
            least_share=settings.least_share,
        )
        return build(settings, source)

    def _rotation(
        self, settings: RotationSettings, wavelength_angstrom: float | None
    ) -> RotationRule:
        if self._library is None or wavelength_angstrom is None:
            return RotationRule(settings)
        candidates = SpotCandidates(
            self._library,
            wavelength_angstrom,
            mosaicity_deg=settings.mosaicity_deg,
            tolerance=settings.tolerance,
        )
        return RotationRule(settings, candidates)


def _hypotheses_library(settings: Any, index: SearchIndex | None) -> PhaseLibrary | None:
    if isinstance(settings, RotationSettings):
        # A library that is too large to weigh leaves the estimate to be settled.
        is_small = index is not None and index.n_structures <= LARGEST_LIBRARY
        return library_of(index, np.arange(index.n_structures)) if index and is_small else None
    if not isinstance(settings, ScanSettings):
        return None
    if index is None:
        raise ConfigurationError(
            f"the rule {getattr(settings, 'policy', '')!r} weighs known phases against each other,"
            " but no library is named; set library to a folder of CIF files."
        )
    if index.n_structures > LARGEST_LIBRARY:
        raise ConfigurationError(
            f"a 2-theta scan weighs at most {LARGEST_LIBRARY} known phases against each other, but"
            f" the library holds {index.n_structures}; give a folder of the phases that may occur."
        )
    return library_of(index, np.arange(index.n_structures))
