"""What pattern, image and both say of crystals after one to six orientations, and of rings.

One half of the held-out families fits the powers of the product, for images of spots and of rings
by themselves; the other half tests it.
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
from phasepilot.models.benchmarks.simulated_images import detectors, draw_known_image
from phasepilot.models.benchmarks.turned_crystals import TurnedCrystal, ViewMaker, held_out_rows
from phasepilot.models.diffraction.images.image_kind import ImageKind
from phasepilot.models.errors import ModelsError, UnknownModelError
from phasepilot.models.estimation.image_estimator import ImageEstimator
from phasepilot.models.estimation.image_model import load_image_model
from phasepilot.models.estimation.view_combination import KnownViews, Powers, fit_powers
from phasepilot.models.networks.symmetry_levels import crystal_system_probabilities
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

# Orientations far enough apart to be new ones, in random order.
_ANGLES_DEG = np.arange(-80.0, 90.0, 20.0)
N_VIEWS = (1, 3, 6)
RINGS = "rings"
SAMPLES = (*(f"{n}_views" for n in N_VIEWS), RINGS)
_RING_KINDS = (ImageKind.POWDER, ImageKind.TEXTURED, ImageKind.SPOTTY, ImageKind.DIAMOND)
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """Answers on one sample: a crystal after so many views, or rings."""

    sample: str
    known: KnownViews


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return accuracies of pattern, image and both, and the powers of both."""
    network = image_network()
    pattern = options.estimators[options.judged]
    maker = ViewMaker(network)
    items: list[dict[str, Any]] = []
    powers: dict[str, list[Powers]] = {"spots": [], RINGS: []}
    for seed in range(options.n_seeds):
        fitted_on, tested_on = (
            list(_answers(options, progress, pattern, network, maker, seed, half))
            for half in (0, 1)
        )
        for name, of_seed in powers.items():
            cases = [one.known for one in fitted_on if (one.sample == RINGS) == (name == RINGS)]
            of_seed.append(fit_powers(cases))
        items += [
            {"seed": seed, **_item(one, powers[RINGS if one.sample == RINGS else "spots"][-1])}
            for one in tested_on
        ]
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
        return load_image_model()
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
    rings = ViewMaker(network, detectors()[0])
    for number, row in enumerate(rows):
        progress(f"seed {seed}, half {half}", number, len(rows))
        rng = np.random.default_rng([seed, number])
        angles = rng.permutation(_ANGLES_DEG).tolist()
        kind = _RING_KINDS[int(rng.integers(len(_RING_KINDS)))]
        drawn = draw_known_image(kind, row.crystal, rings.geometry, rng)
        seen = {RINGS: rings.views(drawn.image)}
        with suppress(ModelsError):  # nothing of a large cell may fall onto the detector
            crystal = TurnedCrystal.of(row, maker, seed * 100_000 + number)
            seen |= {f"{n}_views": crystal.seen(angles[:n]) for n in N_VIEWS}
        for sample, views in seen.items():
            yield _Answered(
                sample,
                KnownViews(
                    row.crystal.space_group_number - 1,
                    pattern.predict(views.pattern).space_group_probabilities,
                    network.fuse(views.estimates).space_group_probabilities,
                ),
            )


def _item(one: _Answered, powers: Powers) -> dict[str, Any]:
    known = one.known
    answers = {
        "pattern": known.pattern,
        "image": known.image,
        "joined": _product(known.pattern, known.image, powers),
    }
    item: dict[str, Any] = {"sample": one.sample, "space_group": known.space_group_index + 1}
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
        for sample in SAMPLES:
            for name in ("pattern", "image", "joined"):
                by_seed = [
                    np.mean(
                        [
                            item[f"{name}_{quantity}"]
                            for item in items
                            if item["sample"] == sample and item["seed"] == seed
                        ]
                    )
                    for seed in range(n_seeds)
                ]
                yield Figure(
                    f"{name}_{quantity}_{sample}",
                    float(np.mean(by_seed)),
                    meaning,
                    spread=float(np.std(by_seed)),
                )


def _power_figures(powers: dict[str, list[Powers]]) -> Iterator[Figure]:
    meaning = "power of each answer in the product, fitted on the other half of the families"
    for shown, of_seeds in powers.items():
        for name in ("pattern", "image"):
            values = [getattr(one, name) for one in of_seeds]
            spread = float(np.std(values))
            yield Figure(f"{name}_power_{shown}", float(np.mean(values)), meaning, spread=spread)
