"""What is wrong with the entries of a file, in one line instead of pydantic's many."""

from pydantic import ValidationError


def refused_entries(error: ValidationError, *, whole: str, at_most: int | None = None) -> str:
    """Return which entries were refused and why, separated by semicolons.

    Parameters
    ----------
    whole : str
        What to call all entries together, where no single one is at fault.
    at_most : int or None
        So many are told; of more only how many there are.

    Examples
    --------
    >>> from pydantic import BaseModel
    >>> class Sample(BaseModel):
    ...     name: str
    ...     thickness_mm: float
    >>> try:
    ...     Sample.model_validate({"name": 3})
    ... except ValidationError as error:
    ...     print(refused_entries(error, whole="the sample", at_most=1))
    name: Input should be a valid string; and 1 more
    """
    told = [
        f"{'.'.join(map(str, entry['loc'])) or whole}: {entry['msg']}" for entry in error.errors()
    ]
    n_left_out = 0 if at_most is None else len(told) - at_most
    return "; ".join([*told[:at_most], *([f"and {n_left_out} more"] if n_left_out > 0 else [])])
