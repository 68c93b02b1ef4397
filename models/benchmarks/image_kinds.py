"""What images show: the kind that is stated, beside what was drawn and what measured frames are."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.measured_images import measured_images
from phasepilot.models.benchmarks.simulated_images import (
    KnownImage,
    detectors,
    draw_known_image,
)
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.images.azimuthal_outliers import find_spots
from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry
from phasepilot.models.diffraction.images.frame_condition import frame_condition
from phasepilot.models.diffraction.images.frame_reduction import FrameReducer
from phasepilot.models.diffraction.images.image_kind import ImageKind, image_statement
from phasepilot.models.diffraction.images.polar_views import pattern_of_polar
from phasepilot.models.diffraction.pressure.materials import MATERIALS
from phasepilot.models.networks.registry import load_model
from phasepilot.models.networks.symmetry_levels import crystal_system_probabilities
from phasepilot.models.pattern import Pattern

# Thresholds were fixed on images of CeO2, corundum and rutile, with the seed 0.
_FIRST_SEED = 1000


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how often the kind is right, for each kind, and what measured frames are called."""
    items: list[dict[str, Any]] = []
    n_each = max(1, options.n_simulated // len(ImageKind))
    total = options.n_seeds * len(detectors()) * len(ImageKind) * n_each
    judge = _Judge()
    for known, seed in _drawn(options.n_seeds, n_each):
        progress("simulated images", len(items), total)
        items.append({"seed": seed, **judge(known.image, known.geometry, (known.shown.value,))})
    seconds = np.array([item["seconds"] for item in items])
    figures = [*_figures(items, options.n_seeds), *_times(seconds)]
    measured = list(_measured(options.data, judge)) if options.data is not None else []
    if measured:
        figures += _of_measured(measured)
    notes = tuple(
        f"{item['name']}: {item['said']} ({item['reason']});"
        f" {'right' if item['is_right'] else 'wrong: ' + ' or '.join(item['shown'])}; named"
        f" {item['crystal_system']} {item['named']} ({item['confidence']:.0%}), is"
        f" {item['space_group']}"
        for item in measured
    )
    return BenchmarkResult(
        "what simulated and measured images show", tuple(figures), (*items, *measured), notes
    )


def _drawn(n_seeds: int, n_each: int) -> Iterator[tuple[KnownImage, int]]:
    """Yield images of each kind on each detector; one detector after the other, as maps are big."""
    crystals = _crystals()
    for place, geometry in enumerate(detectors()):
        for seed in range(n_seeds):
            rng = np.random.default_rng([_FIRST_SEED + seed, place])
            for kind in ImageKind:
                for _ in range(n_each):
                    crystal = crystals[int(rng.integers(len(crystals)))]
                    yield draw_known_image(kind, crystal, geometry, rng), seed


def _crystals() -> Sequence[Crystal]:
    phases = [(one.low_pressure, one.high_pressure) for one in MATERIALS.values()]
    return [phase.crystal for pair in phases for phase in pair]


class _Judge:
    """Says what images show, keeping what the detector of the last one needs."""

    def __init__(self) -> None:
        self._reducer: FrameReducer | None = None

    def __call__(
        self, image: NDArray[Any], geometry: DetectorGeometry, shown: tuple[str, ...]
    ) -> dict[str, Any]:
        if self._reducer is None or self._reducer.geometry != geometry:
            self._reducer = FrameReducer(geometry)
        polar = self._reducer.reduce(image)
        spots = find_spots(polar)
        condition = frame_condition(polar, spots)
        started = time.process_time()
        statement = image_statement(polar, spots, condition)
        return {
            "shown": list(shown),
            "said": statement.kind.value,
            "reason": statement.reason,
            "is_right": statement.kind.value in shown,
            "seconds": time.process_time() - started,
        }

    def pattern(self, image: NDArray[Any]) -> Pattern:
        """Return the pattern of an image of the last detector, spots of diamonds left out."""
        if self._reducer is None:
            raise RuntimeError("the detector is that of the last image that was judged")
        polar = self._reducer.reduce(image)
        spots = find_spots(polar)
        kind = image_statement(polar, spots, frame_condition(polar, spots)).kind
        is_left_out = spots.is_spot if kind is ImageKind.DIAMOND else None
        wavelength = self._reducer.geometry.wavelength_angstrom
        return pattern_of_polar(polar, wavelength, is_left_out=is_left_out)


def _figures(items: list[dict[str, Any]], n_seeds: int) -> Iterator[Figure]:
    meaning = "share of simulated images whose kind is said as it was drawn"
    yield _share("right", items, meaning, n_seeds)
    for kind in ImageKind:
        ours = [item for item in items if item["shown"] == [kind.value]]
        yield _share(f"{kind.value.replace(' ', '_')}_right", ours, meaning, n_seeds)


def _share(name: str, items: list[dict[str, Any]], meaning: str, n_seeds: int) -> Figure:
    by_seed = [
        np.mean([item["is_right"] for item in items if item["seed"] == seed])
        for seed in range(n_seeds)
    ]
    return Figure(name, float(np.mean(by_seed)), meaning, spread=float(np.std(by_seed)))


def _times(seconds: FloatArray) -> Iterator[Figure]:
    for name, part in (("median_ms", 0.5), ("99_percent_ms", 0.99)):
        meaning = "processor time of the statement alone, behind integration and spots"
        yield Figure(name, 1e3 * float(np.quantile(seconds, part)), meaning)


def _measured(data: Path, judge: _Judge) -> Iterator[dict[str, Any]]:
    folder = data / "images2d" if (data / "images2d").is_dir() else data
    model = load_model()
    for one in measured_images(folder):
        judged = judge(one.image, one.geometry, one.shown)
        estimate = model.predict(judge.pattern(one.image))
        truth = np.eye(230)[one.space_group_number - 1]
        yield {
            "name": one.name,
            **judged,
            "space_group": one.space_group_number,
            "named": estimate.space_group_number,
            "crystal_system": estimate.crystal_system,
            "confidence": float(estimate.space_group_probabilities.max()),
            "is_named_right": estimate.space_group_number == one.space_group_number,
            "is_system_right": bool(
                crystal_system_probabilities(truth).argmax()
                == estimate.crystal_system_probabilities.argmax()
            ),
        }


def _of_measured(measured: list[dict[str, Any]]) -> Iterator[Figure]:
    meanings = {
        "right": "share of measured frames whose kind is one that is right by eye",
        "system_right": "share of them whose crystal system the network of patterns names",
        "named_right": "share of them whose space group it names",
    }
    for name, meaning in meanings.items():
        share = float(np.mean([item[f"is_{name}"] for item in measured]))
        yield Figure(f"measured_{name}", share, meaning)
