"""Which phases of a library make up a pattern: one after the other, while each explains more."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.identification.agreement import (
    Agreement,
    Sought,
    agreement_with,
    sought,
    strength_ratio_to,
)
from phasepilot.models.identification.line_alignment import (
    LatticeFreedom,
    LinesInRange,
    align,
    line_places,
    lines_in_range,
    polarised_areas,
)
from phasepilot.models.identification.line_template import LineShape, StickLayers, stick_layers
from phasepilot.models.identification.phase_library import PhaseLibrary
from phasepilot.models.identification.root_pattern import RootPattern

# So many phases of an alignment are drawn: for the first phase of a mixture, and for further ones.
_N_DRAWN_FIRST, _N_DRAWN_LATER = 8, 5
# So many part solutions are carried on, if their scores come this near the best.
_N_KEPT = 2
_PROMISING_WITHIN = 0.05
# A phase must raise the agreement by this much, or it is noise, texture or a bad background. On
# simulated mixtures 0.03 and 0.05 find about as many right phases in all: the lower one more of
# the weak ones, the higher one fewer that are not there.
SMALLEST_GAIN = 0.04
# Lines of a known phase may differ this much from their calculated strengths before what is left
# of them is taken for another phase.
USUAL_RATIO = 2.0
_SHAPES = tuple(LineShape(width, 0.002) for width in (0.004, 0.008, 0.016, 0.032, 0.064))
_FINER_RATIOS = (0.71, 1.0, 1.41)
_LORENTZIAN_SHARES = (0.1, 0.5, 0.9)
# So many of the first phases say what shape lines have.
_N_JUDGING_SHAPE = 2


@dataclass(frozen=True, slots=True)
class MixtureFit:
    """Phases that together explain a pattern.

    Attributes
    ----------
    rows : tuple of int
        Of the library.
    parameters : ndarray, shape (n_phases, N_MODES + 1)
        See `phasepilot.models.identification.line_alignment.Alignment`.
    drawn : ndarray, shape (n_phases, n_bins)
        Not scaled.
    agreement : Agreement
    score : float
        The agreement, less what strains cost and `SMALLEST_GAIN` for each phase.
    """

    rows: tuple[int, ...]
    parameters: FloatArray
    drawn: FloatArray
    agreement: Agreement
    score: float

    @property
    def calculated(self) -> FloatArray:
        """Each phase at its scale, shape (n_phases, n_bins)."""
        return np.asarray(self.agreement.scales[:, None] * self.drawn)


def fitted_mixture(
    pattern: RootPattern,
    library: PhaseLibrary,
    wavelength_angstrom: float | None,
    *,
    freedom: LatticeFreedom,
    max_phases: int,
) -> MixtureFit:
    """Return the phases that explain the pattern best; none if none explains enough of it."""
    lines = lines_in_range(pattern, library, wavelength_angstrom)
    search = _Search(pattern, sought(pattern), library, lines, wavelength_angstrom, freedom)
    best = search.nothing()
    proposals = search.proposals(best, _N_DRAWN_FIRST)
    if not proposals.rows.size:
        return best
    shape = search.line_shape(proposals)
    kept = _promising(search.extensions(best, proposals, shape))
    for _ in range(max_phases - 1):
        if not kept or kept[0].score <= best.score:
            return best
        best = kept[0]
        if 1 - best.agreement.value < SMALLEST_GAIN:
            return best
        grown: list[MixtureFit] = []
        for fit in kept:
            grown += search.extensions(fit, search.proposals(fit, _N_DRAWN_LATER), shape)
        kept = _promising(grown)
    return max([best, *kept], key=lambda fit: fit.score)


def _promising(fits: list[MixtureFit]) -> list[MixtureFit]:
    """Return the fits worth carrying on, best first, each set of phases once."""
    by_phases: dict[frozenset[int], MixtureFit] = {}
    for fit in sorted(fits, key=lambda one: -one.score):
        by_phases.setdefault(frozenset(fit.rows), fit)
    distinct = list(by_phases.values())[:_N_KEPT]
    return [fit for fit in distinct if fit.score > distinct[0].score - _PROMISING_WITHIN]


@dataclass(frozen=True, slots=True)
class _Proposals:
    """Phases that may explain what is left, the best first, ready to be drawn."""

    rows: IntArray
    parameters: FloatArray
    layers: StickLayers


@dataclass(frozen=True, slots=True)
class _Search:
    """A pattern, and the library to explain it with."""

    pattern: RootPattern
    sought: Sought
    library: PhaseLibrary
    lines: LinesInRange
    wavelength_angstrom: float | None
    freedom: LatticeFreedom

    def nothing(self) -> MixtureFit:
        """Return the fit of no phase."""
        drawn = np.zeros((0, self.pattern.grid.n_bins))
        parameters = np.zeros((0, self.freedom.deviations().size))
        return MixtureFit((), parameters, drawn, Agreement(np.zeros(0), 0.0, 1.0), 0.0)

    def proposals(self, fit: MixtureFit, n_phases: int) -> _Proposals:
        """Return the phases whose lines agree best with what the fit leaves."""
        aligned = align(self._left_over(fit), self.lines, self.freedom)
        # What is in the fit already may be a little off, but is no other phase.
        new = np.flatnonzero(~np.isin(aligned.rows, fit.rows))[:n_phases]
        rows, parameters = aligned.rows[new], aligned.parameters[new]
        chosen = self.library.chosen(rows)
        place, slopes = line_places(chosen, self.pattern.grid)
        place = place + (slopes @ parameters[:, :, None])[:, :, 0]
        areas = polarised_areas(chosen, self.wavelength_angstrom)
        return _Proposals(rows, parameters, stick_layers(self.pattern.grid, place, areas))

    def _left_over(self, fit: MixtureFit) -> RootPattern:
        calculated = fit.calculated.sum(axis=0)
        calculated = calculated * strength_ratio_to(self.sought, calculated, USUAL_RATIO)
        return self.pattern.without(calculated)

    def line_shape(self, proposals: _Proposals) -> LineShape:
        """Return the shape with which one of the first phases agrees best."""
        first = proposals.layers.of(slice(0, _N_JUDGING_SHAPE))
        roots = self.sought.roots

        def best_of(shapes: Sequence[LineShape]) -> LineShape:
            return max(shapes, key=lambda shape: self._best_cosine(roots, first.drawn(shape)))

        rough = best_of(_SHAPES)
        return best_of(
            [
                replace(rough.scaled(ratio), lorentzian=share)
                for ratio in _FINER_RATIOS
                for share in _LORENTZIAN_SHARES
            ]
        )

    def _best_cosine(self, roots: FloatArray, drawn: FloatArray) -> float:
        measured = drawn * self.pattern.is_measured
        scale = self.pattern.signal.sum() / np.maximum(measured.sum(axis=1, keepdims=True), 1e-300)
        measured *= scale
        calculated = self.pattern.rooted(measured)
        size = np.maximum(np.sqrt(np.einsum("pb,pb->p", calculated, calculated)), 1e-300)
        return float((calculated @ roots / size).max(initial=0.0))

    def extensions(
        self, fit: MixtureFit, proposals: _Proposals, shape: LineShape
    ) -> list[MixtureFit]:
        """Return the fit with each of the proposed phases added."""
        if not proposals.rows.size:
            return []
        fits = [
            self._extended(fit, proposals, which, drawn)
            for which, drawn in enumerate(proposals.layers.drawn(shape))
        ]
        # Crystallites of another phase may be larger or smaller.
        best = int(np.argmax([one.score for one in fits]))
        alone = proposals.layers.of(slice(best, best + 1))
        return fits + [
            self._extended(fit, proposals, best, alone.drawn(other)[0])
            for other in (shape.scaled(0.5), shape.scaled(2.0))
        ]

    def _extended(
        self, fit: MixtureFit, proposals: _Proposals, which: int, drawn: FloatArray
    ) -> MixtureFit:
        together = np.concatenate([fit.drawn, drawn[None]])
        moved = np.concatenate([fit.parameters, proposals.parameters[which : which + 1]])
        found = agreement_with(self.sought, together)
        cost = float(self.freedom.cost(moved).sum()) + SMALLEST_GAIN * len(moved)
        rows = (*fit.rows, int(proposals.rows[which]))
        return MixtureFit(rows, moved, together, found, found.value - cost)
