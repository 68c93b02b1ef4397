"""What the phases of a sample scatter, before any instrument: lines with strain and texture."""

from dataclasses import dataclass
from math import pi

import numpy as np

from phasepilot.models.arrays import Array, FloatArray
from phasepilot.models.diffraction.powder.backend import Backend
from phasepilot.models.diffraction.powder.intensity_factors import debye_waller
from phasepilot.models.diffraction.powder.line_positions import (
    free_strain_components,
    strained_reciprocal,
)
from phasepilot.models.diffraction.powder.recipe import TEXTURE_AXES, Settings
from phasepilot.models.diffraction.powder.texture import (
    cosine_texture,
    laue_rotations_of_space_groups,
    march_dollase,
    n_laue_rotations,
)
from phasepilot.models.diffraction.stick_store import StickStore


@dataclass(frozen=True, slots=True)
class Reflections:
    """Lines of a batch of samples, shape (n_lines,) each.

    Attributes
    ----------
    row : array of int
        Sample that the line belongs to.
    q_per_angstrom, strength : array
        The strength has no geometry in it yet: no Lorentz factor, no polarisation.
    """

    row: Array
    q_per_angstrom: Array
    strength: Array


class PhaseLibrary:
    """Stick lists where the arithmetic runs, and the reflections of strained, textured powders.

    Parameters
    ----------
    store : StickStore
        Copied to the backend's device, unless it is the memory of this process.
    """

    def __init__(self, store: StickStore, backend: Backend) -> None:
        self.store = store
        self._backend = backend
        self._strength = backend.asarray(store.strength, single=True)
        self._hkl = backend.asarray(store.hkl)
        self._offsets = backend.asarray(store.offsets)
        self._reciprocal = backend.asarray(store.reciprocal)
        self._space_group = backend.asarray(store.space_group_number)
        self._rotations = backend.asarray(laue_rotations_of_space_groups())
        self._n_rotations = backend.asarray(n_laue_rotations())
        self._strain_columns = backend.asarray(free_strain_components())

    def reflections(
        self,
        structures: Array,
        volume_fraction: Array,
        settings: Settings,
        q_limits_per_angstrom: FloatArray | None = None,
    ) -> Reflections:
        """Return the lines of one structure in each sample.

        Parameters
        ----------
        structures : ndarray of int, shape (n_patterns,)
        volume_fraction : ndarray, shape (n_patterns,)
            Of the structure in its sample; where it is 0 no line is made.
        q_limits_per_angstrom : ndarray, shape (n_patterns, 2), optional
            Lines outside these are left out: half of those stored are beyond most axes.
        """
        backend, xp = self._backend, self._backend.xp
        present = np.flatnonzero(volume_fraction > 0)
        which = backend.asarray(np.asarray(structures)[present])
        reciprocal = 2 * pi * self._strained(which, settings, present)
        n_lines = self._offsets[which + 1] - self._offsets[which]
        place = xp.repeat(xp.arange(which.shape[0], device=n_lines.device), n_lines)
        first = xp.cumulative_sum(n_lines) - n_lines
        numbers = xp.arange(place.shape[0], device=n_lines.device)
        index = numbers - first[place] + self._offsets[which][place]
        hkl = xp.astype(self._hkl[index], xp.float64)
        # Written out: sums over an axis of three cost several times as much.
        vectors = (
            hkl[:, :1] * reciprocal[place, 0]
            + hkl[:, 1:2] * reciprocal[place, 1]
            + hkl[:, 2:] * reciprocal[place, 2]
        )
        q = xp.sqrt(vectors[:, 0] ** 2 + vectors[:, 1] ** 2 + vectors[:, 2] ** 2)
        if q_limits_per_angstrom is not None:
            limits = backend.asarray(q_limits_per_angstrom[present])
            seen = xp.nonzero((q > limits[place, 0]) & (q < limits[place, 1]))[0]
            q, hkl, vectors = q[seen], hkl[seen], vectors[seen]
            place, index = place[seen], index[seen]
        fraction = backend.asarray(volume_fraction[present])
        strength = self._strength[index] * fraction[place]
        b_square = backend.asarray(settings["b_square_angstrom"][present, 0])
        strength = strength * debye_waller(q, b_square[place])
        strength = strength * self._texture(which, place, hkl, vectors, settings, present)
        row = backend.asarray(present)[place]
        return Reflections(row, q, strength)

    def _strained(self, which: Array, settings: Settings, present: Array) -> Array:
        xp = self._backend.xp
        reciprocal = self._reciprocal[which]
        if not (settings.is_used("isotropic_strain") or settings.is_used("anisotropic_strain")):
            return reciprocal
        drawn = np.concatenate(
            [settings["anisotropic_strain"], np.zeros((settings.n_patterns, 1))], axis=1
        )
        columns = self._strain_columns[self._space_group[which]]
        flat = xp.reshape(columns, (-1, 9))
        strain = xp.take_along_axis(self._backend.asarray(drawn[present]), flat, axis=1)
        strain = xp.reshape(strain, (-1, 3, 3))
        isotropic = self._backend.asarray(settings["isotropic_strain"][present])[:, :, None]
        identity = xp.eye(3, dtype=strain.dtype, device=strain.device)
        return strained_reciprocal(reciprocal, strain + isotropic * identity)

    def _texture(
        self,
        which: Array,
        place: Array,
        hkl: Array,
        vectors: Array,
        settings: Settings,
        present: Array,
    ) -> Array:
        """Return the factor of each line that preferred orientation and scatter make."""
        backend, xp = self._backend, self._backend.xp
        factor = xp.ones(place.shape[0], dtype=xp.float64, device=vectors.device)
        axes = backend.asarray(TEXTURE_AXES)[settings["texture_axis"][present, 0].astype(np.int64)]
        r = backend.asarray(settings["march_dollase_r"][present, 0])
        if bool(xp.any(r != 1)):
            turned = xp.astype(
                axes[:, None, None, :] @ self._rotations[self._space_group[which]], xp.float64
            )[:, :, 0, :]
            cartesian = turned @ self._reciprocal[which]
            cartesian = cartesian / xp.linalg.vector_norm(cartesian, axis=-1, keepdims=True)
            n_axes = xp.where(r != 1, self._n_rotations[self._space_group[which]], 0)
            # Low symmetries have few equivalent axes, and most lines.
            for number in xp.unique_values(n_axes).tolist():
                lines = xp.nonzero((n_axes == number)[place])[0]
                if number == 0 or not lines.shape[0]:
                    continue
                direction = vectors[lines]
                direction = direction / xp.linalg.vector_norm(direction, axis=1, keepdims=True)
                at = place[lines]
                factor[lines] = march_dollase(direction, cartesian[at, :number], r[at])
        if settings.is_used("cosine_texture"):
            amount = backend.asarray(settings["cosine_texture"][present, 0])
            along = xp.astype(axes, xp.float64)
            factor = factor * cosine_texture(hkl, along[place], amount[place])
        if settings.is_used("line_scatter"):
            spread = backend.asarray(settings["line_scatter"][present, 0])
            factor = factor * xp.exp(spread[place] * backend.normal((place.shape[0],)))
        return factor
