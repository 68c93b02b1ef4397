import numpy as np
import pytest
from library_samples import CU_ANGSTROM, SAMPLES, intensity_of, make_known, make_library

from phasepilot.models.diffraction.crystals.strain import isotropically_strained
from phasepilot.models.pattern import Pattern
from phasepilot.models.steering.hypotheses import UNKNOWN, ScanAxis
from phasepilot.models.steering.library_hypotheses import LibraryHypotheses
from phasepilot.models.steering.policy import Sight
from phasepilot.models.steering.scan import believed

AXIS = ScanAxis(15.0, 90.0)


def make_source(*names, max_phases=1):
    return LibraryHypotheses(make_library(*names), CU_ANGSTROM, AXIS, max_phases=max_phases)


def make_sight(amounts, *, strain=0.0, stop_deg=90.0, counts_per_s=20000.0, dwell_s=1.0):
    """A scan of a mixture, as counted by a point detector."""
    angles = np.arange(15.0, stop_deg, 0.04)
    rate = np.full(angles.size, 0.02)
    for name, amount in amounts.items():
        rate += amount * drawn(name, angles, strain)
    counts = np.random.default_rng(0).poisson(rate * counts_per_s * dwell_s).astype(float)
    pattern = Pattern.from_two_theta(angles, counts, wavelength_angstrom=CU_ANGSTROM)
    return Sight(
        seq_num=1,
        axis_value=stop_deg,
        elapsed_s=100.0,
        pattern=pattern,
        exposure_s=np.full(angles.size, dwell_s),
    )


def drawn(name, angles, strain):
    phase = make_known(name, isotropically_strained(SAMPLES[name](), strain))
    intensity = intensity_of(phase, angles)
    return intensity / intensity.max()


def test_names_the_phase_of_a_strained_crystal_and_leaves_unknown_behind() -> None:
    source = make_source("salt", "rutile", "anatase", "fluorite")
    judgement = believed(source, make_sight({"fluorite": 1.0}, strain=0.004)).judgement
    assert judgement.best_name == "fluorite"
    assert judgement.probability[0] > 0.95
    assert judgement.hypotheses.names[-1] == UNKNOWN


def test_names_both_phases_of_a_mixture() -> None:
    source = make_source("salt", "rutile", "anatase", "corundum", max_phases=2)
    judgement = believed(source, make_sight({"rutile": 1.0, "anatase": 0.6})).judgement
    assert judgement.best_name == "anatase + rutile"


def test_a_phase_that_is_not_in_the_library_is_unknown_or_unexplained() -> None:
    source = make_source("salt", "fluorite")
    belief = believed(source, make_sight({"corundum": 1.0}))
    judgement = belief.judgement
    assert judgement.best_name == UNKNOWN or judgement.unexplained > 0.5


def test_expects_lines_beyond_the_measured_range_at_the_measured_scale() -> None:
    source = make_source("salt", "rutile")
    whole = believed(source, make_sight({"rutile": 1.0})).judgement.hypotheses
    part = believed(source, make_sight({"rutile": 1.0}, stop_deg=60.0)).judgement.hypotheses
    beyond = AXIS.two_theta_deg > 62.0
    expected = part.signal_per_s[0, beyond].sum() / whole.signal_per_s[0, beyond].sum()
    assert part.names[0] == "rutile"
    assert expected == pytest.approx(1, abs=0.15)


def test_before_anything_is_measured_all_phases_are_as_likely() -> None:
    source = make_source("salt", "rutile")
    nothing = Sight(seq_num=0, axis_value=float("nan"), elapsed_s=0.0)
    judgement = believed(source, nothing).judgement
    np.testing.assert_allclose(judgement.probability, [0.49, 0.49, 0.02])


def test_what_is_known_of_phases_beforehand_counts() -> None:
    library = make_library("salt", "rutile")
    source = LibraryHypotheses(library, CU_ANGSTROM, AXIS, prior_odds={"salt": 3.0})
    nothing = Sight(seq_num=0, axis_value=float("nan"), elapsed_s=0.0)
    judgement = believed(source, nothing).judgement
    assert judgement.probability[0] / judgement.probability[1] == pytest.approx(3)
    assert judgement.best_name == "salt"
