import numpy as np
import pytest
from search_library import make_crystals, prepared_pattern

from phasepilot.models.diffraction.stick_store import StickStore, stick_store
from phasepilot.models.identification.coarse_templates import (
    COARSE_GRID,
    FIRST_LOOK_BINS,
    coarse_templates,
    first_look,
    line_areas,
    local_contrast,
)


@pytest.fixture(scope="module")
def crystals(tmp_path_factory):
    return make_crystals(tmp_path_factory.mktemp("crystals"))


@pytest.fixture(scope="module")
def store(crystals) -> StickStore:
    return stick_store([crystals["NaCl"], crystals["Bi"]], 6.5)


def test_the_bin_that_stands_out_most_is_127_and_where_the_strongest_line_is(store):
    templates = coarse_templates(store, np.arange(2))
    assert templates.shape == (2, 1024)
    assert templates.max(axis=1).tolist() == [127, 127]
    # 200 of rock salt: q = 4 pi / a.
    strongest = COARSE_GRID.q_per_angstrom[templates[0].argmax()]
    assert strongest == pytest.approx(4 * np.pi / 5.640, rel=COARSE_GRID.bin_width)


def test_structures_are_drawn_alike_alone_and_together(store):
    together = coarse_templates(store, np.array([1, 0]))
    np.testing.assert_array_equal(together[1], coarse_templates(store, np.array([0]))[0])


def test_a_template_looks_like_a_measurement_with_lines_as_broad(crystals, store):
    template = coarse_templates(store, np.array([0]))[0].astype(np.float64)
    prepared = prepared_pattern(crystals["NaCl"], fwhm_deg=0.45)
    measured = np.sqrt(prepared.signal.reshape(1024, 4).mean(axis=1))
    is_measured = prepared.is_measured.reshape(1024, 4).all(axis=1)
    measured = local_contrast(measured, is_measured)
    template = template * is_measured
    cosine = template @ measured / np.linalg.norm(template) / np.linalg.norm(measured)
    assert cosine > 0.95


def test_a_structure_without_lines_on_the_grid_is_empty(store):
    one = slice(0, 1)
    beyond = StickStore(
        q_per_angstrom=np.array([6.45], dtype=np.float32),
        strength=store.strength[one],
        hkl=store.hkl[one],
        multiplicity=store.multiplicity[one],
        offsets=np.array([0, 1]),
        space_group_number=store.space_group_number[one],
        reciprocal=store.reciprocal[one],
        family_hash=store.family_hash[one],
        identifier=store.identifier[one],
    )
    assert not coarse_templates(beyond, np.array([0])).any()


def test_the_first_look_holds_means():
    templates = (np.arange(1024) % 128).astype(np.int8)[None]
    looked = first_look(templates)
    assert looked.shape == (1, FIRST_LOOK_BINS)
    # Of 0, 1, 2, 3 the mean is 1.5, which rounds to even.
    assert looked[0, :3].tolist() == [2, 6, 10]


def test_what_is_even_does_not_stand_out():
    is_measured = np.arange(1024) > 300
    contrast = local_contrast(0.7 * is_measured, is_measured)
    # The blur reaches a few bins in from where measuring begins.
    np.testing.assert_allclose(contrast[600:950], 0.0, atol=1e-3)
    assert not contrast[:301].any()


def test_a_line_stands_out_and_its_neighbourhood_falls_below():
    root = np.zeros(1024)
    root[500] = 1.0
    contrast = local_contrast(root, np.ones(1024, dtype=bool))
    assert contrast.argmax() == 500
    assert (contrast[[480, 520]] < 0).all()
    assert contrast.sum() == pytest.approx(0.0, abs=1e-6)


def test_lines_are_as_strong_as_lorentz_polarisation_and_motion_make_them():
    # At 90 degree of Cu K-alpha: 1 / (sin^2 45 cos 45) = 2.83, polarisation 1/2.
    q = 4 * np.pi / 1.54059 * np.sqrt(0.5)
    expected = 2 * np.sqrt(2) * 0.5 * np.exp(-2 * 0.5 / 1.54059**2)
    areas = line_areas(np.array([q]), np.ones(1, dtype=np.float32))
    np.testing.assert_allclose(areas, [expected], rtol=1e-6)
