"""Which phases of a library a measured pattern shows."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.identification.agreement import LARGEST_RATIO, strength_ratio
from phasepilot.models.identification.element_filter import is_made_of
from phasepilot.models.identification.line_alignment import LatticeFreedom
from phasepilot.models.identification.mixture import USUAL_RATIO, MixtureFit, fitted_mixture
from phasepilot.models.identification.phase_library import PhaseLibrary
from phasepilot.models.identification.phase_match import PhaseMatch
from phasepilot.models.identification.root_pattern import RootPattern, root_pattern
from phasepilot.models.preprocessing.preparation import PreparedPattern

MAX_PHASES = 3
# Smaller intensities, on a scale of 1, are none.
_NOTHING = 1e-12
_AS_IN_LIBRARY = LatticeFreedom()


@dataclass(frozen=True, slots=True)
class LibraryMatch:
    """The phases of a library that explain a pattern.

    Attributes
    ----------
    phases : tuple of PhaseMatch
        The largest share first; empty if none explains enough to be named.
    calculated : ndarray, shape (n_phases, n_bins)
        What each contributes, in the counts of the pattern above its background.
    unexplained : float
        Share of the intensity above background that lies where no phase has lines, or where it is
        more than twice what their lines make, 0 to 1. Noise is part of it.
    agreement : float
        How well line positions and strengths agree, 1 for perfectly: what phases are ranked by.
    """

    phases: tuple[PhaseMatch, ...]
    calculated: FloatArray
    unexplained: float
    agreement: float


def match_library(
    pattern: PreparedPattern,
    wavelength_angstrom: float | None,
    library: PhaseLibrary,
    *,
    elements: Collection[int] | None = None,
    max_phases: int = MAX_PHASES,
    freedom: LatticeFreedom = _AS_IN_LIBRARY,
) -> LibraryMatch:
    """Return the phases that explain the pattern, at most `max_phases`.

    Phases are added while each explains enough more. Lattices may differ from the library's as
    `freedom` says, and lines may be wider, or of other strength by a factor of about two.

    Parameters
    ----------
    wavelength_angstrom : float or None
        Of the beam, for its polarisation; None if unknown.
    elements : collection of int, optional
        Atomic numbers that phases may hold; see
        `phasepilot.models.identification.element_filter`. Others are passed over.

    Raises
    ------
    PatternError
        If `max_phases` is not positive, or no phase of the library is made of these elements.
    """
    if max_phases < 1:
        raise PatternError(
            f"max_phases must be at least 1, but is {max_phases}; say how many phases the sample"
            " may hold."
        )
    allowed = _made_of(library, elements)
    seen = root_pattern(pattern)
    fit = fitted_mixture(seen, allowed, wavelength_angstrom, freedom=freedom, max_phases=max_phases)
    return _library_match(pattern, seen, allowed, fit)


def _made_of(library: PhaseLibrary, elements: Collection[int] | None) -> PhaseLibrary:
    if elements is None:
        return library
    rows = [k for k, phase in enumerate(library.phases) if is_made_of(phase.formula, elements)]
    if not rows:
        raise PatternError(
            f"a phase of the library must be made of the atomic numbers {sorted(elements)}, but"
            f" none of its {len(library.phases)} is; allow more elements, hydrogen and oxygen too,"
            " or add phases."
        )
    return library.chosen(np.array(rows))


def _library_match(
    pattern: PreparedPattern, seen: RootPattern, library: PhaseLibrary, fit: MixtureFit
) -> LibraryMatch:
    measured = np.where(seen.is_measured, fit.calculated, 0.0)
    shares = _shares(seen, measured)
    total = max(float(seen.signal.sum()), _NOTHING)
    explained = np.minimum(measured, seen.signal).sum(axis=1) / total
    together = measured.sum(axis=0)
    together = together * strength_ratio(seen, together, USUAL_RATIO)
    order = [int(k) for k in np.argsort(-shares, kind="stable") if shares[k] > 0]
    phases = [library.phases[row] for row in fit.rows]
    calculated = np.zeros((len(order), pattern.grid.n_bins))
    calculated[:, seen.first_bin : seen.first_bin + seen.grid.n_bins] = measured[order]
    matches = [
        PhaseMatch(
            name=phases[k].name,
            formula=phases[k].formula,
            space_group_number=phases[k].space_group_number,
            fraction=float(shares[k]),
            strain=float(np.expm1(fit.parameters[k, 0])),
            explained=float(explained[k]),
        )
        for k in order
    ]
    return LibraryMatch(
        phases=tuple(matches),
        calculated=calculated * float(pattern.signal.max()),
        unexplained=float(seen.without(together).signal.sum() / total) if fit.rows else 1.0,
        agreement=fit.agreement.value,
    )


def _shares(seen: RootPattern, measured: FloatArray) -> FloatArray:
    """Return each phase's share of the measured intensity that lines explain, adding up to 1.

    What is measured at a place is shared among phases as their calculated intensities are there
    (Rietveld, J. Appl. Cryst. 2, 65 (1969), for overlapping lines), so that texture, which changes
    the strength of single lines, changes shares less than it changes scales.
    """
    together = measured.sum(axis=0)
    free = together * strength_ratio(seen, together, LARGEST_RATIO)
    ratio = np.minimum(free, seen.signal) / np.maximum(together, _NOTHING)
    areas = (measured * ratio).sum(axis=1)
    return np.asarray(areas / max(float(areas.sum()), _NOTHING))
