"""How right answers to zone-axis patterns are: scores of items by the name of their figure."""

from collections.abc import Callable

import gemmi
import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.metrics import is_within_top
from phasepilot.models.benchmarks.zone_patterns import (
    Answers,
    FusingEstimator,
    ZoneEstimator,
    detector_frames,
)
from phasepilot.models.benchmarks.zone_sets import (
    CHANGED_AXES,
    DETECTOR_AXES,
    PatternSet,
    SeedSets,
)
from phasepilot.models.diffraction.images.zone_spots import SpotLists
from phasepilot.models.networks.symmetry_levels import SYSTEM_OF_SPACE_GROUP
from phasepilot.models.training.zone_axes import AXES, N_AXES_OF_MODEL, UNSEEN_AXES, axis_name

LEVELS = ("space_group", "crystal_system")
ENANTIOMORPHS = (
    *((76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154)),
    *((169, 170), (171, 172), (178, 179), (180, 181), (212, 213)),
)
IS_CENTROSYMMETRIC = np.array(
    [gemmi.get_spacegroup_reference_setting(n).is_centrosymmetric() for n in range(1, 231)]
)
_BLOCK = 256
_FRAMES = 32
# Directions that are put together.
_FUSED = 3

Scores = dict[str, FloatArray]


def all_scores(estimator: ZoneEstimator, sets: SeedSets) -> Scores:
    """Return the scores of the whole protocol."""
    seen = answers_to(estimator, sets.seen)
    return {
        **_seen(seen, sets.seen.truth),
        **_unseen(answers_to(estimator, sets.unseen), seen, sets),
        **_fused(estimator, seen, sets),
        **_symmetry_confusion(seen, sets.seen.truth),
        **_rotated(answers_to(estimator, sets.rotated), seen, sets),
        **_strained(estimator, sets),
        **_on_detector(estimator, sets),
        **_changed(estimator, sets),
    }


def few_axes_scores(estimator: ZoneEstimator, sets: SeedSets) -> Scores:
    """Return how right answers are along the first 1, 4, 10 and 20 axes."""
    seen = answers_to(estimator, sets.seen)
    right = _by_axis(_right(seen, sets.seen.truth), len(AXES))
    return {
        f"on_{n_axes}_axes_{level}": right[level][:, :n_axes].mean(axis=1)
        for n_axes in N_AXES_OF_MODEL.values()
        for level in LEVELS
    }


def answers_to(estimator: ZoneEstimator, patterns: PatternSet) -> Answers:
    """Return the answers to ideal patterns, asked for in blocks."""
    return _in_blocks(estimator.answer_spots, patterns.spots, _BLOCK)


def _in_blocks(answer: Callable[[SpotLists], Answers], spots: SpotLists, n_block: int) -> Answers:
    starts = range(0, spots.n_patterns, n_block)
    blocks = [answer(_part(spots, start, start + n_block)) for start in starts]
    empty = Answers(np.zeros((0, 230)), np.zeros((0, 7)))
    return Answers(
        np.concatenate([block.space_group for block in [empty, *blocks]]),
        np.concatenate([block.crystal_system for block in [empty, *blocks]]),
    )


def _part(spots: SpotLists, start: int, stop: int) -> SpotLists:
    offsets = spots.offsets[start : stop + 1]
    own = slice(int(offsets[0]), int(offsets[-1]))
    lists = (spots.x_per_angstrom, spots.y_per_angstrom, spots.intensity)
    return SpotLists(offsets - offsets[0], *(values[own] for values in lists))


def _right(answers: Answers, truth: IntArray) -> Scores:
    """Return 1 where an answer is right, for both heads, and among the first three."""
    scores: Scores = {}
    for level in LEVELS:
        probabilities = getattr(answers, level)
        wanted = SYSTEM_OF_SPACE_GROUP[truth] if level == "crystal_system" else truth
        scores[level] = is_within_top(probabilities, wanted, 1).astype(np.float64)
        scores[f"{level}_top3"] = is_within_top(probabilities, wanted, 3).astype(np.float64)
    return scores


def _by_axis(scores: Scores, n_axes: int) -> Scores:
    return {name: values.reshape(-1, n_axes) for name, values in scores.items()}


def _of_structures(scores: Scores, n_axes: int) -> Scores:
    """Return the means over the axes of each structure, which are no independent items."""
    return {name: values.mean(axis=1) for name, values in _by_axis(scores, n_axes).items()}


def _seen(answers: Answers, truth: IntArray) -> Scores:
    by_axis = _by_axis(_right(answers, truth), len(AXES))
    return {
        **{f"seen_{name}": scores.mean(axis=1) for name, scores in by_axis.items()},
        **{
            f"seen_{axis_name(axis)}_{level}": by_axis[level][:, place]
            for place, axis in enumerate(AXES)
            for level in LEVELS
        },
    }


def _unseen(answers: Answers, seen: Answers, sets: SeedSets) -> Scores:
    by_axis = _by_axis(_right(answers, sets.unseen.truth), len(UNSEEN_AXES))
    before = _by_axis(_right(seen, sets.seen.truth), len(AXES))
    scores = {f"unseen_{name}": values.mean(axis=1) for name, values in by_axis.items()}
    for level in LEVELS:
        of_structure = before[level].mean(axis=1)
        scores[f"unseen_drop_{level}"] = of_structure - by_axis[level].mean(axis=1)
        scores[f"unseen_drop_{axis_name(UNSEEN_AXES[0])}_{level}"] = (
            of_structure - by_axis[level][:, 0]
        )
    for place, axis in enumerate(UNSEEN_AXES):
        for name, values in by_axis.items():
            scores[f"unseen_{axis_name(axis)}_{name}"] = values[:, place]
    return scores


def _fused(estimator: ZoneEstimator, seen: Answers, sets: SeedSets) -> Scores:
    """Return how right answers are from three directions together, and by how much more than one.

    The axes of each structure are put into threes at random; two are left over.
    """
    if not isinstance(estimator, FusingEstimator):
        return {}
    n_threes = len(AXES) // _FUSED
    rng = np.random.default_rng(sets.detector_seed)
    truth = sets.seen.truth[:: len(AXES)]
    order = rng.permuted(np.tile(np.arange(len(AXES)), (truth.size, 1)), axis=1)
    chosen = order[:, : n_threes * _FUSED] + np.arange(truth.size)[:, None] * len(AXES)
    single = Answers(seen.space_group[chosen.ravel()], seen.crystal_system[chosen.ravel()])
    joint = estimator.fused(single.space_group.reshape(-1, _FUSED, single.space_group.shape[1]))
    together = _of_structures(_right(joint, np.repeat(truth, n_threes)), n_threes)
    alone = _of_structures(_right(single, np.repeat(truth, chosen.shape[1])), chosen.shape[1])
    return {
        **{f"three_fused_{name}": scores for name, scores in together.items()},
        **{f"three_fused_gain_{level}": together[level] - alone[level] for level in LEVELS},
    }


def _rotated(answers: Answers, seen: Answers, sets: SeedSets) -> Scores:
    """Return how right turned patterns along the first axis are, and how many answers change."""
    right = _right(answers, sets.rotated.truth)
    scores = {f"rotated_{level}": right[level] for level in LEVELS}
    for level in LEVELS:
        before = getattr(seen, level)[:: len(AXES)].argmax(axis=1)
        flips = getattr(answers, level).argmax(axis=1) != before
        scores[f"rotation_flips_{level}"] = flips.astype(np.float64)
    return scores


def _strained(estimator: ZoneEstimator, sets: SeedSets) -> Scores:
    answers = {strain: answers_to(estimator, one) for strain, one in sets.strained.items()}
    scores: Scores = {}
    for strain, patterns in sets.strained.items():
        right = _right(answers[strain], patterns.truth)
        means = _of_structures(right, len(CHANGED_AXES))
        name = f"{'expanded' if strain >= 0 else 'compressed'}_{abs(100 * strain):.0f}"
        for level in LEVELS:
            scores[f"{name}_{level}"] = means[level]
            # The paper states them axis by axis.
            for place, axis in enumerate(CHANGED_AXES):
                own = right[level][place :: len(CHANGED_AXES)]
                scores[f"{name}_{axis_name(axis)}_{level}"] = own
            if strain:
                said = getattr(answers[strain], level).argmax(axis=1)
                unstrained = getattr(answers[0.0], level).argmax(axis=1)
                flips = (said != unstrained).reshape(-1, len(CHANGED_AXES)).mean(axis=1)
                scores[f"{name}_flips_{level}"] = flips
    return scores


def _changed(estimator: ZoneEstimator, sets: SeedSets) -> Scores:
    """Return how right answers are with other elements, and with vacancies."""
    named = {f"substituted_{100 * share:.0f}": one for share, one in sets.substituted.items()}
    for (lattice, share), patterns in sets.depleted.items():
        named[f"{lattice}_depleted_{100 * share:.0f}"] = patterns
    scores: Scores = {}
    for name, patterns in named.items():
        right = _right(answers_to(estimator, patterns), patterns.truth)
        means = _of_structures(right, len(CHANGED_AXES))
        scores |= {f"{name}_{level}": means[level] for level in LEVELS}
    return scores


def _on_detector(estimator: ZoneEstimator, sets: SeedSets) -> Scores:
    # Drawn anew for each estimator, from the same seed: all frames at once would fill the memory.
    rng = np.random.default_rng(sets.detector_seed)
    seen = _in_blocks(
        lambda spots: estimator.answer_frames(detector_frames(spots, rng)),
        sets.detector.spots,
        _FRAMES,
    )
    truth = sets.detector.truth
    right = _of_structures(_right(seen, truth), DETECTOR_AXES)
    answers = answers_to(estimator, sets.detector)
    ideal = _of_structures(_right(answers, truth), DETECTOR_AXES)
    return {
        **{f"detector_{name}": scores for name, scores in right.items()},
        **{f"detector_drop_{level}": ideal[level] - right[level] for level in LEVELS},
    }


def _symmetry_confusion(answers: Answers, truth: IntArray) -> Scores:
    """Return who is taken for centrosymmetric or not, and who for their mirror image."""
    order = np.argsort(-answers.space_group, axis=1, kind="stable")
    said = IS_CENTROSYMMETRIC[order[:, :3]] == IS_CENTROSYMMETRIC[truth][:, None]
    is_centred = IS_CENTROSYMMETRIC[truth]
    scores: Scores = {}
    for name, chosen in (("centrosymmetric", is_centred), ("noncentrosymmetric", ~is_centred)):
        for n_best in (1, 2, 3):
            right = said[chosen, :n_best].any(axis=1)
            scores[f"{name}_right_top{n_best}"] = right.astype(np.float64)
    for pair in ENANTIOMORPHS:
        scores[f"mirror_image_{pair[0]}_{pair[1]}"] = _mirrored(order[:, 0], truth, (pair,))
    scores["mirror_image"] = _mirrored(order[:, 0], truth, ENANTIOMORPHS)
    return scores


def _mirrored(said: IntArray, truth: IntArray, pairs: tuple[tuple[int, int], ...]) -> FloatArray:
    """Return 1 for the mate and 0 for the right group, of answers within a pair."""
    mate = np.full(230, -1)
    for one, other in pairs:
        mate[one - 1], mate[other - 1] = other - 1, one - 1
    is_other: BoolArray = mate[truth] == said
    is_within = (mate[truth] >= 0) & (is_other | (truth == said))
    return np.asarray(is_other[is_within], dtype=np.float64)
