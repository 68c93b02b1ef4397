"""What the agent tells a plan: a suggestion, and the evidence that goes on record with it.

The one module of `models` that plans know. It imports nothing heavy, so that a plan never loads
an inference engine.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

CRYSTAL_SYSTEMS = (
    "triclinic",
    "monoclinic",
    "orthorhombic",
    "tetragonal",
    "trigonal",
    "hexagonal",
    "cubic",
)


class Action(StrEnum):
    """What the scan should do next."""

    CONTINUE = "continue"
    REFINE = "refine"
    COARSEN = "coarsen"
    EXTEND = "extend"
    EXPOSE = "expose"
    MOVE = "move"
    STOP = "stop"
    # Of a loop over samples: not only this one, the others are not measured either.
    END = "end"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One piece of advice for the plan, which keeps the last word within its own limits.

    Attributes
    ----------
    action : Action
        What to do next.
    reason : str
        One sentence that a person can read.
    step : float
        Proposed next step of the scanned axis in that axis' unit; NaN when there is no opinion.
    region_start, region_stop : float
        What to measure next on the scanned axis, in its unit; NaN when the whole range or nothing.
    dwell_s : float
        Counting time a point, or exposure time a frame; NaN when there is no opinion.
    target : str
        Name of the sample to go to; empty when it is not about samples.
    gain_per_s : float
        Drop of the bound on the probability of error that is expected for each second of cost.
    error_bound, expected_error_bound : float
        Bound on the probability of error now, and as expected after the suggestion is followed.
    cost_s : float
        Seconds that following it takes: moving, settling, counting, reading out, dose.
    answer : str
        What the rule takes the sample to be, among its own hypotheses; empty when it has none.
    answer_probability : float
    """

    action: Action
    reason: str
    step: float = math.nan
    region_start: float = math.nan
    region_stop: float = math.nan
    dwell_s: float = math.nan
    target: str = ""
    gain_per_s: float = math.nan
    error_bound: float = math.nan
    expected_error_bound: float = math.nan
    cost_s: float = math.nan
    answer: str = ""
    answer_probability: float = math.nan

    def columns(self) -> dict[str, float | str]:
        """Return the fields by name, as `Advice` holds them."""
        return {column.name: getattr(self, column.name) for column in fields(self)} | {
            "action": self.action.value
        }


N_SPACE_GROUPS = 230


def _column(dtype: str, units: str = "") -> Any:
    missing = {
        "number": math.nan,
        "integer": 0,
        "string": "",
        "array": (math.nan,) * N_SPACE_GROUPS,
    }[dtype]
    return field(default=missing, metadata={"dtype": dtype, "units": units})


@dataclass(frozen=True, slots=True)
class Advice:
    """What the agent made of one frame, flat, just as it stands in the stream `agent`.

    A number that is unknown is NaN, an integer 0 and a text empty: a record needs the same columns
    in every row. `problem` says why nothing is known.
    """

    frame_seq_num: int = _column("integer")
    action: str = _column("string")
    reason: str = _column("string")
    step: float = _column("number")
    region_start: float = _column("number")
    region_stop: float = _column("number")
    dwell_s: float = _column("number", "s")
    target: str = _column("string")
    gain_per_s: float = _column("number", "1/s")
    error_bound: float = _column("number")
    expected_error_bound: float = _column("number")
    cost_s: float = _column("number", "s")
    answer: str = _column("string")
    answer_probability: float = _column("number")
    problem: str = _column("string")
    crystal_system: str = _column("string")
    crystal_system_probability: float = _column("number")
    crystal_system_set: str = _column("string")
    p_triclinic: float = _column("number")
    p_monoclinic: float = _column("number")
    p_orthorhombic: float = _column("number")
    p_tetragonal: float = _column("number")
    p_trigonal: float = _column("number")
    p_hexagonal: float = _column("number")
    p_cubic: float = _column("number")
    space_group_number: int = _column("integer")
    space_group_probability: float = _column("number")
    space_group_probabilities: tuple[float, ...] = _column("array")
    space_group_set: str = _column("string")
    set_level: float = _column("number")
    extinction_class: str = _column("string")
    entropy_bits: float = _column("number", "bit")
    epistemic_bits: float = _column("number", "bit")
    novelty: float = _column("number")
    verdict: str = _column("string")
    verdict_reason: str = _column("string")
    phases: str = _column("string")
    axis_value: float = _column("number")
    strain: float = _column("number")
    strain_uncertainty: float = _column("number")
    volume_ratio: float = _column("number")
    excess: float = _column("number")
    change_probability: float = _column("number")
    new_phase_fraction: float = _column("number")
    state: str = _column("string")
    changed_since_seq_num: int = _column("integer")
    lattice: str = _column("string")
    volume_angstrom3: float = _column("number", "angstrom^3")
    volume_uncertainty_angstrom3: float = _column("number", "angstrom^3")
    pressure_gpa: float = _column("number", "GPa")
    pressure_uncertainty_gpa: float = _column("number", "GPa")
    image_kind: str = _column("string")
    image_reason: str = _column("string")

    @classmethod
    def none(cls, frame_seq_num: int, problem: str) -> Self:
        """Return the advice of an agent that has none: carry on, and the sentence that says why."""
        return cls(
            frame_seq_num=frame_seq_num,
            action=Action.CONTINUE.value,
            reason=f"no advice: {problem}",
            problem=problem,
        )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the advice of columns read back from a record; missing ones stay unknown."""
        casts: dict[str, Any] = {"number": float, "integer": int, "string": str}
        known: dict[str, Any] = {}
        for column in fields(cls):
            if column.name in values:
                cast = casts.get(column.metadata["dtype"], lambda row: tuple(map(float, row)))
                known[column.name] = cast(values[column.name])
        return cls(**known)

    @property
    def suggestion(self) -> Suggestion:
        """The part that a plan obeys."""
        values = {column.name: getattr(self, column.name) for column in fields(Suggestion)}
        return Suggestion(**values | {"action": Action(self.action)})

    @property
    def crystal_system_probabilities(self) -> dict[str, float]:
        """Probability of each of the seven crystal systems, by name."""
        return {name: getattr(self, f"p_{name}") for name in CRYSTAL_SYSTEMS}

    def values(self) -> dict[str, float | int | str | tuple[float, ...]]:
        """Return the columns of this row by name."""
        return {column.name: getattr(self, column.name) for column in fields(self)}


def advice_data_keys(source: str) -> dict[str, Mapping[str, Any]]:
    """Return event-model data keys of the columns of an `Advice`, in order.

    Examples
    --------
    >>> advice_data_keys("phasepilot")["entropy_bits"]["units"]
    'bit'
    """
    numpy_types = {"number": "<f8", "integer": "<i8", "array": "<f8"}
    keys: dict[str, Mapping[str, Any]] = {}
    for column in fields(Advice):
        dtype = column.metadata["dtype"]
        shape = [N_SPACE_GROUPS] if dtype == "array" else []
        key = {"source": source, "dtype": dtype, "shape": shape, "units": column.metadata["units"]}
        if dtype in numpy_types:
            key["dtype_numpy"] = numpy_types[dtype]
        keys[column.name] = key
    return keys
