"""Scans of all rules over both parts, seed by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import Progress
from phasepilot.models.benchmarks.steering_scan import (
    RememberedSource,
    Step,
    Sweep,
    Trace,
    VirtualDiffractometer,
    sweep_of_ends,
    swept,
    traced,
)
from phasepilot.models.benchmarks.steering_scan_lookalikes import (
    WAVELENGTH_ANGSTROM,
    Lookalikes,
    draw_lookalikes,
    random_pool,
)
from phasepilot.models.benchmarks.steering_scan_pairs import (
    AXIS as PAIR_AXIS,
)
from phasepilot.models.benchmarks.steering_scan_pairs import (
    FAST_SCAN_S,
    Candidates,
    MeasuredPair,
    candidates,
    measured_pairs,
)
from phasepilot.models.steering.activation_rule import ActivationSettings
from phasepilot.models.steering.hypotheses import (
    HypothesisSource,
    ModelError,
    counted_cells,
    judged,
)
from phasepilot.models.steering.information_rate import InformationRateSettings
from phasepilot.models.steering.scan_policies import ScanPolicySettings, build
from phasepilot.models.steering.step_rules import CoarseScanSettings, FixedScanSettings

# Counts a second in the highest point.
FLUXES = {"low": 100.0, "mid": 500.0, "high": 3000.0}
# No rule is asked to be surer than this.
_STRICTEST = 0.003
INFORMATION, ACTIVATION, FULL, COARSE = "information", "activation", "full", "coarse"
# How often a fixed scan may dwell longer than the fast one.
_DWELLS = (1, 2, 4, 8, 16, 32)

LOOKALIKE_RULES: dict[str, ScanPolicySettings] = {
    INFORMATION: InformationRateSettings(
        step_deg=0.05, windows_deg=(2.0, 4.0, 10.0), largest_error=_STRICTEST
    ),
    ACTIVATION: ActivationSettings(largest_error=_STRICTEST),
}
_FAST_STEP, _SLOW_STEP, _DWELL = 0.0435, 0.0109, FAST_SCAN_S / 2071
_ACROSS: dict[str, Any] = {
    "reach_deg": PAIR_AXIS.stop_deg,
    "dwell_s": _DWELL,
    "largest_error": _STRICTEST,
}
PAIR_RULES: dict[str, ScanPolicySettings] = {
    INFORMATION: InformationRateSettings(
        step_deg=4 * _FAST_STEP,
        steps_deg=(4 * _FAST_STEP, 2 * _FAST_STEP, _FAST_STEP, _SLOW_STEP),
        dwells_s=(_DWELL,),
        windows_deg=(2.0, 4.0, 10.0),
        repeats="nothing",
        **_ACROSS,
    ),
    ACTIVATION: ActivationSettings(
        step_deg=_FAST_STEP, slow_step_deg=_SLOW_STEP, slow_dwell_s=_DWELL, **_ACROSS
    ),
    FULL: FixedScanSettings(step_deg=_SLOW_STEP, **_ACROSS),
    COARSE: CoarseScanSettings(step_deg=4 * _FAST_STEP, **_ACROSS),
}
# Of the seeds of structures and candidates on which anything was chosen; those reported begin at 0.
_TUNING_SEEDS = (1000, 1001)
_TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0)
# Strengths of measured lines are off by more than simulated ones: unlike samples, unlike tables.
_MEASURED_ERROR = ModelError(lines=0.5, floor=0.02, background=0.02)


@dataclass(frozen=True, slots=True)
class Scans:
    """All scans of one setting of the comparison.

    Attributes
    ----------
    sweeps : mapping of str to Sweep
        By rule.
    traces : mapping of str to sequences of Trace, one sequence a seed
        Of rules with a threshold.
    """

    sweeps: Mapping[str, Sweep]
    traces: Mapping[str, Sequence[Sequence[Trace]]]


def scanned_lookalikes(
    structures: Path, n_seeds: int, n_samples: int, progress: Progress
) -> dict[str, Scans]:
    """Return the scans of simulated samples, by flux."""
    traces: dict[str, dict[str, list[list[Trace]]]] = {
        flux: {rule: [] for rule in LOOKALIKE_RULES} for flux in FLUXES
    }
    ends: dict[str, dict[str, list[list[list[Step]]]]] = {
        flux: {FULL: [[] for _ in _DWELLS], COARSE: [[] for _ in _DWELLS]} for flux in FLUXES
    }
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        pool = random_pool(structures, rng)
        samples = list(draw_lookalikes(pool, n_samples, rng))
        for flux in FLUXES:
            progress(f"look-alikes, {flux} flux", seed, n_seeds)
            for rule, settings in LOOKALIKE_RULES.items():
                traces[flux][rule].append(
                    [_lookalike(one, settings, flux, (seed, k)) for k, one in enumerate(samples)]
                )
            for rule, row in ends[flux].items():
                for place, dwell in enumerate(_DWELLS):
                    fixed = _fixed(rule, dwell)
                    row[place].append(
                        [
                            _lookalike(one, fixed, flux, (seed, k)).steps[-1]
                            for k, one in enumerate(samples)
                        ]
                    )
    return {
        flux: Scans(
            {rule: swept(of_seeds) for rule, of_seeds in traces[flux].items()}
            | {rule: sweep_of_ends(row) for rule, row in ends[flux].items()},
            traces[flux],
        )
        for flux in FLUXES
    }


def _fixed(rule: str, times_longer: int) -> ScanPolicySettings:
    dwell = 0.01 * times_longer
    if rule == FULL:
        return FixedScanSettings(dwell_s=dwell)
    return CoarseScanSettings(dwell_s=dwell)


def _lookalike(
    one: Lookalikes, settings: ScanPolicySettings, flux: str, numbers: tuple[int, int]
) -> Trace:
    # The same noise for all rules, as far as they look at the same places.
    rng = np.random.default_rng([*numbers, round(FLUXES[flux])])
    device = VirtualDiffractometer(
        one.sample(FLUXES[flux], rng), settings.cost, WAVELENGTH_ANGSTROM
    )
    return _trace(one.source(ModelError()), settings, device, one.truth)


def _trace(
    source: HypothesisSource,
    settings: ScanPolicySettings,
    device: VirtualDiffractometer,
    truth: str,
) -> Trace:
    remembered = RememberedSource(source)
    return traced(
        build(settings, remembered),
        remembered,
        settings,
        device,
        truth=truth,
    )


def scanned_pairs(data: Path, structures: Path, n_seeds: int, progress: Progress) -> Scans:
    """Return the scans of the measured mixtures; seeds draw other candidates."""
    pairs = measured_pairs(data)
    progress("candidates of measured mixtures", 0, 1)
    offered = candidates(structures, pairs)
    temperatures = _temperatures(pairs, offered)
    traces: dict[str, list[list[Trace]]] = {rule: [] for rule in PAIR_RULES}
    for seed in range(n_seeds):
        progress("measured mixtures", seed, n_seeds)
        rng = np.random.default_rng(seed)
        sources = [
            pair.source(offered.drawn(pair, rng), _measured_error(temperatures[pair.name]))
            for pair in pairs
        ]
        for rule, settings in PAIR_RULES.items():
            traces[rule].append(
                [
                    _trace(source, settings, _device(pair, settings), pair.truth)
                    for pair, source in zip(pairs, sources, strict=True)
                ]
            )
    return Scans({rule: swept(of_seeds) for rule, of_seeds in traces.items()}, traces)


def _measured_error(temperature: float) -> ModelError:
    error = _MEASURED_ERROR
    return ModelError(error.lines, error.floor, error.background, error.unknown, temperature)


def _device(pair: MeasuredPair, settings: ScanPolicySettings) -> VirtualDiffractometer:
    return VirtualDiffractometer(pair.sample, settings.cost, pair.wavelength_angstrom)


def _temperatures(pairs: Sequence[MeasuredPair], offered: Candidates) -> dict[str, float]:
    """Return for each mixture the temperature that is best for all others.

    Best is the highest mean logarithm of the probability of the true answer, after the coarse and
    the fast scan, with candidates that are drawn from seeds of their own.
    """
    scores = {pair.name: np.zeros(len(_TEMPERATURES)) for pair in pairs}
    for seed in _TUNING_SEEDS:
        rng = np.random.default_rng(seed)
        for pair in pairs:
            source = pair.source(offered.drawn(pair, rng), _MEASURED_ERROR)
            for rule in (COARSE, FULL):
                scores[pair.name] += _log_probabilities(pair, source, PAIR_RULES[rule])
    total = sum(scores.values(), np.zeros(len(_TEMPERATURES)))
    return {name: _TEMPERATURES[int((total - own).argmax())] for name, own in scores.items()}


def _log_probabilities(
    pair: MeasuredPair, source: HypothesisSource, settings: ScanPolicySettings
) -> FloatArray:
    device = _device(pair, settings)
    policy = build(settings, source)
    window, _ = policy.advise(policy.first_state(), device.sight(0))
    device.measure(window)
    sight = device.sight(1)
    counted = counted_cells(sight, source.axis)
    hypotheses = source.hypotheses(counted, sight)
    found = []
    for temperature in _TEMPERATURES:
        judgement = judged(hypotheses, counted, _measured_error(temperature))
        named = zip(judgement.hypotheses.names, judgement.probability, strict=True)
        found.append(np.log(max(sum(p for name, p in named if name == pair.truth), 1e-6)))
    return np.array(found)
