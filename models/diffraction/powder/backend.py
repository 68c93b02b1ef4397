"""One arithmetic for numpy and torch: array namespace, random numbers, and the few odd operations.

The physics is written once against the array-API standard. What the standard lacks - random
numbers, scattered sums - is behind `Backend`, so that numpy, torch on a processor and torch on a
GPU give the same patterns.
"""

from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import array_api_compat.numpy
import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import Array
from phasepilot.models.errors import ModelsError

if TYPE_CHECKING:
    import torch

# Above this mean, a normal deviate with its skewness and kurtosis mended and rounded is a Poisson
# deviate to 2e-3 of all probabilities together, at a tenth of the cost.
NORMAL_ABOVE = 12.0
# Counts that deviates of smaller means reach once in 10^9.
_MOST_SMALL_COUNTS = 40


class Backend(Protocol):
    """Where arrays live and random numbers come from."""

    @property
    def xp(self) -> Any:
        """The array-API namespace."""

    def asarray(self, values: Array, *, single: bool = False) -> Array:
        """Return the values here: integers as they are, others in double or `single` precision."""

    def to_numpy(self, values: Array) -> NDArray[Any]:
        """Return the values in the memory of this process."""

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Return standard normal deviates in single precision."""

    def uniform(self, shape: tuple[int, ...]) -> Array:
        """Return deviates from [0, 1) in single precision."""

    def poisson(self, mean: Array) -> Array:
        """Return one Poisson deviate for each mean, which are in single precision."""

    def row_maximum(self, values: Array, row: Array, n_rows: int) -> Array:
        """Return the largest of the values of each row, 0 for none; values are not negative."""

    def scattered_sum(self, index: Array, values: Array, size: int) -> Array:
        """Return the sum of the values that share an index, shape (size,), single precision."""


def _cornish_fisher(
    mean: NDArray[np.float32], deviate: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Write Poisson deviates of large means from normal ones z, which are used up.

    m + sqrt(m) z + (z^2 - 1) / 6 + (z - z^3) / (72 sqrt(m)), rounded: Cornish & Fisher (1938),
    with the skewness m^-1/2 and the excess kurtosis 1 / m of the Poisson distribution.
    """
    root = np.sqrt(np.maximum(mean, np.float32(1)))
    np.multiply(root, deviate, out=out)
    out += mean
    np.divide(deviate, root, out=root)
    deviate *= deviate
    deviate -= 1
    root *= deviate
    root *= np.float32(-1 / 72)
    out += root
    deviate *= np.float32(1 / 6)
    out += deviate
    np.rint(out, out=out)


def _inverted(mean: NDArray[np.float32], uniform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Poisson deviates of small means, by adding up probabilities."""
    compiled = compiled_kernels()
    if compiled is not None:
        counts: NDArray[np.float32] = compiled.poisson(mean, uniform)
        return counts
    probability = np.exp(-mean.astype(np.float64))
    below = probability.copy()
    result = np.zeros(mean.shape, dtype=np.float32)
    for count in range(1, _MOST_SMALL_COUNTS + 1):
        is_above = uniform > below
        if not is_above.any():
            break
        result += is_above
        probability *= mean / count
        below += probability
    return result


@cache
def compiled_kernels() -> ModuleType | None:
    """Return the compiled inner loops where numba is installed and works."""
    try:
        from phasepilot.models.diffraction.powder import compiled
    # Numba refuses a numpy newer than it knows with the first, a disk without a place for its
    # compiled code with the second.
    except (ImportError, RuntimeError):
        return None
    return compiled


class NumpyBackend:
    """Numpy on a processor.

    Parameters
    ----------
    rng : numpy.random.Generator
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.xp: Any = array_api_compat.numpy
        self.rng = rng

    def asarray(self, values: Array, *, single: bool = False) -> Array:
        """See `Backend`."""
        array = np.asarray(values)
        if array.dtype.kind in "iub":
            return array
        return array.astype(np.float32 if single else np.float64, copy=False)

    def to_numpy(self, values: Array) -> NDArray[Any]:
        """See `Backend`."""
        return np.asarray(values)

    def normal(self, shape: tuple[int, ...]) -> Array:
        """See `Backend`."""
        return self.rng.standard_normal(shape, dtype=np.float32)

    def uniform(self, shape: tuple[int, ...]) -> Array:
        """See `Backend`."""
        return self.rng.random(shape, dtype=np.float32)

    def poisson(self, mean: Array) -> Array:
        """See `Backend`; from the third-order Cornish-Fisher expansion where means are large."""
        counts = np.empty_like(mean)
        deviate = np.empty(mean.shape[-1], dtype=np.float32)
        # Row by row, which stays in the processor's cache.
        rows = (array.reshape(-1, mean.shape[-1]) for array in (counts, mean))
        for row, means in zip(*rows, strict=True):
            self.rng.standard_normal(out=deviate, dtype=np.float32)
            _cornish_fisher(means, deviate, row)
            is_small = means < NORMAL_ABOVE
            if is_small.any():
                small = means[is_small]
                row[is_small] = _inverted(small, self.rng.random(small.size, dtype=np.float32))
        return counts

    def row_maximum(self, values: Array, row: Array, n_rows: int) -> Array:
        """See `Backend`."""
        result = np.zeros(n_rows, dtype=values.dtype)
        np.maximum.at(result, row, values)
        return result

    def scattered_sum(self, index: Array, values: Array, size: int) -> Array:
        """See `Backend`."""
        return np.bincount(index, weights=values, minlength=size).astype(np.float32)


class TorchBackend:
    """Torch on a processor or a GPU.

    Parameters
    ----------
    device : str
        For example ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ModelsError
        If torch has no such device.
    """

    def __init__(self, seed: int, device: str = "cpu") -> None:
        import array_api_compat.torch
        import torch

        self.xp: Any = array_api_compat.torch
        try:
            self.device = torch.device(device)
            self._generator = torch.Generator(self.device).manual_seed(seed)
        except (RuntimeError, AssertionError) as error:
            raise ModelsError(
                f"device must be one that torch sees, but {device!r} is not ({error});"
                " use 'cpu', or install torch for your GPU."
            ) from error

    def asarray(self, values: Array, *, single: bool = False) -> "torch.Tensor":
        """See `Backend`."""
        import torch

        if isinstance(values, np.ndarray) and not values.flags.writeable:
            # Torch shares memory and cannot promise to leave it alone.
            values = values.copy()
        tensor = torch.as_tensor(values, device=self.device)
        if not tensor.is_floating_point():
            return tensor
        return tensor.to(torch.float32 if single else torch.float64)

    def to_numpy(self, values: Array) -> NDArray[Any]:
        """See `Backend`."""
        return np.asarray(values.cpu())

    def normal(self, shape: tuple[int, ...]) -> "torch.Tensor":
        """See `Backend`."""
        import torch

        return torch.randn(shape, generator=self._generator, device=self.device)

    def uniform(self, shape: tuple[int, ...]) -> "torch.Tensor":
        """See `Backend`."""
        import torch

        return torch.rand(shape, generator=self._generator, device=self.device)

    def poisson(self, mean: Array) -> "torch.Tensor":
        """See `Backend`."""
        import torch

        return torch.poisson(mean, generator=self._generator)

    def row_maximum(self, values: Array, row: Array, n_rows: int) -> "torch.Tensor":
        """See `Backend`."""
        result = values.new_zeros(n_rows)
        return result.scatter_reduce_(0, row, values, "amax")  # type: ignore[no-any-return]

    def scattered_sum(self, index: Array, values: Array, size: int) -> "torch.Tensor":
        """See `Backend`."""
        import torch

        result = torch.zeros(size, dtype=torch.float32, device=self.device)
        return result.index_add_(0, index, values.to(torch.float32))
