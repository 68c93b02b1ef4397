import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasepilot.models.diffraction.crystals.equation_of_state import BirchMurnaghan, Vinet
from phasepilot.models.errors import CrystalError

EQUATIONS = st.one_of(
    st.builds(BirchMurnaghan, st.floats(5, 500), st.floats(3.5, 7)),
    st.builds(Vinet, st.floats(5, 500), st.floats(2, 8)),
)
BOTH_KINDS = pytest.mark.parametrize(
    "equation", [BirchMurnaghan(160.0, 5.3), Vinet(160.0, 5.3)], ids=["birch", "vinet"]
)


@given(equation=EQUATIONS, volume_ratio=st.floats(0.75, 1.0))
def test_volume_ratio_undoes_pressure(equation, volume_ratio):
    pressure_gpa = equation.pressure_gpa(volume_ratio)
    assert equation.volume_ratio(pressure_gpa) == pytest.approx(volume_ratio, abs=1e-9)


@given(equation=EQUATIONS, pressures=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_more_pressure_never_means_more_volume(equation, pressures):
    low, high = sorted(pressures)
    assert equation.volume_ratio(low) >= equation.volume_ratio(high)


@BOTH_KINDS
def test_slope_at_zero_pressure_is_the_bulk_modulus(equation):
    step = 1e-5
    slope = (equation.pressure_gpa(1 - step) - equation.pressure_gpa(1 + step)) / (2 * step)
    assert slope == pytest.approx(equation.bulk_modulus_gpa, rel=1e-6)


@BOTH_KINDS
def test_curvature_at_zero_pressure_is_the_derivative(equation):
    # K(V) = -V dP/dV, and K' = dK/dP = (dK/dV) / (dP/dV).
    ratios = 1 + np.array([-2e-3, -1e-3, 0.0, 1e-3, 2e-3])
    pressures = np.array([equation.pressure_gpa(ratio) for ratio in ratios])
    first, second = np.polynomial.Polynomial.fit(ratios - 1, pressures, 4).convert().coef[1:3]
    assert -1 - 2 * second / first == pytest.approx(equation.bulk_modulus_derivative, rel=1e-4)


def test_a_derivative_of_four_makes_birch_murnaghan_second_order():
    x = 0.9 ** (1 / 3)
    expected = 1.5 * 100.0 * (x**-7 - x**-5)
    assert BirchMurnaghan(100.0).pressure_gpa(0.9) == pytest.approx(expected, rel=1e-12)


def test_birch_murnaghan_gives_the_measured_pressures_of_quartz():
    # Angel et al., J. Appl. Cryst. 30, 461 (1997): pressure and volume of the cell, and their fit;
    # the pressures are good to about 0.01 GPa.
    measured = {0.430: 111.725, 1.651: 108.597, 3.300: 105.141, 5.416: 101.592, 8.905: 96.989}
    third_order = BirchMurnaghan(bulk_modulus_gpa=37.12, bulk_modulus_derivative=5.99)
    fitted = [third_order.pressure_gpa(volume / 112.981) for volume in measured.values()]
    assert fitted == pytest.approx(list(measured), abs=0.03)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (BirchMurnaghan(160.2, 3.99), "birch_murnaghan"),
        (BirchMurnaghan(167.0), "birch_murnaghan"),
        (Vinet(167.0, 6.0), "vinet"),
    ],
    ids=["third order, MgO", "second order", "Vinet, Au"],
)
def test_pressures_are_the_slopes_of_the_energies_of_pymatgen(ours, theirs):
    eos = pytest.importorskip("pymatgen.analysis.eos")
    model = eos.EOS(theirs).model(volumes=[1.0], energies=[0.0])
    parameters = (0.0, ours.bulk_modulus_gpa, ours.bulk_modulus_derivative, 1.0)
    ratios, step = np.linspace(0.65, 0.99, 8), 1e-5
    energies = [model._func(ratios + side, parameters) for side in (-step, step)]
    slopes = (energies[0] - energies[1]) / (2 * step)
    assert [ours.pressure_gpa(ratio) for ratio in ratios] == pytest.approx(slopes, rel=1e-6)


def test_vinet_gives_the_measured_volumes_of_iron():
    # Dewaele et al., Phys. Rev. Lett. 97, 215504 (2006), supplement: pressure, volume of an atom.
    measured = {17.7: 10.296, 47.2: 9.356, 115.0: 8.214, 197.0: 7.3906}
    equation = Vinet(bulk_modulus_gpa=163.4, bulk_modulus_derivative=5.38)
    fitted = [11.214 * equation.volume_ratio(pressure_gpa) for pressure_gpa in measured]
    assert fitted == pytest.approx(list(measured.values()), rel=3e-3)


def test_zero_pressure_leaves_the_volume():
    assert Vinet(17.1, 5.5).volume_ratio(0.0) == pytest.approx(1.0)


@pytest.mark.parametrize("pressure_gpa", [-0.1, 1e9, np.nan, np.inf])
def test_a_pressure_outside_the_equation_is_refused_with_its_range(pressure_gpa):
    with pytest.raises(CrystalError, match=r"must lie in \[0, .*\], but|for this equation"):
        Vinet(17.1, 5.5).volume_ratio(pressure_gpa)


def test_the_range_ends_where_the_pressure_turns_back():
    soft = BirchMurnaghan(bulk_modulus_gpa=100.0, bulk_modulus_derivative=2.0)
    with pytest.raises(CrystalError, match="pressure_gpa must lie in"):
        soft.volume_ratio(300.0)


@BOTH_KINDS
def test_a_volume_ratio_that_is_not_positive_is_refused(equation):
    with pytest.raises(CrystalError, match="volume_ratio must be positive"):
        equation.pressure_gpa(0.0)
