from dataclasses import replace

import numpy as np
import pytest
from powder_on_detector import make_geometry

from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    centred_geometry,
    check_image_shape,
    measured_pixels,
    plain_detector_config,
    pyfai_detector,
    pyfai_integrator,
)
from phasepilot.models.errors import GeometryError


def make_centred(detector="Pilatus1M", config="{}", **changes):
    numbers = {"distance_m": 0.2, "wavelength_angstrom": 0.4} | changes
    return centred_geometry(detector, detector_config=config, **numbers)


def test_the_beam_hits_the_middle_of_a_centred_detector():
    geometry = make_centred("Pilatus2M")
    centre = pyfai_integrator(geometry).getFit2D()
    assert (centre["centerY"], centre["centerX"]) == pytest.approx((1679 / 2, 1475 / 2))
    assert geometry.pixel_size_m == pytest.approx((172e-6, 172e-6))


def test_a_pilatus_has_the_gaps_between_its_modules():
    # 3 x 8 modules of 487 x 195 pixels.
    assert measured_pixels(make_centred("Pilatus2M")).sum() == 3 * 8 * 487 * 195


def test_a_plain_detector_has_no_gaps():
    geometry = make_geometry(shape=(20, 30))
    assert measured_pixels(geometry).shape == geometry.shape == (20, 30)
    assert measured_pixels(geometry).all()


def test_equal_geometries_share_what_was_prepared_for_them():
    assert pyfai_detector(make_centred()) is pyfai_detector(make_centred(wavelength_angstrom=0.5))
    assert hash(make_centred()) == hash(make_centred())


def test_an_integrator_may_change_its_mask_without_harm_to_others():
    geometry = make_centred()
    pyfai_integrator(geometry).detector.mask = np.ones(geometry.shape, dtype=np.int8)
    assert measured_pixels(geometry).any()


def test_binned_detectors_keep_their_size():
    binned = make_centred("ADSC_Q315", '{"pixel1": 0.000102, "pixel2": 0.000102}')
    assert binned.shape == (3072, 3072)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wavelength_angstrom": 0.0}, "wavelength_angstrom must be above 0, but is 0;"),
        ({"distance_m": -0.2}, "distance_m must be above 0, but is -0.2;"),
        ({"wavelength_angstrom": float("nan")}, "wavelength_angstrom must be a finite number"),
    ],
)
def test_impossible_numbers_are_named(changes, message):
    with pytest.raises(GeometryError, match=message):
        make_centred(**changes)


def test_a_poni_that_is_no_number_is_named():
    with pytest.raises(GeometryError, match="poni1_m must be a finite number, but is inf"):
        replace(make_centred(), poni1_m=float("inf"))


def test_a_misspelt_detector_is_met_with_a_suggestion():
    with pytest.raises(GeometryError, match=r"but is 'Pilatos1M';.* Did you mean 'pilatus1m'\?"):
        make_centred("Pilatos1M")


def test_pixels_of_another_detector_do_not_match():
    with pytest.raises(GeometryError, match=r"Pilatus1M must measure 179\.4 x 168\.7 mm.*75 x 75"):
        make_centred(config='{"pixel1": 75e-6, "pixel2": 75e-6}')


def test_binning_that_does_not_divide_the_detector_is_an_error():
    with pytest.raises(GeometryError, match="multiple of the binning size"):
        make_centred(config='{"pixel1": 344e-6, "pixel2": 344e-6}')


def test_a_plain_detector_needs_its_pixels_and_its_shape():
    with pytest.raises(GeometryError, match=r"must come with its pixel size and its shape"):
        make_centred(PLAIN_DETECTOR, '{"pixel1": 1e-4, "pixel2": 1e-4}')


def test_an_image_of_another_shape_is_turned_away():
    geometry = make_geometry(shape=(20, 30))
    check_image_shape((20, 30), geometry, "the image")
    with pytest.raises(
        GeometryError, match=r"the image must have the 20 x 30 pixels .* has 30 x 20"
    ):
        check_image_shape((30, 20), geometry, "the image")


def test_the_plain_configuration_is_what_pyfai_reads():
    detector = pyfai_detector(make_geometry(shape=(20, 30), pixel_size_m=1e-3))
    assert plain_detector_config((20, 30), (1e-3, 1e-3)).startswith('{"pixel1": 0.001')
    assert (detector.shape, detector.pixel1, detector.pixel2) == ((20, 30), 1e-3, 1e-3)
