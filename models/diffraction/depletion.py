"""Crystals emptied atom by atom, but for sites that stay: paths from a structure to a bare lattice.

The atomic depletion of the Auto Diffraction Pipeline (2026), whose f.c.c. and b.c.c. paths start from
cubic cells that hold the positions of `FACE_CENTRED` or `BODY_CENTRED` and at least eight or six
atoms. Nothing relaxes: the cell and the atoms that are left stay where they are.
"""
