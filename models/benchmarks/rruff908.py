"""Symmetry of measured minerals: RRUFF-908 of Salgado et al., or any part of it.

*Zero-shot*: no RRUFF pattern, label or class frequency served for training, choice or calibration.
*Selective*: only the patterns that the estimator is surest of count. *Souped*: some of the patterns
serve as labelled examples, see `souped`. The set holds no trigonal pattern.

References
----------
Salgado et al., npj Comput. Mater. 9, 214 (2023), doi:10.1038/s41524-023-01164-8; data of
github.com/AGI-init/XRDs.
"""

from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.adaptation import Examples
from phasepilot.models.benchmarks.baselines import commonest, cosine_similarity, root_patterns
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Chart,
    Curve,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.measured_files import LabelledPatterns, read_rruff
from phasepilot.models.benchmarks.metrics import figure_of_items, risk_coverage
from phasepilot.models.benchmarks.predictions import predictions
from phasepilot.models.benchmarks.souped import (
    BY_GROUP,
    RANDOM,
    Protocol,
    adapted_answers,
    nearest_answers,
    nearest_figures,
    souped_figures,
    souped_items,
)
from phasepilot.models.benchmarks.symmetry_figures import (
    accuracy_figure,
    answer_item,
    aurc_figure,
    crystal_system_level,
    extinction_level,
    half_coverage_figure,
    macro_f1_figure,
    space_group_level,
    top_figure,
)
from phasepilot.models.networks.symmetry_levels import SYSTEM_OF_SPACE_GROUP

# Relative difference of lattices within which two patterns count as alike: about 1 %.
_MAX_SHIFT_BINS = 15


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how right the estimators are about measured minerals.

    Raises
    ------
    ModelsError
        If no patterns are given, or they cannot be read.
    """
    data = read_rruff(options.measured())
    said = {
        name: predictions(estimator, data.patterns, progress=progress, step=name).space_groups
        for name, estimator in options.estimators.items()
    }
    figures = _majority_figures(data.space_group_index)
    items: list[dict[str, Any]] = []
    for name, space_groups in said.items():
        figures += _zero_shot_figures(space_groups, data.space_group_index, options.prefix(name))
        items += _zero_shot_items(data, space_groups, name)
    examples = _examples(data, said)
    for protocol in (RANDOM, BY_GROUP):
        more, entries = _souped(examples, data.name, protocol, options=options, progress=progress)
        figures += more
        items += entries
    chart = _chart(said, data.space_group_index)
    return BenchmarkResult(_title(data), tuple(figures), tuple(items), _notes(options), chart)


def _chart(said: dict[str, FloatArray], truth: IntArray) -> Chart:
    curves = []
    for name, space_groups in said.items():
        groups = space_group_level(space_groups, truth)
        coverage = np.arange(1, truth.size + 1) / truth.size
        risk = risk_coverage(groups.confidence, groups.is_right)
        curves.append(Curve(name, coverage, 1 - risk))
    return Chart(
        "share of patterns answered, the surest first",
        "share of right space groups among them",
        tuple(curves),
    )


def _title(data: LabelledPatterns) -> str:
    n_groups = np.unique(data.group).size
    return f"RRUFF-908: {len(data.patterns)} measured patterns in {n_groups} groups of alike ones"


def _notes(options: BenchmarkOptions) -> tuple[str, ...]:
    return (
        f"Figures without a prefix are those of {options.judged!r}.",
        "Anchors are for all 908 patterns; a part of them gives other numbers.",
        "Figures called souped use RRUFF patterns as labelled examples; the others use none.",
    )


def _majority_figures(truth: IntArray) -> list[Figure]:
    """Return how often the commonest class of the set is right."""
    systems = SYSTEM_OF_SPACE_GROUP[truth]
    return [
        figure_of_items(
            f"majority_{level}_accuracy",
            labels == commonest(labels),
            f"always answering the commonest {level.replace('_', ' ')}",
            anchor=anchor,
        )
        for level, labels, anchor in (
            ("crystal_system", systems, "0.354"),
            ("space_group", truth, "0.112"),
        )
    ]


def _zero_shot_figures(space_groups: FloatArray, truth: IntArray, prefix: str) -> list[Figure]:
    systems = crystal_system_level(space_groups, truth)
    groups = space_group_level(space_groups, truth)
    return [
        accuracy_figure(
            systems,
            prefix,
            anchor="NPCNN 0.74, AlphaDiffract x10 0.817",
            goal="floor 0.70, goal 0.83",
        ),
        accuracy_figure(
            groups,
            prefix,
            anchor="NPCNN 0.66, AlphaDiffract x10 0.662",
            goal="floor 0.52, goal 0.67",
        ),
        accuracy_figure(extinction_level(space_groups, truth), prefix),
        top_figure(groups, prefix, 3),
        macro_f1_figure(systems, prefix),
        macro_f1_figure(groups, prefix),
        half_coverage_figure(systems, prefix, goal="goal 0.96"),
        half_coverage_figure(
            groups, prefix, anchor="Vecsei 0.82, own subset", goal="floor 0.78, goal 0.85"
        ),
        aurc_figure(systems, prefix),
        aurc_figure(groups, prefix),
    ]


def _zero_shot_items(
    data: LabelledPatterns, space_groups: FloatArray, name: str
) -> list[dict[str, Any]]:
    rows = zip(data.name, data.group, data.space_group_index, space_groups, strict=True)
    return [
        {
            "protocol": "zero_shot",
            "estimator": name,
            "pattern": pattern,
            "group": int(group),
            **answer_item(row, int(truth)),
        }
        for pattern, group, truth, row in rows
    ]


def _examples(data: LabelledPatterns, said: dict[str, FloatArray]) -> dict[str, Examples]:
    rows = root_patterns(data.patterns)
    similarity = cosine_similarity(rows, rows, max_shift_bins=_MAX_SHIFT_BINS).astype(np.float64)
    return {
        name: Examples(space_groups, similarity, data.space_group_index, data.group)
        for name, space_groups in said.items()
    }


def _souped(
    examples_of: dict[str, Examples],
    patterns: tuple[str, ...],
    protocol: Protocol,
    *,
    options: BenchmarkOptions,
    progress: Progress,
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Return figures and items of one protocol: the nearest neighbour, then each estimator."""
    n_seeds, first = options.n_seeds, examples_of[options.judged]
    truth = first.space_group_index
    bar = nearest_answers(first, protocol, n_seeds=n_seeds)
    figures = nearest_figures(bar, truth, protocol)
    about = {"protocol": protocol.name}
    items = souped_items(bar, patterns, truth, {**about, "estimator": "nearest neighbour"})
    for name, examples in examples_of.items():
        step = f"{protocol.name}, {name}"
        answers = adapted_answers(examples, protocol, n_seeds=n_seeds, progress=progress, step=step)
        prefix = options.prefix(name)
        figures += souped_figures(answers, bar, truth, protocol=protocol, prefix=prefix)
        items += souped_items(answers, patterns, truth, {**about, "estimator": name})
    return figures, items
