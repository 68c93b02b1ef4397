"""What pattern, image and both say of crystals after one to six zone axes.

Frames of electrons, whose wavelength makes zones of all low axes; the pattern is that of all
frames so far added up around the beam. One half of the held-out families fits the powers of the
product, the other half tests it.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Estimator,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.turned_crystals import ViewMaker, held_out_rows
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    centred_geometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.rotating_crystal import CrystalCamera, Grain
from phasepilot.models.diffraction.images.spot_pattern import (
    turned_in_plane,
    zone_axis_orientation,
)
from phasepilot.models.errors import ModelsError, UnknownModelError
from phasepilot.models.estimation.crystal_views import CrystalViews
from phasepilot.models.estimation.image_estimator import ImageEstimator
from phasepilot.models.estimation.lattice_model import load_lattice_model
from phasepilot.models.estimation.view_combination import KnownViews, Powers, fit_powers
from phasepilot.models.networks.symmetry_levels import crystal_system_probabilities
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS
from phasepilot.models.training.zone_axes import AXES, ZoneAxis

N_VIEWS = (1, 3, 6)
# Of electrons of 200 keV.
_WAVELENGTH_ANGSTROM = 0.0251
# Counts in the brightest spot, and of a pixel beside it.
_SPOT_COUNTS, _BACKGROUND_COUNTS = 2e4, 1.0
_LEAST_PROBABILITY = 1e-6


def _camera() -> CrystalCamera:
    geometry = centred_geometry(
        PLAIN_DETECTOR,
        detector_config=plain_detector_config((512, 512), (1.2e-4, 1.2e-4)),
        distance_m=1.0,
        wavelength_angstrom=_WAVELENGTH_ANGSTROM,
    )
    return CrystalCamera(geometry, mosaicity_deg=1.0, sigma_px=1.3)


_CAMERA = _camera()


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """Answers on one crystal after so many views."""

    n_views: int
    known: KnownViews


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return accuracies of pattern, image and both, and the powers of both."""
    network = image_network()
    pattern = options.estimators[options.judged]
    maker = ViewMaker(network, _CAMERA.geometry)
    items: list[dict[str, Any]] = []
    powers: list[Powers] = []
    for seed in range(options.n_seeds):
        fitted_on, tested_on = (
            list(_answers(options, progress, pattern, network, maker, seed, half))
            for half in (0, 1)
        )
        powers.append(fit_powers([one.known for one in fitted_on]))
        items += [{"seed": seed, **_item(one, powers[-1])} for one in tested_on]
    figures = [*_figures(items, options.n_seeds), *_power_figures(powers)]
    return BenchmarkResult("crystals after one to six orientations", tuple(figures), tuple(items))


def image_network() -> ImageEstimator:
    """Return the network of images that ships.

    Raises
    ------
    ModelsError
        If none does.
    """
    try:
        return load_lattice_model()
    except UnknownModelError as error:
        raise ModelsError(
            f"views of crystals need a network of images, but {error} Train one first."
        ) from error


def _answers(
    options: BenchmarkOptions,
    progress: Progress,
    pattern: Estimator,
    network: ImageEstimator,
    maker: ViewMaker,
    seed: int,
    half: int,
) -> Iterator[_Answered]:
    rows = held_out_rows(options.structures, options.n_simulated, seed, half=half)
    for number, row in enumerate(rows):
        progress(f"seed {seed}, half {half}", number, len(rows))
        rng = np.random.default_rng([seed, half, number])
        chosen = [AXES[k] for k in rng.permutation(len(AXES))[: max(N_VIEWS)]]
        views: CrystalViews | None = None
        for n_views, axis in enumerate(chosen, start=1):
            with suppress(ModelsError):  # a large cell may have no zone with spots there
                views = _with_zone(views, row.crystal, axis, maker, rng)
            if n_views in N_VIEWS and views is not None and views.estimates:
                known = KnownViews(
                    row.crystal.space_group_number - 1,
                    pattern.predict(views.pattern).space_group_probabilities,
                    network.fuse(views.estimates).space_group_probabilities,
                )
                yield _Answered(n_views, known)


def _with_zone(
    views: CrystalViews | None,
    crystal: Crystal,
    axis: ZoneAxis,
    maker: ViewMaker,
    rng: np.random.Generator,
) -> CrystalViews:
    """Return the views with a frame along one more axis, turned about the beam at random."""
    orientation = zone_axis_orientation(crystal, axis)
    turned = turned_in_plane(orientation, float(rng.uniform(0, 360)))
    image = _CAMERA.image([Grain(crystal, turned)], 0.0)
    image *= np.float32(_SPOT_COUNTS / max(float(image.max()), 1e-30))
    counts = rng.poisson(image + np.float32(_BACKGROUND_COUNTS)).astype(np.int32)
    view = maker.view(counts)
    if views is None:
        views = CrystalViews.first(view.polar, _WAVELENGTH_ANGSTROM)
    else:
        views = views.with_view(view.polar)
    return views.with_estimate(view.estimate)


def _item(one: _Answered, powers: Powers) -> dict[str, Any]:
    known = one.known
    answers = {
        "pattern": known.pattern,
        "image": known.image,
        "joined": _product(known.pattern, known.image, powers),
    }
    item: dict[str, Any] = {"n_views": one.n_views, "space_group": known.space_group_index + 1}
    truth = np.eye(230)[known.space_group_index]
    for name, probabilities in answers.items():
        systems = crystal_system_probabilities(probabilities)
        item[f"{name}_space_group"] = bool(probabilities.argmax() == known.space_group_index)
        item[f"{name}_crystal_system"] = bool(
            systems.argmax() == crystal_system_probabilities(truth).argmax()
        )
        item[f"{name}_surprise"] = float(
            -np.log(max(float(probabilities[known.space_group_index]), _LEAST_PROBABILITY))
        )
        item[f"{name}_confidence"] = float(probabilities.max())
    return item


def _product(pattern: FloatArray, image: FloatArray, powers: Powers) -> FloatArray:
    product = np.maximum(pattern, _LEAST_PROBABILITY) ** powers.pattern
    product *= np.maximum(image, _LEAST_PROBABILITY) ** powers.image
    return np.asarray(product / product.sum())


def _figures(items: list[dict[str, Any]], n_seeds: int) -> Iterator[Figure]:
    meanings = {
        "space_group": "share of crystals whose space group is named",
        "crystal_system": f"share of crystals whose system, of {len(CRYSTAL_SYSTEMS)}, is named",
        "surprise": "mean -ln p of the true space group",
        "confidence": "mean probability of the best space group: beside the share of right ones",
    }
    for quantity, meaning in meanings.items():
        for n_views in N_VIEWS:
            for name in ("pattern", "image", "joined"):
                by_seed = [
                    np.mean(
                        [
                            item[f"{name}_{quantity}"]
                            for item in items
                            if item["n_views"] == n_views and item["seed"] == seed
                        ]
                    )
                    for seed in range(n_seeds)
                ]
                yield Figure(
                    f"{name}_{quantity}_{n_views}_views",
                    float(np.mean(by_seed)),
                    meaning,
                    spread=float(np.std(by_seed)),
                )


def _power_figures(powers: list[Powers]) -> Iterator[Figure]:
    for name in ("pattern", "image"):
        values = [getattr(one, name) for one in powers]
        meaning = "power of each answer in the product, fitted on the other half of the families"
        yield Figure(f"{name}_power", float(np.mean(values)), meaning, spread=float(np.std(values)))
