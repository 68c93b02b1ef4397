"""Crystals from and to the Structure objects of pymatgen."""

from typing import TYPE_CHECKING

import gemmi
import numpy as np

from phasepilot.models.diffraction.crystals.cif import Disorder
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.crystals.formula import atomic_number
from phasepilot.models.diffraction.crystals.unit_cell import (
    standard_crystal,
    unit_cell,
    unit_cell_of,
)
from phasepilot.models.errors import CrystalError

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure


def crystal_from_pymatgen(
    structure: "Structure", *, disorder: Disorder = Disorder.REFUSE
) -> Crystal:
    """Return the structure as a crystal in the standard setting of the space group that it has.

    Raises
    ------
    CrystalError
        If a site holds no element or, unless asked to keep the average, more than one or a part of
        one; or as `phasepilot.models.diffraction.crystals.unit_cell.standard_crystal`.
    """
    name = f"the structure {structure.composition.reduced_formula or 'of no formula'}"
    atoms = [
        (site.frac_coords, _number(species, name), float(occupancy), site.label)
        for site in structure
        for species, occupancy in site.species.items()
    ]
    if not atoms:
        raise CrystalError(f"{name} must have atoms, but has none; add some.")
    if disorder is Disorder.REFUSE and not structure.is_ordered:
        label = next(site.label for site in structure if not site.is_ordered)
        raise CrystalError(
            f"{name} must be an ordered crystal, but its site {label} is not;"
            " choose one of the alternatives, or keep the average of them."
        )
    fractional, numbers, occupancies, labels = zip(*atoms, strict=True)
    return standard_crystal(
        unit_cell(
            name,
            lattice=np.asarray(structure.lattice.matrix, dtype=np.float64),
            fractional=np.array(fractional),
            atomic_numbers=np.array(numbers),
            occupancies=np.array(occupancies),
            labels=labels,
        )
    )


def pymatgen_from_crystal(crystal: Crystal) -> "Structure":
    """Return the conventional cell of the crystal as pymatgen's Structure.

    Raises
    ------
    CrystalError
        If pymatgen is not installed.
    """
    try:
        from pymatgen.core.lattice import Lattice
        from pymatgen.core.structure import Structure
    except ModuleNotFoundError as error:
        raise CrystalError(
            "pymatgen must be installed to make its structures, but is not;"
            " install phasepilot with the extra: pip install 'phasepilot[train]'."
        ) from error
    cell = unit_cell_of(crystal)
    species = [
        # Pymatgen refuses a site that rounding has filled by a millionth too much.
        {gemmi.Element(number).name: round(occupancy, 6) for number, occupancy in one}
        for one in cell.mixtures
    ]
    return Structure(Lattice(cell.lattice), species, cell.fractional)


def _number(species: object, name: str) -> int:
    number = atomic_number(str(getattr(species, "symbol", species)))
    if not number:
        raise CrystalError(
            f"{name} must be made of elements, but holds {species};"
            " replace it by an element, or take it out."
        )
    return number
