import pytest
from pydantic import ValidationError

from phasepilot.models.diffraction.images.spot_settings import (
    FlatDetector,
    GaussianSpots,
    SpotSettings,
)


def test_settings_survive_json():
    chosen = SpotSettings(
        wavelength_angstrom=0.41,
        shape=(512, 256),
        geometry=FlatDetector(polarization_factor=0.98),
        profile=GaussianSpots(sigma_px=0.8),
    )
    assert SpotSettings.model_validate_json(chosen.model_dump_json()) == chosen


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wavelength_angstrom": 0.0}, "wavelength_angstrom must be positive, but is 0; give that"),
        ({"wavelength_angstrom": float("nan")}, "must be positive, but is nan"),
        ({"shape": (0, 10)}, r"shape must be a number of rows and of columns, but is \(0, 10\)"),
        ({"wavelenght": 1.0}, "wavelenght"),
        ({"geometry": {"kind": "sphere"}}, "zone_layer"),
        ({"profile": {"kind": "gaussian", "sigma_px": 0}}, "sigma_px"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        SpotSettings(**changes)
