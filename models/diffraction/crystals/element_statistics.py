"""What crystals are made of: how often each element occurs, and how much room an atom of it takes.

Both were counted over the 154,742 ordered, relaxed structures of the Materials Project (CC-BY-4.0)
in the table of structures that phasepilot is trained on.
"""

from functools import cache

import gemmi
import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.errors import CrystalError

# Element, volume of an atom in cubic angstrom, structures in a thousand that hold it; elements of
# fewer than 50 structures are left out. Volumes are those whose sum is, over all structures,
# nearest to the volume of the cell (least squares of V_sum / V - 1, not negative, with Cauchy
# weights): half of all cells are within 8 % of it. tests/element_fit.py counts and fits anew.
_TABLE = """
    H:8.0:67 Li:9.2:140 Be:7.8:8 B:7.0:41 C:11.1:58 N:9.5:74 O:9.2:531 F:12.4:79 Na:19.6:83
    Mg:17.9:123 Al:15.5:50 Si:16.8:82 P:21.6:109 S:23.6:99 Cl:30.8:41 K:34.0:52 Ca:23.0:55
    Sc:18.8:17 Ti:13.8:50 V:14.0:63 Cr:10.9:44 Mn:11.9:91 Fe:11.5:84 Co:9.4:72 Ni:9.3:54
    Cu:11.6:64 Zn:15.8:45 Ga:17.4:33 Ge:18.8:35 As:22.4:25 Se:28.9:42 Br:37.9:20 Rb:40.9:30
    Sr:26.3:47 Y:25.5:32 Zr:19.9:25 Nb:17.0:35 Mo:18.1:35 Tc:13.8:4 Ru:12.5:16 Rh:12.7:16
    Pd:14.5:19 Ag:19.5:27 Cd:23.4:22 In:25.8:28 Sn:26.6:40 Sb:28.4:38 Te:36.2:32 I:48.7:20
    Xe:56.4:1 Cs:49.7:26 Ba:34.7:54 La:28.3:36 Ce:27.9:21 Pr:30.1:19 Nd:28.6:21 Pm:32.3:3
    Sm:27.2:19 Eu:26.7:16 Gd:24.7:11 Tb:25.4:14 Dy:25.0:15 Ho:24.8:14 Er:24.1:14 Tm:23.6:11
    Yb:24.0:7 Lu:22.5:11 Hf:18.6:18 Ta:16.6:22 W:19.3:33 Re:14.3:10 Os:13.5:8 Ir:13.8:13
    Pt:15.5:16 Au:19.3:16 Hg:26.7:15 Tl:31.0:19 Pb:30.8:20 Bi:30.7:32 Ac:43.0:2 Th:29.8:7
    Pa:23.8:2 U:22.2:16 Np:21.6:3 Pu:23.3:3
"""


def common_elements() -> IntArray:
    """Return the atomic numbers of the elements in the table, rising, shape (n_elements,)."""
    return np.asarray(_columns()[0], dtype=np.int64)


def element_shares() -> FloatArray:
    """Return how often a structure holds each of the common elements, shape (n_elements,).

    They add up to more than 1, because a structure holds several.
    """
    return np.asarray(_columns()[2] / 1000)


def atomic_volumes(atomic_numbers: IntArray) -> FloatArray:
    """Return the room that an atom of each element takes in crystals, in cubic angstrom.

    The sum over a cell estimates its volume; the ratio of two sums how a cell grows or shrinks when
    elements are exchanged.

    Raises
    ------
    CrystalError
        If an element is too rare in crystals for its volume to be known.

    Examples
    --------
    >>> atomic_volumes(np.array([11, 17]))
    array([19.6, 30.8])
    """
    numbers, volumes, _ = _columns()
    wanted = np.asarray(atomic_numbers)
    unknown = np.setdiff1d(wanted, numbers)
    if unknown.size:
        raise CrystalError(
            f"elements must be among the {numbers.size} whose volume in crystals is known, but"
            f" {gemmi.Element(int(unknown[0])).name} is not; choose a commoner element."
        )
    return np.asarray(volumes[np.searchsorted(numbers, wanted)])


@cache
def _columns() -> FloatArray:
    """Atomic numbers, volumes and shares, shape (3, n_elements)."""
    rows = [entry.split(":") for entry in _TABLE.split()]
    columns = [
        (gemmi.Element(symbol).atomic_number, float(volume), float(share))
        for symbol, volume, share in rows
    ]
    table = np.array(columns).T
    table.setflags(write=False)
    return table
