"""What else stands in the beam of a diamond anvil cell: gaskets, pressure standards, the anvils."""

from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites

_CUBE = (90.0, 90.0, 90.0)

# Lattice parameters at room temperature and pressure, in angstrom: R. W. G. Wyckoff, Crystal
# Structures, 2nd ed. (1963), volume 1, chapter II.
DIAMOND = crystal_from_sites(
    "diamond", "F d -3 m:1", (3.567, 3.567, 3.567, *_CUBE), [("C", (0.0, 0.0, 0.0))]
)
CELL_MATERIALS: tuple[Crystal, ...] = (
    crystal_from_sites(
        "rhenium",
        "P 63/m m c",
        (2.760, 2.760, 4.458, 90.0, 90.0, 120.0),
        [("Re", (1 / 3, 2 / 3, 0.25))],
    ),
    crystal_from_sites(
        "tungsten", "I m -3 m", (3.165, 3.165, 3.165, *_CUBE), [("W", (0.0, 0.0, 0.0))]
    ),
    # Austenitic steel as face-centred iron; alloying moves the lattice by a few tenths per cent.
    crystal_from_sites("steel", "F m -3 m", (3.59, 3.59, 3.59, *_CUBE), [("Fe", (0.0, 0.0, 0.0))]),
    crystal_from_sites(
        "gold", "F m -3 m", (4.0786, 4.0786, 4.0786, *_CUBE), [("Au", (0.0, 0.0, 0.0))]
    ),
)
