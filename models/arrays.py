"""The array types that signatures speak of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]
Int32Array = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
ComplexArray = NDArray[np.complex128]

# Numpy array or torch tensor: functions that say so give back what they are given.
Array = Any
