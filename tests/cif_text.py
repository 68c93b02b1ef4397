"""CIF files as text, the one thing of interest changed."""

from pathlib import Path

import gemmi

CUBE = (5.64, 5.64, 5.64, 90, 90, 90)
SALT = "Na1 Na 0 0 0\nCl1 Cl 0.5 0.5 0.5"
LABEL_TYPE_XYZ = "label type_symbol fract_x fract_y fract_z"
WITH_OCCUPANCY = LABEL_TYPE_XYZ + " occupancy"


def make_cif(
    *,
    cell: tuple[object, ...] = CUBE,
    symmetry: str = "_symmetry_space_group_name_H-M 'F m -3 m'",
    columns: str = LABEL_TYPE_XYZ,
    atoms: str = SALT,
    extra: str = "",
) -> str:
    """One data block; rock salt if nothing is said."""
    tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_test", extra, symmetry]
    lines += [f"_cell_{tag} {value}" for tag, value in zip(tags, cell, strict=True)]
    lines += ["loop_", *(f"_atom_site_{column}" for column in columns.split()), atoms, ""]
    return "\n".join(lines)


def listed(space_group: str) -> str:
    """The operations of a setting as a CIF lists them."""
    operations = gemmi.SpaceGroup(space_group).operations()
    return "\n".join(
        ["loop_", "_space_group_symop_operation_xyz", *(f"'{one.triplet()}'" for one in operations)]
    )


def write_cif(path: Path, text: str) -> Path:
    """Write the text and return the path."""
    path.write_text(text, encoding="utf-8")
    return path
