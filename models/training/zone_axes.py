"""The zone axes that the networks of the two-dimensional paper are trained on and tested with.

The paper's Table 1, which lists them, is not in its text. From the text: u, v, w from 0 to 3
without a common divisor; model-4 holds no [131], [211], [011], [120], none equivalent to [131] in
any crystal system, and equivalents of the others; [100], [010], [001], [111] are among the axes
that it tests, [101], [210], [023] among those that it shows. The rest is our choice: of random
sets, the one whose mean angles between nearest axes and between all axes (13.03 and 44.32 degree)
are those of the paper.
"""

ZoneAxis = tuple[int, int, int]

AXES: tuple[ZoneAxis, ...] = (
    *((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)),
    *((1, 0, 1), (1, 1, 0), (2, 1, 0), (0, 2, 3), (1, 1, 2), (1, 2, 1)),
    *((0, 3, 1), (0, 3, 2), (1, 2, 3), (2, 2, 3), (2, 3, 0)),
    *((2, 3, 2), (3, 0, 2), (3, 2, 0), (3, 2, 3), (3, 3, 1)),
)
# How many of them, from the first, each model of the paper is trained on.
N_AXES_OF_MODEL = {"model-1": 1, "model-2": 4, "model-3": 10, "model-4": 20}
UNSEEN_AXES: tuple[ZoneAxis, ...] = ((1, 3, 1), (2, 1, 1), (0, 1, 1), (1, 2, 0))


def axis_name(axis: ZoneAxis) -> str:
    """Return how an axis is called in names of figures.

    Examples
    --------
    >>> axis_name((0, 2, 3))
    '023'
    """
    return "".join(map(str, axis))
