"""Six phases of the system MgO-Al2O3-TiO2, for libraries of samples.

Structures at room temperature, read in the AFLOW prototypes that pymatgen ships (AFLOW) or in the
Crystallography Open Database (COD, numbers below); papers as these name them. Rutile and anatase
share a composition, spinel and corundum an oxygen packing.
"""

from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites

_CUBE = (90.0, 90.0, 90.0)

# Wyckoff, Crystal Structures 1, 2nd ed. (1963); COD 9008671.
PERICLASE = crystal_from_sites(
    "MgO periclase",
    "F m -3 m",
    (4.2112, 4.2112, 4.2112, *_CUBE),
    [("Mg", (0.0, 0.0, 0.0)), ("O", (0.5, 0.5, 0.5))],
)
# Finger & Hazen, J. Appl. Phys. 49, 5823 (1978); AFLOW A2B3_hR10_167_c_e.
CORUNDUM = crystal_from_sites(
    "Al2O3 corundum",
    "R -3 c:H",
    (4.7607, 4.7607, 12.9947, 90.0, 90.0, 120.0),
    [("Al", (0.0, 0.0, 0.3522)), ("O", (0.3061, 0.0, 0.25))],
)
# Wyckoff (1963) as above; COD 9009083.
RUTILE = crystal_from_sites(
    "TiO2 rutile",
    "P 42/m n m",
    (4.59373, 4.59373, 2.95812, *_CUBE),
    [("Ti", (0.0, 0.0, 0.0)), ("O", (0.3053, 0.3053, 0.0))],
)
# Wyckoff (1963) as above; COD 9009086.
ANATASE = crystal_from_sites(
    "TiO2 anatase",
    "I 41/a m d:1",
    (3.785, 3.785, 9.514, *_CUBE),
    [("Ti", (0.0, 0.0, 0.0)), ("O", (0.0, 0.0, 0.2066))],
)
# Hill, Craig & Gibbs, Phys. Chem. Minerals 4, 317 (1979); AFLOW A2BC4_cF56_227_d_a_e.
SPINEL = crystal_from_sites(
    "MgAl2O4 spinel",
    "F d -3 m:2",
    (8.0832, 8.0832, 8.0832, *_CUBE),
    [
        ("Mg", (0.125, 0.125, 0.125)),
        ("Al", (0.5, 0.5, 0.5)),
        ("O", (0.2624, 0.2624, 0.2624)),
    ],
)
# Wyckoff, The Structure of Crystals, supplement (1935), pages 55 and 61; COD 5910000, which gives
# a = 5.54 angstrom and alpha = 54.65 degree on rhombohedral axes, Mg and Ti at x = 0.358 and 0.142,
# O at 0.555, -0.055, 0.250. Here on hexagonal axes.
GEIKIELITE = crystal_from_sites(
    "MgTiO3 geikielite",
    "R -3:H",
    (5.0861, 5.0861, 14.0932, 90.0, 90.0, 120.0),
    [("Mg", (0.0, 0.0, 0.358)), ("Ti", (0.0, 0.0, 0.142)), ("O", (0.305, 0.0, 0.25))],
)

LIBRARY_CRYSTALS: dict[str, Crystal] = {
    "periclase": PERICLASE,
    "corundum": CORUNDUM,
    "rutile": RUTILE,
    "anatase": ANATASE,
    "spinel": SPINEL,
    "geikielite": GEIKIELITE,
}
