"""What an image shows is said as it was drawn."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from powder_on_detector import ceria, make_geometry

from phasepilot.models.benchmarks.measured_images import measured_images
from phasepilot.models.benchmarks.simulated_images import draw_known_image
from phasepilot.models.diffraction.images.azimuthal_outliers import find_spots
from phasepilot.models.diffraction.images.frame_condition import frame_condition
from phasepilot.models.diffraction.images.frame_reduction import FrameReducer
from phasepilot.models.diffraction.images.image_kind import (
    ImageKind,
    ImageStatement,
    image_statement,
)


@cache
def reducer() -> FrameReducer:
    return FrameReducer(make_geometry(shape=(500, 500), pixel_size_m=3e-4), n_bins=800)


def statement(image: NDArray[np.int32]) -> ImageStatement:
    polar = reducer().reduce(image)
    spots = find_spots(polar)
    return image_statement(polar, spots, frame_condition(polar, spots))


@pytest.mark.parametrize("kind", list(ImageKind))
def test_most_images_are_called_what_they_were_drawn_as(kind: ImageKind) -> None:
    said = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        known = draw_known_image(kind, ceria(), reducer().geometry, rng)
        said.append(statement(known.image).kind)
    assert said.count(kind) >= 4, said


def test_the_reason_names_what_was_counted() -> None:
    known = draw_known_image(
        ImageKind.SINGLE_CRYSTAL, ceria(), reducer().geometry, np.random.default_rng(1)
    )
    found = statement(known.image)
    assert found.evenness is not None
    assert found.reason.startswith(f"{found.evenness.n_spots} spots hold ")


def test_an_image_turned_about_the_beam_is_of_the_same_kind() -> None:
    for kind in (ImageKind.POWDER, ImageKind.TEXTURED, ImageKind.SPOTTY, ImageKind.SINGLE_CRYSTAL):
        rng = np.random.default_rng(3)
        image = draw_known_image(kind, ceria(), reducer().geometry, rng).image
        assert statement(np.ascontiguousarray(image[::-1, ::-1])).kind is statement(image).kind


def test_grains_are_seen_in_a_measured_calibrant() -> None:
    folder = os.environ.get("PHASEPILOT_DATA")
    if folder is None:
        pytest.skip("PHASEPILOT_DATA names no folder with measured images (images2d)")
    one = next(iter(measured_images(Path(folder) / "images2d")))
    polar = FrameReducer(one.geometry).reduce(one.image)
    spots = find_spots(polar)
    said = image_statement(polar, spots, frame_condition(polar, spots))
    assert said.kind is ImageKind.SPOTTY
