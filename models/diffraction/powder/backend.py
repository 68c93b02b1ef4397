"""One arithmetic for numpy and torch: array namespace, random numbers, and the few odd operations.

The physics is written once against the array-API standard. What the standard lacks - random
numbers, scattered sums - is behind `Backend`, so that numpy, torch on a processor and torch on a
GPU give the same patterns.
"""

from typing import TYPE_CHECKING, Any, Protocol

import array_api_compat.numpy
import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import Array
from phasepilot.models.errors import ModelsError

if TYPE_CHECKING:
    import torch

# Above this mean, a normal deviate with its skewness mended and rounded is a Poisson deviate to
# 1e-3 of its probabilities, at a tenth of the cost.
NORMAL_ABOVE = 24.0


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
        """Return one Poisson deviate for each mean, as a real number in single precision."""

    def row_maximum(self, values: Array, row: Array, n_rows: int) -> Array:
        """Return the largest of the values of each row, 0 for none; values are not negative."""

    def scattered_sum(self, index: Array, values: Array, size: int) -> Array:
        """Return the sum of the values that share an index, shape (size,), single precision."""


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
        deviate = self.rng.standard_normal(mean.shape, dtype=np.float32)
        counts = deviate * np.sqrt(mean)
        counts += mean
        # The skewness of a Poisson distribution is 1 / sqrt(mean): its term is (z^2 - 1) / 6.
        deviate *= deviate
        deviate -= 1
        deviate /= 6
        counts += deviate
        np.rint(counts, out=counts)
        is_small = mean < NORMAL_ABOVE
        counts[is_small] = self.rng.poisson(mean[is_small])
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
