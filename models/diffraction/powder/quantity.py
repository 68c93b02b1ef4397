"""A number of a recipe: fixed, or drawn anew for each pattern."""

import math
import re
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.random import Generator
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from phasepilot.models.arrays import FloatArray

# YAML reads 1e-4 as text, because it lacks a point.
_WITHOUT_POINT = re.compile(r"[+-]?\d+[eE][+-]?\d+")


class Quantity(BaseModel):
    """How a number is drawn.

    In a recipe file, ``3`` is fixed, ``[1, 2]`` uniform between the two, ``{log: [1, 100]}``
    uniform in the logarithm, ``{normal: [0, 1]}`` of that mean and standard deviation,
    ``{choice: [1, 2, 4]}`` one of these. With ``probability: p`` beside it, the number is drawn so
    in that share of the patterns and is ``otherwise`` (0 unless given) in the others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["uniform", "log", "normal", "choice"]
    values: tuple[float, ...] = Field(min_length=1)
    probability: float = Field(default=1.0, ge=0, le=1)
    otherwise: float = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        # Infinity says "no limit", which only a fixed number can.
        finite = self.values if self.kind != "choice" else ()
        if not np.isfinite(finite).all() or np.isnan([*self.values, self.otherwise]).any():
            raise ValueError(f"numbers to draw from are finite, not {list(self.values)}")
        if self.kind == "normal" and self.values[-1] < 0:
            raise ValueError(f"a standard deviation is not negative, as in {list(self.values)}")
        if self.kind != "choice" and len(self.values) != 2:
            raise ValueError(f"{self.kind} takes two numbers, not {len(self.values)}")
        if self.kind == "log" and min(self.values) <= 0:
            raise ValueError(f"log takes two positive numbers, not {list(self.values)}")
        if self.kind in ("uniform", "log") and self.values[0] > self.values[1]:
            raise ValueError(f"the lower number comes first, not {list(self.values)}")
        return self

    def draw(self, n: int, rng: Generator) -> FloatArray:
        """Return n numbers."""
        return self.draw_columns(n, 1, rng)[:, 0]

    def draw_columns(self, n: int, n_columns: int, rng: Generator) -> FloatArray:
        """Return numbers of shape (n, n_columns); `probability` is decided once a row."""
        first, last = self.values[0], self.values[-1]
        shape = (n, n_columns)
        if self.kind == "uniform":
            drawn = rng.uniform(first, last, shape)
        elif self.kind == "log":
            drawn = np.exp(rng.uniform(np.log(first), np.log(last), shape))
        elif self.kind == "normal":
            drawn = rng.normal(first, last, shape)
        else:
            drawn = rng.choice(np.array(self.values), shape)
        if self.probability == 1.0:
            return drawn
        return np.where(rng.random((n, 1)) < self.probability, drawn, self.otherwise)

    def extremes(self) -> tuple[float, float]:
        """Return the least and the largest number that is drawn; of a normal one its mean."""
        drawn = self.values[:1] if self.kind == "normal" else self.values
        if self.probability < 1.0:
            drawn = (*drawn, self.otherwise)
        return min(drawn), max(drawn)

    def written(self) -> Any:
        """Return the number as a recipe file writes it."""
        if self.kind == "choice" and len(self.values) == 1 and self.probability == 1.0:
            return self.values[0]
        values = list(self.values)
        if self.kind == "uniform" and self.probability == 1.0:
            return values
        result: dict[str, Any] = {self.kind: values}
        if self.probability < 1.0:
            result["probability"] = self.probability
            if self.otherwise:
                result["otherwise"] = self.otherwise
        return result


def _read(value: Any) -> Any:
    if isinstance(value, Quantity) or (isinstance(value, dict) and "kind" in value):
        return value
    if isinstance(value, list | tuple):
        return {"kind": "uniform", "values": tuple(value)}
    if isinstance(value, dict):
        return _read_range(value)
    return {"kind": "choice", "values": (_number(value),)}


def _read_range(value: dict[str, Any]) -> dict[str, Any]:
    rest = dict(value)
    kinds = [kind for kind in ("uniform", "log", "normal", "choice") if kind in rest]
    if len(kinds) != 1:
        raise ValueError(
            f"a range needs one of uniform, log, normal and choice, but has"
            f" {', '.join(kinds) or 'none of them'} in {value}"
        )
    values = rest.pop(kinds[0])
    if not isinstance(values, list | tuple):
        raise ValueError(f"{kinds[0]} takes a list of numbers, not {values!r}")
    return {"kind": kinds[0], "values": tuple(values), **rest}


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and _WITHOUT_POINT.fullmatch(value)):
        return float(value)
    raise ValueError(f"a number or a range is needed, not {value!r}")


def within(low: float, high: float = math.inf) -> AfterValidator:
    """Return a validator of quantities: both ends, and what is drawn otherwise, lie in a range."""

    def check(quantity: Quantity) -> Quantity:
        least, largest = quantity.extremes()
        if least < low or largest > high:
            raise ValueError(
                f"all numbers must lie from {low:g} to {high:g}, but they go from {least:g} to"
                f" {largest:g}"
            )
        return quantity

    return AfterValidator(check)


def _check_positive(quantity: Quantity) -> Quantity:
    least, _ = quantity.extremes()
    if least <= 0:
        raise ValueError(f"all numbers must be above 0, but they go down to {least:g}")
    return quantity


Drawn = Annotated[Quantity, BeforeValidator(_read)]
Positive = Annotated[Drawn, AfterValidator(_check_positive)]
NotNegative = Annotated[Drawn, within(0)]
Fraction = Annotated[Drawn, within(0, 1)]


def fixed(value: float) -> Quantity:
    """Return the quantity that is always this number."""
    return Quantity(kind="choice", values=(value,))
