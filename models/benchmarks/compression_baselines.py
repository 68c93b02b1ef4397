"""Other ways to notice a phase change in a run: one score a frame, an alarm where it is high.

None removes the strain. What looks at the whole run, or knows its end, is called offline.
"""

from collections.abc import Callable

import numpy as np

from phasepilot.models.arrays import FloatArray

_N_FIRST = 10
_N_COARSE = 512
# Frames next to the ends of a run where no offline change is looked for.
_END_FRAMES = 5


def cosine_to_previous(rows: FloatArray) -> FloatArray:
    """Return one minus the cosine between each frame and the one before.

    Parameters
    ----------
    rows : ndarray, shape (n_frames, n_bins)
        Square roots of the intensity above background.
    """
    unit = _unit(rows)
    score = np.zeros(len(rows))
    score[1:] = 1 - np.einsum("ij,ij->i", unit[1:], unit[:-1])
    return _settled(score)


def chi_squared_cusum(rows: FloatArray) -> FloatArray:
    """Return the cumulative sum of how much further frames lie from the first ten than they did."""
    unit = _unit(rows)
    distance = ((unit - unit[:_N_FIRST].mean(axis=0)) ** 2).sum(axis=1)
    usual = distance[:_N_FIRST]
    scaled = (distance - usual.mean()) / max(float(usual.std(ddof=1)), 1e-12)
    score = np.zeros(len(rows))
    for k in range(_N_FIRST, len(rows)):
        score[k] = max(0.0, score[k - 1] + scaled[k] - 1.0)
    return score


def matrix_factorisation(rows: FloatArray) -> FloatArray:
    """Return the share of what the first frames lack, in two non-negative components; offline."""
    from sklearn.decomposition import NMF

    model = NMF(n_components=2, init="nndsvda", max_iter=200, tol=1e-3, random_state=0)
    weights = _factorised(model, _coarse(rows) ** 2)
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    late = int(shares[:_N_FIRST].mean(axis=0).argmin())
    return _settled(shares[:, late])


def offline_changepoint(rows: FloatArray) -> FloatArray:
    """Return, from the best single split of the run on, by how much it lowers the variance."""
    import ruptures

    unit = _coarse(_unit(rows))
    centred = unit - unit.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    signal = centred @ axes[:8].T
    found = ruptures.Dynp(model="l2", min_size=_END_FRAMES, jump=1).fit(signal)
    split = int(found.predict(n_bkps=1)[0])
    cost = found.cost
    whole = float(cost.error(0, len(signal)))
    parts = float(cost.error(0, split)) + float(cost.error(split, len(signal)))
    score = np.zeros(len(rows))
    score[split:] = (whole - parts) / max(parts, 1e-12)
    return score


BASELINES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "cosine": cosine_to_previous,
    "nmf": matrix_factorisation,
    "chi2_cusum": chi_squared_cusum,
    "changepoint": offline_changepoint,
}


def _factorised(model: "NMF", rows: FloatArray) -> FloatArray:  # type: ignore[name-defined] # noqa: F821
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # A run of noise need not converge; its weights are still what the method says.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(model.fit_transform(rows))


def _unit(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _coarse(rows: FloatArray) -> FloatArray:
    n_each = rows.shape[1] // _N_COARSE
    coarse = rows[:, : n_each * _N_COARSE].reshape(len(rows), _N_COARSE, n_each)
    return np.asarray(coarse.mean(axis=2))


def _settled(score: FloatArray) -> FloatArray:
    """Return the score without the first frames, from which every method learns."""
    return np.where(np.arange(score.size) < _N_FIRST, 0.0, score)
