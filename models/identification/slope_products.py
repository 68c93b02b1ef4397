"""Curvatures of sums over lines, for many structures at once: weighted sums of slopes' products."""

import numpy as np

from phasepilot.models.arrays import FloatArray


def slope_products(slopes: FloatArray) -> FloatArray:
    """Return products of each pair of a line's slopes.

    They do not change while lattices are refined; the sum over lines is then a matrix product.

    Parameters
    ----------
    slopes : ndarray, shape (n, n_lines, n_parameters)

    Returns
    -------
    ndarray, shape (n, n_lines, n_parameters**2)
    """
    n, n_lines, n_parameters = slopes.shape
    products = slopes[:, :, :, None] * slopes[:, :, None, :]
    return products.reshape(n, n_lines, n_parameters**2)


def curvatures(products: FloatArray, weight: FloatArray, stiffness: FloatArray) -> FloatArray:
    """Return sums over lines of weight times products, shape (n, n_parameters, n_parameters).

    Parameters
    ----------
    products : ndarray
        From `slope_products`.
    weight : ndarray, shape (n, n_lines)
    stiffness : ndarray, shape (n_parameters,)
        Is added to the diagonals.
    """
    shape = (-1, stiffness.size, stiffness.size)
    return (weight[:, None, :] @ products).reshape(shape) + np.diag(stiffness)
