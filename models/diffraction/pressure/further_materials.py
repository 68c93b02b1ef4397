"""More samples that change phase under pressure, for benchmarks: one halide, a metal, an oxide.

Where numbers were read is said as in `materials`; "abstract" means that only the abstract was open.
"""

from math import inf

from phasepilot.models.diffraction.crystals.crystal import crystal_from_sites
from phasepilot.models.diffraction.crystals.equation_of_state import BirchMurnaghan, Vinet
from phasepilot.models.diffraction.pressure.materials import MATERIALS, Material, Phase

_CUBE = (90.0, 90.0, 90.0)

# Vinet, 300 K: V0 = 179.41 (Z = 4) and 41.35 angstrom^3 (Z = 1), K0 = 23.5 and 24.92 GPa, K0' =
# 5.23 and 5.63. Shen & Smith, Phys. Rev. B 113, 144113 (2026), doi:10.1103/fxgq-96sg, table II;
# read in Peritheos: materials/nacl_b1.eosmat and nacl_b2.eosmat. Transition near 30 GPa: Bassett et
# al., J. Appl. Phys. 39, 319 (1968), doi:10.1063/1.1655752, abstract. Width and way back are
# assumed.
NACL = Material(
    name="NaCl",
    low_pressure=Phase(
        "NaCl B1",
        crystal_from_sites(
            "NaCl B1",
            "F m -3 m",
            (5.6402, 5.6402, 5.6402, *_CUBE),
            [("Na", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))],
        ),
        Vinet(bulk_modulus_gpa=23.5, bulk_modulus_derivative=5.23),
    ),
    high_pressure=Phase(
        "NaCl B2",
        crystal_from_sites(
            "NaCl B2",
            "P m -3 m",
            (3.4579, 3.4579, 3.4579, *_CUBE),
            [("Na", (0.0, 0.0, 0.0)), ("Cl", (0.5, 0.5, 0.5))],
        ),
        Vinet(bulk_modulus_gpa=24.92, bulk_modulus_derivative=5.63),
    ),
    compress_onset_gpa=30.0,
    compress_end_gpa=33.0,
    decompress_onset_gpa=27.0,
    decompress_end_gpa=24.0,
    scan_start_gpa=15.0,
    scan_stop_gpa=45.0,
)

# Vinet, 300 K: V0 = 46.63 (Z = 2, fixed) and 69.15 angstrom^3 (Z = 3), K0 = 113.7 and 98 GPa, K0' =
# 1 (fixed) and 3.6. McHardy et al., Phys. Rev. B 113, 174115 (2026), doi:10.1103/zp3m-kjpc, table
# II; read in Peritheos: materials/zirconium_alpha.eosmat and zirconium_omega.eosmat. The shares of
# the axes are those of table S6 between 0 and 11.2 GPa, read in
# datasets/zirconium-alpha-mchardy-2026-table-s6-compression.csv; the omega phase's are assumed
# equal. Onset: that table still shows the alpha phase at 11.2 GPa; equilibrium is at 3.4 GPa (Zhang
# et al., J. Phys. Chem. Solids 66, 1213 (2005), abstract). The onset of 8 GPa and the width are
# assumed. On decompression the omega phase stays: the table of the omega phase has a recovered
# point.
ZR = Material(
    name="Zr",
    low_pressure=Phase(
        "Zr alpha",
        crystal_from_sites(
            "Zr alpha",
            "P 63/m m c",
            (3.23325, 3.23325, 5.15057, 90.0, 90.0, 120.0),
            [("Zr", (1 / 3, 2 / 3, 0.25))],
        ),
        Vinet(bulk_modulus_gpa=113.7, bulk_modulus_derivative=1.0),
        axis_shares=(0.356, 0.356, 0.288),
    ),
    high_pressure=Phase(
        "Zr omega",
        crystal_from_sites(
            "Zr omega",
            "P 6/m m m",
            (5.044, 5.044, 3.137, 90.0, 90.0, 120.0),
            [("Zr", (0.0, 0.0, 0.0)), ("Zr", (1 / 3, 2 / 3, 0.5))],
        ),
        Vinet(bulk_modulus_gpa=98.0, bulk_modulus_derivative=3.6),
    ),
    compress_onset_gpa=8.0,
    compress_end_gpa=10.0,
    decompress_onset_gpa=-inf,
    decompress_end_gpa=-inf,
    scan_start_gpa=3.0,
    scan_stop_gpa=15.0,
)

# Second-order Birch-Murnaghan: V0 = 35.15 and 33.65 angstrom^3 per formula unit, K0 = 210 and 290
# GPa; transition near 10 GPa. Al-Khatatbeh et al., Phys. Rev. B 81, 214102 (2010), abstract.
# Structures: baddeleyite and the Pbca form of Materials Project, mp-2858 and mp-1190186 (CC BY
# 4.0), scaled to those volumes. That the monoclinic axes yield unequally is assumed, as are width
# and the way back.
ZRO2 = Material(
    name="ZrO2",
    low_pressure=Phase(
        "ZrO2 monoclinic",
        crystal_from_sites(
            "ZrO2 monoclinic",
            "P 1 21/c 1",
            (5.1540, 5.2281, 5.3297, 90.0, 99.437, 90.0),
            [
                ("Zr", (0.72369, 0.95785, 0.79040)),
                ("O", (0.06921, 0.16629, 0.84383)),
                ("O", (0.55070, 0.25742, 0.02140)),
            ],
        ).scaled_to_volume_ratio(4 * 35.15 / 141.668),
        BirchMurnaghan(bulk_modulus_gpa=210.0),
        axis_shares=(0.35, 0.2, 0.45),
    ),
    high_pressure=Phase(
        "ZrO2 orthorhombic I",
        crystal_from_sites(
            "ZrO2 orthorhombic I",
            "P b c a",
            (5.09813, 10.09309, 5.27144, *_CUBE),
            [
                ("Zr", (0.75305, 0.38445, 0.96590)),
                ("O", (0.62781, 0.28992, 0.62529)),
                ("O", (0.99746, 0.47759, 0.26123)),
            ],
        ).scaled_to_volume_ratio(8 * 33.65 / 271.246),
        BirchMurnaghan(bulk_modulus_gpa=290.0),
    ),
    compress_onset_gpa=10.0,
    compress_end_gpa=12.0,
    decompress_onset_gpa=6.0,
    decompress_end_gpa=4.0,
    scan_start_gpa=2.0,
    scan_stop_gpa=18.0,
)

BENCHMARK_MATERIALS = MATERIALS | {"NaCl": NACL, "Zr": ZR, "ZrO2": ZRO2}
