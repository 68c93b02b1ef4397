import numpy as np
import pytest

from phasepilot.models.diffraction.images.detector_geometry import pyfai_integrator
from phasepilot.models.diffraction.images.poni_file import read_geometry
from phasepilot.models.errors import GeometryError

VERSION_1 = """# Calibrated twice
PixelSize1: 0.000172
PixelSize2: 0.000172
Distance: 0.3
Poni1: 0.08
Poni2: 0.07
Rot1: 0.0
Rot2: 0.0
Rot3: 0.0
Wavelength: 4e-11
Distance: 0.2
"""
VERSION_2 = """poni_version: 2
Detector: Pilatus1M
Detector_config: {}
Distance: 0.2
Poni1: 0.08
Poni2: 0.07
Rot1: 0.01
Rot2: -0.02
Rot3: 0.03
Wavelength: 4e-11
"""


@pytest.fixture
def poni_path(tmp_path):
    return tmp_path / "detector.poni"


def read_text(path, text, **options):
    path.write_text(text)
    return read_geometry(path, **options)


def test_a_file_of_pyfai_gives_pyfais_angles(poni_path):
    from pyFAI.detectors import detector_factory
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

    theirs = AzimuthalIntegrator(
        dist=0.2,
        poni1=0.08,
        poni2=0.09,
        rot1=0.3,
        rot2=-0.2,
        rot3=0.1,
        wavelength=4.1e-11,
        detector=detector_factory("Pilatus 300k", {"orientation": 2}),
    )
    theirs.save(str(poni_path))
    geometry = read_geometry(poni_path, image_shape=(619, 487))
    assert geometry.wavelength_angstrom == pytest.approx(0.41)
    np.testing.assert_array_equal(
        pyfai_integrator(geometry).center_array((619, 487), unit="2th_deg"),
        theirs.center_array((619, 487), unit="2th_deg"),
    )


def test_an_old_file_is_completed_by_the_shape_of_its_images_and_its_last_entry_counts(poni_path):
    geometry = read_text(poni_path, VERSION_1, image_shape=(1043, 981))
    assert geometry.shape == (1043, 981)
    assert geometry.pixel_size_m == (172e-6, 172e-6)
    assert geometry.distance_m == 0.2


def test_a_stated_wavelength_takes_the_place_of_the_files(poni_path):
    text = VERSION_2.replace("Wavelength: 4e-11\n", "")
    assert read_text(poni_path, text, wavelength_angstrom=0.35).wavelength_angstrom == 0.35


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Wavelength: 4e-11\n", "", r"must state the wavelength.*'Wavelength: 4\.066e-11'"),
        ("4e-11", "0.4", r"Wavelength of .* must be in metre, .* but is 0\.4;"),
        ("4e-11", "0", "must be in metre, .* but is 0;"),
        ("Poni1: 0.08\n", "", "must have a line 'Poni1', but has only detector, detector_config"),
        ("Poni1: 0.08", "Poni1: left", "Poni1 of .* must be a number, but is 'left'"),
        ("Pilatus1M", "Pilatus1N", r"but is 'Pilatus1N';.* Did you mean 'pilatus1m'\?"),
        ("{}", "{pixel}", r"must be a JSON object, but is '\{pixel\}'"),
        ("{}", "null", "must be a JSON object, but is 'null'"),
        ("poni_version: 2", "poni_version: 4", "version 3 or older, but is 4"),
        ("Rot3", "Parallax: True\nRot3", "parallax correction"),
        ("Rot3", "SplineFile: taper.spline\nRot3", r"names the spline file taper\.spline"),
        ("Distance: 0.2", "Distance: 0", "distance_m must be above 0, but is 0"),
        ("{}", '{"pixel1": 75e-6, "pixel2": 75e-6}', "correct the name of the detector"),
    ],
)
def test_a_damaged_file_gets_one_sentence(poni_path, old, new, message):
    assert old in VERSION_2
    with pytest.raises(GeometryError, match=message):
        read_text(poni_path, VERSION_2.replace(old, new))


def test_images_of_another_detector_do_not_match_the_file(poni_path):
    with pytest.raises(GeometryError, match=r"1043 x 981 pixels of the detector Pilatus1M.*1679 x"):
        read_text(poni_path, VERSION_2, image_shape=(1679, 1475))


def test_an_old_file_without_a_shape_asks_for_it(poni_path):
    with pytest.raises(GeometryError, match=r"give image_shape as \(rows, columns\)"):
        read_text(poni_path, VERSION_1)


def test_a_missing_file_is_named(poni_path):
    with pytest.raises(GeometryError, match=r"detector\.poni could not be read .*No such file"):
        read_geometry(poni_path)
