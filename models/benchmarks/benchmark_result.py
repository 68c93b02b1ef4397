"""What a benchmark is given and what it finds: figures with their meaning, every item's answer."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.errors import ModelsError
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.pattern import Pattern


class Estimator(Protocol):
    """What is tested: anything that makes estimates of patterns."""

    def predict(self, pattern: Pattern) -> PhaseEstimate:
        """Return the estimate for one pattern."""
        ...

    def predict_many(self, patterns: Sequence[Pattern]) -> list[PhaseEstimate]:
        """Return the estimates of several patterns, the same as one by one."""
        ...


# Called with what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


def no_progress(step: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOptions:
    """What a benchmark runs with.

    Attributes
    ----------
    estimators : mapping of str to Estimator
        What is compared, by name. The last is the answer that is judged: its figures carry no
        prefix, those of the others their name.
    data : Path or None
        File or folder of measured patterns, in the formats of `measured_files`.
    structures : Path or None
        Structure table, or folder that holds one, for patterns simulated of held-out structures.
    library : Path or None
        Folder of CIF files, or search index, that patterns are matched with.
    n_seeds : int
        How often what is random is done again.
    n_simulated : int
        How many held-out structures are simulated for each seed.
    weights : Path or None
        Folder of networks that a benchmark trains for itself, to be kept there.
    is_full_size : bool
        Whether a paper's benchmark is to be as large as in the paper, not for two cores.
    """

    estimators: Mapping[str, Estimator]
    data: Path | None = None
    structures: Path | None = None
    library: Path | None = None
    n_seeds: int = 5
    n_simulated: int = 60
    weights: Path | None = None
    is_full_size: bool = False

    def measured(self) -> Path:
        """Return where measured patterns are.

        Raises
        ------
        ModelsError
            If nobody said.
        """
        if self.data is None:
            raise ModelsError(
                "this benchmark needs measured patterns, but none are given; name their file or"
                " folder with --data, or set PHASEPILOT_DATA."
            )
        return self.data

    @property
    def judged(self) -> str:
        """Name of the estimator whose figures carry no prefix."""
        return list(self.estimators)[-1]

    def prefix(self, name: str) -> str:
        """Return what the names of an estimator's figures start with.

        Examples
        --------
        >>> BenchmarkOptions(estimators={"network+search": None, "all": None}).prefix(
        ...     "network+search"
        ... )
        'network_search_'
        """
        return "" if name == self.judged else figure_prefix(name)


def figure_prefix(name: str) -> str:
    """Return what the names of the figures of somebody who is not judged start with.

    Examples
    --------
    >>> figure_prefix("model-4")
    'model_4_'
    """
    return "".join(sign if sign.isalnum() else "_" for sign in name.lower()) + "_"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a benchmark measured.

    Attributes
    ----------
    name : str
        In the table and in the file of results; lower case with underscores.
    value : float
        Shares run from 0 to 1.
    meaning : str
        What was measured, in one line.
    low, high : float or None
        Ends of the 95 % bootstrap interval over items.
    spread : float or None
        Standard deviation over seeds, where something is random.
    anchor : str
        What others reached, and who.
    goal : str
    """

    name: str
    value: float
    meaning: str
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    anchor: str = ""
    goal: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a chart, through points (x, y); the spread of y is drawn as bars."""

    name: str
    x: FloatArray
    y: FloatArray
    spread: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """What can be drawn of a benchmark.

    Attributes
    ----------
    x_label, y_label : str
    curves : tuple of Curve
    title : str
        Of the panel, where several stand on one sheet.
    """

    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """How often each true class, a row, was answered as each class, a column.

    Attributes
    ----------
    title : str
    classes : tuple of str
    counts : ndarray, shape (n_classes, n_classes)
    """

    title: str
    classes: tuple[str, ...]
    counts: IntArray


@dataclass(frozen=True, slots=True)
class Sheet:
    """Charts that are drawn one below the other, into a picture of this name."""

    name: str
    charts: tuple[Chart | Matrix, ...]


@dataclass(frozen=True, slots=True)
class FollowedSeries:
    """A measured series as the tracker follows it; arrays have one entry a frame.

    Attributes
    ----------
    name, varied_name : str
    varied : ndarray, shape (n_frames,)
    q_per_angstrom : ndarray, shape (n_bins,)
    signal : ndarray, shape (n_frames, n_bins)
        Intensity above background.
    strain, statistic, new_phase_fraction : ndarray, shape (n_frames,)
    alarm_level : float
        The statistic from which an alarm is raised.
    is_changing : ndarray of bool, shape (n_frames,)
    transitions : tuple of dict
        Frame, varied value and probability of each phase change that is seen.
    known : mapping of int to str
        What is known to begin in which frame.
    truth : str
    """

    name: str
    varied_name: str
    varied: FloatArray
    q_per_angstrom: FloatArray
    signal: FloatArray
    strain: FloatArray
    statistic: FloatArray
    alarm_level: float
    new_phase_fraction: FloatArray
    is_changing: BoolArray
    transitions: tuple[dict[str, Any], ...]
    known: Mapping[int, str]
    truth: str


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """What a benchmark found.

    Attributes
    ----------
    title : str
        What was measured on what.
    figures : tuple of Figure
    items : tuple of dict
        One a pattern (and seed), to be written as JSON.
    notes : tuple of str
        What a reader must know to compare the figures with others.
    chart : Chart or None
    series : tuple of FollowedSeries
        What was followed, to be drawn one picture each; their transitions go into the results.
    sheets : tuple of Sheet
        Further pictures.
    """

    title: str
    figures: tuple[Figure, ...]
    items: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()
    chart: Chart | None = None
    series: tuple[FollowedSeries, ...] = ()
    sheets: tuple[Sheet, ...] = ()

    def flat(self) -> dict[str, float]:
        """Return every number by name: NAME, and NAME_low, NAME_high and NAME_spread if known.

        Examples
        --------
        >>> figure = Figure("accuracy", 0.5, "share of right answers", spread=0.1)
        >>> BenchmarkResult("a test", (figure,), ()).flat()
        {'accuracy': 0.5, 'accuracy_spread': 0.1}
        """
        numbers: dict[str, float] = {}
        for figure in self.figures:
            numbers[figure.name] = figure.value
            for part in ("low", "high", "spread"):
                number = getattr(figure, part)
                if number is not None:
                    numbers[f"{figure.name}_{part}"] = number
        return numbers


def write_result(result: BenchmarkResult, path: Path) -> Path:
    """Write the figures as one JSON object, and each item as a line beside it.

    The object is flat but for series: by name, their list of `transitions`.

    Returns
    -------
    Path
        The file of the items: STEM.items.jsonl.

    Raises
    ------
    ModelsError
        If the files cannot be written.
    """
    items = path.with_name(f"{path.stem}.items.jsonl")
    try:
        lists = {one.name: {"transitions": list(one.transitions)} for one in result.series}
        # JSON knows no NaN: what could not be measured is null.
        figures = {
            name: None if math.isnan(value) else value for name, value in result.flat().items()
        }
        path.write_text(json.dumps(figures | lists, indent=1, allow_nan=False) + "\n")
        items.write_text("".join(f"{json.dumps(item)}\n" for item in result.items))
    except OSError as error:
        raise ModelsError(
            f"results must go to a file that can be written, but {path} cannot ({error});"
            " give another path with --results."
        ) from error
    return items
